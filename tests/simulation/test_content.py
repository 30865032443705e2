"""No content costs a page: whatever a check reports, its page arrives, and what was mended is told."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from resolute import FlowWarning, Node, activity, flow, manual, output, secret, text
from resolute.engine import RunView
from resolute.providers import pagerduty
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


class Report(BaseModel):
    """What a check says, in whatever shape it comes."""

    message: Any = "disk full"
    details: dict[str, Any] = {}

    @property
    def ratio(self) -> float:
        return len(self.details) / 0


def _page(report: Report, **fields: Any) -> tuple[Rig, dict[str, Any], dict[str, Any]]:
    """Page once; the rig, the payload that PagerDuty took and the node's output."""

    @activity
    async def check() -> Report:
        return report

    given = {"summary": output("check.message"), "source": "disk", "severity": "critical", **fields}
    given = {name: value for name, value in given.items() if value is not None}
    node: Node[Any] = pagerduty.trigger_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), **given)
    paging = flow("paging").triggered_by(manual()).then(check(), node.as_("page")).build()
    rig = Rig(1, [paging])
    runs: list[RunView] = []

    async def program() -> None:
        await rig.up()
        await rig.engine.start("paging", run_id="r")
        runs.append(await rig.engine.result("r"))
        await rig.wait(seconds=1)

    rig.run(program)
    (run,) = runs
    assert run.status == "succeeded", run.error
    (alert,) = rig.pagerduty.alerts
    result: Any = run.output
    return rig, alert.payload, result["page"]


def _told(rig: Rig, result: dict[str, Any], words: str) -> None:
    """The remark stands in the node's output and in the ledger."""
    (row,) = rig.rows()
    assert any(words in remark for remark in result["remarks"]), result["remarks"]
    assert any(words in remark for remark in row.remarks)


def test_numbers_that_json_does_not_know_become_text() -> None:
    """A NaN among the metrics is shown as such."""
    report = Report(details={"load": float("nan"), "rate": float("inf")})
    rig, payload, result = _page(report, custom_details={"metrics": output("check.details")})
    assert payload["custom_details"]["metrics"] == {"load": "NaN", "rate": "Infinity"}
    _told(rig, result, "custom_details")


def test_half_a_character_is_replaced() -> None:
    """A lone surrogate cannot be sent as UTF-8."""
    rig, payload, result = _page(Report(message="disk \ud800 full"))
    assert payload["summary"] == "disk \ufffd full"
    _told(rig, result, "summary")


def test_a_severity_in_capitals_is_understood() -> None:
    """The author is warned when the flow is built, and the page goes out as meant."""
    with pytest.warns(FlowWarning, match="'CRITICAL' is none of critical, error, warning, info"):
        rig, payload, result = _page(Report(), severity="CRITICAL")
    assert payload["severity"] == "critical"
    _told(rig, result, "severity")


def test_an_unknown_severity_becomes_an_error() -> None:
    """It comes from a check, so nobody could be warned before."""
    rig, payload, result = _page(Report(message="fatal"), severity=output("check.message"))
    assert payload["severity"] == "error"
    _told(rig, result, "severity")


def test_a_number_as_summary_becomes_text() -> None:
    """An int is better than no page."""
    rig, payload, result = _page(Report(message=42))
    assert payload["summary"] == "42"
    _told(rig, result, "summary")


def test_a_missing_key_is_marked_in_its_place() -> None:
    """The rest of the text stays, and the remark says what there was."""
    rig, payload, result = _page(Report(), summary=text("Disk {check.details.host}: {check.message}"))
    assert payload["summary"] == "Disk <missing check.details.host>: disk full"
    _told(rig, result, "check.details.host is missing")


def test_600_kilobytes_of_details_are_replaced_by_a_marker() -> None:
    """PagerDuty takes 512 KB; the page matters more than its details."""
    rig, payload, result = _page(Report(details={"log": "x" * 600_000}), custom_details=output("check.details"))
    assert "512,000" in payload["custom_details"]["resolute"]
    _told(rig, result, "custom_details")


def test_a_title_of_2000_characters_is_cut_and_kept_whole_in_the_details() -> None:
    """PagerDuty refuses more than 1,024."""
    rig, payload, result = _page(Report(message="y" * 2000))
    assert payload["summary"] == "y" * 1024
    assert payload["custom_details"]["full_summary"] == "y" * 2000
    _told(rig, result, "summary")


def test_a_dedup_key_of_400_characters_is_hashed() -> None:
    """The same long key gives the same short one, so the alert can be resolved by it."""
    rig, _, result = _page(Report(message="k" * 400), dedup_key=output("check.message"), summary="down")
    (alert,) = rig.pagerduty.alerts
    assert len(alert.alert_key) <= 255
    assert result["dedup_key"] == alert.alert_key
    _told(rig, result, "dedup_key")


def test_an_empty_source_is_named_after_the_flow() -> None:
    """PagerDuty refuses an event without one."""
    rig, payload, result = _page(Report(), source="")
    assert payload["source"] == "paging"
    _told(rig, result, "source")


def test_a_missing_key_as_a_whole_field_is_marked() -> None:
    """A page without its component is still a page."""
    rig, payload, result = _page(
        Report(),
        component=output("check.details.component"),
        custom_details={"load": output("check.details", "cpu.load")},
    )
    assert payload["component"] == "<missing check.details.component>"
    assert payload["custom_details"] == {"load": "<missing check.details>"}
    _told(rig, result, "check.details.component is missing")


def test_a_property_that_raises_is_marked_in_its_place() -> None:
    """The author's own code fails while the page is put together."""
    rig, payload, result = _page(Report(), custom_details={"ratio": output("check.ratio")})
    assert payload["custom_details"] == {"ratio": "<missing check.ratio>"}
    _told(rig, result, "ZeroDivisionError: division by zero")


def test_what_was_mended_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the worker's log sees it without asking for the run."""
    rig, _, result = _page(Report(message="y" * 2000), source="", component=output("check.details.component"))
    logged = [record.getMessage() for record in caplog.records if record.name == "resolute.run"]
    assert len(result["remarks"]) == 3
    assert logged == [f"run r: page (row 1): {'; '.join(result['remarks'])}"]
    assert rig.rows()[0].remarks == tuple(result["remarks"])


def test_what_is_left_out_is_no_mistake() -> None:
    """Severity and source have defaults; nothing is told of them."""
    rig, payload, result = _page(Report(), source=None, severity=None)
    assert (payload["source"], payload["severity"]) == ("paging", "error")
    assert (result["remarks"], rig.rows()[0].remarks) == ([], ())

"""`resolute doctor`: what it prints, for people and for programs, and its exit codes."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.command import Answer, Desk

pytestmark = pytest.mark.acceptance

FLOWS = """
from resolute import flow, manual, schedule, secret
from resolute.providers import pagerduty

page = (
    flow("page")
    .triggered_by(manual(), schedule("0 7 * * *", timezone="{zone}"))
    .then(pagerduty.trigger_event(routing_key=secret("CHECKOUT_ROUTING_KEY"), summary="down", severity="critical",
        dedup_key="checkout"))
    .build()
)
account = pagerduty.PagerDutyProvider()
"""


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """An installation without a fault."""
    resolute.folder.chmod(0o700)
    resolute.write("flows.py", FLOWS.format(zone="Europe/Berlin"))
    resolute.environ |= {
        "RESOLUTE_MODULE": "flows.py",
        "CHECKOUT_ROUTING_KEY": resolute.key,
        "PAGERDUTY_API_KEY": resolute.pagerduty.api_key,
        "PAGERDUTY_FROM": resolute.pagerduty.first_user.email,
    }
    return resolute


def problems(answer: Answer) -> dict[str, str]:
    """The text and fix of each problem, by its check."""
    return {c["check"]: f"{c['text']} {c['fix']}" for c in answer.json["checks"] if c["result"] == "problem"}


def test_installation_without_a_fault(desk: Desk) -> None:
    """Exit code 0; the settings are told with their sources, keys masked."""
    told = desk("doctor")
    assert told.code == 0, told.out
    assert "✓ flows         The module holds 1 flow: page." in told.out
    assert "module = flows.py (RESOLUTE_MODULE)" in told.out
    assert "✓ time zones    The zones of the schedules are known: Europe/Berlin." in told.out
    assert "✓ REST key      The API key •••• " in told.out
    assert "\nNo problems, " in told.out
    assert not desk.holds(desk.pagerduty.api_key)
    assert desk.requests == 0
    assert not desk.store.exists()


def test_problems_come_first_and_end_with_code_1(desk: Desk) -> None:
    """Each with its fix on the next line."""
    told = desk("doctor", CHECKOUT_ROUTING_KEY=desk.pagerduty.api_key, PAGERDUTY_FROM="stranger@example.com")
    assert told.code == 1
    first, fix, *rest = told.out.splitlines()
    assert first.startswith("✗ keys ")
    assert fix.strip().startswith("→ ")
    assert any(line.startswith("✗ From ") and "stranger@example.com" in line for line in rest)
    assert not desk.holds(desk.pagerduty.api_key)


def test_one_object_for_programs(desk: Desk) -> None:
    """With `--json`: whether all is well, how many findings, and every check."""
    answer = desk("doctor", "--json", PAGERDUTY_FROM=None)
    assert answer.code == 0
    told = answer.json
    assert set(told) == {"ok", "problems", "warnings", "checks"}
    assert (told["ok"], told["problems"]) == (True, 0)
    [found] = [check for check in told["checks"] if check["check"] == "From"]
    assert found["result"] == "warning"
    assert "PAGERDUTY_FROM is not set" in found["text"]
    assert {"check", "result", "text", "fix"} == set(found)


def test_missing_secret(desk: Desk) -> None:
    """What a worker would refuse to start with."""
    answer = desk("doctor", "--json", CHECKOUT_ROUTING_KEY=None)
    assert answer.code == 1
    assert 'Node "trigger_event" needs the secret CHECKOUT_ROUTING_KEY.' in problems(answer)["needs"]


def test_unknown_time_zone(desk: Desk) -> None:
    """Told as a fault of the flow and as one of time zones."""
    desk.write("flows.py", FLOWS.format(zone="Europe/Berln"))
    told = problems(desk("doctor", "--json", "--offline"))
    assert set(told) == {"flows", "time zones"}
    assert 'The time zone "Europe/Berln" is not known.' in told["time zones"]


def test_module_that_cannot_be_loaded(desk: Desk) -> None:
    """The other checks go on."""
    desk.write("flows.py", "1 / 0\n")
    answer = desk("doctor", "--json", "--offline")
    assert set(problems(answer)) == {"flows"}
    assert "ZeroDivisionError" in problems(answer)["flows"]


def test_setting_that_is_wrong_names_its_source(desk: Desk) -> None:
    """The variable, or the file."""
    told = problems(desk("doctor", "--json", "--offline", RESOLUTE_STORE="mysql://db"))
    assert told["settings"].startswith('RESOLUTE_STORE: "mysql://db" is no store.')
    desk.write("resolute.toml", "stor = 'x'\n")
    assert "resolute.toml holds stor, which is not known" in problems(desk("doctor", "--json", "--offline"))["settings"]


def test_offline_asks_nobody(desk: Desk) -> None:
    """For a machine without a network, and for CI."""
    answer = desk("doctor", "--offline", "--json")
    assert answer.code == 0
    assert "Left out: --offline." in [check["text"] for check in answer.json["checks"]]
    assert desk.pagerduty_says(lambda simulator: simulator.requests) == []


def test_worker_that_runs_and_one_that_was_killed(desk: Desk) -> None:
    """The owner is named; what a killed one left needs no hand."""

    def owner() -> dict[str, str]:
        checks = desk("doctor", "--offline", "--json").json["checks"]
        [found] = [check for check in checks if check["check"] == "owner"]
        return dict(found)

    worker = desk.start("worker")
    worker.wait_for_line("the worker is up")
    assert owner()["result"] == "ok"
    assert f"process {worker.process.pid}" in owner()["text"]
    worker.signal(signal.SIGKILL)
    worker.end()
    assert owner()["result"] == "warning"
    assert f"process {worker.process.pid}, was killed" in owner()["text"]


def test_unknown_option_is_code_2(desk: Desk) -> None:
    """Usage."""
    assert desk("doctor", "--all").code == 2

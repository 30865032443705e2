"""`resolute flows check`: every fault of every flow at once, and exit codes that a pipeline can rely on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolute.cli.flow_faults import gathered
from resolute.errors import FlowError
from resolute.model.flow import flow
from tests.unit.cli.conftest import Command

GOOD = """
from resolute import activity, flow, manual, secret, Secret
from typing import Annotated
@activity
def say(text: str) -> str: return text
@activity
def tell(token: Annotated[str, Secret()]) -> str: return "told"
first = flow("first").triggered_by(manual()).then(say(text="x")).build()
second = flow("second").triggered_by(manual()).then(tell(token=secret("CHECK_TOKEN"))).build()
"""
BAD = (
    GOOD
    + """
from resolute import Worker, output
third = flow("third").triggered_by(manual()).then(say(text=output("nothing"))).build()
fourth = flow("fourth").then(say(text="x").as_("a")).then(say(text="y").as_("a")).build()
worker = Worker(flows=[first, third, fourth])
"""
)


@pytest.fixture
def check(resolute: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """`check(text, *options)` of a module with this text; it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("CHECK_TOKEN", raising=False)

    def command(text: str, *options: str) -> object:
        (tmp_path / "checked_flows.py").write_text(text, encoding="utf-8")
        return resolute("flows", "check", "--module", "checked_flows.py", *options)

    yield command
    sys.modules.pop("checked_flows", None)


def test_all_is_well_without_a_store(check: Command, tmp_path: Path) -> None:
    """As in a pipeline before anything ran; no store is made."""
    said = check(GOOD)
    assert said.code == 0, said.err
    assert "2 flows built. No run is under way." in said.out
    assert "There is no store" in said.err
    assert not (tmp_path / "resolute.db").exists()


def test_every_fault_of_every_flow_is_told(check: Command) -> None:
    """With its line, and not only those of the first flow; exit code 2."""
    said = check(BAD)
    assert (said.code, said.out) == (2, "")
    for text in (
        'line 12: Flow "third"',
        'output("nothing")',
        'line 13: Flow "fourth"',
        "Nothing starts it",
        '"a" stands twice',
    ):
        assert text in said.err
    told = check(BAD, "--json")
    assert (told.code, len(told.json["faults"]), told.json["flows"]) == (2, 2, [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_that_name", "not installed"),
        (BAD + "1 / 0", "ZeroDivisionError"),
        ("x = 1", "neither a Worker nor a flow"),
        (
            GOOD + 'again = flow("first").triggered_by(manual()).then(say(text="z")).build()',
            'Two flows are named "first"',
        ),
    ],
)
def test_module_that_is_no_good_is_code_2(check: Command, text: str, words: str) -> None:
    """Whatever is wrong with it."""
    said = check(text)
    assert (said.code, words in said.err, "Traceback" in said.err) == (2, True, False)


def test_missing_secrets_are_told_when_asked_for(check: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where the flows are to run can that be known; exit code 1."""
    said = check(GOOD, "--config")
    assert (said.code, "CHECK_TOKEN" in said.out) == (1, True)
    assert "CHECK_TOKEN" in check(GOOD, "--config", "--json").json["missing"][0]
    monkeypatch.setenv("CHECK_TOKEN", "x")
    assert check(GOOD, "--config").code == 0


def test_store_that_was_named_has_to_be_there(check: Command) -> None:
    """A mistyped path must not look like an empty store; exit code 3."""
    said = check(GOOD, "--store", "sqlite:///none.db")
    assert (said.code, "There is no store" in said.err) == (3, True)


def test_warnings_are_told_and_cost_nothing(check: Command) -> None:
    """What is mended at run time is worth knowing before a deploy."""
    long = (
        "from resolute import flow, manual\nfrom resolute.providers import pagerduty\n"
        'page = pagerduty.trigger_event(summary="x" * 2000, severity="error", dedup_key="k")\n'
        'paging = flow("paging").triggered_by(manual()).then(page).build()\n'
    )
    said = check(long)
    assert (said.code, "summary" in said.err) == (0, True)
    assert "summary" in check(long, "--json").json["warnings"][0]


def test_faults_are_raised_again_afterwards() -> None:
    """Gathering ends with its block, also when the block fails."""

    def build_and_fail() -> None:
        with gathered() as faults:
            flow("none").build()
            raise ZeroDivisionError(len(faults.errors))

    with pytest.raises(ZeroDivisionError, match="1"):
        build_and_fail()
    with pytest.raises(FlowError):
        flow("none").build()

"""What a history tells of its calls, and how two histories are compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from resolute import Flow, activity, current, flow, manual, secret
from resolute.providers import pagerduty
from resolute.testing import FlowTester
from resolute.testing.history import History, Kill, Moment
from resolute.testing.observed import differences, observe
from resolute.testing.script import Call


def call(position: str, *, attempt: int = 1, is_page: bool = False, **inputs: Any) -> Call:
    return Call(position, "r", position, attempt, inputs, is_page)


def killed(*calls: Call, after: int, begun: str = "", in_flight: str = "") -> History:
    """A history with one kill after so many calls."""
    moment = Moment(Kill(1, "after"), after, "", frozenset(begun.split()), frozenset(in_flight.split()))
    return History((moment.kill,), [moment], calls=list(calls))


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (killed(call("a"), call("a"), after=1, in_flight="r/a"), None),
        (killed(call("a"), call("a", attempt=2), after=1), None),
        (killed(call("a", is_page=True), call("a", is_page=True, x=1), after=1), None),
        (killed(call("a"), call("a"), after=1, begun="r/a"), "although it was not under way when the worker died"),
        (killed(call("a"), call("a"), after=2, in_flight="r/a"), "was made twice although nothing crashed"),
        (killed(call("a"), call("a"), after=0, in_flight="r/a"), "was made twice although nothing crashed"),
        (killed(call("a", is_page=True), call("a", is_page=True), after=1, begun="r/a"), "decided anew although"),
        (killed(call("a", x=1), call("a", x=2), after=1, in_flight="r/a"), "the inputs {'x': 1} again, actually"),
    ],
)
def test_a_call_that_no_crash_accounts_for_is_told(history: History, words: str | None) -> None:
    """Only what was under way when the worker died may be called again, and with the same inputs."""
    found = list(history.wrong_calls())
    assert (not found) if words is None else (len(found) == 1 and words in found[0])


@activity
async def remember() -> int:
    current().memory["at"] = "2026-03-02T10:00:00+00:00"
    return 1


PAGES: Flow = (
    flow("pages")
    .triggered_by(manual())
    .then(remember(), pagerduty.trigger_event(routing_key=secret("KEY"), summary="down", dedup_key="disk"))
    .then(pagerduty.resolve_event(routing_key=secret("KEY"), dedup_key="disk"))
    .build()
)


def seen(tester: FlowTester) -> dict[str, Any]:
    machine = tester.bench.machine
    state = tester.run(PAGES, run_id="r")
    return observe(state, machine.tables, machine.accounts, machine.script.calls)


def test_histories_that_differ_in_time_alone_are_the_same() -> None:
    """Also where the time stands inside a text, and where an event was looked up instead of answered."""
    later = FlowTester(seed=3)
    later.run(flow("before").triggered_by(manual()).then_sleep(timedelta(days=1)).build(), run_id="before")
    del later.bench.machine.tables.runs[1]
    assert list(differences(seen(FlowTester()), seen(later))) == []


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ("rows", "incident log, r/trigger_event[2]: expected 'accepted', actually 'rejected'"),
        ("memory", "memory, pages/at: expected '<time>', actually 'never'"),
        ("runs", "runs, r, error: expected '', actually 'odd'"),
    ],
)
def test_what_is_on_the_disk_is_compared(changed: str, where: str) -> None:
    """Runs, memory and the incident log, whatever a run returns."""
    tester = FlowTester()
    state, machine = tester.run(PAGES, run_id="r"), tester.bench.machine
    tables = machine.tables
    match changed:
        case "rows":
            tables.rows[1] = replace(tables.rows[1], status="rejected")
        case "memory":
            tables.memory["pages", "at"] = '"never"'
        case _:
            tables.runs[1] = replace(tables.runs[1], error="odd")
    after = observe(state, tables, machine.accounts, machine.script.calls)
    assert list(differences(seen(FlowTester()), after)) == [where]


def test_what_pagerduty_got_is_compared() -> None:
    """Each event of each alert in order, the alerts and the incidents."""
    expected, actual = seen(FlowTester()), seen(FlowTester())
    actual["events"]["default/disk"].reverse()
    actual["PagerDuty"]["default"]["alerts"] = []
    assert [line.partition(":")[0] for line in differences(expected, actual)] == [
        "PagerDuty, default, alerts",
        "events, default/disk[0][0]",
        "events, default/disk[0][1]",
        "events, default/disk[0][2]",
        "events, default/disk[0][3]",
        "events, default/disk[1][0]",
        "events, default/disk[1][1]",
        "events, default/disk[1][2]",
        "events, default/disk[1][3]",
    ]
    assert [event[0] for event in expected["events"]["default/disk"]] == ["trigger", "resolve"]


def test_what_is_no_number_is_itself() -> None:
    """NaN does not make two histories differ."""
    assert list(differences({"load": float("nan")}, {"load": float("nan")})) == []
    assert list(differences({"load": 1}, {"other": 1})) == [
        "load: expected 1, actually missing",
        "other: expected nothing, actually 1",
    ]

"""`crash_everywhere`: what it reports, and how it tells that a flow comes to another end after a crash."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from resolute import Flow, activity, current, flow, input_data, manual, output, secret
from resolute.model.activity import Node
from resolute.providers import pagerduty
from resolute.testing import CrashDifference, FlowTester, ScriptError, crash_everywhere


@activity
async def check(number: int = 0) -> int:
    current().log.warning("checking")
    return number


@activity
async def forgets() -> bool:
    """Depends on what no activity may depend on."""
    return current().repeated


def page(**fields: Any) -> Node[Any]:
    return pagerduty.trigger_event(routing_key=secret("KEY"), summary="down", dedup_key="disk", **fields)


def one(*nodes: Node[Any], name: str = "one") -> Flow:
    return flow(name).triggered_by(manual()).then(*nodes).build()


def test_every_boundary_is_crashed_at_on_both_sides() -> None:
    """As many as the journal counts; the report says what was called or delivered again."""
    report = crash_everywhere(one(check(), page(), check(number=2).as_("last")))
    assert report.boundaries == 4
    assert report.places[:8] == tuple((number, side) for number in (1, 2, 3, 4) for side in ("before", "after"))
    assert report.histories == len(report.places) == 15
    assert set(report.repeated) == {"check", "last"}
    assert 0 < report.delivered_again < report.histories
    assert str(report).startswith("one: 4 boundaries, 15 crashed histories, all with the same end.")


def test_every_pair_of_crashes_when_asked() -> None:
    """The second kill comes at each boundary of the recovery, its own batches included."""
    report = crash_everywhere(one(check()), double=True)
    pairs = {place for place in report.places if len(place) == 4}
    assert report.boundaries == 2
    assert {(1, "before", 1, "after"), (1, "after", 2, "before"), (2, "before", 3, "before")} < pairs


def test_another_end_is_told_with_place_and_values() -> None:
    """The boundary, the side, what was under way, what differed, and how to see it again."""
    with pytest.raises(CrashDifference) as caught:
        crash_everywhere(one(check(), forgets()))
    assert str(caught.value).splitlines() == [
        'Flow "one" came to another end after a crash. The worker was killed after batch 2 was durable (undisturbed it '
        "has 3 batches). Batch 2 (check done; forgets running) was durable, and nobody had heard of it; under way: "
        "crashed/forgets.",
        "  runs, crashed, result, forgets: expected False, actually True",
        "  result, forgets: expected False, actually True",
        "  state, forgets: expected False, actually True",
        "Do exactly this again: crash_everywhere(..., only=(2, 'after'))",
    ]
    assert caught.value.place == (2, "after")


def test_one_place_can_be_crashed_at_again(caplog: pytest.LogCaptureFixture) -> None:
    """With all that the worker logs; otherwise nothing is heard of the histories."""
    flawed = one(check(), forgets())
    with pytest.raises(CrashDifference, match="killed after batch 2"):
        crash_everywhere(flawed, only=(2, "after"))
    assert crash_everywhere(flawed, only=(1, "before")).places == ((1, "before"),)
    assert [record.message for record in caplog.records].count("checking") == 2
    caplog.clear()
    crash_everywhere(one(check()))
    assert caplog.records == []
    assert logging.getLogger("resolute").level == logging.NOTSET


def test_what_is_done_twice_differs() -> None:
    """An activity whose effect is counted outside tells the repeated one by its output."""
    done: list[int] = []

    @activity
    async def effect() -> int:
        done.append(1)
        return len(done)

    def fresh() -> FlowTester:
        done.clear()
        return FlowTester()

    with pytest.raises(CrashDifference, match="result, effect: expected 1, actually 2"):
        crash_everywhere(one(effect()), tester=fresh)


def test_a_run_that_does_not_end_after_a_crash_differs() -> None:
    """What it raised is the difference."""

    @activity
    async def asks() -> int:
        return 2 if current().repeated else 1

    made = (
        flow("f").triggered_by(manual()).then(asks()).when(output("asks") == 2).then_gate("approve").end_when().build()
    )
    with pytest.raises(CrashDifference, match=r"expected to end as without a crash, actually Stuck: Run crashed"):
        crash_everywhere(made)


def test_flows_that_fail_are_compared_too() -> None:
    """Their error, and what was undone."""

    @activity
    async def breaks() -> int:
        raise ValueError(f"broken {'again' if current().attempt > 3 else 'as always'}")

    back = check(number=1).as_("back")
    report = crash_everywhere(one(check().undo(back), breaks()))
    assert {"check", "back", "breaks"} <= set(report.repeated)


def test_mocks_failures_and_answers_are_those_of_the_tester() -> None:
    """A new one is made for each history."""
    made = flow("f").triggered_by(manual()).then(check(number=input_data())).then_gate("ok").then(page()).build()
    testers: list[FlowTester] = []

    def prepared() -> FlowTester:
        tester = FlowTester()
        tester.mock("check", each=[TimeoutError("slow"), 7])
        tester.fail("trigger_event", "down", times=1)
        tester.signal("ok", by="ada")
        testers.append(tester)
        return tester

    report = crash_everywhere(made, input=1, tester=prepared)
    assert len(testers) == report.histories + 2
    assert {event.summary for tester in testers for event in tester.pages()} == {"down"}


def test_a_history_may_begin_with_other_runs() -> None:
    """What the tester has run before is where all histories begin."""
    resolve = pagerduty.resolve_event(routing_key=secret("KEY"), dedup_key="disk")

    def paged() -> FlowTester:
        tester = FlowTester()
        tester.run(one(page()))
        return tester

    report = crash_everywhere(one(resolve, name="two"), tester=paged)
    assert report.boundaries == 2


ALWAYS_THE_SAME = FlowTester()


@pytest.mark.parametrize("made", [lambda: 1, lambda: ALWAYS_THE_SAME])
def test_a_tester_has_to_be_new_each_time(made: Callable[[], Any]) -> None:
    """Histories must not know of each other."""
    with pytest.raises(ScriptError, match="a function that makes a new FlowTester each time"):
        crash_everywhere(one(check()), tester=made)


def test_a_flow_without_a_steady_end_cannot_be_compared() -> None:
    """It is told so, instead of being blamed on a crash."""
    numbers = iter(range(100))

    @activity
    async def draw() -> int:
        return next(numbers)

    with pytest.raises(ScriptError, match=r'Two undisturbed runs of "one" differ: .* expected 0, actually 1\. Mock'):
        crash_everywhere(one(draw()))


@pytest.mark.parametrize("only", [(0, "before"), (1, "between"), (1, "before", 1, "")])
def test_a_place_that_is_none_is_refused(only: Any) -> None:
    """With what a place is."""
    with pytest.raises(ScriptError, match='takes a boundary from 1 and "before" or "after"'):
        crash_everywhere(one(check()), only=only)


async def test_it_works_inside_a_running_loop() -> None:
    """As every run of a tester."""
    assert crash_everywhere(one(check())).boundaries == 2

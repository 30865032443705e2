"""When runs begin, and who answers them: gates, cancellations and schedules in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from resolute import GateAnswer, Retry, activity, current, flow, manual, output, schedule, steps
from resolute.errors import InputError
from resolute.testing import FlowFailed, FlowTester, ScriptError, Stuck

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


@activity
async def count(step: int = 1) -> int:
    known = current().memory.get("count", 0)
    assert isinstance(known, int)
    current().memory["count"] = known + step
    return known + step


@activity
async def breaks() -> int:
    raise ValueError("broken")


COUNTED = flow("one").triggered_by(manual()).then(count()).build()
APPROVED = flow("approved").triggered_by(manual()).then_gate("approve").then(count()).build()


def test_a_gate_is_answered_this_long_after_it_has_begun_to_wait() -> None:
    """Who, why and what are in its output."""
    tester = FlowTester(start=START)
    tester.signal("approve", by="ada", reason="looks fine", data={"rooms": 2}, after=timedelta(hours=2))
    answer = tester.run(APPROVED).get("approve", GateAnswer)
    assert (answer.outcome, answer.by, answer.reason, answer.data) == ("approved", "ada", "looks fine", {"rooms": 2})
    assert answer.at == tester.now == START + timedelta(hours=2)


def test_a_gate_that_nobody_answers_is_told() -> None:
    """Also in a child run; the text names the gate and what to write."""
    parent = flow("parent").triggered_by(manual()).then_children("sub", APPROVED, inputs=[{}]).build()
    tester = FlowTester()
    with pytest.raises(Stuck, match=r'waits at the gate "approve" .* tester\.signal\("approve"\)'):
        tester.run(parent)
    tester.signal("approve")
    assert tester.run(parent)["sub"].results[0]["count"] == 1


def test_gates_in_a_loop_take_the_answers_in_order() -> None:
    """Each answer is given once; one with a position is for that round alone."""
    asked = steps().then_gate("ok", on_reject="continue")
    made = flow("f").triggered_by(manual()).then_loop("ask", asked, until=output("ok.by") == "ben", at_most=5).build()
    tester = FlowTester()
    tester.signal("ask[2]/ok", by="ben")
    tester.signal("ok", by="ada")
    tester.signal("ok", "rejected", by="chris")
    state = tester.run(made)
    assert [(answer.by, answer.outcome) for answer in state.all("ok")] == [
        ("ada", "approved"),
        ("chris", "rejected"),
        ("ben", "approved"),
    ]


def test_a_gate_with_a_timeout_needs_no_answer() -> None:
    """The time passes at once; an answer that comes later is too late."""
    made = flow("f").triggered_by(manual()).then_gate("ok", timeout=timedelta(days=30), on_timeout="continue").build()
    tester = FlowTester()
    tester.signal("ok", after=timedelta(days=31))
    assert tester.run(made)["ok"].outcome == "timed_out"


def test_an_answer_for_no_gate_is_told() -> None:
    """With the one that was meant."""
    tester = FlowTester()
    tester.signal("aprove")
    with pytest.raises(ScriptError, match=r'tester\.signal\("aprove"\) names no gate .* Did you mean "approve"\?'):
        tester.run(APPROVED)


def test_an_answer_that_the_journal_cannot_keep_is_told() -> None:
    """It would be refused outside a test, too."""
    tester = FlowTester()
    tester.signal("approve", data=object())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="The data of the answer cannot be kept"):
        tester.run(APPROVED)


def test_a_run_can_be_cancelled() -> None:
    """The next one, once; what was done is undone."""
    held = count().undo(count(step=-1).as_("back"))
    made = flow("f").triggered_by(manual()).then(held).then_gate("approve").build()
    tester = FlowTester()
    tester.cancel(after=timedelta(minutes=5), by="ada")
    with pytest.raises(FlowFailed, match="cancelled by ada"):
        tester.run(made)
    assert (tester.memory(made), tester.calls("back")) == ({"count": 0}, [{"step": -1}])
    tester.signal("approve", after=timedelta(minutes=10))
    assert tester.run(made).status == "succeeded"


def test_a_run_that_never_ends_is_told() -> None:
    """With what it waits for."""
    tester = FlowTester()
    for_ever = Retry(attempts=None, initial=timedelta(days=30), maximum=timedelta(days=30))
    with pytest.raises(
        Stuck, match=r"has not ended after .* of virtual time: .breaks. is tried again at .*: ValueError: broken\."
    ):
        tester.run(flow("f").triggered_by(manual()).then(breaks().with_retry(for_ever)).build())


def test_a_tick_is_the_run_of_the_next_scheduled_time() -> None:
    """Time passes until then; nothing ticks by itself."""
    made = flow("f").triggered_by(schedule("0 * * * *"), schedule("30 9 * * *")).then(count()).build()
    tester = FlowTester(start=datetime(2026, 8, 1, 8, 0, tzinfo=UTC))
    ids = [tester.tick(made).run_id for _ in range(4)]
    assert [found.partition("@")[2] for found in ids] == [
        f"2026-08-01T{time}:00Z" for time in ("08:00", "09:00", "09:30", "10:00")
    ]
    tester.advance(timedelta(days=1))
    assert tester.memory(made) == {"count": 4}


def test_a_tick_may_be_named() -> None:
    """It begins then, or now if that is over; a flow without a schedule has none."""
    made = flow("f").triggered_by(schedule("0 * * * *")).then(count()).build()
    tester = FlowTester(start=START)
    state = tester.tick(made, START + timedelta(hours=5))
    assert (state.run.trigger, state.run.created_at) == ("schedule:0 * * * *:UTC", START + timedelta(hours=5))
    with pytest.raises(ScriptError, match='The flow "one" has no schedule'):
        tester.tick(COUNTED)

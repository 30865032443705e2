"""Promise 10: a changed flow never misexecutes a run that was begun under the old one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from resolute import Flow, activity, input_data, item, output, steps
from resolute.errors import EngineError
from resolute.model.flow import Fragment
from tests.contract.engine.book import after, hang
from tests.contract.engine.changes import HOUR, OLD, done, go_on, no, pause, yes
from tests.contract.engine.flows import act_in_thread, begin, do, page, undoable
from tests.contract.engine.machine import Machine, node, states


@dataclass(frozen=True)
class Change:
    """A change that a run cannot go on under, and what the reason says."""

    new: Flow
    words: str
    old: Flow = OLD


def when_(test: Any, then: Any, key: str | None = None) -> Fragment:
    return steps().when(test, then=then, key=key)


PAUSED = pause(steps()).then(do("b"))
REFUSED = {
    "a node before a page": Change(
        done(do("a"), do("new"), page()).then(do("b")).build(),
        'it has come by "page" (pagerduty.trigger_event) already, and the flow now has "new" to do before that',
    ),
    "a page before a page": Change(
        done(do("a"), page("new", "other"), page()).then(do("b")).build(), 'the flow now has "new" to do before that'
    ),
    "a sleep before a page": Change(
        pause(begin().then(do("a")).then_sleep(HOUR, key="new").then(page())).then(do("b")).build(),
        'the flow now has "new" to do before that',
    ),
    "a gate before a page": Change(
        pause(begin().then(do("a")).then_gate("new").then(page())).then(do("b")).build(),
        'the flow now has "new" to do before that',
    ),
    "a renamed node": Change(
        done(do("z"), page()).then(do("b")).build(), 'it has come by "a" (act) already, and the flow now has "z"'
    ),
    "a renamed page": Change(
        done(do("a"), page("call")).then(do("b")).build(),
        "Put the new step behind what such runs have done, or give a renamed one its old key",
    ),
    "a removed node": Change(
        done(page()).then(do("b")).build(),
        "which the flow does not have there any more. Give a renamed step its old key, with .as_(...) or key=",
    ),
    "another activity": Change(
        done(act_in_thread().as_("a"), page()).then(do("b")).build(),
        'it recorded "act" at "a", where the flow now has "act_in_thread"',
    ),
    "another kind of step": Change(
        pause(begin().then_gate("a").then(page())).then(do("b")).build(),
        'it recorded "act" at "a", where the flow now has "gate"',
    ),
    "a node moved into a branch": Change(
        pause(begin().then_parallel("p", do("a")).then(page())).then(do("b")).build(), 'has "p/a" to do before that'
    ),
    "another activity in a branch": Change(
        done(steps().then_parallel("p", act_in_thread().as_("a"), do("c"), do("d"))).build(),
        'it recorded "act" at "p/a", where the flow now has "act_in_thread"',
        done(steps().then_parallel("p", do("a"), do("c"), do("d"))).build(),
    ),
    "a removed branch": Change(
        done(steps().then_parallel("p", do("a"))).build(),
        'it has come by "p/c" (act) already',
        done(steps().then_parallel("p", do("a"), do("c"))).build(),
    ),
    "a when before another": Change(
        done(do("a"), when_(yes, do("new")), when_(yes, page())).build(),
        'it has come by "page" (pagerduty.trigger_event) already, and the flow now has "new" to do before that',
        done(do("a"), when_(yes, page())).build(),
    ),
    "a when before one whose way was not taken": Change(
        begin().then_parallel("p", steps(do("a"), when_(no, do("new")), when_(no, page())), PAUSED).build(),
        "Give such steps a key: when(..., key=...), then_sleep(..., key=...)",
        begin().then_parallel("p", steps(do("a"), when_(no, page())), PAUSED).build(),
    ),
    "a named when before another": Change(
        done(do("a"), when_(yes, do("new"), "fresh"), when_(yes, page(), "old")).build(),
        'the flow now has "fresh" to do before that',
        done(do("a"), when_(yes, page(), "old")).build(),
    ),
    "a when around a page": Change(
        done(do("a"), when_(yes, page(), "fresh")).then(do("b")).build(), 'the flow now has "fresh" to do before that'
    ),
    "a when taken away": Change(
        done(do("a"), page()).build(), '"maybe" (branch) already', done(do("a"), when_(yes, page(), "maybe")).build()
    ),
    "a node in a loop": Change(
        begin().then_loop("l", pause(steps(do("a"), do("new"))), until=yes, at_most=3).build(),
        'the flow now has "l[0]/new" to do before that',
        begin().then_loop("l", pause(steps(do("a"))), until=yes, at_most=3).build(),
    ),
    "a node in an each": Change(
        done(steps().then_each("all", over=[1, 2], body=steps(do("new"), do("a")))).build(),
        'the flow now has "all[0]/new" to do before that',
        done(steps().then_each("all", over=[1, 2], body=do("a"))).build(),
    ),
}


#: What only the record of a decision tells.
DECIDED = {"a when before one whose way was not taken", "a when around a page", "a when taken away"}
CASES = [pytest.param(case, marks=pytest.mark.needs("decisions")) if case in DECIDED else case for case in REFUSED]


@pytest.mark.parametrize("case", CASES)
async def test_a_run_that_does_not_fit_is_parked_before_anything_executes(machine: Machine, case: str) -> None:
    """Though it only waits, and would do so for long."""
    change = REFUSED[case]
    view = await go_on(machine, change.old, change.new)
    assert (view.status, bool(view.error)) == ("needs_attention", True)
    assert set(machine.book.attempted()) <= {"a", "c", "d"}
    assert len(machine.pagerduty.processed) <= 1


@pytest.mark.parametrize("case", ["a node before a page", "a renamed page", "another kind of step"])
async def test_a_parked_run_goes_on_when_its_flow_is_restored(machine: Machine, case: str) -> None:
    """With what it has recorded; nothing is done a second time."""
    change = REFUSED[case]
    await go_on(machine, change.old, change.new)
    await machine.wait(minutes=61)
    await machine.stop()
    await machine.up(change.old)
    await machine.engine.retry("r")
    assert (await machine.result()).status == "succeeded"
    assert machine.book.attempted() == ["a", "b"]
    assert len(machine.pagerduty.processed) == 1


@pytest.mark.needs("reasons")
@pytest.mark.parametrize("case", REFUSED)
async def test_the_reason_says_what_has_changed_and_what_to_do(machine: Machine, case: str) -> None:
    """In the words of the flow; when it is restored, a retry goes on."""
    change = REFUSED[case]
    view = await go_on(machine, change.old, change.new)
    assert view.error.startswith('The flow "f" has changed since run r began: ')
    assert change.words in view.error
    assert "Restore that part of the flow and `resolute runs retry r`, or `resolute runs cancel r`" in view.error
    calls = len(machine.book.calls)
    assert "new" not in machine.book.attempted()
    await machine.stop()
    await machine.up(change.old)
    await machine.engine.retry("r")
    assert (await machine.result()).status == "succeeded"
    assert len(machine.book.calls) == calls + ("b" in machine.book.attempted())
    assert len(machine.pagerduty.processed) <= 1


GATED = begin().then(do("a")).then_gate("ok").then(do("b")).build()
AT_GATE = {
    "a node": begin().then(do("a"), do("new")).then_gate("ok").then(do("b")).build(),
    "a sleep": begin().then(do("a")).then_sleep(HOUR, key="ok").then(do("b")).build(),
    "another gate": begin().then(do("a")).then_gate("yes").then(do("b")).build(),
    "nothing": begin().then(do("a"), do("b")).build(),
}


@pytest.mark.parametrize("case", AT_GATE)
async def test_a_run_at_a_gate_is_parked_when_another_step_stands_there(machine: Machine, case: str) -> None:
    """Its answer is kept, and nothing is done for it under a flow that asks for another one, or for none."""
    await machine.up(GATED)
    await machine.start()
    await machine.status("waiting")
    await machine.stop()
    await machine.command()
    await machine.engine.signal("r", "ok", by="ann")
    await machine.stop()
    await machine.up(AT_GATE[case])
    view = await machine.result()
    assert (view.status, machine.book.attempted()) == ("needs_attention", ["a"])


ACCEPTED = {
    "a node behind what was done": (done(do("a"), page()).then(do("new"), do("b")).build(), ["a", "new", "b"]),
    "a sleep behind what was done": (
        done(do("a"), page()).then_sleep(HOUR, key="more").then(do("b")).build(),
        ["a", "b"],
    ),
    "a when behind what was done": (
        done(do("a"), page()).then(when_(yes, do("new")), do("b")).build(),
        ["a", "new", "b"],
    ),
    "a page behind what was done": (done(do("a"), page()).then(page("second"), do("b")).build(), ["a", "b"]),
    "a node that was not reached is gone": (done(do("a"), page()).build(), ["a"]),
    "a node that was not reached is another": (done(do("a"), page()).then(do("other")).build(), ["a", "other"]),
    "nodes that were done in another order": (done(page(), do("a")).then(do("b")).build(), ["a", "b"]),
    "other retries": (done(do("a", tries=9), page(severity="info")).then(do("b")).build(), ["a", "b"]),
    "a way that was not taken": (
        done(do("a"), page()).then(do("b")).when(lambda state: False, then=do("never")).build(),
        ["a", "b"],
    ),
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.needs("order")) if "another order" in case else case for case in ACCEPTED],
)
async def test_a_run_that_fits_goes_on_under_the_new_flow(machine: Machine, case: str) -> None:
    """With what it has recorded, and from there on as the new flow says."""
    new, keys = ACCEPTED[case]
    view = await go_on(machine, OLD, new)
    assert (view.status, machine.book.attempted()) == ("succeeded", keys)
    [first, *more] = await machine.rows()
    assert (first.position, first.attempts, len(more)) == ("page", 1, case.startswith("a page"))


@pytest.mark.needs("order")
async def test_a_branch_may_be_added_to_a_parallel_that_is_under_way(machine: Machine) -> None:
    """It begins when the run goes on."""
    old = begin().then_parallel("p", do("a"), pause(steps()).then(do("b"))).build()
    new = begin().then_parallel("p", do("new"), do("a"), pause(steps()).then(do("b"))).build()
    assert (await go_on(machine, old, new)).status == "succeeded"
    assert sorted(machine.book.attempted()) == ["a", "b", "new"]


async def test_a_run_that_went_on_is_measured_by_the_flow_under_which_it_did(machine: Machine) -> None:
    """Going back to the old one is another change."""
    newer = done(do("a"), page()).then(do("new")).then_sleep(HOUR, key="again").then(do("b")).build()
    await machine.up(OLD)
    await machine.start()
    await machine.status("waiting")
    await machine.kill()
    await machine.up(newer)
    await machine.called("new")
    await machine.status("waiting")
    await machine.kill()
    await machine.up(OLD)
    view = await machine.result()
    assert (view.status, machine.book.attempted()) == ("needs_attention", ["a", "new"])


@pytest.mark.needs("reasons")
async def test_the_reason_shows_the_difference(machine: Machine) -> None:
    """As far as a person needs it."""
    view = await go_on(machine, OLD, REFUSED["a renamed node"].new)
    assert "What is different (- before, + now): - node a act; + node z act." in view.error


class Before(BaseModel):
    size: int = 1


class Now(BaseModel):
    size: int
    name: str


@activity(name="measure")
async def measure() -> Before:
    return Before(size=3)


@activity(name="measure")
async def measure_more() -> Now:
    return Now(size=3, name="x")


async def test_an_output_that_fits_no_more_parks_its_run(machine: Machine) -> None:
    """The reason names the activity and the field, never the value."""
    old = done(measure()).then(do("b")).build()
    new = done(measure_more(), do("new")).then(do("b")).build()
    view = await go_on(machine, old, new)
    assert (view.status, machine.book.attempted()) == ("needs_attention", [])
    assert "measure" in view.error
    assert "name: Field required" in view.error


async def test_an_output_that_fits_no_more_parks_its_run_though_no_key_has_changed(machine: Machine) -> None:
    """Types are no part of what tells two versions apart, and are looked at all the same."""
    view = await go_on(machine, done(measure()).then(do("b")).build(), done(measure_more()).then(do("b")).build())
    assert (view.status, machine.book.attempted()) == ("needs_attention", [])
    assert "name: Field required" in view.error


async def test_an_input_that_fits_no_more_parks_its_run(machine: Machine) -> None:
    """It was checked when the run was started, against another model."""
    old = done(do("a")).then(do("b")).accepts(Before).build()
    view = await go_on(machine, old, done(do("a")).then(do("b")).accepts(Now).build(), {"size": 1})
    assert (view.status, machine.book.attempted()) == ("needs_attention", ["a"])
    assert "name: Field required" in view.error


async def test_a_failed_run_under_a_changed_flow_is_parked_when_it_is_retried(machine: Machine) -> None:
    """Its failure stands until then."""
    machine.book.will("b", ValueError("no"))
    await machine.run(begin().then(do("a"), do("b")).build())
    await machine.stop()
    await machine.up(begin().then(do("new"), do("a"), do("b")).build())
    assert (await machine.engine.get("r")).status == "failed"
    await machine.engine.retry("r")
    view = await machine.result()
    assert (view.status, machine.book.attempted()) == ("needs_attention", ["a", "b"])


async def test_a_failed_run_whose_input_fits_no_more_does_not_go_on(machine: Machine) -> None:
    """A retry, or the run after it, says what does not fit, and not what was given."""
    machine.book.will("a", ValueError("no"))
    await machine.run(begin().then(do("a")).accepts(Before).build(), {"size": 4711})
    await machine.stop()
    await machine.up(begin().then(do("a")).accepts(Now).build())
    try:
        await machine.engine.retry("r")
        told = (await machine.result()).error
    except EngineError as error:
        told = str(error)
    assert "name: Field required" in told
    assert "4711" not in told
    assert machine.book.attempted() == ["a"]


async def test_a_run_that_was_undone_halfway_is_parked_when_its_undo_is_gone(machine: Machine) -> None:
    """What is left to undo is told by the flow, and the flow has forgotten it."""
    old = begin().then(undoable("a"), undoable("b"), do("c")).build()
    machine.book.will("c", ValueError("no"))
    machine.book.will("undo_a", hang)
    await machine.up(old)
    await machine.start()
    await machine.called("undo_a")
    await machine.kill()
    await machine.up(begin().then(do("a"), undoable("b"), do("c")).build())
    view = await machine.result()
    assert (view.status, machine.book.finished) == ("needs_attention", ["a", "b", "b~undo/undo_b"])


async def test_a_child_goes_on_under_its_own_flow(machine: Machine) -> None:
    """A change of the parent does not concern it, and the other way round."""
    child = begin("child").then(do("a", input_data())).then_sleep(HOUR).then(do("b")).build()
    old = begin().then_children("subs", child, inputs=[1]).build()
    new = begin().then_children("subs", child, inputs=[1]).then(do("new")).build()
    await machine.up(old, child)
    await machine.start()
    await machine.status("waiting", "r/subs[0]")
    await machine.kill()
    await machine.up(new, child)
    assert (await machine.result()).status == "succeeded"
    assert machine.book.attempted() == ["a", "b", "new"]


async def test_a_child_of_another_flow_parks_its_parent(machine: Machine) -> None:
    """The child itself goes on."""
    child = begin("child").then_sleep(HOUR).then(do("a")).build()
    other = begin("other").then(do("new")).build()
    await machine.up(begin().then_children("subs", child, inputs=[1]).build(), child)
    await machine.start()
    await machine.status("waiting", "r/subs[0]")
    await machine.kill()
    await machine.up(begin().then_children("subs", other, inputs=[1]).build(), child, other)
    view = await machine.result()
    assert (view.status, (await machine.result("r/subs[0]")).status) == ("needs_attention", "succeeded")
    assert "child" in view.error
    assert "other" in view.error
    assert machine.book.attempted() == ["a"]


@pytest.mark.needs("decisions")
async def test_items_that_were_recorded_stand_though_the_list_has_changed(machine: Machine) -> None:
    """A list in the text of the flow is recorded when it is reached."""

    def over(*items: int) -> Flow:
        return begin().then_each("all", over=list(items), body=pause(steps()).then(do("a", item()))).build()

    await go_on(machine, over(1, 2), over(7, 8, 9))
    assert sorted(call.given for call in machine.book.calls) == [1, 2]


@pytest.mark.needs("room")
async def test_a_run_that_has_done_nothing_yet_begins_under_the_new_flow(machine: Machine) -> None:
    """It was queued behind others when the flow was changed."""
    machine.book.always("a", after(60))
    await machine.up(begin().then(do("a")).build(), max_concurrent=1)
    for number in range(110):
        await machine.start(run_id=f"r{number}")
    assert (await machine.engine.get("r109")).status == "queued"
    await machine.kill()
    await machine.up(begin().then(do("first"), do("a", output("first"))).build())
    assert states(await machine.result("r109")) == {"first": "done", "a": "done"}
    assert node(await machine.result("r0"), "a").status == "running"

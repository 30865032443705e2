"""Promise 6: `undo` runs in reverse commit order, one at a time, for what succeeded, whatever happens meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute import input_data, item, output
from resolute.errors import EngineError
from resolute.providers import pagerduty
from tests.contract.engine.book import after, hang
from tests.contract.engine.flows import KEY, begin, do, of, page, undoable
from tests.contract.engine.machine import Machine, node, states

NO = ValueError("no")
#: The third of four nodes may fail; the others can be undone.
FOUR = of(undoable("a", 1), undoable("b", 2), do("c"), undoable("d"))


def page_taken_back() -> Any:
    """A page that is undone by a resolve."""
    return page().undo(pagerduty.resolve_event(routing_key=KEY, dedup_key="disk"))


async def test_what_succeeded_is_undone_in_reverse_order(machine: Machine) -> None:
    """The last one that succeeded is undone first; what failed or never began is left alone."""
    machine.book.will("c", NO)
    view = await machine.run(FOUR)
    assert (view.status, view.error_key, view.error) == ("failed", "c", "ValueError: no")
    assert machine.book.attempted() == ["a", "b", "c", "undo_b", "undo_a"]


async def test_a_run_that_succeeds_undoes_nothing(machine: Machine) -> None:
    """Undo is for runs that end early."""
    assert (await machine.run(FOUR)).status == "succeeded"
    assert machine.book.attempted() == ["a", "b", "c", "d"]


async def test_undo_goes_by_the_order_of_the_commits(machine: Machine) -> None:
    """Of branches side by side, what finished last is undone first, wherever it stands in the text."""
    for key, seconds in {"a": 3, "b": 1, "c": 2}.items():
        machine.book.will(key, after(seconds))
    machine.book.will("d", NO)
    await machine.run(begin().then_parallel("p", *map(undoable, "abc")).then(do("d")).build())
    assert machine.book.attempted()[-3:] == ["undo_a", "undo_c", "undo_b"]


async def test_undo_goes_by_the_order_of_the_commits_after_a_kill(machine: Machine) -> None:
    """The order is that in the journal, not that of the walk that a new worker makes."""
    made = begin().then_parallel("p", *map(undoable, "abc")).then(do("d")).build()
    for key, seconds in {"a": 3, "b": 1, "c": 2}.items():
        machine.book.will(key, after(seconds))
    machine.book.will("d", hang, NO)
    await machine.up(made)
    await machine.start()
    await machine.called("d")
    await machine.kill()
    await machine.up(made)
    await machine.result()
    assert machine.book.attempted()[-3:] == ["undo_a", "undo_c", "undo_b"]


async def test_undo_runs_one_at_a_time(machine: Machine) -> None:
    """The next one begins when the one before it has finished."""
    machine.book.always("undo_b", after(60))
    machine.book.will("c", NO)
    await machine.run(FOUR)
    [undo_b], [undo_a] = machine.book.of("undo_b"), machine.book.of("undo_a")
    assert undo_a.at - undo_b.at >= timedelta(seconds=60)


async def test_each_undo_sees_what_was_known_right_after_its_node(machine: Machine) -> None:
    """Also where the same key was put out again later."""
    loop = begin().then_loop("l", undoable("a"), until=output("a") == 3, at_most=5).then(do("c")).build()
    machine.book.will("a", 1, 2, 3)
    machine.book.will("c", NO)
    await machine.run(loop)
    assert [(call.position, call.given) for call in machine.book.of("undo_a")] == [
        ("l[2]/a~undo/undo_a", 3),
        ("l[1]/a~undo/undo_a", 2),
        ("l[0]/a~undo/undo_a", 1),
    ]


async def test_each_undo_in_an_each_sees_its_own_item(machine: Machine) -> None:
    """And what that item had put out."""
    body = do("a", item()).undo(do("undo_a", [item("name"), output("a")]))
    machine.book.will("c", NO)
    await machine.run(
        begin().then_each("all", over=[{"name": "x"}, {"name": "y"}], body=body, limit=1).then(do("c")).build()
    )
    assert [call.given for call in machine.book.of("undo_a")] == [["y", {"name": "y"}], ["x", {"name": "x"}]]


async def test_branches_end_before_anything_is_undone(machine: Machine) -> None:
    """A branch that goes on for minutes after its sibling has failed is undone as well."""
    machine.book.will("b", NO)
    machine.book.will("slow", after(240))
    view = await machine.run(begin().then_parallel("p", undoable("a"), do("b"), undoable("slow")).build())
    assert view.status == "failed"
    assert machine.book.attempted()[3:] == ["undo_slow", "undo_a"]


async def test_undo_goes_on_where_a_kill_has_cut_it(machine: Machine) -> None:
    """What was undone is not undone again; what was under way is repeated under the same key."""
    machine.book.will("c", NO)
    machine.book.will("undo_a", hang)
    await machine.up(FOUR)
    await machine.start()
    await machine.called("undo_a")
    await machine.kill()
    await machine.up(FOUR)
    view = await machine.result()
    assert (view.status, view.error) == ("failed", "ValueError: no")
    assert machine.book.attempted()[2:] == ["c", "undo_b", "undo_a", "undo_a"]
    first, second = machine.book.of("undo_a")
    assert (first.idempotency_key, first.given) == (second.idempotency_key, second.given)
    assert second.repeated


async def test_undo_is_repeated_as_its_retries_say(machine: Machine) -> None:
    """It is a node like any other; the wait between its attempts survives a kill."""
    made = of(do("a").undo(do("undo_a", tries=2)), do("c"))
    machine.book.will("c", NO)
    machine.book.will("undo_a", NO)
    await machine.up(made)
    await machine.start()
    await machine.called("undo_a")
    await machine.kill()
    await machine.up(made)
    assert states(await machine.result())["a~undo/undo_a"] == "done"


async def test_an_undo_that_fails_is_told_while_the_others_still_run(machine: Machine) -> None:
    """The run's error names what failed, and what could not be undone."""
    machine.book.will("c", NO)
    machine.book.will("undo_b", OSError("gone"))
    view = await machine.run(FOUR)
    assert view.error == "ValueError: no Not undone: b~undo/undo_b: OSError: gone"
    assert states(view) == {
        "a": "done",
        "b": "done",
        "c": "failed",
        "b~undo/undo_b": "failed",
        "a~undo/undo_a": "done",
    }


async def test_the_failure_node_hears_of_what_could_not_be_undone(machine: Machine) -> None:
    """It runs after the undo."""
    machine.book.will("c", NO)
    machine.book.will("undo_a", OSError("gone"))
    made = begin().then(undoable("a"), do("c")).on_failure(do("tell", input_data("errors"))).build()
    await machine.run(made)
    assert machine.book.attempted() == ["a", "c", "undo_a", "tell"]
    assert [fault["position"] for fault in machine.book.calls[-1].given] == ["c", "a~undo/undo_a"]


async def test_the_fallback_of_an_undo_runs_when_it_fails(machine: Machine) -> None:
    """Then the node counts as undone."""
    machine.book.will("c", NO)
    machine.book.will("undo_a", NO)
    view = await machine.run(of(do("a").undo(do("undo_a").or_else(do("other"))), do("c")))
    assert view.error == "ValueError: no"
    assert machine.book.attempted() == ["a", "c", "undo_a", "other"]


async def test_a_fallback_is_undone_by_its_own_undo(machine: Machine) -> None:
    """The node that failed has done nothing that could be undone."""
    machine.book.will("a", NO)
    machine.book.will("c", NO)
    await machine.run(of(undoable("a").or_else(undoable("b")), do("c")))
    assert machine.book.attempted() == ["a", "b", "c", "undo_b"]


@pytest.mark.parametrize("kill", [False, True], ids=["", "killed"])
async def test_a_run_that_is_cancelled_is_undone(machine: Machine, kill: bool) -> None:
    """The attempt that is under way ends, then everything before it is undone; a kill does not stop that."""
    machine.book.always("c", hang)
    machine.book.will("undo_b", *([hang] if kill else []))
    await machine.up(FOUR)
    await machine.start()
    await machine.called("c")
    await machine.engine.cancel("r", by="ann")
    if kill:
        await machine.called("undo_b")
        await machine.kill()
        await machine.up(FOUR)
    view = await machine.result()
    assert (view.status, view.error) == ("cancelled", "cancelled by ann")
    assert machine.book.finished == ["a", "b", "b~undo/undo_b", "a~undo/undo_a"]


async def test_a_run_that_waits_is_undone_when_it_is_cancelled(machine: Machine) -> None:
    """It does not have to be in memory for that."""
    await machine.up(begin().then(undoable("a")).then_sleep(timedelta(days=1)).build())
    await machine.start()
    await machine.status("waiting")
    await machine.engine.cancel("r")
    assert (await machine.result()).status == "cancelled"
    assert machine.book.attempted() == ["a", "undo_a"]


async def test_a_second_cancel_does_not_stop_the_undo(machine: Machine) -> None:
    """What was begun to be taken back is taken back."""
    machine.book.always("c", hang)
    machine.book.will("undo_b", after(60))
    await machine.up(FOUR)
    await machine.start()
    await machine.called("c")
    await machine.engine.cancel("r")
    await machine.called("undo_b")
    await machine.engine.cancel("r")
    await machine.result()
    assert machine.book.attempted() == ["a", "b", "c", "undo_b", "undo_a"]


async def test_a_page_in_flight_at_the_cancel_is_settled_first_and_undone(machine: Machine) -> None:
    """Nobody is left with an alert that no run knows of."""
    machine.pagerduty.faults.slow_s = 5
    machine.pagerduty.faults.script("events", ["slow"])
    await machine.up(of(page_taken_back()))
    await machine.start()
    await machine.wait(seconds=1)
    await machine.engine.cancel("r")
    assert (await machine.result()).status == "cancelled"
    assert [(row.action, row.status) for row in await machine.rows()] == [
        ("trigger", "accepted"),
        ("resolve", "accepted"),
    ]
    await machine.wait(seconds=10)
    assert [incident.status for incident in machine.pagerduty.incidents] == ["resolved"]


@pytest.mark.needs("repeated-ids")
async def test_a_page_of_unknown_outcome_at_the_cancel_is_taken_back(machine: Machine) -> None:
    """It may have reached the service, so it is settled, then undone."""
    machine.pagerduty.faults.script("events", ["apply_then_cut"])
    await machine.up(of(page_taken_back()))
    await machine.start()
    await machine.status("waiting")
    await machine.engine.cancel("r")
    assert (await machine.result()).status == "cancelled"
    await machine.wait(seconds=10)
    assert [incident.status for incident in machine.pagerduty.incidents] == ["resolved"]


async def test_a_page_that_was_never_sent_is_neither_sent_nor_undone(machine: Machine) -> None:
    """Its row says that it was cancelled."""
    machine.pagerduty.faults.outage(kind="503")
    await machine.up(of(page_taken_back()))
    await machine.start()
    await machine.status("waiting")
    await machine.engine.cancel("r")
    assert (await machine.result()).status == "cancelled"
    machine.pagerduty.faults.outage(False)
    await machine.wait(hours=1)
    assert [row.status for row in await machine.rows()] == ["cancelled"]
    assert machine.pagerduty.alerts == []


async def test_a_page_is_undone_when_the_run_fails_later(machine: Machine) -> None:
    """Its undo is a page of its own, with a row of its own."""
    machine.book.will("c", NO)
    view = await machine.run(of(page_taken_back(), do("c")))
    assert node(view, "page~undo/resolve_event").status == "done"
    await machine.wait(seconds=10)
    assert [incident.status for incident in machine.pagerduty.incidents] == ["resolved"]


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 21, 34])
async def test_undo_is_complete_wherever_a_kill_cuts_it(machine: Machine, steps: int) -> None:
    """From the failure on, everything is undone, and in order, whichever commit was the last."""
    machine.book.always("c", NO)
    await machine.up(FOUR)
    await machine.start()
    await machine.called("c")
    await machine.steps(steps)
    await machine.kill()
    await machine.up(FOUR)
    assert (await machine.result()).error == "ValueError: no"
    undone = [position for position in machine.book.finished if "undo" in position]
    assert list(dict.fromkeys(undone)) == ["b~undo/undo_b", "a~undo/undo_a"]
    assert undone == sorted(undone, reverse=True)


async def test_a_run_that_was_undone_cannot_be_taken_up_again(machine: Machine) -> None:
    """What it had done is not there any more."""
    machine.book.will("c", NO)
    await machine.run(FOUR)
    with pytest.raises(EngineError, match=r"was undone after it failed and cannot go on\. Start it anew"):
        await machine.engine.retry("r")

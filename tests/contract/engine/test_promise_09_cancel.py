"""Promise 9, first half: a cancelled run stops and is undone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from resolute import RunNotFound, steps
from resolute.errors import EngineError
from tests.contract.engine.book import Call, after, hang
from tests.contract.engine.flows import act_in_thread, begin, do, of, page, undoable
from tests.contract.engine.machine import Machine, states

NO = ValueError("no")
HOUR = timedelta(hours=1)


async def test_a_cancelled_run_stops_the_attempt_that_is_under_way(machine: Machine) -> None:
    """Its activity is told, nothing follows, and the run says who did it and why."""
    told: list[str] = []

    async def linger(call: Call) -> None:
        try:
            await hang(call)
        except asyncio.CancelledError:
            told.append(call.key)
            raise

    machine.book.will("a", linger)
    await machine.up(of(do("a"), do("b")))
    await machine.start()
    await machine.called("a")
    await machine.engine.cancel("r", by="ann", reason="false alarm")
    view = await machine.result()
    assert (view.status, view.error) == ("cancelled", "cancelled by ann: false alarm")
    assert (told, machine.book.attempted(), states(view)) == (["a"], ["a"], {"a": "cancelled"})


WAITS: dict[str, Any] = {
    "sleep": begin().then_sleep(HOUR).then(do("b")).build(),
    "gate": begin().then_gate("ok").then(do("b")).build(),
    "backoff": of(do("fails", tries=9), do("b")),
    "branches": begin().then_parallel("p", steps().then_sleep(HOUR), steps().then_gate("ok")).then(do("b")).build(),
    "page": of(page(), do("b")),
}


@pytest.mark.parametrize("kind", WAITS)
async def test_a_run_that_waits_is_cancelled_at_once(machine: Machine, kind: str) -> None:
    """Whatever it waits for; it has ended when `cancel` returns, also for the next worker."""
    machine.book.always("fails", NO)
    machine.pagerduty.faults.outage(kind="503")
    await machine.up(WAITS[kind])
    await machine.start()
    await machine.status("waiting")
    assert (await machine.engine.cancel("r")).status == "cancelled"
    await machine.kill()
    await machine.up(WAITS[kind])
    await machine.wait(hours=2)
    view = await machine.engine.get("r")
    assert view.status == "cancelled"
    assert "b" not in machine.book.attempted()
    assert not [entry for entry in view.nodes if entry.status in ("running", "waiting")]


async def test_a_run_that_waits_for_room_is_cancelled(machine: Machine) -> None:
    """It never begins."""
    machine.book.always("a", hang)
    await machine.up(of(do("a")), max_concurrent=1)
    for number in range(130):
        await machine.start(run_id=f"r{number}")
    assert (await machine.engine.cancel("r129")).status == "cancelled"
    assert [call for call in machine.book.calls if call.run_id == "r129"] == []


@pytest.mark.needs("cancel-without-worker")
async def test_a_run_is_cancelled_while_no_worker_runs(machine: Machine) -> None:
    """The command ends it where nothing has to be undone."""
    await machine.up(WAITS["gate"])
    await machine.start()
    await machine.status("waiting")
    await machine.stop()
    await machine.command()
    assert (await machine.engine.cancel("r")).status == "cancelled"


async def test_a_run_that_is_cancelled_while_no_worker_runs_is_undone_by_the_next(machine: Machine) -> None:
    """What it did is not forgotten."""
    made = begin().then(undoable("a")).then_gate("ok").build()
    await machine.up(made)
    await machine.start()
    await machine.status("waiting")
    await machine.stop()
    await machine.command()
    await machine.engine.cancel("r", by="ann")
    await machine.stop()
    await machine.up(made)
    view = await machine.result()
    assert (view.status, view.error, machine.book.attempted()) == ("cancelled", "cancelled by ann", ["a", "undo_a"])


async def test_every_branch_of_a_cancelled_run_stops(machine: Machine) -> None:
    """Those at work and those that wait."""
    machine.book.always("a", hang)
    slow = steps().then_sleep(HOUR).then(do("b"))
    each = steps().then_each("all", over=[1, 2, 3], body=do("a"), limit=2)
    await machine.up(begin().then_parallel("p", slow, each, page()).build())
    await machine.start()
    await machine.called("a", 2)
    await machine.wait(seconds=2)
    await machine.engine.cancel("r")
    view = await machine.result()
    assert view.status == "cancelled"
    assert states(view) == {"p/all[0]/a": "cancelled", "p/all[1]/a": "cancelled", "p/page": "done"}


@pytest.mark.needs("lost-cancels")
@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 8, 13])
async def test_a_cancel_that_has_returned_survives_a_kill(machine: Machine, number: int) -> None:
    """The next worker ends the run as the last one would have."""
    machine.book.always("b", hang)
    made = of(undoable("a"), do("b"))
    await machine.up(made)
    await machine.start()
    await machine.called("b")
    await machine.engine.cancel("r")
    await machine.steps(number)
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).status == "cancelled"
    assert list(dict.fromkeys(machine.book.finished)) == ["a", "a~undo/undo_a"]


async def test_a_page_in_flight_settles_before_its_run_ends(machine: Machine) -> None:
    """The incident log tells that it was accepted; nothing that follows is sent."""
    machine.pagerduty.faults.slow_s = 5
    machine.pagerduty.faults.script("events", ["slow"])
    await machine.up(of(page(), page("second", "other")))
    await machine.start()
    await machine.wait(seconds=1)
    await machine.engine.cancel("r")
    assert (await machine.result()).status == "cancelled"
    assert [(row.position, row.status) for row in await machine.rows()] == [("page", "accepted")]


async def test_a_page_whose_outcome_is_unknown_settles_after_its_run_has_ended(machine: Machine) -> None:
    """It may have reached somebody: it is followed up until that is known, and nothing else is done."""
    machine.pagerduty.faults.script("events", ["apply_then_cut"])
    await machine.up(of(page(), do("b")))
    await machine.start()
    await machine.status("waiting")
    assert (await machine.engine.cancel("r")).status == "cancelled"
    await machine.wait(hours=2)
    assert [row.status for row in await machine.rows()] == ["accepted"]
    assert (len(machine.pagerduty.alerts), machine.book.attempted()) == (1, [])


async def test_the_failure_node_does_not_run_for_a_cancelled_run(machine: Machine) -> None:
    """It was a person's decision."""
    machine.book.will("a", hang)
    await machine.up(begin().then(do("a")).on_failure(do("tell")).build())
    await machine.start()
    await machine.called("a")
    await machine.engine.cancel("r")
    await machine.result()
    assert machine.book.attempted() == ["a"]


async def test_a_plain_function_is_left_behind_when_its_run_is_cancelled(machine: Machine) -> None:
    """Nobody can stop a thread; its result is dropped."""
    machine.book.will("a", machine.threads.hang)
    await machine.up(of(act_in_thread().as_("a"), do("b")))
    await machine.start()
    await machine.called("a")
    await machine.engine.cancel("r")
    assert (await machine.result()).status == "cancelled"
    machine.threads.release()
    await machine.wait(minutes=1)
    assert machine.book.attempted() == ["a"]


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
async def test_a_run_that_has_ended_cannot_be_cancelled(machine: Machine, how: str) -> None:
    """The error says how it has ended."""
    machine.book.will("a", *([NO] if how == "failed" else [after(60)]))
    await machine.up(of(do("a")))
    await machine.start()
    if how == "cancelled":
        await machine.engine.cancel("r")
    await machine.result()
    with pytest.raises(EngineError, match=f'Run "r" has {how} already and cannot be cancelled'):
        await machine.engine.cancel("r")


async def test_a_run_that_nobody_knows_cannot_be_cancelled_or_retried(machine: Machine) -> None:
    """The error names the id."""
    await machine.up(of(do("a")))
    for order in (machine.engine.cancel, machine.engine.retry):
        with pytest.raises(RunNotFound, match='No run has the id "none"'):
            await order("none")

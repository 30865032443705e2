"""Promise 10, of parked runs: nothing that was asked of them or is on its way is lost, and they can go on."""

from __future__ import annotations

import pytest

from resolute import output
from resolute.errors import EngineError
from tests.contract.engine.book import hang
from tests.contract.engine.changes import OLD, done, go_on
from tests.contract.engine.flows import begin, do, of, page, undoable
from tests.contract.engine.machine import Machine


async def test_a_parked_run_stays_parked_under_the_changed_flow(machine: Machine) -> None:
    """A retry that comes too early changes nothing."""
    new = done(do("a"), do("new"), page()).then(do("b")).build()
    first = await go_on(machine, OLD, new)
    await machine.engine.retry("r")
    again = await machine.result()
    assert (again.status, again.error, again.retries) == ("needs_attention", first.error, 0)
    assert machine.book.attempted() == ["a"]


async def test_a_parked_run_can_be_cancelled(machine: Machine) -> None:
    """Nothing is undone then, and it says so."""
    old = done(undoable("a")).then(do("b")).build()
    await go_on(machine, old, done(undoable("z")).build())
    await machine.engine.cancel("r", by="ann")
    view = await machine.result()
    assert view.status == "cancelled"
    assert view.error.startswith("cancelled by ann. Nothing was undone: the run could not be walked under its flow")


PAGED = {
    "another node is before it": begin().then(do("new"), page()).then(do("b")).build(),
    "it has another key": begin().then(page("call")).then(do("b")).build(),
    "its flow is gone": of(page(), name="g"),
}


@pytest.mark.parametrize("case", PAGED)
async def test_a_page_on_its_way_is_delivered_though_its_run_is_parked(machine: Machine, case: str) -> None:
    """And once, also when the run goes on later."""
    old = begin().then(page()).then(do("b")).build()
    machine.pagerduty.faults.outage(kind="503")
    assert (await go_on(machine, old, PAGED[case])).status == "needs_attention"
    machine.pagerduty.faults.outage(False)

    async def is_delivered() -> bool:
        return bool(machine.pagerduty.processed) and [row.status for row in await machine.rows()] == ["accepted"]

    await machine.until(is_delivered)
    await machine.stop()
    await machine.up(old)
    await machine.engine.retry("r")
    assert (await machine.result()).status == "succeeded"
    assert len(machine.pagerduty.processed) == 1


async def test_a_signal_before_the_change_is_kept(machine: Machine) -> None:
    """A parked run takes it when it goes on."""
    old = done(do("a")).then_gate("ok").then(do("b", output("ok.by"))).build()
    await machine.up(old)
    await machine.start()
    await machine.status("waiting")
    await machine.engine.signal("r", "ok", by="ann")
    await machine.kill()
    await machine.up(done(do("z")).then_gate("ok").then(do("b", output("ok.by"))).build())
    assert (await machine.result()).status == "needs_attention"
    await machine.wait(minutes=61)
    await machine.stop()
    await machine.up(old)
    await machine.engine.retry("r")
    await machine.result()
    assert machine.book.calls[-1].given == "ann"


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_run_that_is_parked_in_its_undo_is_undone_when_it_goes_on(machine: Machine, how: str) -> None:
    """A retry then means: go on with the undo; it ends as it would have ended."""
    old = begin().then(undoable("a"), undoable("b"), do("c")).build()
    machine.book.will("c", hang if how == "cancelled" else ValueError("no"))
    machine.book.will("undo_b", hang)
    await machine.up(old)
    await machine.start()
    await machine.called("c")
    if how == "cancelled":
        await machine.engine.cancel("r", by="ann")
    await machine.called("undo_b")
    await machine.kill()
    await machine.up(begin().then(do("new"), undoable("a"), undoable("b"), do("c")).build())
    assert (await machine.result()).status == "needs_attention"
    await machine.wait(minutes=2)
    await machine.stop()
    await machine.up(old)
    await machine.engine.retry("r")
    view = await machine.result()
    assert (view.status, view.error) == (how, "cancelled by ann" if how == "cancelled" else "ValueError: no")
    assert machine.book.finished == ["a", "b", "b~undo/undo_b", "a~undo/undo_a"]


async def test_a_cancel_that_was_accepted_before_the_change_is_not_forgotten(machine: Machine) -> None:
    """A retry of the parked run goes on with cancelling it."""
    old = done(undoable("a")).then(do("b")).build()
    await machine.up(old)
    await machine.start()
    await machine.status("waiting")
    await machine.stop()
    await machine.command()
    await machine.engine.cancel("r", by="ann")
    await machine.stop()
    await machine.up(done(undoable("z")).then(do("b")).build())
    assert (await machine.result()).status == "needs_attention"
    await machine.stop()
    await machine.up(old)
    await machine.engine.retry("r")
    view = await machine.result()
    assert (view.status, machine.book.attempted()) == ("cancelled", ["a", "undo_a"])


async def test_a_flow_that_the_worker_does_not_have_parks_its_runs(machine: Machine) -> None:
    """They go on when it is there again."""
    await machine.up(OLD)
    await machine.start()
    await machine.status("waiting")
    await machine.kill()
    await machine.up()
    view = await machine.result()
    assert view.status == "needs_attention"
    assert 'The flow "f" is not among the flows of this worker.' in view.error
    await machine.wait(minutes=61)
    with pytest.raises(EngineError, match=r"is not among those of this worker\. Add it"):
        await machine.engine.retry("r")
    await machine.stop()
    await machine.up(OLD)
    await machine.engine.retry("r")
    assert (await machine.result()).status == "succeeded"

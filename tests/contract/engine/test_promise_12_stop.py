"""Promise 12: a worker that stops takes nothing new and loses nothing; what cannot be written does not run."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from resolute import RunNotFound, current, steps
from resolute.errors import StoreError
from tests.contract.engine.book import Call, after, hang
from tests.contract.engine.flows import begin, do, of, page, undoable
from tests.contract.engine.machine import Machine, node

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TWO = of(do("a"), do("b"))


async def under_way(machine: Machine, seconds: float) -> None:
    """A run whose first attempt takes this long, and has begun."""
    machine.book.will("a", after(seconds))
    await machine.up(TWO)
    await machine.start()
    await machine.called("a")


async def test_an_attempt_that_ends_within_the_grace_is_not_repeated(machine: Machine) -> None:
    """Its output is on disk; the node after it is left to the next worker."""
    await under_way(machine, 20)
    await machine.stop(MINUTE)
    assert machine.book.attempted() == ["a"]
    await machine.up(TWO)
    assert (await machine.result()).status == "succeeded"
    assert [(call.key, call.repeated) for call in machine.book.calls] == [("a", False), ("b", False)]


async def test_an_attempt_that_does_not_end_within_the_grace_is_repeated(machine: Machine) -> None:
    """By the next worker, at once, and told so; it does not count against its attempts."""
    await under_way(machine, 200)
    began_s = machine.loop.time()
    await machine.stop(MINUTE)
    assert 60 <= machine.loop.time() - began_s < 61
    await machine.up(TWO)
    assert (await machine.result()).status == "succeeded"
    assert [(call.key, call.repeated) for call in machine.book.calls] == [("a", False), ("a", True), ("b", False)]


async def test_a_worker_without_work_stops_at_once(machine: Machine) -> None:
    """It does not wait for its grace, nor for runs that wait."""
    await machine.up(begin().then_gate("ok").build())
    await machine.start()
    await machine.status("waiting")
    began_s = machine.loop.time()
    await machine.stop(MINUTE)
    assert machine.loop.time() - began_s < 1


async def test_a_stop_is_no_loss(machine: Machine) -> None:
    """Ten of them in a row do not park the run."""
    machine.book.always("a", hang)
    await machine.up(TWO)
    await machine.start()
    for life in range(1, 11):
        await machine.called("a", life)
        await machine.stop()
        await machine.up(TWO)
    machine.book.always("a", 1)
    await machine.called("a", 11)
    await machine.stop()
    await machine.up(TWO)
    assert (await machine.result()).status == "succeeded"


async def test_a_failed_attempt_within_the_grace_waits_for_its_next_one(machine: Machine) -> None:
    """Which the next worker makes."""
    made = of(do("a", tries=2))
    machine.book.will("a", after(20, ValueError("no")))
    await machine.up(made)
    await machine.start()
    await machine.called("a")
    await machine.stop(MINUTE)
    await machine.up(made)
    view = await machine.result()
    assert (view.status, node(view, "a").attempt) == ("succeeded", 2)


async def test_branches_are_left_as_they_are(machine: Machine) -> None:
    """One ends within the grace, one is cut, one sleeps: each goes on from there."""
    made = begin().then_parallel("p", do("a"), do("b"), steps().then_sleep(HOUR).then(do("c"))).then(do("d")).build()
    machine.book.will("a", after(20))
    machine.book.will("b", after(200))
    await machine.up(made)
    await machine.start()
    await machine.called("b")
    await machine.stop(MINUTE)
    await machine.up(made)
    assert (await machine.result()).status == "succeeded"
    assert sorted(machine.book.attempted()) == ["a", "b", "b", "c", "d"]


@pytest.mark.parametrize("grace", [timedelta(0), MINUTE], ids=["cut", "grace"])
async def test_a_page_in_flight_is_delivered_once(machine: Machine, grace: timedelta) -> None:
    """By this worker within its grace, or else by the next."""
    machine.pagerduty.faults.slow_s = 8
    machine.pagerduty.faults.script("events", ["slow"])
    made = of(page(), do("b"))
    await machine.up(made)
    await machine.start()
    await machine.wait(seconds=2)
    await machine.stop(grace)
    assert (await after_stop(machine, made)) == "accepted"
    assert len(machine.pagerduty.alerts) == 1
    assert machine.book.attempted() == ["b"]


async def after_stop(machine: Machine, made: object) -> str:
    """What became of the page once the next worker has ended the run."""
    await machine.up(made)
    await machine.result()
    await machine.wait(minutes=1)
    [row] = await machine.rows()
    return row.status


async def test_an_undo_goes_on_with_the_next_worker(machine: Machine) -> None:
    """A stop in the middle of it is no end of it."""
    made = of(undoable("a"), undoable("b"), do("c"))
    machine.book.will("c", ValueError("no"))
    machine.book.will("undo_b", after(200))
    await machine.up(made)
    await machine.start()
    await machine.called("undo_b")
    await machine.stop(MINUTE)
    await machine.up(made)
    await machine.result()
    assert machine.book.attempted()[3:] == ["undo_b", "undo_b", "undo_a"]


async def test_runs_that_wait_go_on_with_the_next_worker(machine: Machine) -> None:
    """At their time."""
    made = begin().then(do("a")).then_sleep(HOUR).then(do("b")).build()
    await machine.up(made)
    await machine.start()
    await machine.status("waiting")
    await machine.stop(MINUTE)
    await machine.up(made)
    await machine.result()
    [a, b] = machine.book.calls
    assert abs(b.at - a.at - HOUR) < timedelta(seconds=2)


async def test_nothing_new_begins_while_a_worker_stops(machine: Machine) -> None:
    """Neither a run that is due nor one that is signalled; the next worker takes them up."""
    made = begin("g").then_sleep(timedelta(seconds=30)).then(do("c")).build()
    await machine.up(TWO, made)
    machine.book.will("a", after(50))
    await machine.start()
    await machine.start("g", run_id="g")
    await machine.called("a")
    await machine.stop(MINUTE)
    assert machine.book.attempted() == ["a"]
    await machine.up(TWO, made)
    assert (await machine.result("g")).status == "succeeded"


async def test_a_kill_while_a_worker_stops_loses_nothing(machine: Machine) -> None:
    """Somebody lost patience."""
    await under_way(machine, 20)
    stopping = asyncio.create_task(machine.stop(MINUTE))
    await machine.wait(seconds=5)
    await machine.kill()
    assert stopping.done()
    await machine.up(TWO)
    assert (await machine.result()).status == "succeeded"


@pytest.mark.needs("disk")
async def test_a_full_disk_holds_everything_and_loses_nothing(machine: Machine) -> None:
    """No new work for as long as nothing can be written; then all of it, and once."""
    await machine.up(TWO)
    machine.book.will("a", after(10))
    await machine.start()
    await machine.called("a")
    machine.hold_disk(minutes=5)
    later = asyncio.create_task(machine.start(run_id="later"))
    await machine.wait(minutes=4)
    assert (machine.book.attempted(), later.done()) == (["a"], False)
    await later
    for run_id in ("r", "later"):
        assert (await machine.result(run_id)).status == "succeeded"
    assert machine.book.attempted() == ["a", "b", "a", "b"] or sorted(machine.book.attempted()) == ["a", "a", "b", "b"]


@pytest.mark.needs("disk")
async def test_a_broken_disk_ends_the_worker_loudly(machine: Machine) -> None:
    """Nothing runs that could not be written, and who waits for a run is told."""
    machine.book.will("a", after(10))
    await machine.up(TWO)
    await machine.start()
    await machine.called("a")
    machine.break_disk()
    with pytest.raises(StoreError):
        await machine.result()
    assert machine.book.attempted() == ["a"]
    with pytest.raises(StoreError):
        await machine.start(run_id="other")
    await machine.kill()


@pytest.mark.needs("disk")
async def test_a_start_that_the_disk_refused_left_nothing(machine: Machine) -> None:
    """It was never acknowledged, and it does not run."""
    await machine.up(TWO)
    machine.hold_disk(minutes=5)
    lost = asyncio.create_task(machine.start())
    await machine.wait(minutes=1)
    await machine.kill()
    assert lost.cancelled()
    await machine.up(TWO)
    await machine.wait(hours=1)
    with pytest.raises(RunNotFound):
        await machine.engine.get("r")
    assert machine.book.calls == []


async def test_an_activity_may_use_its_grace_to_say_how_far_it_is(machine: Machine) -> None:
    """What it said last is handed to its repetition."""

    async def beat(call: Call) -> None:
        current().heartbeat("half")
        await hang(call)

    machine.book.will("a", beat)
    await machine.up(TWO)
    await machine.start()
    await machine.called("a")
    await machine.stop(MINUTE)
    await machine.up(TWO)
    await machine.result()
    assert [call.details for call in machine.book.of("a")] == [None, "half"]

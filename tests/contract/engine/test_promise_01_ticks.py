"""Promise 1, of scheduled runs: each time has one run, whatever happens to worker and clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from resolute import Flow, flow, schedule
from resolute.engine import RunQuery
from tests.contract.engine.flows import do
from tests.contract.engine.machine import Machine

TICKING: Flow = flow("tick").triggered_by(schedule("*/10 * * * *")).then(do("a")).build()


async def ids(machine: Machine) -> list[str]:
    """The scheduled runs so far, oldest first, by their time."""
    runs = await machine.engine.runs(RunQuery(limit=100))
    return [run.id.partition("T")[2] for run in reversed(runs)]


def named(machine: Machine, time: str) -> str:
    """The id of the run of a time of the first day."""
    return f"tick@{machine.begins_at:%Y-%m-%d}T{time}:00Z"


async def test_a_scheduled_run_is_named_by_its_time(machine: Machine) -> None:
    """One for each time."""
    await machine.up(TICKING)
    await machine.wait(minutes=31)
    [first, *_] = reversed(await machine.engine.runs(RunQuery()))
    assert (first.id, first.trigger) == (named(machine, "10:10"), TICKING.schedules[0].id)
    assert await ids(machine) == ["10:10:00Z", "10:20:00Z", "10:30:00Z"]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 8, 13, 21])
async def test_a_time_is_seen_to_once_though_the_worker_dies_at_it(machine: Machine, number: int) -> None:
    """The next worker makes up for it, or finds it done."""
    await machine.up(TICKING)
    await machine.wait(minutes=10)
    await machine.steps(number)
    await machine.kill()
    await machine.up(TICKING)
    await machine.wait(minutes=1)
    assert await ids(machine) == ["10:10:00Z"]
    assert "a" in machine.book.finished
    assert all(call.repeated for call in machine.book.calls[1:])


async def test_of_the_times_that_were_missed_the_latest_is_made_up(machine: Machine) -> None:
    """One run, not one for each."""
    await machine.up(TICKING)
    await machine.wait(minutes=11)
    await machine.kill()
    await machine.wait(hours=1)
    await machine.up(TICKING)
    await machine.wait(minutes=1)
    assert await ids(machine) == ["10:10:00Z", "11:10:00Z"]


async def test_a_scheduled_time_that_was_started_by_hand_is_the_same_run(machine: Machine) -> None:
    """The first one stays, whatever its input."""
    await machine.up(TICKING)
    await machine.start("tick", {"by": "hand"}, run_id=named(machine, "10:10"))
    await machine.wait(minutes=11)
    [run] = await machine.engine.runs(RunQuery())
    assert (await machine.engine.get(run.id)).input == {"by": "hand"}
    assert machine.book.attempted() == ["a"]


async def test_a_clock_set_back_starts_no_time_twice(machine: Machine) -> None:
    """Its id has been taken."""
    await machine.up(TICKING)
    await machine.wait(minutes=21)
    machine.clock.shift(timedelta(minutes=-15))
    await machine.wait(minutes=20)
    assert await ids(machine) == ["10:10:00Z", "10:20:00Z"]


async def test_a_clock_that_was_ahead_does_not_silence_a_schedule(machine: Machine) -> None:
    """When it is set right, the next time is the next one, not that of a day later; also for the next worker."""
    await machine.up(TICKING)
    machine.clock.shift(timedelta(days=1))
    await machine.wait(minutes=21)
    machine.clock.shift(timedelta(days=-1))
    await machine.wait(minutes=10)
    assert named(machine, "10:30") in [run.id for run in await machine.engine.runs(RunQuery())]
    await machine.kill()
    await machine.up(TICKING)
    await machine.wait(minutes=10)
    assert named(machine, "10:40") in [run.id for run in await machine.engine.runs(RunQuery())]

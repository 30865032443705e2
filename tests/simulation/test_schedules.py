"""Schedules: what overlaps, what is made up for, what is told, and what a restart or a clock that jumps changes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolute import Flow, activity, flow, manual, now, schedule, tick
from resolute.engines.embedded.store import Prune
from resolute.errors import EngineError
from resolute.model.trigger import CatchUp, Overlap
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

DAY = "2026-03-02T"


@activity
async def one() -> int:
    return 1


def ticking(*, minutes: float = 0, cron: str = "*/10 * * * *", **settings: Any) -> Flow:
    """A flow whose runs take that long."""
    made = flow("f").triggered_by(schedule(cron, **settings)).then(one())
    return (made.then_sleep(timedelta(minutes=minutes)) if minutes else made).build()


def times(rig: Rig) -> list[str]:
    """The scheduled runs by their time, in order of start."""
    return [run.id.removeprefix(f"f@{DAY}").removesuffix(":00Z") for _, run in sorted(rig.tables.runs.items())]


class Told:
    """What `on_missed` was told: first, last and count."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, int]] = []

    async def __call__(self, flow: str, trigger: str, first: datetime, last: datetime, count: int) -> None:
        self.all.append((f"{first:%H:%M}", f"{last:%H:%M}", count))


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("allow", ["10:10", "10:20", "10:30", "10:40", "10:50"]), ("skip", ["10:10", "10:40"])],
)
def test_tick_beside_an_unfinished_run(overlap: Overlap, expected: list[str]) -> None:
    """Runs of 25 minutes every 10: each tick has one, or only a tick beside which none is left; that is counted."""
    rig = Rig(1, [ticking(minutes=25, overlap=overlap)])

    async def program() -> None:
        engine = await rig.up()
        await rig.wait(minutes=51)
        fates = {fate: count for (_, _, fate), count in engine.schedules.fates.items()}
        assert fates == {"run": len(expected)} | ({"skipped": 3} if overlap == "skip" else {})

    rig.run(program)
    assert times(rig) == expected


@pytest.mark.parametrize("is_killed", [False, True])
def test_queued_runs_begin_one_after_the_other(is_killed: bool) -> None:
    """Each is on disk at its tick and begins when the one before it has ended, also after a restart."""
    rig = Rig(1, [ticking(minutes=25, overlap="queue")])

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=31)
        assert list(rig.statuses().values()) == ["waiting", "queued", "queued"]
        if is_killed:
            await rig.kill()
            await rig.wait(minutes=2)
            await rig.up()
        await rig.wait(minutes=5)
        assert list(rig.statuses().values()) == ["succeeded", "waiting", "queued"]
        await rig.wait(minutes=25)
        assert list(rig.statuses().values())[:3] == ["succeeded", "succeeded", "waiting"]

    rig.run(program)
    assert times(rig)[:3] == ["10:10", "10:20", "10:30"]


def test_cancelled_run_in_the_queue_lets_nobody_pass() -> None:
    """Who waited for it waits for the run that it waited for."""
    rig = Rig(1, [ticking(minutes=25, overlap="queue")])

    async def program() -> None:
        engine = await rig.up()
        await rig.wait(minutes=31)
        assert (await engine.cancel(f"f@{DAY}10:20:00Z")).status == "cancelled"
        await rig.wait(minutes=1)
        assert list(rig.statuses().values()) == ["waiting", "cancelled", "queued"]
        await rig.wait(minutes=5)
        assert list(rig.statuses().values()) == ["succeeded", "cancelled", "waiting"]

    rig.run(program)


def test_time_of_a_queued_run_begins_with_its_turn() -> None:
    """A run that waits for its turn does not run out of time over it."""
    made = flow("f").triggered_by(schedule("*/10 * * * *", overlap="queue")).with_timeout(timedelta(minutes=26))
    rig = Rig(1, [made.then(one()).then_sleep(timedelta(minutes=25)).build()])

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=62)

    rig.run(program)
    assert list(rig.statuses().values())[:3] == ["succeeded", "succeeded", "waiting"]
    assert f"{rig.tables.runs[2].deadline_at:%H:%M}" == "11:01"


def test_answer_for_a_queued_run_is_kept_until_its_turn() -> None:
    """It does not begin before that."""
    made = flow("f").triggered_by(schedule("*/10 * * * *", overlap="queue")).then(one()).then_gate("go").build()
    rig = Rig(1, [made])

    async def program() -> None:
        engine = await rig.up()
        await rig.wait(minutes=21)
        await engine.signal(f"f@{DAY}10:20:00Z", "go", by="ann")
        await rig.wait(minutes=1)
        assert list(rig.statuses().values()) == ["waiting", "queued"]
        assert rig.tables.runs[2].due_at is None
        await engine.signal(f"f@{DAY}10:10:00Z", "go", by="ann")
        await rig.wait(minutes=1)

    rig.run(program)
    assert list(rig.statuses().values()) == ["succeeded", "succeeded"]


@pytest.mark.parametrize("jump", ["downtime", "clock"])
@pytest.mark.parametrize(
    ("catch_up", "made_up", "told"),
    [
        ("latest", ["11:10"], [("10:20", "11:00", 5)]),
        ("all", ["10:20", "10:30", "10:40", "10:50", "11:00", "11:10"], []),
        ("skip", [], [("10:20", "11:10", 6)]),
    ],
)
def test_missed_ticks(jump: str, catch_up: CatchUp, made_up: list[str], told: list[Any]) -> None:
    """After an hour without a worker, or of a clock that was set forward: as asked for, the rest is told once."""
    rig, missed = Rig(1, [ticking(catch_up=catch_up)]), Told()

    async def program() -> None:
        (await rig.up()).core.on_missed = missed
        await rig.wait(minutes=11)
        if jump == "downtime":
            await rig.kill()
            await rig.wait(minutes=64)
            (await rig.up()).core.on_missed = missed
        else:
            rig.clock.shift(timedelta(minutes=64))
        await rig.wait(minutes=1)
        await rig.kill()
        (await rig.up()).core.on_missed = missed
        await rig.wait(minutes=5)

    rig.run(program)
    assert times(rig) == ["10:10", *made_up, "11:20"]
    assert missed.all == told


def test_ticks_before_the_window_are_told_and_not_made_up() -> None:
    """Of three hours the last is made up for, the other two are one line."""
    rig, missed = Rig(1, [ticking(catch_up="all", catch_up_window=timedelta(hours=1))]), Told()

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=1)
        await rig.kill()
        await rig.wait(hours=3)
        (await rig.up()).core.on_missed = missed
        await rig.wait(minutes=1)

    rig.run(program)
    assert times(rig) == ["12:10", "12:20", "12:30", "12:40", "12:50", "13:00"]
    assert missed.all == [("10:10", "12:00", 12)]


def test_author_who_fails_to_be_told_stops_no_schedule() -> None:
    """The error is logged and the next tick has its run."""
    rig = Rig(1, [ticking(catch_up="skip")])

    async def fails(*told: Any) -> None:
        raise RuntimeError("nobody listens")

    async def program() -> None:
        (await rig.up()).core.on_missed = fails
        await rig.wait(minutes=1)
        rig.clock.shift(timedelta(minutes=25))
        await rig.wait(minutes=10)

    rig.run(program)
    assert times(rig) == ["10:30"]


def test_clock_set_back_an_hour_runs_no_tick_twice(caplog: pytest.LogCaptureFixture) -> None:
    """The log says when the next run is; also a run that was pruned meanwhile is not run again."""
    rig = Rig(1, [ticking(catch_up="all")])

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=65)
        await rig.engine.core.store.commit([Prune(1, rig.clock.now())])
        rig.clock.shift(timedelta(hours=-1))
        await rig.wait(minutes=70)

    with caplog.at_level(logging.WARNING, "resolute.engine"):
        rig.run(program)
    assert times(rig) == ["10:20", "10:30", "10:40", "10:50", "11:00", "11:10"]
    told = [record.getMessage() for record in caplog.records if "set back" in record.getMessage()]
    assert [line.rpartition("next run is at ")[2] for line in told] == ["2026-03-02 11:10:00 UTC"]


def test_ticks_that_come_again_after_they_were_missed_have_their_runs() -> None:
    """The clock was an hour ahead for a while, and is set right."""
    rig = Rig(1, [ticking(catch_up="skip")])

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=1)
        rig.clock.shift(timedelta(minutes=63))
        await rig.wait(minutes=1)
        rig.clock.shift(timedelta(minutes=-63))
        await rig.wait(minutes=30)

    rig.run(program)
    assert times(rig) == ["10:10", "10:20", "10:30"]


def test_two_schedules_of_a_flow_may_tick_at_once() -> None:
    """The first one's runs keep the name that they had alone; each other one has a mark of its own."""
    made = flow("f").triggered_by(schedule("*/10 * * * *"), schedule("0 * * * *"), manual()).then(one()).build()
    rig = Rig(1, [made])

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=61)

    rig.run(program)
    at_eleven = [run for run in rig.tables.runs.values() if run.scheduled_at == datetime(2026, 3, 2, 11, tzinfo=UTC)]
    first, second = sorted(at_eleven, key=lambda run: len(run.id))
    assert (first.id, first.trigger) == (f"f@{DAY}11:00:00Z", made.schedules[0].id)
    assert second.trigger == made.schedules[1].id
    assert second.id.startswith("f/")
    assert second.id.endswith(f"@{DAY}11:00:00Z")
    assert len(rig.tables.runs) == 7


@pytest.mark.parametrize("is_killed", [False, True])
def test_paused_schedule_lets_its_ticks_pass(is_killed: bool) -> None:
    """They are counted, and no run is made up for them: it goes on with the next tick."""
    made = ticking(catch_up="all")
    rig, trigger = Rig(1, [made]), made.schedules[0].id

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=11)
        await rig.engine.schedules.pause("f", trigger, True)
        await rig.wait(minutes=5)
        if is_killed:
            await rig.kill()
            await rig.up()
        await rig.wait(minutes=20)
        assert rig.engine.schedules.fates["f", trigger, "paused"] == 2
        await rig.engine.schedules.pause("f", trigger, False)
        await rig.wait(minutes=10)

    rig.run(program)
    assert times(rig) == ["10:10", "10:40"]


def test_run_knows_its_scheduled_time_and_the_one_before() -> None:
    """Of its own schedule, made up or not; started by hand it has the default."""
    seen: list[str] = []

    @activity
    async def look(since: datetime, until: datetime) -> None:
        seen.append(f"{since:%d %H:%M} {until:%d %H:%M}")

    triggers = schedule("0 9,15 * * *", timezone="Europe/Berlin"), schedule("0 11 * * 1")
    window = look(since=tick(-1, default=now() - timedelta(hours=1)), until=tick(default=now()))
    rig = Rig(1, [flow("f").triggered_by(*triggers).then(window).build()])

    async def program() -> None:
        await rig.up()
        await rig.engine.result((await rig.engine.start("f")).id)
        await rig.wait(minutes=61)
        await rig.kill()
        await rig.wait(hours=4)
        await rig.up()
        await rig.wait(minutes=1)

    rig.run(program)
    assert seen == ["02 09:00 02 10:00", "23 11:00 02 11:00", "02 08:00 02 14:00"]


def test_only_a_schedule_that_is_there_is_paused() -> None:
    """The error says what to do."""
    rig = Rig(1, [ticking()])

    async def program() -> None:
        await rig.up()
        with pytest.raises(EngineError, match='no schedule "weekly" of a flow "f"'):
            await rig.engine.schedules.pause("f", "weekly", True)

    rig.run(program)

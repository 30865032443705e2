"""Schedules of workers on a Temporal server: each tick has one run, beside or after those before it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from resolute import Flow, Worker, WorkerConfig, activity, flow, schedule, tick
from resolute.clock import SystemClock, monotonic
from resolute.engines.embedded.files import FileEngine
from resolute.engines.temporal.address import temporal_address
from resolute.engines.temporal.order import AWAIT_RUN
from resolute.engines.temporal.runs import TemporalRuns
from resolute.ports import Ports
from tests.acceptance.command import Desk
from tests.acceptance.machine import MovableClock

pytestmark = pytest.mark.ci_only

SOON_S = 40.0
LOOK_S = 0.1  # between two looks at what the server has done
SECOND = timedelta(seconds=1)


MODULE = """
from resolute import activity, flow, schedule

@activity
def look() -> int:
    return 1

hourly = flow("hourly").triggered_by(schedule("@hourly")).then(look()).build()
"""


class Holds:
    """What the runs of a test do: each says of which tick it is, and ends once it may."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[datetime] = asyncio.Queue()
        self.may_end = asyncio.Event()

    def flow(self, cron: str, overlap: Literal["allow", "skip", "queue"], **more: Any) -> Flow:
        @activity
        async def hold(at: datetime) -> None:
            self.came.put_nowait(at)
            await self.may_end.wait()

        return flow("holding").triggered_by(schedule(cron, overlap=overlap, **more)).then(hold(at=tick())).build()

    async def next(self) -> datetime:
        async with asyncio.timeout(SOON_S):
            return await self.came.get()


@asynccontextmanager
async def working(address: str, store: Path, made: Flow, now: datetime | None = None) -> AsyncIterator[Worker]:
    """A worker, by whose clock it is `now`."""
    clock = MovableClock()
    clock.ahead = now - clock.now() if now else clock.ahead
    ports = Ports(environ={"RESOLUTE_STORE": f"sqlite:///{store}"}, clock=clock)
    config = WorkerConfig(engine=address, grace=timedelta(0))
    async with Worker(config, flows=[made], ports=ports) as worker:
        yield worker


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as it holds."""
    ends_s = monotonic() + SOON_S
    while not await holds():
        assert monotonic() < ends_s, "it did not come to that"
        await asyncio.sleep(LOOK_S)


async def test_a_tick_is_skipped_while_an_earlier_run_is_unfinished(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every one of them, until that run has ended; and none is made up later."""
    caplog.set_level(logging.INFO, "resolute")
    holds = Holds()

    async def two_skipped() -> bool:
        return "skipped so far: 2" in caplog.text

    async with working(address, tmp_path / "a.db", holds.flow("* * * * * *", "skip")):
        first = await holds.next()
        await until(two_skipped)
        holds.may_end.set()
        second = await holds.next()
    assert second - first >= 3 * SECOND


async def test_a_tick_waits_for_the_run_before_it(address: str, tmp_path: Path) -> None:
    """Runs that queue begin one after the other, in the order of their ticks."""
    holds = Holds()
    async with working(address, tmp_path / "a.db", holds.flow("* * * * * *", "queue")) as worker:
        first = await holds.next()

        async def three_runs() -> bool:
            return len(await worker.client.runs(flow="holding")) >= 3

        await until(three_runs)
        assert holds.came.empty()
        holds.may_end.set()
        assert [await holds.next(), await holds.next()] == [first + SECOND, first + 2 * SECOND]


async def test_two_workers_of_a_queue_start_one_run_for_a_tick(address: str, tmp_path: Path) -> None:
    """Each looks after every tick; the id of its run holds the flow and the time."""
    holds = Holds()
    holds.may_end.set()
    made = holds.flow("* * * * * *", "allow")
    async with working(address, tmp_path / "a.db", made) as one, working(address, tmp_path / "b.db", made):
        seen = [await holds.next() for _ in range(4)]
        shown = await one.client.get(f"holding@{seen[-1]:%Y-%m-%dT%H:%M:%SZ}")
    assert seen == [seen[0] + number * SECOND for number in range(4)]
    assert shown.trigger == made.schedules[0].id


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-03-29", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
        ("2026-10-25", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ],
    ids=["an hour that is missing", "an hour that comes twice"],
)
async def test_ticks_that_were_missed_are_run_by_the_rules_of_their_time_zone(
    address: str, tmp_path: Path, day: str, expected: list[str]
) -> None:
    """At half past two in Berlin: once on each day on which the clocks are changed, as on the embedded engine."""
    holds = Holds()
    holds.may_end.set()
    window = timedelta(days=4)
    more = {"timezone": "Europe/Berlin", "catch_up": "all", "catch_up_window": window}
    made, noon = holds.flow("30 2 * * *", "queue", **more), datetime.fromisoformat(f"{day}T12:00:00+00:00")
    async with working(address, tmp_path / "a.db", made, noon - timedelta(days=2)):
        pass
    async with working(address, tmp_path / "a.db", made, noon + timedelta(days=1)) as worker:
        seen = [await holds.next() for _ in expected]
        runs = await worker.client.runs(flow="holding")
    assert [f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}" for at in seen] == expected
    assert sorted(run.id for run in runs) == [f"holding@{at}:00Z" for at in expected]


@pytest.mark.parametrize("overlap", ["skip", "queue"])
async def test_a_worker_knows_of_the_runs_of_another(
    address: str, tmp_path: Path, overlap: Literal["skip", "queue"]
) -> None:
    """One that has just joined, with a store of its own, lets no tick begin beside an unfinished run."""
    holds = Holds()
    made = holds.flow("0 0 0 1 1 *", overlap)
    [rare] = made.schedules
    at = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
    async with working(address, tmp_path / "a.db", made) as one, working(address, tmp_path / "b.db", made) as two:
        await one.engine.tick(made, rare, at)
        await holds.next()

        async def is_listed() -> bool:
            return len(await one.client.runs(flow="holding")) == 1

        await until(is_listed)
        began = await two.engine.tick(made, rare, at + SECOND)
        assert began is (overlap == "queue")
        if began:
            await until(lambda: _waits(two, "holding@2026-03-01T12:00:01Z"))
        assert holds.came.empty()
        holds.may_end.set()
        if began:
            assert await holds.next() == at + SECOND


def remote(address: str) -> TemporalRuns:
    """What commands ask of the task queue of these workers."""
    return TemporalRuns(temporal_address(address, {}), "default", Ports(environ={}).secrets)


async def test_a_pause_holds_for_all_workers(address: str, tmp_path: Path) -> None:
    """No worker starts a run of a tick until the schedule is resumed, and what passed meanwhile is not made up."""
    holds = Holds()
    holds.may_end.set()
    made = holds.flow("* * * * * *", "allow", catch_up="all")
    [each] = made.schedules
    async with working(address, tmp_path / "a.db", made) as one, working(address, tmp_path / "b.db", made) as two:
        last = await holds.next()
        await remote(address).pause("holding", [each.id], True)

        async def has_passed() -> bool:
            return all(worker.engine.schedules.fates["holding", each.id, "paused"] >= 2 for worker in (one, two))

        await until(has_passed)
        while not holds.came.empty():
            last = await holds.next()
        await remote(address).pause("holding", [each.id], False)
        assert await holds.next() - last > 2 * SECOND


async def test_what_was_missed_before_a_schedule_was_resumed_is_not_made_up(address: str, tmp_path: Path) -> None:
    """As on the embedded engine, though no worker was there when it was paused and resumed."""
    holds = Holds()
    made, now = holds.flow("0 * * * *", "allow", catch_up="all"), SystemClock().now()
    [each] = made.schedules
    async with working(address, tmp_path / "a.db", made, now - timedelta(hours=5)):
        pass
    for paused in (True, False):
        await remote(address).pause("holding", [each.id], paused)
    async with working(address, tmp_path / "a.db", made) as worker:

        async def has_passed() -> bool:
            return worker.engine.schedules.fates["holding", each.id, "paused"] >= 4

        await until(has_passed)
        assert worker.engine.schedules.fates["holding", each.id, "run"] == 0


async def test_a_pause_of_one_store_holds_for_all_workers_from_then_on(address: str, tmp_path: Path) -> None:
    """It was paused when its flow ran on the embedded engine, or by an earlier version."""
    made = Holds().flow("0 * * * *", "allow")
    [each] = made.schedules
    async with working(address, tmp_path / "a.db", made):
        pass
    await FileEngine(tmp_path / "a.db").pause("holding", [each.id], True)
    async with working(address, tmp_path / "a.db", made):
        assert await remote(address).is_paused("holding", each.id)
        assert not any(row.paused for row in (await FileEngine(tmp_path / "a.db").ticks()).values())


def test_commands_pause_a_schedule_from_anywhere(resolute: Desk, address: str) -> None:
    """Whichever store stands beside them, and without a worker; a run is started by hand all the same."""
    resolute.environ["RESOLUTE_ENGINE"] = address
    resolute.write("flows.py", MODULE)
    command = ("--module", "flows.py", "schedule")

    def paused(store: str) -> bool:
        [found] = resolute(*command, "list", "--json", RESOLUTE_STORE=f"sqlite:///{store}.db").json
        return bool(found["paused"])

    for order, is_paused in (("pause", True), ("resume", False)):
        answer = resolute(*command, order, "hourly", "--json")
        assert [each["paused"] for each in answer.json] == [is_paused]
        assert (paused("a"), paused("b")) == (is_paused, is_paused)
    assert resolute(*command, "fire", "hourly", "--json").json["trigger"].startswith("fired:")


async def _waits(worker: Any, run_id: str) -> bool:
    """Whether the run waits for the end of another one."""
    found = await worker.client._engine.client.get_workflow_handle(run_id).describe()
    return [info.activity_type.name for info in found.raw_description.pending_activities] == [AWAIT_RUN]

"""What happens by itself in time: due runs, the ledger's follow-ups, and schedules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from resolute.cron import ticks_after
from resolute.engines.embedded.core import IN_MEMORY, Core
from resolute.engines.embedded.store import PutTick
from resolute.errors import InputError
from resolute.ledger.row import Row
from resolute.model.recipe import Flow
from resolute.model.trigger import Schedule

log = logging.getLogger("resolute.engine")

#: The clock is looked at no less often than this, so that one that jumped is noticed.
LONGEST_NAP = timedelta(seconds=30)
#: Due runs taken into memory in one go, and the pause in seconds before the next ones.
DUE_AT_ONCE, BETWEEN_DUE_S = 200, 0.05
#: Ticks missed longer ago than this are not made up.
CATCH_UP_WINDOW = timedelta(days=1)


class Host(Protocol):
    """What the timers ask of the engine."""

    core: Core
    drives_all: bool

    @property
    def has_room(self) -> bool: ...

    def wake(self, run_no: int) -> None: ...

    def broke(self, error: BaseException) -> None: ...


class Timers:
    """The engine's three loops."""

    def __init__(self, host: Host, tick: Callable[[Flow, str, datetime], Awaitable[None]]) -> None:
        self._host = host
        self._tick_flow = tick
        self._tasks: list[asyncio.Task[None]] = []
        self._due = asyncio.Event()
        self._follow = asyncio.Event()
        self._next_due: datetime | None = None
        self._following: set[int] = set()

    def begin(self, ticks: Mapping[tuple[str, str], datetime]) -> None:
        """Start the loops; `ticks` are the scheduled times that were seen to last."""
        self._run(self._follow_up())
        if self._host.drives_all:
            self._run(self._wake_due())
            for flow in self._host.core.flows.values():
                for schedule in flow.schedules:
                    self._run(self._tick(flow, schedule, ticks.get((flow.name, schedule.id))))

    async def end(self) -> None:
        """Stop the loops."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def poke(self, due_at: datetime | None = None) -> None:
        """Look at due runs again: at once, or in time for one that was parked until then."""
        if due_at is None or self._next_due is None or due_at < self._next_due:
            self._due.set()

    def poke_follow_ups(self) -> None:
        """Look at the ledger's follow-ups again."""
        self._follow.set()

    def _run(self, loop: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(loop)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._host.broke(error)

    async def _nap(self, event: asyncio.Event | None, until: datetime | None) -> None:
        """Sleep until that time, an event or the longest nap, whichever comes first."""
        left = LONGEST_NAP if until is None else min(LONGEST_NAP, until - self._host.core.clock.now())
        seconds = max(0.0, left.total_seconds())
        if event is None:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    async def _wake_due(self) -> None:
        store, clock = self._host.core.store, self._host.core.clock
        while True:
            self._due.clear()
            now = clock.now()
            if self._host.has_room:
                due = await store.due(now, DUE_AT_ONCE)
                for run_no in due:
                    self._host.wake(run_no)
                if len(due) == DUE_AT_ONCE:
                    await asyncio.sleep(BETWEEN_DUE_S)
                    continue
            self._next_due = await store.next_due(now)
            await self._nap(self._due, self._next_due)

    async def _follow_up(self) -> None:
        core = self._host.core
        while True:
            self._follow.clear()
            now = core.clock.now()
            soonest: datetime | None = None
            for row in core.log.follow_ups():
                at = core.log.follow_up_at(row)
                if row.id in self._following or not (self._host.drives_all or row.key_secret.startswith(IN_MEMORY)):
                    continue
                if at is None or at <= now:
                    self._following.add(row.id)
                    self._run(self._send(row))
                elif soonest is None or at < soonest:
                    soonest = at
            self._tasks = [task for task in self._tasks if not task.done()]
            await self._nap(self._follow, soonest)

    async def _send(self, row: Row) -> None:
        """Do what is due for a row that no node waits for, unless a newer decision has settled it meanwhile."""
        core = self._host.core

        async def write(rows: Sequence[Row]) -> None:
            await core.store.commit(rows)

        try:
            if core.log.row(row.id) is None:
                return
            outcome = await core.log.attempt(row.id, write)
            if outcome.changed:
                await core.store.commit(outcome.changed)
            core.wake(outcome.wake)
            if outcome.until is not None and core.log.follow_up_at(outcome.row) is None:
                await self._nap(None, outcome.until)  # behind another row of its lane, or held by the server
        finally:
            self._following.discard(row.id)
            self._follow.set()

    async def _tick(self, flow: Flow, schedule: Schedule, last: datetime | None) -> None:
        """Start a run at each scheduled time; after a pause only the latest missed one, of the last day."""
        clock = self._host.core.clock
        now = clock.now()
        if last is None:  # the first worker with this schedule: what it misses from here on is made up
            last = now
            await self._host.core.store.commit([PutTick(flow.name, schedule.id, now)])
        last = max(last, now - CATCH_UP_WINDOW)
        while True:
            now = clock.now()
            last = min(last, now)  # the clock was set back: a time that was seen to has its run already
            missed = None
            upcoming = None
            for at in ticks_after(schedule.cron, schedule.timezone, last):
                if at > now:
                    upcoming = at
                    break
                missed = at
            if missed is not None:
                last = missed
                try:
                    await self._tick_flow(flow, schedule.id, missed)
                except InputError as error:
                    log.error("flow %s: the run of %s was not started: %s", flow.name, missed, error)
            else:
                await self._nap(None, upcoming)

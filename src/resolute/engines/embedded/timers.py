"""What happens by itself in time: runs that are due and the ledger's follow-ups. Schedules nap here, too."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from resolute.engines.embedded.core import IN_MEMORY, Core
from resolute.ledger.row import Row

#: Nobody naps longer, whatever happens; who sees to the ledger looks more often.
LONGEST_NAP, SHORT_NAP = timedelta(minutes=10), timedelta(seconds=30)
#: How often the clock is looked at, and by how much it has to have jumped for everybody to be woken.
CLOCK_CHECK_S, JUMP_S = 30.0, 0.1
#: Due runs taken into memory in one go, and the pause in seconds before the next ones.
DUE_AT_ONCE, BETWEEN_DUE_S = 200, 0.05


class Host(Protocol):
    """What the timers ask of the engine."""

    core: Core
    drives_all: bool

    @property
    def has_room(self) -> bool: ...

    def wake(self, run_no: int) -> None: ...

    def broke(self, error: BaseException) -> None: ...


class Timers:
    """The engine's loops."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._naps: set[asyncio.Event] = set()
        self._due = asyncio.Event()
        self._follow = asyncio.Event()
        self._next_due: datetime | None = None
        self._following: set[int] = set()

    @property
    def core(self) -> Core:
        return self._host.core

    def begin(self) -> None:
        """Start the loops."""
        self.run(self._watch_clock())
        self.run(self._follow_up())
        if self._host.drives_all:
            self.run(self._wake_due())

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

    def run(self, loop: Coroutine[Any, Any, None]) -> None:
        """Let something go on until `end()`; an error in it is the engine's."""
        task = asyncio.create_task(loop)
        task.add_done_callback(self._ended)
        self._tasks.add(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._host.broke(error)

    async def nap(self, event: asyncio.Event | None, until: datetime | None, longest: timedelta = LONGEST_NAP) -> None:
        """Sleep until that time, an event, a jump of the clock or the longest nap, whichever comes first.

        Args:
            event: is set by a jump of the clock, too.
        """
        left = longest if until is None else min(longest, until - self._host.core.clock.now())
        event = asyncio.Event() if event is None else event
        self._naps.add(event)
        try:
            async with asyncio.timeout(max(0.0, left.total_seconds())):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._naps.discard(event)

    async def _watch_clock(self) -> None:
        """Wake who naps when the clock was set, or the machine has slept: the time that is left is another one now.

        One look for all: a worker with a hundred schedules would else do nothing but look at the clock.
        """
        seconds, clock = asyncio.get_running_loop().time, self._host.core.clock
        ahead_s = clock.now().timestamp() - seconds()
        while True:
            await asyncio.sleep(CLOCK_CHECK_S)
            now_s = clock.now().timestamp() - seconds()
            if abs(now_s - ahead_s) > JUMP_S:
                ahead_s = now_s
                for event in self._naps:
                    event.set()

    async def _wake_due(self) -> None:
        store, clock = self._host.core.store, self._host.core.clock
        while True:
            self._due.clear()
            self._next_due = None  # who is parked during the look is looked for once more
            now = clock.now()
            if self._host.has_room:
                due = await store.due(now, DUE_AT_ONCE)
                for run_no in due:
                    self._host.wake(run_no)
                if len(due) == DUE_AT_ONCE:
                    await asyncio.sleep(BETWEEN_DUE_S)
                    continue
            self._next_due = await store.next_due(now)
            await self.nap(self._due, self._next_due)

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
                    self.run(self._send(row))
                elif soonest is None or at < soonest:
                    soonest = at
            await self.nap(self._follow, soonest, SHORT_NAP)  # the repeat of an accepted page is told by nobody

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
                await self.nap(None, outcome.until, SHORT_NAP)  # behind another row of its lane, or held by the server
        finally:
            self._following.discard(row.id)
            self._follow.set()

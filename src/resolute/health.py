"""`Health`: whether a worker does what it is there for, asked of the engine and the store at this moment.

It answers while the journal cannot be written, too: what cannot be found out is not well.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from resolute.cron import ticks_after
from resolute.engine import RunQuery
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.failure_notice import NOTICE_FLOW
from resolute.engines.embedded.schedules import ON_TIME
from resolute.engines.embedded.sqlite.database import WAL_BYTES
from resolute.engines.embedded.store import LedgerQuery
from resolute.errors import RunNotFound, StoreError
from resolute.health_report import Check, HealthReport
from resolute.jobs import PREFIX
from resolute.model.trigger import Schedule

#: A run that is due is taken up at once; one that is left for longer is stuck.
RUN_LATE: Final = timedelta(minutes=5)
#: A tick is seen to at once; one that is not seen to for longer is late.
TICK_LATE: Final = 2 * ON_TIME
#: A page that has not been accepted for longer has not arrived.
PAGE_LATE: Final = timedelta(minutes=5)
#: For how long a page or notice that came to nothing is told.
TOLD_FOR: Final = timedelta(hours=1)
#: Less room than this on the store's disk is too little: the write-ahead log alone may take it.
LEAST_BYTES: Final = WAL_BYTES
#: How long the store may take to answer.
PATIENCE_S: Final = 2.0
#: Rows of the incident log and notices that are looked at.
LOOKED_AT: Final = 100


class Health:
    """Looks after one engine.

    Args:
        store: the file of the store, None for one in memory.
    """

    def __init__(self, engine: EmbeddedEngine, store: Path | None) -> None:
        self._engine = engine
        self._store = store
        self._looking: asyncio.Task[HealthReport] | None = None
        self._ticks: dict[tuple[str, str], tuple[datetime, datetime]] = {}

    async def look(self) -> HealthReport:
        """What is found now; whoever asks meanwhile gets the same answer."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> HealthReport:
        asked: dict[str, Callable[[datetime], Awaitable[Check]]] = {
            "due_runs": self._due_runs,
            "schedules": self._schedules,
            "rejected_pages": self._rejected_pages,
            "notices": self._notices,
        }
        now = self._engine.core.clock.now()
        journal, found = self._journal(), dict[str, Check]()
        if journal.ok:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    for name, ask in asked.items():
                        found[name] = await ask(now)
            except TimeoutError:
                journal = Check("journal", False, f"The store has not answered for {PATIENCE_S:g} s.")
            except StoreError as error:
                journal = Check("journal", False, str(error))
        unknown = "It is not known: the journal does not answer."
        answered = [found.get(name) or Check(name, False, unknown) for name in asked]
        return HealthReport((journal, self._disk(), self._unsettled_pages(now), *answered))

    def _journal(self) -> Check:
        """Whether what is decided can be written down."""
        broken, held_since = self._engine.broken, self._engine.core.store.held_since
        if broken.done():
            return Check("journal", False, f"The engine has stopped: {broken.exception()}")
        if held_since is not None:
            return Check("journal", False, f"Nothing can be written since {_utc(held_since)}; it is tried again.")
        return Check("journal", True, "It can be written.")

    def _disk(self) -> Check:
        """Whether there is room for the journal."""
        if self._store is None:
            return Check("disk", True, "The store is in memory.")
        try:
            found = os.statvfs(self._store.parent)
        except OSError as error:
            return Check("disk", False, f"The folder of the store cannot be looked at: {error.strerror}.")
        free = found.f_bavail * found.f_frsize
        if found.f_files and not found.f_favail:
            return Check("disk", False, "No inode is left: no file can be made.")
        return Check("disk", free >= LEAST_BYTES, f"{free // 10**6:,} MB are free, {LEAST_BYTES // 10**6} are needed.")

    def _unsettled_pages(self, now: datetime) -> Check:
        """Whether pages arrive."""
        late = [row for row in self._engine.core.log.unsettled() if now - row.created_at > PAGE_LATE]
        if not late:
            return Check("unsettled_pages", True, f"None is older than {_minutes(PAGE_LATE)}.")
        why = f": {late[0].error_message}" if late[0].error_message else ""
        age = _minutes(now - late[0].created_at)
        return Check("unsettled_pages", False, f"{len(late)}, the oldest {age} old (row {late[0].id}){why}.")

    async def _due_runs(self, now: datetime) -> Check:
        """Whether runs go on when they are due."""
        store = self._engine.core.store
        for run_no in await store.due(now, 1):
            with suppress(RunNotFound):  # it was pruned since
                run, _ = await store.load(run_no)
                waits = now - run.due_at if run.due_at is not None else timedelta(0)
                if run.status in ("queued", "waiting") and waits > RUN_LATE:
                    return Check("due_runs", False, f"Run {run.id} is due for {_minutes(waits)} and was not taken up.")
        return Check("due_runs", True, f"None is due for more than {_minutes(RUN_LATE)}.")

    async def _schedules(self, now: datetime) -> Check:
        """Whether ticks are seen to in time; a schedule that is paused has none."""
        seen = await self._engine.core.store.ticks()
        late = []
        for flow in self._engine.core.flows.values():
            for schedule in flow.schedules:
                row = seen.get((flow.name, schedule.id))
                if row is None or row.paused:
                    continue
                upcoming = self._tick_after(flow.name, schedule, row.at)
                if now - upcoming > TICK_LATE:
                    late.append(f"{flow.name} ({schedule.cron}) since {_utc(upcoming)}")
        return Check("schedules", not late, f"Late: {'; '.join(late)}." if late else "No tick is late.")

    def _tick_after(self, flow: str, schedule: Schedule, at: datetime) -> datetime:
        """The tick after an instant; to find one takes a moment, and most are asked for again and again."""
        name = flow, schedule.id
        known = self._ticks.get(name)
        if known is None or known[0] != at:
            known = self._ticks[name] = at, next(ticks_after(schedule.cron, schedule.timezone, at))
        return known[1]

    async def _rejected_pages(self, now: datetime) -> Check:
        """Whether pages were given up; those of a job are told to whoever runs it."""
        # Without a status: those that are looked for are listed first, and no row that went well is read for them.
        rows = await self._engine.core.store.ledger(LedgerQuery(limit=LOOKED_AT))
        found = [
            row
            for row in rows
            if row.status in ("rejected", "undelivered")
            and row.settled_at is not None
            and now - row.settled_at <= TOLD_FOR
            and not row.flow.startswith(PREFIX)
        ]
        if not found:
            return Check("rejected_pages", True, f"None in the last {_minutes(TOLD_FOR)}.")
        newest = max(found, key=lambda row: row.id)
        why = newest.message or newest.error_message or newest.status
        text = f"{len(found)} in the last {_minutes(TOLD_FOR)}, the newest row {newest.id}: {why}"
        return Check("rejected_pages", False, text)

    async def _notices(self, now: datetime) -> Check:
        """Whether somebody learned of failures."""
        runs = await self._engine.core.store.runs(RunQuery(NOTICE_FLOW, limit=LOOKED_AT))
        failed = [run for run in runs if run.status in ("failed", "needs_attention")]
        lost = [run for run in failed if run.finished_at is not None and now - run.finished_at <= TOLD_FOR]
        if not lost:
            return Check("notices", True, f"No notice of a failure has failed in the last {_minutes(TOLD_FOR)}.")
        return Check("notices", False, f"{len(lost)} of a failure have failed, the newest {lost[0].id}.")


def _minutes(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

"""`Driver`: the runs that are in memory. It walks them, lets them leave, and takes them up again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from pydantic import ValidationError

from resolute.engine import FINISHED, StepFailed
from resolute.engines.embedded.core import Core
from resolute.engines.embedded.live_run import LiveRun, Parked
from resolute.engines.embedded.store import Entry, Op, RunRow
from resolute.engines.embedded.timers import Timers
from resolute.engines.embedded.views import ended
from resolute.errors import EngineError, OutputError, ReplayMismatch, StoreError
from resolute.interpreter import interpret
from resolute.ledger.row import Row
from resolute.model.codec import NotJournalable, describe, to_plain, to_text

log = logging.getLogger("resolute.engine")

#: What the trigger of a child run begins with; the number of its parent follows.
CHILD_OF: Final = "child:"


class Driver:
    """Walks runs and keeps those that have something to do in memory.

    Attributes:
        drives_all: False drives only the runs in `own`.
        live, tasks: what is in memory, by run number.
        cancelling: runs that nothing may wake any more.
        watchers: who waits for a run to finish, by run id.
        broken: ends with an error when the engine cannot go on.
    """

    timers: Timers

    def __init__(self, core: Core, *, drives_all: bool, max_live: int) -> None:
        self.core = core
        self.drives_all = drives_all
        self.live: dict[int, LiveRun] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.own: set[int] = set()
        self.cancelling: set[int] = set()
        self.watchers: dict[str, set[asyncio.Future[None]]] = {}
        self.stopping = False
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._max_live = max_live
        self._again: set[int] = set()

    def drive(self, row: RunRow, entries: Sequence[Entry], *, batch: Sequence[Op] = ()) -> LiveRun:
        live = LiveRun(self.core, row, entries, batch=batch)
        self.live[row.no] = live
        self._begin(row.no, self._walk(live))
        return live

    def _begin(self, run_no: int, walk: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(walk, name=f"run {run_no}")
        self.tasks[run_no] = task
        task.add_done_callback(lambda done: self._left(run_no, done))

    def wake(self, run_no: int) -> None:
        """Walk a run again, now or as soon as its present walk has ended."""
        if run_no in self.cancelling:
            return
        if run_no in self.tasks:
            self._again.add(run_no)
        elif not self.stopping and (self.drives_all or run_no in self.own):
            self._begin(run_no, self._load_and_walk(run_no))

    async def _load_and_walk(self, run_no: int) -> None:
        row, entries = await self.core.store.load(run_no)
        if row.status in FINISHED:
            return
        live = self.live[run_no] = LiveRun(self.core, row, entries)
        live.put_run(status="running", waiting_for="")
        await live.flush()
        await self._walk(live)

    async def _walk(self, live: LiveRun) -> None:
        """Walk the run as far as it goes now."""
        now = self.core.clock.now
        recipe = self.core.flows.get(live.row.flow)
        try:
            if recipe is None:
                raise ReplayMismatch(
                    f'The flow "{live.row.flow}" is not among the flows of this worker. Add it, or cancel the run.'
                )
            live.begin(recipe)
            result = await interpret(recipe, live)
            output = self.core.secrets.scrub_json(to_text(to_plain(result)))
            live.put_run(status="succeeded", output=output, **ended(now()))
        except Parked:
            await live.flush()
            return
        except StepFailed as failure:
            live.put_run(status="failed", error=failure.error, error_key=failure.key, **ended(now()))
            log.error("run %s of %s failed at %s: %s", live.run_id, live.row.flow, failure.key, failure.error)
        except NotJournalable as error:
            live.put_run(status="failed", error=f"The run's result cannot be kept: {error}.", **ended(now()))
        except (ReplayMismatch, OutputError, ValidationError) as error:
            reason = describe(error) if isinstance(error, ValidationError) else str(error)
            live.put_run(status="needs_attention", error=reason, **ended(now()))
            log.error("run %s needs attention: %s", live.run_id, reason)
            live.leave_pages()
        except StoreError:
            raise
        except Exception as error:  # a fault that nobody foresaw ends this run alone, and loudly
            reason = self.core.secrets.scrub(f"{type(error).__name__}: {error}")
            live.put_run(status="failed", error=f"The run failed in an unforeseen way: {reason}", **ended(now()))
            log.exception("run %s of %s failed in an unforeseen way", live.run_id, live.row.flow)
            live.leave_pages()
        await live.flush()
        self.finished(live.run_id)
        if live.row.trigger.startswith(CHILD_OF):
            self.wake(int(live.row.trigger.removeprefix(CHILD_OF)))

    def _left(self, run_no: int, task: asyncio.Task[None]) -> None:
        """The run has left memory."""
        del self.tasks[run_no]
        live = self.live.pop(run_no, None)
        if live is not None and not live.started.done():
            live.started.set_result(None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.broke(error)
        elif not self.stopping:
            if live is not None and live.row.status == "waiting":
                self._parked(live.row)
            if len(self.tasks) == self._max_live - 1:
                self.timers.poke()
            if run_no in self._again:
                self._again.discard(run_no)
                self.wake(run_no)

    def _parked(self, row: RunRow) -> None:
        if self.drives_all:
            self.timers.poke(row.due_at)
        elif row.due_at is not None:
            left = (row.due_at - self.core.clock.now()).total_seconds()
            asyncio.get_running_loop().call_later(max(0.0, left), self.wake, row.no)

    def broke(self, error: BaseException) -> None:
        """The engine cannot go on: who runs it learns of it through `broken`."""
        log.critical("the engine stops: %s", error, exc_info=error)
        if not self.broken.done():
            self.broken.set_exception(error if isinstance(error, StoreError) else EngineError(str(error)))

    @property
    def has_room(self) -> bool:
        """Whether more queued or due runs may be taken into memory."""
        return len(self.tasks) < self._max_live and not self.stopping

    def wake_rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.awaited and row.run_no:
                self.wake(row.run_no)
            else:
                self.timers.poke_follow_ups()

    def finished(self, run_id: str) -> None:
        self.core.run_secrets.pop(run_id, None)
        for watcher in self.watchers.pop(run_id, ()):
            if not watcher.done():
                watcher.set_result(None)

"""`Driver`: the runs that are in memory. It walks them, lets them leave, and takes them up again."""

from __future__ import annotations

import asyncio
import logging
from asyncio import FIRST_COMPLETED
from collections.abc import Coroutine, Sequence
from itertools import chain
from typing import Any, Final

from pydantic import ValidationError

from resolute.engine import FINISHED, Fault, RunStatus, RunStopped, StepFailed
from resolute.engines.embedded.branches import LONGEST_NAP_S, Parked
from resolute.engines.embedded.changed_flow import misfit
from resolute.engines.embedded.core import Core
from resolute.engines.embedded.live_run import LiveRun
from resolute.engines.embedded.page_send import leave_pages
from resolute.engines.embedded.store import SCHEMA_VERSION, Entry, Op, PutOutline, RunRow
from resolute.engines.embedded.timers import Timers
from resolute.engines.embedded.turns import Turns
from resolute.engines.embedded.views import ended
from resolute.errors import EngineError, OutputError, ReplayMismatch, RunNotFound, StoreDamaged, StoreError
from resolute.interpreter import interpret
from resolute.ledger.row import Row
from resolute.model.codec import NotJournalable, describe, to_plain, to_text
from resolute.model.recipe import Flow

log = logging.getLogger("resolute.engine")

#: What the trigger of a child run begins with; the number of its parent follows.
CHILD_OF: Final = "child:"


class Driver:
    """Walks runs and keeps those that have something to do in memory.

    Attributes:
        drives_all: False drives only the runs in `own`.
        live, tasks: what is in memory, by run number.
        live_ids: the ids of the runs in memory that have not finished.
        barred: runs that nothing may wake any more.
        watchers: who waits for a run to finish, by run id; they get its row.
        turns: runs that wait until another has ended.
        broken: ends with an error when the engine cannot go on.
    """

    timers: Timers

    def __init__(self, core: Core, *, drives_all: bool, max_live: int) -> None:
        self.core = core
        self.drives_all = drives_all
        self.live: dict[int, LiveRun] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.own: set[int] = set()
        self.barred: set[int] = set()
        self.live_ids: set[str] = set()
        self.watchers: dict[str, set[asyncio.Future[RunRow]]] = {}
        self.turns = Turns(core.store, self.wake)
        self.stopping = False
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._max_live = max_live
        self._again: set[int] = set()
        self._loading: dict[int, asyncio.Future[None]] = {}

    def drive(self, row: RunRow, entries: Sequence[Entry], *, batch: Sequence[Op] = ()) -> LiveRun:
        live = LiveRun(self.core, row, entries, batch=batch)
        self._came(live)
        self._begin(row.no, self._walk(live))
        return live

    def _came(self, live: LiveRun) -> None:
        self.live[live.row.no] = live
        self.live_ids.add(live.run_id)

    def _begin(self, run_no: int, walk: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(walk, name=f"run {run_no}")
        self.tasks[run_no] = task
        task.add_done_callback(lambda done: self._left(run_no, done))

    def wake(self, run_no: int) -> None:
        """Walk a run again, now or as soon as its present walk has ended."""
        if run_no in self.barred:
            return
        live = self.live.get(run_no)
        if live is not None and not live.branches.left:
            live.branches.wake()
        elif run_no in self.tasks:
            self._again.add(run_no)
        elif not self.stopping and (self.drives_all or run_no in self.own):
            self._begin(run_no, self._load_and_walk(run_no))

    async def in_memory(self, run_no: int) -> LiveRun | None:
        """The run while it can take orders; None when it is not in memory, nor about to enter or leave it."""
        while (task := self.tasks.get(run_no)) is not None:
            live = self.live.get(run_no)
            if live is None:
                loading = self._loading.get(run_no)
                await asyncio.wait({task} if loading is None else {task, loading}, return_when=FIRST_COMPLETED)
            elif live.branches.left or live.row.status in FINISHED:
                await asyncio.wait({task})
            else:
                return live
        return None

    async def _load_and_walk(self, run_no: int) -> None:
        loaded = self._loading[run_no] = asyncio.get_running_loop().create_future()
        try:
            row, entries = await self.core.store.load(run_no)
        except RunNotFound:  # it was pruned; a child of it that was taken up again has ended
            return
        finally:
            del self._loading[run_no]
            loaded.set_result(None)
        if row.status in FINISHED or not await self.turns.has_come(row):
            return
        live = LiveRun(self.core, row, entries)
        self._came(live)
        live.put_run(status="running", waiting_for="", **self._its_turn(row))
        await live.flush()
        await self._walk(live)

    def _its_turn(self, row: RunRow) -> dict[str, Any]:
        """What changes in a run that has waited for its turn: its time begins now."""
        recipe = self.core.flows.get(row.flow)
        if row.status != "queued" or not row.after_no:
            return {}
        limit = recipe.timeout if recipe is not None else None
        return {"after_no": 0, "deadline_at": None if limit is None else self.core.clock.now() + limit}

    async def _walk(self, live: LiveRun) -> None:
        """Walk the run as far as it goes now."""
        faults: Sequence[Fault] = ()
        try:
            recipe = self.core.flows.get(live.row.flow)
            if recipe is None:
                raise ReplayMismatch(
                    f'The flow "{live.row.flow}" is not among the flows of this worker. Add it, or cancel the run.'
                )
            await self._fit(live, recipe)
            await live.begin(recipe)
            self._watch_deadline(live, recipe)
            result = await interpret(recipe, live)
            output = live.keep(self.core.secrets.scrub_json(to_text(to_plain(result))))
            live.put_run(status="succeeded", output=output, **ended(self.core.clock.now()))
        except Parked:
            await live.flush()
            return
        except RunStopped as stopped:
            self._stopped(live, stopped)
            faults = (*(stopped.failure.faults if stopped.failure is not None else ()), *stopped.undo_faults)
        except StepFailed as failure:
            faults = (*failure.faults, *failure.undo_faults)
            error = live.kept(failure.error + _not_undone(failure.undo_faults))
            live.put_run(status="failed", error=error, error_key=failure.key, **ended(self.core.clock.now()))
            log.error("run %s of %s failed at %s: %s", live.run_id, live.row.flow, failure.key, error)
        except NotJournalable as error:
            reason = f"The run's result cannot be kept: {error}."
            live.put_run(status="failed", error=reason, **ended(self.core.clock.now()))
        except (ReplayMismatch, OutputError, ValidationError, StoreDamaged) as error:
            reason = describe(error) if isinstance(error, ValidationError) else str(error)
            live.put_run(status="needs_attention", error=reason, **ended(self.core.clock.now()))
            log.error("run %s needs attention: %s", live.run_id, reason)
            leave_pages(live)
        except StoreError:
            raise
        except Exception as error:  # a fault that nobody foresaw ends this run alone, and loudly
            reason = self.core.secrets.scrub(f"{type(error).__name__}: {error}")
            unforeseen = f"The run failed in an unforeseen way: {reason}"
            live.put_run(status="failed", error=unforeseen, **ended(self.core.clock.now()))
            log.exception("run %s of %s failed in an unforeseen way", live.run_id, live.row.flow)
            leave_pages(live)
        told = self.core.told(live.row, faults)
        for op in told:
            live.add(op)
        await live.flush()
        if told:
            self.timers.poke()
        self.finished(live.row)
        if live.row.trigger.startswith(CHILD_OF):
            self.wake(int(live.row.trigger.removeprefix(CHILD_OF)))

    def _stopped(self, live: LiveRun, stopped: RunStopped) -> None:
        status: RunStatus = "cancelled" if stopped.failure is None else "failed"
        for entry in list(live.entries.values()):  # set back by a retry, and not come by since
            if entry.status in ("running", "waiting") and entry.kind != "signal":
                live.put(entry.but(status="cancelled", due_at=None, finished_at=self.core.clock.now()))
        not_undone = _not_undone(stopped.undo_faults)
        error = live.kept(f"{str(stopped).rstrip('.')}.{not_undone}" if not_undone else str(stopped))
        live.put_run(status=status, error=error, **ended(self.core.clock.now()))
        level = logging.INFO if stopped.failure is None else logging.ERROR
        log.log(level, "run %s of %s %s: %s", live.run_id, live.row.flow, status, error)

    async def _fit(self, live: LiveRun, recipe: Flow) -> None:
        """See that the run can go on under its flow as it is now; raises ReplayMismatch."""
        row, store = live.row, self.core.store
        if row.fingerprint == recipe.fingerprint:
            return
        if live.entries:
            outline = await store.outline(row.fingerprint)
            reason = await misfit(
                recipe, row, list(live.entries.values()), outline, lambda digest: store.large(row.no, digest)
            )
            if reason:
                raise ReplayMismatch(reason)
        live.put_run(fingerprint=recipe.fingerprint, has_undo=recipe.has_undo, schema_version=SCHEMA_VERSION)
        for op in self.outline_of(recipe):
            live.add(op)

    def outline_of(self, recipe: Flow) -> list[Op]:
        """What has to be written with the first run of a flow, so that a later version can be compared with it."""
        if recipe.fingerprint in self.core.outlines:
            return []
        self.core.outlines.add(recipe.fingerprint)
        return [PutOutline(recipe.fingerprint, recipe.name, recipe.outline)]

    def _watch_deadline(self, live: LiveRun, recipe: Flow) -> None:
        """Stop the run when its time is over; the clock is looked at again and again, for it may jump."""
        row = live.row
        if row.deadline_at is None or row.stop or row.status in FINISHED or self.live.get(row.no) is not live:
            return
        left_s = (row.deadline_at - self.core.clock.now()).total_seconds()
        if left_s <= 0:
            live.stop("timed_out", f"The run did not end within {recipe.timeout or row.deadline_at - row.created_at}.")
            return
        loop = asyncio.get_running_loop()
        loop.call_later(min(left_s, LONGEST_NAP_S), self._watch_deadline, live, recipe)

    def _left(self, run_no: int, task: asyncio.Task[None]) -> None:
        """The run has left memory."""
        del self.tasks[run_no]
        live = self.live.pop(run_no, None)
        error = None if task.cancelled() else task.exception()
        if live is not None and not live.started.done():
            lost = EngineError(f'The worker ended before run "{live.run_id}" was on disk. Start it again.')
            live.started.set_exception(error or lost)
            live.started.exception()  # seen: mostly nobody waits for it
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
        reason = error if isinstance(error, StoreError) else EngineError(str(error))
        if not self.broken.done():
            log.critical("the engine stops: %s", error, exc_info=error)
            self.broken.set_exception(reason)
        for watcher in chain.from_iterable(self.watchers.values()):
            if not watcher.done():
                watcher.set_exception(reason)

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

    def finished(self, row: RunRow) -> None:
        """Tell who waits for the run that it has ended."""
        self.live_ids.discard(row.id)  # it stays in memory for another moment; who asks now shall look at the disk
        self.core.run_secrets.pop(row.id, None)
        for watcher in self.watchers.pop(row.id, ()):
            if not watcher.done():
                watcher.set_result(row)
        if self.turns.is_awaited(row.no):
            self.timers.run(self.turns.ended(row.no))


def _not_undone(faults: Sequence[Fault]) -> str:
    """What could not be undone, as the rest of an error."""
    if not faults:
        return ""
    return f" Not undone: {'; '.join(f'{fault.position}: {fault.error}' for fault in faults)}"

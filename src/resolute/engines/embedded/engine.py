"""`EmbeddedEngine`: runs flows in this process on one store.

A run is its journal and not a task: it is in memory only while it has something to do, and waking
it means walking its flow from the top.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from resolute.clock import Clock, Randomness, new_id
from resolute.engine import FINISHED, NodeView, RunQuery, RunView, StepFailed
from resolute.engines.embedded.core import IN_MEMORY, Core
from resolute.engines.embedded.live_run import LiveRun, Parked
from resolute.engines.embedded.store import Entry, Op, PutTick, RunRow, Store
from resolute.engines.embedded.threads import ThreadPerAttempt, Threads
from resolute.engines.embedded.timers import Timers
from resolute.errors import EngineError, InputError, OutputError, ReplayMismatch, RunConflict, RunNotFound, StoreError
from resolute.interpreter import interpret
from resolute.jsontypes import JsonValue
from resolute.ledger.intent import PagingService
from resolute.ledger.row import Row
from resolute.model.codec import NotJournalable, describe, from_text, to_plain, to_text
from resolute.model.recipe import Flow
from resolute.secrets import Secrets, digest

log = logging.getLogger("resolute.engine")

#: Attempts lost in a row, each as the only running one, after which a run is parked.
LOST_LIMIT = 5
#: How often a row is looked at that settles by itself.
SETTLE_CHECK_S = 0.02


class EmbeddedEngine:
    """Starts, drives and shows runs.

    Args:
        store: its journal; the engine opens and closes it.
        flows: the flows it can run, by name.
        providers, paging: provider instances by (kind, instance), and those that send events.
        drives_all: False drives only runs that this object started, and nothing else in the store.
        max_concurrent: attempts at the same time.
    """

    def __init__(
        self,
        store: Store,
        flows: Iterable[Flow],
        *,
        clock: Clock,
        randomness: Randomness,
        secrets: Secrets,
        providers: Mapping[tuple[str, str], Any] | None = None,
        paging: Mapping[tuple[str, str], PagingService] | None = None,
        threads: Threads | None = None,
        environ: Mapping[str, str] | None = None,
        max_concurrent: int = 100,
        drives_all: bool = True,
    ) -> None:
        self.core = Core(
            store=store,
            flows={flow.name: flow for flow in flows},
            clock=clock,
            randomness=randomness,
            threads=threads or ThreadPerAttempt(),
            secrets=secrets,
            providers=dict(providers or {}),
            paging=dict(paging or {}),
            slots=asyncio.Semaphore(max_concurrent),
            wake=self._wake_rows,
            environ=os.environ if environ is None else environ,
        )
        self.drives_all = drives_all
        self._max_live = max(4 * max_concurrent, 100)
        self._live: dict[int, LiveRun] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._again: set[int] = set()
        self._own: set[int] = set()
        self._cancelling: set[int] = set()
        self._starting: dict[str, asyncio.Future[None]] = {}
        self._watchers: dict[str, set[asyncio.Future[None]]] = {}
        self._next_no = 1
        self._stopping = False
        self._broken: asyncio.Future[None] | None = None
        self._timers = Timers(self)

    # Life

    async def open(self) -> None:
        """Open the store, take up what the last owner left, and begin to drive; raises StoreError."""
        async with AsyncExitStack() as undo:
            opened = await self.core.store.open()
            undo.push_async_callback(self.core.store.close)
            self._broken = asyncio.get_running_loop().create_future()
            self.core.digest_key = opened.digest_key
            self._next_no = opened.next_run_no
            changed = self.core.log.load(opened.rows, opened.next_row_id)
            if changed:
                await self.core.store.commit(changed)
            await self._end_interrupted()
            if self.drives_all:
                await self._recover()
            self._timers.begin(opened.ticks)
            undo.pop_all()

    def add_flow(self, flow: Flow) -> None:
        """Know one more flow from now on, e.g. that of a job."""
        self.core.flows = {**self.core.flows, flow.name: flow}

    def add_provider(self, kind: str, name: str, provider: Any, paging: PagingService | None) -> None:
        """Know one more account from now on."""
        self.core.providers[kind, name] = provider
        if paging is not None:
            self.core.paging[kind, name] = paging

    async def close(self, grace: timedelta = timedelta(seconds=10)) -> None:
        """Take no new work, give running attempts this long, close the store; the rest is left to the next start."""
        self._stopping = True
        await self._timers.end()
        for live in self._live.values():
            live.leaving = True
        busy = [self._tasks[no] for no, live in self._live.items() if live.attempting]
        if busy:
            await asyncio.wait(busy, timeout=grace.total_seconds())
        tasks = list(self._tasks.values())
        left = list(self._live.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        interrupted = [
            replace(entry, status="waiting", due_at=self.core.clock.now())
            for run in left
            for entry in run.entries.values()
            if entry.status == "running" and not entry.row_id
        ]
        if interrupted and not self.broken.done():
            await self.core.store.commit(interrupted)
        await self.core.store.close()

    @property
    def broken(self) -> asyncio.Future[None]:
        """Ends with an error when the engine cannot go on."""
        if self._broken is None:
            raise EngineError("The engine is not open. Open it first.")
        return self._broken

    async def _end_interrupted(self) -> None:
        """End the runs whose routing key died with their process; their rows are settled as follow-ups."""
        for row in self.core.log.unsettled():
            if not row.key_secret.startswith(IN_MEMORY) or row.run_id in self.core.run_secrets:
                continue
            run, entries = await self.core.store.load(row.run_no)
            now, reason = self.core.clock.now(), "interrupted: the process that held its key ended"
            batch: list[Op] = [self.core.log.interrupt(row.id)]
            if run.status not in FINISHED:
                batch.append(replace(run, status="failed", error=reason, error_key=row.position, **_ended(now)))
                batch.extend(
                    replace(entry, status="failed", error=reason, finished_at=now)
                    for entry in entries
                    if entry.row_id == row.id
                )
            await self.core.store.commit(batch)

    async def _recover(self) -> None:
        """Take up every run that was in memory when the last owner ended."""
        found = [await self.core.store.load(no) for no in await self.core.store.running()]
        lost = [entry for _, entries in found for entry in entries if entry.status == "running" and not entry.row_id]
        for row, entries in found:
            if len(lost) == 1 and lost[0].run_no == row.no:
                counted = replace(lost[0], lost=lost[0].lost + 1)
                entries = [counted if entry is lost[0] else entry for entry in entries]
                await self.core.store.commit([counted])
                if counted.lost >= LOST_LIMIT:
                    await self._park_for_attention(
                        row,
                        counted.key,
                        f'The worker ended {counted.lost} times in a row while "{counted.position}" '
                        f"({counted.activity}) was its only running attempt. Mend the activity, then start the run anew.",
                    )
                    continue
            self._drive(row, entries)

    async def _park_for_attention(self, row: RunRow, key: str, reason: str) -> None:
        log.error("run %s needs attention: %s", row.id, reason)
        await self.core.store.commit(
            [
                replace(
                    row,
                    status="needs_attention",
                    error=reason,
                    error_key=key,
                    due_at=None,
                    finished_at=self.core.clock.now(),
                    waiting_for="",
                )
            ]
        )
        self._finished(row.id)

    # Starting

    async def start(
        self,
        flow: str,
        input: JsonValue = None,
        *,
        run_id: str | None = None,
        trigger: str = "client",
        secrets: Mapping[str, str] | None = None,
        scheduled_at: datetime | None = None,
        also: Sequence[Op] = (),
    ) -> RunView:
        """A run that is on disk: a new one, or the one that has this id already.

        Args:
            secrets: secret inputs by name; they stay in the memory of this process.
            scheduled_at: the tick that starts it.
            also: rows to be written in the same batch, whether or not the run is new.

        Raises:
            RunConflict: the id belongs to a run of another flow or input.
            InputError: the input does not fit what the flow accepts.
            EngineError: the flow is not known here.
        """
        recipe = self.core.flows.get(flow)
        if recipe is None:
            known = ", ".join(sorted(self.core.flows)) or "none"
            raise EngineError(f'The flow "{flow}" is not known here. Known: {known}.')
        text = _input_text(recipe, input)
        name = run_id or new_id(self.core.clock, self.core.randomness)
        check_run_id(name)
        fingerprints = {key: digest(value, self.core.digest_key) for key, value in (secrets or {}).items()}
        wanted = input_digest(flow, input, fingerprints)
        while name in self._starting:
            await asyncio.shield(self._starting[name])
        self._starting[name] = gate = asyncio.get_running_loop().create_future()
        try:
            existing = await self.core.store.find(name)
            if existing is not None:
                return await self._existing(existing, wanted, scheduled_at, secrets, also)
            for value in (secrets or {}).values():
                self.core.secrets.remember(value)
            row = RunRow(
                no=self._next_no,
                id=name,
                flow=flow,
                fingerprint=recipe.fingerprint,
                status="running",
                input=self.core.secrets.scrub_json(text),
                input_digest=wanted,
                trigger=trigger,
                created_at=self.core.clock.now(),
                scheduled=scheduled_at is not None,
            )
            self._next_no += 1
            self._own.add(row.no)
            if secrets:
                self.core.run_secrets[name] = dict(secrets)
            if not self.has_room:
                row = replace(row, status="queued", due_at=row.created_at)
                await self.core.store.commit([row, *also])
                self._timers.poke()
                return view(row)
            live = self._drive(row, (), batch=[row, *also])
            await live.started
            return view(live.row)
        finally:
            del self._starting[name]
            gate.set_result(None)

    async def _existing(
        self,
        row: RunRow,
        wanted: str,
        scheduled_at: datetime | None,
        secrets: Mapping[str, str] | None,
        also: Sequence[Op],
    ) -> RunView:
        if also:
            await self.core.store.commit(list(also))
        if scheduled_at is None and row.input_digest != wanted:
            raise RunConflict(
                f'Run "{row.id}" exists already, with another flow or input (it runs "{row.flow}"). '
                "Use another run id, or the same input."
            )
        for value in (secrets or {}).values():
            self.core.secrets.remember(value)
        if not self.drives_all and row.status not in FINISHED and row.no not in self._own:
            self._own.add(row.no)
            if secrets:
                self.core.run_secrets[row.id] = dict(secrets)
                await self._begin_anew(row)
            self.wake(row.no)
        return view(row)

    async def _begin_anew(self, run: RunRow) -> None:
        """Let the unsettled page of a run that was interrupted count its time from now: it is sent by hand again."""
        _, entries = await self.core.store.load(run.no)
        rows = [(entry, self.core.log.row(entry.row_id)) for entry in entries if entry.row_id]
        now = self.core.clock.now()
        batch = [
            self.core.log.reopen(row, now, self._deadline_s(run, entry.key))
            for entry, row in rows
            if row is not None and not row.is_settled
        ]
        if batch:
            await self.core.store.commit(batch)

    def _deadline_s(self, run: RunRow, key: str) -> float | None:
        """For how long a page of this run is tried, as its flow is now; None when it does not say."""
        recipe = self.core.flows.get(run.flow)
        for node in recipe.nodes() if recipe is not None else ():
            deadline = (node.retry or node.activity.retry).deadline
            if node.key == key and deadline is not None:
                return deadline.total_seconds()
        return None

    async def resend(self, run_id: str, secrets: Mapping[str, str]) -> RunView:
        """Take a failed run up again whose page was not delivered: send it under the same dedup key and row.

        Where the page turned out to have been accepted after all, the run only takes that answer.
        """
        run, entries = await self.core.store.load((await self._found(run_id)).no)
        for entry in entries:
            row = await self._settled_row(entry.row_id) if entry.row_id and run.status == "failed" else None
            if row is None or row.status not in ("undelivered", "accepted") or entry.status != "failed":
                continue
            for value in secrets.values():
                self.core.secrets.remember(value)
            self.core.run_secrets[run_id] = dict(secrets)
            self._own.add(run.no)
            again = replace(entry, status="running", error="", finished_at=None)
            run = replace(run, status="running", error="", error_key="", finished_at=None)
            batch: list[Op] = [run, again]
            if row.status == "undelivered":
                batch.append(self.core.log.reopen(row, self.core.clock.now(), self._deadline_s(run, entry.key)))
            self._drive(run, [again if other is entry else other for other in entries], batch=batch)
            break
        return await self.get(run_id)

    async def _settled_row(self, row_id: int) -> Row | None:
        """A row of the incident log; one whose outcome is being looked up is waited for."""
        while (row := self.core.log.row(row_id)) is not None and not row.is_settled:
            await asyncio.sleep(SETTLE_CHECK_S)
        return await self.core.store.ledger_row(row_id)

    async def settle_interrupted(self) -> None:
        """Settle every page whose key is gone, at once; one whose outcome can be looked up is waited for."""
        for row in self.core.log.unsettled():
            if row.key_secret.startswith(IN_MEMORY) and row.run_id not in self.core.run_secrets:
                self.core.log.interrupt(row.id)
                self._timers.poke_follow_ups()
                await self._settled_row(row.id)

    # Driving

    def _drive(self, row: RunRow, entries: Sequence[Entry], *, batch: Sequence[Op] = ()) -> LiveRun:
        live = LiveRun(self.core, row, entries, batch=batch)
        self._live[row.no] = live
        self._begin(row.no, self._walk(live))
        return live

    def _begin(self, run_no: int, walk: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(walk, name=f"run {run_no}")
        self._tasks[run_no] = task
        task.add_done_callback(lambda done: self._left(run_no, done))

    def wake(self, run_no: int) -> None:
        """Walk a run again, now or as soon as its present walk has ended."""
        if run_no in self._cancelling:
            return
        if run_no in self._tasks:
            self._again.add(run_no)
        elif not self._stopping and (self.drives_all or run_no in self._own):
            self._begin(run_no, self._load_and_walk(run_no))

    async def _load_and_walk(self, run_no: int) -> None:
        row, entries = await self.core.store.load(run_no)
        if row.status in FINISHED:
            return
        live = self._live[run_no] = LiveRun(self.core, row, entries)
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
            live.put_run(status="succeeded", output=output, **_ended(now()))
        except Parked:
            await live.flush()
            return
        except StepFailed as failure:
            live.put_run(status="failed", error=failure.error, error_key=failure.key, **_ended(now()))
            log.error("run %s of %s failed at %s: %s", live.run_id, live.row.flow, failure.key, failure.error)
        except NotJournalable as error:
            live.put_run(status="failed", error=f"The run's result cannot be kept: {error}.", **_ended(now()))
        except (ReplayMismatch, OutputError, ValidationError) as error:
            reason = describe(error) if isinstance(error, ValidationError) else str(error)
            live.put_run(status="needs_attention", error=reason, **_ended(now()))
            log.error("run %s needs attention: %s", live.run_id, reason)
            live.leave_pages()
        except StoreError:
            raise
        except Exception as error:  # a fault that nobody foresaw ends this run alone, and loudly
            reason = self.core.secrets.scrub(f"{type(error).__name__}: {error}")
            live.put_run(status="failed", error=f"The run failed in an unforeseen way: {reason}", **_ended(now()))
            log.exception("run %s of %s failed in an unforeseen way", live.run_id, live.row.flow)
            live.leave_pages()
        await live.flush()
        self._finished(live.run_id)

    def _left(self, run_no: int, task: asyncio.Task[None]) -> None:
        """The run has left memory."""
        del self._tasks[run_no]
        live = self._live.pop(run_no, None)
        if live is not None and not live.started.done():
            live.started.set_result(None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.broke(error)
        elif not self._stopping:
            if live is not None and live.row.status == "waiting":
                self._parked(live.row)
            if len(self._tasks) == self._max_live - 1:
                self._timers.poke()
            if run_no in self._again:
                self._again.discard(run_no)
                self.wake(run_no)

    def _parked(self, row: RunRow) -> None:
        if self.drives_all:
            self._timers.poke(row.due_at)
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
        return len(self._tasks) < self._max_live and not self._stopping

    def _wake_rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.awaited and row.run_no:
                self.wake(row.run_no)
            else:
                self._timers.poke_follow_ups()

    def _finished(self, run_id: str) -> None:
        self.core.run_secrets.pop(run_id, None)
        for watcher in self._watchers.pop(run_id, ()):
            if not watcher.done():
                watcher.set_result(None)

    async def tick(self, flow: Flow, trigger: str, at: datetime) -> None:
        """Start the run of a scheduled time; the same time never starts two."""
        await self.start(
            flow.name,
            None if flow.input_model is None else {},
            run_id=f"{flow.name}@{at:%Y-%m-%dT%H:%M:%SZ}",
            trigger=trigger,
            scheduled_at=at,
            also=[PutTick(flow.name, trigger, at)],
        )

    # Showing

    async def get(self, run_id: str) -> RunView:
        row = await self._found(run_id)
        _, entries = await self.core.store.load(row.no)
        return view(row, entries)

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        return [view(row) for row in await self.core.store.runs(query)]

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            while True:
                watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._watchers.setdefault(run_id, set()).add(watcher)
                try:
                    row = await self._found(run_id)
                    if row.status in FINISHED:
                        return view(row)
                    await asyncio.wait({watcher, self.broken}, return_when=asyncio.FIRST_COMPLETED)
                    if self.broken.done():
                        self.broken.result()
                finally:
                    self._watchers.get(run_id, set()).discard(watcher)

    async def driven(self, run_id: str) -> RunView:
        """The run once it has finished or been parked: for an engine that drives only its own."""
        row = await self._found(run_id)
        task = self._tasks.get(row.no)
        if task is not None:
            await asyncio.wait({task})
        if self.broken.done():
            self.broken.result()
        return await self.get(run_id)

    async def _found(self, run_id: str) -> RunRow:
        row = await self.core.store.find(run_id)
        if row is None:
            raise RunNotFound(f'No run has the id "{run_id}". `resolute runs list` shows the newest.')
        return row

    # Ending

    async def cancel(self, run_id: str) -> RunView:
        """End an unfinished run now; a page in flight settles first.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has finished already.
        """
        row = await self._found(run_id)
        if row.status in FINISHED:
            raise EngineError(f'Run "{run_id}" has {row.status} already and cannot be cancelled.')
        self._cancelling.add(row.no)  # from here on nothing wakes it
        try:
            return await self._cancel(row)
        finally:
            self._cancelling.discard(row.no)

    async def _cancel(self, row: RunRow) -> RunView:
        task, live = self._tasks.get(row.no), self._live.get(row.no)
        if task is not None:
            if live is not None and live.paging:
                live.leaving = True
            else:
                task.cancel()
            await asyncio.wait({task})
        row, entries = await self.core.store.load(row.no)
        if row.status in FINISHED:
            return view(row, entries)
        changed: list[Op] = []
        woken: list[Row] = []
        for entry in entries:
            if entry.row_id and entry.status in ("running", "waiting") and self.core.log.row(entry.row_id):
                outcome = self.core.log.cancel(entry.row_id)
                changed.extend(outcome.changed)
                woken.extend(outcome.wake)
        cancelled = replace(row, status="cancelled", error="cancelled", **_ended(self.core.clock.now()))
        await self.core.store.commit([*changed, cancelled])
        self._wake_rows(woken)
        self._timers.poke_follow_ups()
        self._finished(row.id)
        return view(cancelled, entries)

    async def signal(self, run_id: str, gate: str, data: JsonValue = None, *, by: str = "") -> None:
        """Refused: no step of this version waits for signals."""
        row = await self._found(run_id)
        raise EngineError(f'Run "{run_id}" of "{row.flow}" has no gate "{gate}": no step of its flow waits for an answer.')


def view(row: RunRow, entries: Sequence[Entry] = ()) -> RunView:
    """A run as operators see it."""
    return RunView(
        id=row.id,
        flow=row.flow,
        status=row.status,
        trigger=row.trigger,
        created_at=row.created_at,
        input=from_text(row.input),
        output=None if row.output is None else from_text(row.output),
        error=row.error,
        error_key=row.error_key,
        waiting_for=row.waiting_for,
        due_at=row.due_at,
        finished_at=row.finished_at,
        nodes=tuple(node_view(entry) for entry in entries),
    )


def node_view(entry: Entry) -> NodeView:
    """A journal entry as operators see it."""
    return NodeView(
        position=entry.position,
        kind=entry.kind,
        key=entry.key,
        status=entry.status,
        activity=entry.activity,
        attempt=entry.attempt,
        inputs=from_text(entry.inputs) if entry.inputs else None,
        output=from_text(entry.output) if entry.output else None,
        error=entry.error,
        log_id=entry.row_id or None,
        ready_at=entry.ready_at,
        finished_at=entry.finished_at,
        due_at=entry.due_at,
    )


def check_run_id(run_id: str) -> None:
    """Refuse a run id that could not be shown or typed; raises InputError."""
    if not 1 <= len(run_id) <= 200 or not run_id.isprintable():
        raise InputError(f"The run id {run_id!r} needs 1 to 200 printable characters.")


def input_digest(flow: str, input: JsonValue, secrets: Mapping[str, str] | None = None) -> str:
    """Tells whether a run is started with the same flow and input as another.

    Args:
        secrets: the digests of its secret inputs by name.
    """
    try:
        return hashlib.sha256(to_text([flow, to_plain(input), dict(secrets or {})]).encode()).hexdigest()
    except NotJournalable as error:
        raise InputError(f"The input cannot be kept in the journal: {error}. Give JSON values.") from error


def _ended(now: datetime) -> dict[str, Any]:
    return {"finished_at": now, "due_at": None, "delay_s": 0.0, "waiting_for": ""}


def _input_text(recipe: Flow, input: JsonValue) -> str:
    try:
        if recipe.input_adapter is None:
            return to_text(to_plain(input))
        valid = recipe.input_adapter.validate_python(input, strict=False)
        return to_text(to_plain(valid, recipe.input_adapter))
    except ValidationError as error:
        raise InputError(f'The input does not fit what flow "{recipe.name}" accepts: {describe(error)}.') from error
    except NotJournalable as error:
        raise InputError(f"The input cannot be kept in the journal: {error}. Give JSON values.") from error

"""`LiveRun`: a run while it is in memory, answering the interpreter from its journal.

What happens between two waits is gathered in one batch: a node's output, the decisions after it,
and the inputs, first attempt and ledger intent of the next node. Only when that batch is on disk
does the next node begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from resolute.context import Attempt, LedgerView, Memory
from resolute.engine import ResolvedInputs, StepFailed
from resolute.engines.embedded.attempt import execute
from resolute.engines.embedded.core import Core
from resolute.engines.embedded.paging import new_row, paging, prepare
from resolute.engines.embedded.store import Entry, Op, PutMemory, RunRow
from resolute.errors import (
    ConfigError,
    EngineError,
    InputError,
    ProviderError,
    ReplayMismatch,
    ResoluteError,
    StoreBroken,
    StoreError,
)
from resolute.jsontypes import JsonValue
from resolute.ledger.incident_log import KeyGone, Outcome
from resolute.ledger.lanes import SET_BACK
from resolute.ledger.row import SUCCESSES, Row, settle_reason
from resolute.model.activity import Node
from resolute.model.codec import decode_output, encode_inputs, encode_output, from_text, to_text
from resolute.model.inputs import fill_secrets, take_secrets
from resolute.model.recipe import Flow
from resolute.model.retry import Retry

log = logging.getLogger("resolute.run")

#: How often a parked run looks after a child by itself, should nobody wake it.
CHILD_CHECK = timedelta(minutes=1)
#: Longest error text that is kept.
ERROR_CHARS = 4000


class Parked(BaseException):
    """The run has nothing to do now; its journal says when it goes on. Not an error: it only unwinds the walk."""


class LiveRun:
    """Answers the interpreter for one run."""

    def __init__(self, core: Core, row: RunRow, entries: Sequence[Entry], *, batch: Sequence[Op] = ()) -> None:
        self.core = core
        self.row = row
        self.entries = {entry.position: entry for entry in entries}
        self.run_id = row.id
        self.input: Any = None
        self._order = len(entries)
        self._batch: list[Op] = list(batch)
        self._wakes: list[Row] = []
        self._begun_before = {entry.position for entry in entries if entry.status == "running"}
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.attempting = 0
        self.paging = False
        self.leaving = False  #: set by who wants the run out of memory after what is in flight

    def begin(self, flow: Flow) -> None:
        """Decode the run's input for the flow; raises ValidationError when it fits no more."""
        self.input = from_text(self.row.input)
        if flow.input_adapter is not None:
            given = {} if self.input is None else self.input
            self.input = flow.input_adapter.validate_python(given, strict=False)

    # The batch

    async def flush(self) -> None:
        """Make everything so far durable, then wake who waits for it."""
        batch, self._batch = self._batch, []
        wakes, self._wakes = self._wakes, []
        if batch:
            try:
                await self.core.store.commit(batch)
            finally:  # a run that is cancelled meanwhile has handed its batch in all the same
                for op in batch:
                    if isinstance(op, PutMemory):
                        self._remember(op)
        if wakes:
            self.core.wake(wakes)
        if not self.started.done():
            self.started.set_result(None)

    def put_run(self, **changes: Any) -> None:
        """Change the run's own row with the next batch."""
        self.row = replace(self.row, **changes)
        self._batch = [op for op in self._batch if not isinstance(op, RunRow)]
        self._batch.append(self.row)

    def put(self, entry: Entry) -> Entry:
        self.entries[entry.position] = entry
        self._batch.append(entry)
        return entry

    def _remember(self, op: PutMemory) -> None:
        """Attempts keep what they were given, so a write makes new data."""
        known = {key: text for key, text in self.core.memory.get(op.flow, {}).items() if key != op.key}
        self.core.memory[op.flow] = known if op.text is None else {**known, op.key: op.text}

    def _rows(self, outcome: Outcome) -> Row:
        self._batch.extend(outcome.changed)
        self._wakes.extend(row for row in outcome.wake if row.run_no != self.row.no)
        return outcome.row

    def leave_pages(self) -> None:
        """Let the unsettled pages of a run that does not go on be sent without it."""
        for entry in self.entries.values():
            row = self.core.log.row(entry.row_id) if entry.row_id else None
            if row is not None and row.awaited and not row.is_settled:
                left = self.core.log.leave(row.id)
                self._batch.append(left)
                self._wakes.append(left)

    async def park(self, due_at: datetime | None, waiting_for: str) -> NoReturn:
        """Leave memory until that time, or until something wakes the run."""
        now = self.core.clock.now()
        delay_s = max(0.0, (due_at - now).total_seconds()) if due_at is not None else 0.0
        self.put_run(status="waiting", due_at=due_at, delay_s=delay_s, waiting_for=waiting_for)
        await self.flush()
        raise Parked

    # What the interpreter asks

    def env(self, name: str) -> str | None:
        return self.core.environ.get(name)

    def record(self, position: str, kind: str, key: str, decide: Callable[[datetime], JsonValue]) -> JsonValue:
        def made(entry: Entry, now: datetime) -> Entry:
            return replace(entry, status="done", output=to_text(decide(now)), finished_at=now)

        value: JsonValue = from_text(self._once(position, kind, key, made).output)
        return value

    async def sleep(self, position: str, key: str, until: Callable[[datetime], datetime]) -> None:
        entry = self._once(position, "sleep", key, lambda entry, now: replace(entry, due_at=until(now)))
        now = self.core.clock.now()
        if entry.status == "waiting" and entry.due_at is not None:
            if entry.due_at > now:
                due = self._due(entry, entry.due_at, now)
                await self.park(due, f'"{key}" sleeps until {due:%Y-%m-%d %H:%M:%S} UTC')
            self.put(replace(entry, status="done", finished_at=now))

    async def spawn(self, position: str, key: str, flow: str, input: Callable[[datetime], JsonValue]) -> JsonValue:
        def made(entry: Entry, now: datetime) -> Entry:
            return replace(entry, inputs=to_text(input(now)))

        entry = self._once(position, "child", key, made, activity=flow)
        if entry.status == "waiting":
            await self.flush()
            entry = self.put(await self._child(entry))
            if entry.status == "failed":
                raise StepFailed(key, entry.error)
        output: JsonValue = from_text(entry.output)
        return output

    def _once(
        self, position: str, kind: str, key: str, make: Callable[[Entry, datetime], Entry], activity: str = ""
    ) -> Entry:
        """The entry of this position, made the first time; a StepFailed is recorded and raised then and ever after."""
        entry = self.entries.get(position)
        if entry is None:
            now = self.core.clock.now()
            entry = self._new(position, kind, key, now, status="waiting", activity=activity)
            try:
                entry = make(entry, now)
            except StepFailed as failure:
                entry = self._failed(entry, failure.error)
            self.put(entry)
        self._expect(entry, kind, activity)
        if entry.status == "failed":
            raise StepFailed(key, entry.error)
        return entry

    async def _child(self, entry: Entry) -> Entry:
        """The entry of a child run that has ended; until then this run leaves memory."""
        run_id = f"{self.run_id}/{entry.position}"
        try:
            child = await self.core.start_child(entry.activity, from_text(entry.inputs), run_id, self.row.no)
        except StoreError:
            raise
        except (EngineError, InputError) as error:
            return self._failed(entry, str(error))
        now = self.core.clock.now()
        if not child.is_finished:
            await self.park(now + CHILD_CHECK, f'"{entry.key}" waits for run {child.id}')
        if child.status == "succeeded":
            return replace(entry, status="done", output=to_text(child.output), finished_at=now)
        return self._failed(entry, f"The run {child.id} {child.status}: {child.error}")

    async def call(self, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Any:
        if self.leaving:
            raise Parked
        entry = self.entries.get(position)
        if entry is None:
            entry = self._ready(node, position, inputs)
        self._expect(entry, "node", node.activity.name)
        if entry.status == "failed":
            raise StepFailed(node.key, entry.error)
        if entry.status == "done":
            return decode_output(entry.output, node.activity.output_adapter, node.activity.name)
        return await (self._page(node, entry) if node.activity.is_paging else self._work(node, entry))

    # A node

    def _ready(self, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Entry:
        """Write down that a node is ready: its inputs, its first attempt, its ledger intent."""
        now = self.core.clock.now()
        entry = self._new(position, "node", node.key, now, status="running", activity=node.activity.name, attempt=1)
        try:
            resolved = inputs(now)
            values, places = take_secrets(resolved.values)
            if not node.activity.is_paging:
                text = to_text(encode_inputs(values, node.activity.name))
                return self.put(
                    replace(entry, inputs=self.core.secrets.scrub_json(text), secrets=to_text(places) if places else "")
                )
            names = {str(path[0]): name for path, name in places if len(path) == 1}
            intent = prepare(node, self.row, position, values, names, resolved.remarks)
            row = self._rows(
                self.core.log.record(lambda row_id: new_row(self.core, row_id, node, intent, self.row, position, now))
            )
        except StepFailed as failure:
            return self.put(self._failed(entry, failure.error))
        except (InputError, ConfigError) as error:
            return self.put(self._failed(entry, str(error)))
        if row.remarks:
            log.warning("run %s: %s (row %d): %s", self.run_id, position, row.id, "; ".join(row.remarks))
        return self.put(replace(entry, row_id=row.id, inputs=to_text(intent.event)))

    async def _work(self, node: Node[Any], entry: Entry) -> Any:
        """Attempt an ordinary node until it succeeds, fails for good or has to wait."""
        retry = node.retry or node.activity.retry
        now = self.core.clock.now()
        if entry.status == "waiting":
            if entry.due_at is not None and entry.due_at > now:
                due = self._due(entry, entry.due_at, now)
                await self.park(due, f'"{node.key}" is tried again at {due:%H:%M:%S} UTC: {_first_line(entry.error)}')
            entry = self.put(replace(entry, status="running", attempt=entry.attempt + 1, due_at=None))
        await self.flush()
        memory = Memory(await self.core.memory_of(self.row.flow))
        try:
            value = await self._attempt(node, entry, memory)
            text, output = encode_output(value, node.activity.output_adapter, node.activity.name)
        except StoreBroken:
            raise
        except Exception as error:  # an activity may raise anything; it is the attempt's failure and is recorded
            return await self._attempt_failed(node, entry, error, retry)
        scrubbed = self.core.secrets.scrub_json(text)
        if scrubbed != text:
            output = decode_output(scrubbed, node.activity.output_adapter, node.activity.name)
        self.put(replace(entry, status="done", output=scrubbed, error="", finished_at=self.core.clock.now()))
        for key, written in memory.writes.items():
            self._batch.append(
                PutMemory(self.row.flow, key, None if written is None else self.core.secrets.scrub_json(written))
            )
        return output

    async def _attempt(self, node: Node[Any], entry: Entry, memory: Memory) -> Any:
        values = from_text(entry.inputs)
        if entry.secrets:
            fill_secrets(values, from_text(entry.secrets), lambda name: self.core.read_secret(name, self.run_id))
        inputs = node.activity.validate_inputs(values)
        attempt = Attempt(
            run_id=self.run_id,
            flow=self.row.flow,
            key=node.key,
            position=entry.position,
            attempt=entry.attempt,
            repeated=entry.attempt > 1 or entry.position in self._begun_before,
            log=logging.LoggerAdapter(
                logging.getLogger("resolute.activity"), {"run": self.run_id, "node": entry.position}
            ),
            memory=memory,
            ledger=LedgerView(self.core.log.open_keys),
            providers=self.core.providers,
            instance=node.instance or "",
        )
        async with self.core.slots:
            self.attempting += 1
            try:
                timeout = node.timeout or node.activity.timeout
                return await execute(node.activity, inputs, attempt, timeout, self.core.threads)
            finally:
                self.attempting -= 1

    async def _attempt_failed(self, node: Node[Any], entry: Entry, error: Exception, retry: Retry) -> NoReturn:
        now = self.core.clock.now()
        text = self._kept(told(error))
        entry = replace(entry, failures=entry.failures + 1, lost=0, error=text)
        wait = retry.wait(entry.failures, error, self.core.randomness.random())
        permanent = retry.is_permanent(error) or isinstance(error, KeyGone)
        exhausted = retry.attempts is not None and entry.failures >= retry.attempts
        too_late = retry.deadline is not None and now + wait > entry.ready_at + retry.deadline
        if permanent or exhausted or too_late:
            self.put(self._failed(entry, text))
            log.warning(
                "run %s: %s failed for good in attempt %d: %s", self.run_id, entry.position, entry.attempt, text
            )
            raise StepFailed(node.key, text)
        log.info("run %s: attempt %d of %s failed: %s", self.run_id, entry.attempt, entry.position, text)
        self.put(replace(entry, status="waiting", due_at=now + wait))
        await self.park(now + wait, f'"{node.key}" is tried again at {now + wait:%H:%M:%S} UTC: {_first_line(text)}')

    # A paging node

    async def _page(self, node: Node[Any], entry: Entry) -> Any:
        """Send the node's row, or wait until it can be sent."""
        await self.flush()
        row = self.core.log.row(entry.row_id) or await self.core.store.ledger_row(entry.row_id)
        if row is None:
            raise ReplayMismatch(f'"{entry.position}" has no row {entry.row_id} in the incident log any more.')
        until: datetime | None = None
        limit: datetime | None = None
        if node.fallback_after is not None:
            if entry.ready_at > self.core.clock.now() + SET_BACK:  # the fallback's time begins anew
                entry = self.put(replace(entry, ready_at=self.core.clock.now()))
            limit = entry.ready_at + node.fallback_after
        if not row.is_settled and (limit is None or self.core.clock.now() < limit):
            self.attempting += 1
            self.paging = True
            try:
                outcome = await self.core.log.attempt(row.id, self._write)
            finally:
                self.attempting -= 1
                self.paging = False
            row, until = self._rows(outcome), outcome.until
        now = self.core.clock.now()
        if row.is_settled:
            return self._paged(node, entry, row, now)
        if limit is not None and now >= limit:
            self._batch.append(self.core.log.leave(row.id))
            error = f"not accepted within {node.fallback_after} (row {row.id}); sending goes on."
            error = f"{error} {row.error_message}".strip()
            self.put(self._failed(entry, error))
            self._wakes.append(self.core.log.row(row.id) or row)
            raise StepFailed(node.key, error)
        reason = f"the next attempt: {_first_line(row.error_message)}" if row.error_message else "its turn"
        due = min((time for time in (until, limit) if time is not None), default=None)
        return await self.park(due, f'"{node.key}" ({row.action} "{row.dedup_key}", row {row.id}) waits for {reason}')

    def _paged(self, node: Node[Any], entry: Entry, row: Row, now: datetime) -> Any:
        self.core.log.taken(row.id)
        if row.status not in SUCCESSES:
            failed = self.put(self._failed(replace(entry, attempt=row.attempts), settle_reason(row)))
            raise StepFailed(node.key, failed.error)
        adapter = node.activity.output_adapter
        text, output = encode_output(paging(node.activity).output_of(row), adapter, node.activity.name)
        self.put(replace(entry, status="done", output=text, attempt=max(1, row.attempts), finished_at=now))
        return output

    async def _write(self, rows: Sequence[Row]) -> None:
        self._batch.extend(rows)
        await self.flush()

    # Helpers

    def _new(self, position: str, kind: str, key: str, now: datetime, **fields: Any) -> Entry:
        self._order += 1
        return Entry(self.row.no, position, self._order, kind, key, ready_at=now, **fields)

    def _expect(self, entry: Entry, kind: str, activity: str) -> None:
        if entry.kind != kind or entry.activity != activity:
            recorded = entry.activity or entry.kind
            raise ReplayMismatch(
                f'Run {self.run_id} recorded "{recorded}" at "{entry.position}", but the flow now has '
                f'"{activity or kind}" there. Restore that step, or cancel the run and start it anew.'
            )

    def _due(self, entry: Entry, due_at: datetime, now: datetime) -> datetime:
        """When a parked entry goes on; one that a clock set back since would lengthen begins its wait anew."""
        parked_at = self.row.due_at - timedelta(seconds=self.row.delay_s) if self.row.due_at is not None else now
        if self.row.due_at == due_at and parked_at > now + SET_BACK:
            due_at = now + timedelta(seconds=self.row.delay_s)
            self.put(replace(entry, due_at=due_at))
        return due_at

    def _failed(self, entry: Entry, error: str) -> Entry:
        """The entry as it is when it has failed for good."""
        return replace(entry, status="failed", error=self._kept(error), finished_at=self.core.clock.now())

    def _kept(self, text: str) -> str:
        return self.core.secrets.scrub(text)[:ERROR_CHARS]


def told(error: BaseException) -> str:
    """An error as it is recorded and shown: our own by their text, any other with its type."""
    if isinstance(error, ResoluteError | ProviderError):
        return str(error)
    if isinstance(error, KeyGone):
        return "interrupted: the process that held a secret input ended."
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _first_line(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= 160 else line[:157] + "..."

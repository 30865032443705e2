"""`MemoryStore`: a journal in memory that outlives the engine object, for tests and simulations.

Its faults are those of a disk: a batch is late, fails at first, is lost with the process, or is
applied while the process dies before it hears of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from resolute.engine import RunQuery
from resolute.engines.embedded.intact import intact
from resolute.engines.embedded.store import (
    DropEntry,
    Entry,
    Forget,
    LedgerQuery,
    Op,
    Opened,
    Prune,
    PrunedRun,
    PutLarge,
    PutMemory,
    PutOutline,
    PutPause,
    PutTick,
    RunRow,
    Store,
    TickRow,
)
from resolute.errors import RunNotFound, StoreOwned
from resolute.ledger.row import Row


@dataclass
class Tables:
    """What is on the disk: it stays when the store object is dropped."""

    runs: dict[int, RunRow] = field(default_factory=dict)
    run_no: dict[str, int] = field(default_factory=dict)
    entries: dict[int, dict[str, Entry]] = field(default_factory=dict)
    large: dict[tuple[int, str], str] = field(default_factory=dict)
    outlines: dict[str, PutOutline] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    memory: dict[tuple[str, str], str] = field(default_factory=dict)
    ticks: dict[tuple[str, str], datetime] = field(default_factory=dict)
    paused: set[tuple[str, str]] = field(default_factory=set)
    pruned: dict[str, PrunedRun] = field(default_factory=dict)
    last_pruned_no: int = 0
    commits: int = 0

    def apply(self, batch: Sequence[Op]) -> None:
        self.commits += 1
        for op in batch:
            match op:
                case RunRow():
                    self.runs[op.no] = op
                    self.run_no[op.id] = op.no
                case Entry():
                    self.entries.setdefault(op.run_no, {})[op.position] = op
                case DropEntry():
                    self.entries.get(op.run_no, {}).pop(op.position, None)
                case PutLarge():
                    self.large.setdefault((op.run_no, op.digest), op.text)
                case PutOutline():
                    self.outlines.setdefault(op.fingerprint, op)
                case Row():
                    self.rows[op.id] = op
                case PutMemory():
                    if op.text is None:
                        self.memory.pop((op.flow, op.key), None)
                    else:
                        self.memory[op.flow, op.key] = op.text
                case PutTick():
                    self.ticks[op.flow, op.trigger] = op.at
                case PutPause():
                    self.ticks.setdefault((op.flow, op.trigger), op.at)
                    (self.paused.add if op.paused else self.paused.discard)((op.flow, op.trigger))
                case Prune():
                    self._prune(op)
                case Forget():
                    sent = {row.run_id for row in self.rows.values()}
                    self.pruned = {
                        id: run for id, run in self.pruned.items() if run.pruned_at >= op.before or id in sent
                    }

    def _prune(self, op: Prune) -> None:
        run = self.runs.get(op.run_no)
        if run is None or run.status not in ENDED:
            return
        self.last_pruned_no = max(self.last_pruned_no, run.no)
        self.pruned[run.id] = PrunedRun(run.id, run.no, run.input_digest, run.status, run.finished_at, op.at)
        del self.runs[run.no], self.run_no[run.id]
        self.entries.pop(run.no, None)
        if self.large:
            self.large = {key: text for key, text in self.large.items() if key[0] != run.no}

    def needed(self) -> set[int]:
        """The finished runs that have to stay: for a row of the incident log, for their parent or for a child."""
        found = {no for row in self.rows.values() if row_matters(row) and (no := self.run_no.get(row.run_id))}
        for child in self.runs.values():
            if not child.trigger.startswith(CHILD_OF):
                continue
            parent = self.runs.get(int(child.trigger.removeprefix(CHILD_OF)))
            if parent is None:
                continue
            if parent.status not in ENDED:
                found.add(child.no)
            if child.status not in ENDED and child.id.startswith(f"{parent.id}/"):
                found.add(parent.no)
        return found


#: What `unfinished` lists; a run that needs attention waits for a person, not for an engine.
UNFINISHED: Final = frozenset({"queued", "running", "waiting"})
#: What may be pruned.
ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})
#: How the trigger of a child begins; the number of its parent follows.
CHILD_OF: Final = "child:"
#: Seconds until a batch is durable, for each batch in turn; a simulation draws them.
Delay = Callable[[Sequence[Op]], float]


class MemoryStore(Store):
    """One opening of the tables; `crash()` ends it as a power cut would."""

    def __init__(self, tables: Tables | None = None, *, delay: Delay | None = None) -> None:
        self.tables = tables if tables is not None else Tables()
        self._delay = delay
        self._queue: deque[tuple[Sequence[Op], asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._open = False
        self._crashed = False

    async def open(self) -> Opened:
        if self._open:
            raise StoreOwned("This MemoryStore is open already. Give each engine a store object of its own.")
        self._open = True
        rows = [row for _, row in sorted(self.tables.rows.items()) if row_matters(row)]
        return Opened(
            max(max(self.tables.runs, default=0), self.tables.last_pruned_no) + 1,
            max(self.tables.rows, default=0) + 1,
            b"memory",
            rows,
            dict(self.tables.ticks),
            frozenset(self.tables.paused),
        )

    async def close(self) -> None:
        if self._writer is not None and not self._crashed:
            await self._writer
        self._open = False

    def crash(self, *, apply: int = 0) -> None:
        """End this opening at once. The first `apply` of the batches under way are durable all the same."""
        self._crashed = True
        if self._writer is not None:
            self._writer.cancel()
        for batch, _ in list(self._queue)[:apply]:
            self.tables.apply(batch)
        self._queue.clear()

    @property
    def pending(self) -> int:
        """Batches handed in and not yet durable."""
        return len(self._queue)

    async def commit(self, batch: Sequence[Op]) -> None:
        if self._crashed:
            await asyncio.get_running_loop().create_future()  # the process is gone: nothing returns
        if self._delay is None and not self._queue:
            self.tables.apply(batch)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((list(batch), done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await asyncio.shield(done)  # who hands in a batch may be cancelled; others wait for it as well

    async def _write(self) -> None:
        while self._queue:
            batch, done = self._queue[0]
            if self._delay is not None:
                await asyncio.sleep(self._delay(batch))
            self.tables.apply(batch)
            self._queue.popleft()
            if not done.done():
                done.set_result(None)

    async def _settle(self) -> None:
        """Reads see what was handed in before them."""
        if self._crashed:
            await asyncio.get_running_loop().create_future()
        while self._queue:
            await asyncio.shield(self._queue[-1][1])

    async def find(self, run_id: str) -> RunRow | None:
        await self._settle()
        no = self.tables.run_no.get(run_id)
        return None if no is None else self.tables.runs[no]

    async def known(self, run_id: str) -> RunRow | PrunedRun | None:
        return await self.find(run_id) or self.tables.pruned.get(run_id)

    async def load(self, run_no: int) -> tuple[RunRow, list[Entry]]:
        await self._settle()
        if run_no not in self.tables.runs:
            raise RunNotFound(f"No run has the number {run_no}.")
        entries = sorted(self.tables.entries.get(run_no, {}).values(), key=lambda entry: entry.order)
        return self.tables.runs[run_no], entries

    async def running(self) -> list[int]:
        await self._settle()
        return sorted(no for no, run in self.tables.runs.items() if run.status == "running")

    async def due(self, until: datetime, limit: int) -> list[int]:
        await self._settle()
        found = [
            (run.due_at, no)
            for no, run in self.tables.runs.items()
            if run.status in ("queued", "waiting") and run.due_at is not None and is_due(run.due_at, run.delay_s, until)
        ]
        return [no for _, no in sorted(found)[:limit]]

    async def next_due(self, after: datetime) -> datetime | None:
        await self._settle()
        times = [
            run.due_at
            for run in self.tables.runs.values()
            if run.status in ("queued", "waiting") and run.due_at is not None and run.due_at > after
        ]
        return min(times, default=None)

    async def runs(self, query: RunQuery) -> list[RunRow]:
        await self._settle()
        found = [
            run
            for _, run in sorted(self.tables.runs.items(), reverse=True)
            if query.flow in (None, run.flow) and query.status in (None, run.status)
        ]
        return found[: query.limit]

    async def ledger(self, query: LedgerQuery) -> list[Row]:
        await self._settle()
        found = [
            row
            for row in self.tables.rows.values()
            if query.dedup_key in (None, row.dedup_key)
            and query.status in (None, row.status)
            and query.run_id in (None, row.run_id)
        ]
        found.sort(key=lambda row: (row.is_settled and row.status not in ("rejected", "undelivered"), -row.id))
        return found[: query.limit]

    async def ledger_row(self, row_id: int) -> Row | None:
        await self._settle()
        return self.tables.rows.get(row_id)

    async def ledger_by_key(self, idempotency_key: str) -> Row | None:
        await self._settle()
        return next((row for row in self.tables.rows.values() if row.idempotency_key == idempotency_key), None)

    async def large(self, run_no: int, digest: str) -> str:
        await self._settle()
        text = self.tables.large.get((run_no, digest))
        return intact(None if text is None else text.encode(), run_no, digest, "the store in memory")

    async def outline(self, fingerprint: str) -> str | None:
        await self._settle()
        found = self.tables.outlines.get(fingerprint)
        return None if found is None else found.text

    async def unfinished(self, after: int, limit: int) -> list[int]:
        await self._settle()
        found = (no for no, run in self.tables.runs.items() if no > after and run.status in UNFINISHED)
        return sorted(found)[:limit]

    async def memory(self, flow: str) -> dict[str, str]:
        await self._settle()
        return {key: text for (owner, key), text in self.tables.memory.items() if owner == flow}

    async def ticks(self) -> dict[tuple[str, str], TickRow]:
        await self._settle()
        return {key: TickRow(at, key in self.tables.paused) for key, at in sorted(self.tables.ticks.items())}

    async def latest_unfinished(self, flow: str, trigger: str) -> int | None:
        await self._settle()
        found = (
            no
            for no, run in self.tables.runs.items()
            if run.scheduled and run.status in UNFINISHED and (run.flow, run.trigger) == (flow, trigger)
        )
        return max(found, default=None)

    async def in_turn(self) -> list[tuple[int, int]]:
        await self._settle()
        return [
            (no, run.after_no)
            for no, run in sorted(self.tables.runs.items())
            if run.status == "queued" and run.after_no > 0
        ]

    async def prunable(
        self, before: datetime | None, keep: int | None, limit: int, flow: str | None = None
    ) -> list[int]:
        await self._settle()
        ended = [run for _, run in sorted(self.tables.runs.items()) if run.status in ENDED and flow in (None, run.flow)]
        old: list[tuple[datetime, int]] = []
        if before is not None:
            old = [(run.finished_at, run.no) for run in ended if run.finished_at and run.finished_at < before]
        found = [no for _, no in sorted(old)]
        if keep is not None:
            for name in sorted({run.flow for run in ended}):
                of_flow = [run.no for run in ended if run.flow == name]
                found += of_flow[: max(0, len(of_flow) - keep)]
        needed = self.tables.needed() if found else set()
        return list(islice((no for no in dict.fromkeys(found) if no not in needed), limit))

    async def pruned(self, run_id: str) -> PrunedRun | None:
        await self._settle()
        return self.tables.pruned.get(run_id)

    @property
    def held_since(self) -> datetime | None:
        return None


def row_matters(row: Row) -> bool:
    """Whether a row has to be known to an engine that opens the store."""
    return not row.is_settled or row.is_open or row.repeat_at is not None


def is_due(due_at: datetime, delay_s: float, now: datetime) -> bool:
    """Whether a parked run goes on; one parked in the future was parked before the clock was set back."""
    return due_at <= now or due_at - timedelta(seconds=delay_s) > now + timedelta(seconds=1)

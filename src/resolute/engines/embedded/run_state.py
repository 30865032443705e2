"""`RunState`: a run while it is in memory: its row, its journal, and what is about to be written of both.

What happens between two waits is gathered in one batch: a node's output, the decisions after it, and
the inputs, first attempt and ledger intent of the next node. Only when that batch is on disk does the
next node begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from resolute.engines.embedded.branches import Branches, Parked
from resolute.engines.embedded.core import Core
from resolute.engines.embedded.happenings import happened
from resolute.engines.embedded.large import LARGE_CHARS, digest_of, refer, referred
from resolute.engines.embedded.run_journal import ERROR_CHARS, RunJournal
from resolute.engines.embedded.store import DropEntry, Entry, Op, PutLarge, PutMemory, RunRow
from resolute.ledger.lanes import SET_BACK
from resolute.ledger.outcomes import Outcome
from resolute.ledger.row import Row


class RunState(RunJournal):
    """One run in memory.

    Attributes:
        branches: what goes on side by side in it.
        begun_before: positions at which an attempt was under way when the run was taken up.
        attempts: the attempts that are under way.
        sending: whether a page is on its way.
        leaving: set by who wants the run out of memory after what is in flight.
        started: done once the first batch is on disk.
    """

    def __init__(self, core: Core, row: RunRow, entries: Sequence[Entry], *, batch: Sequence[Op] = ()) -> None:
        super().__init__(row, entries)
        self.core = core
        self.branches = Branches(self._all_parked)
        self.begun_before = {entry.position for entry in entries if entry.status == "running"}
        self.attempts: set[asyncio.Task[Any]] = set()
        self.attempting = 0
        self.sending = 0
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._batch: list[Op] = list(batch)
        self._wakes: list[Row] = []
        self._large = {op.digest: op.text for op in batch if isinstance(op, PutLarge)}
        self._is_new = not entries and bool(batch)

    @property
    def leaving(self) -> bool:
        return self.branches.leaving

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
                        self.core.remember(op)
        if wakes:
            self.core.wake(wakes)
        if self.core.hooks and batch:
            is_new = self._is_new and not self.started.done()
            self.core.hooks.tell(happened(self.row, batch, self.core.clock.now(), is_new=is_new))
        if batch and not self.started.done():  # a branch with nothing to write does not wait for the others' batch
            self.started.set_result(None)

    def put_run(self, **changes: Any) -> None:
        """Change the run's own row with the next batch."""
        self.row = self.row.but(**changes)
        self._batch = [op for op in self._batch if not isinstance(op, RunRow)]
        self._batch.append(self.row)

    def put(self, entry: Entry) -> Entry:
        """Write an entry with the next batch."""
        self.entries[entry.position] = entry
        self._batch.append(entry)
        return entry

    def drop(self, position: str) -> None:
        """Take an entry out of the journal with the next batch."""
        self.entries.pop(position, None)
        self._batch.append(DropEntry(self.row.no, position))

    def add(self, op: Op) -> None:
        """Write something else with the next batch."""
        self._batch.append(op)

    def rows(self, outcome: Outcome) -> Row:
        """Write what became of a page with the next batch; its row."""
        self._batch.extend(outcome.changed)
        self._wakes.extend(row for row in outcome.wake if row.run_no != self.row.no)
        if any(row.run_no == self.row.no for row in outcome.wake):
            self.branches.wake()
        return outcome.row

    def wake_later(self, row: Row) -> None:
        """Wake who waits for a row once the next batch is on disk."""
        self._wakes.append(row)

    # Entries

    def now(self) -> datetime:
        return self.core.clock.now()

    def failed(self, entry: Entry, error: str) -> Entry:
        return entry.but(status="failed", error=self.kept(error), finished_at=self.now())

    def due(self, entry: Entry, due_at: datetime, now: datetime) -> datetime:
        """When a parked entry goes on; one that a clock set back since would lengthen begins its wait anew."""
        parked_at = self.row.due_at - timedelta(seconds=self.row.delay_s) if self.row.due_at is not None else now
        if self.row.due_at == due_at and parked_at > now + SET_BACK:
            due_at = now + timedelta(seconds=self.row.delay_s)
            self.put(entry.but(due_at=due_at))
        return due_at

    def kept(self, text: str) -> str:
        """An error text as it may be recorded."""
        return self.core.secrets.scrub(text)[:ERROR_CHARS]

    # Large values

    def keep(self, text: str) -> str:
        """The JSON text for the journal: itself, or a reference to a row of its own when it is large."""
        if len(text) <= LARGE_CHARS:
            return text
        digest = digest_of(text)
        if digest not in self._large:
            self._large[digest] = text
            self._batch.append(PutLarge(self.row.no, digest, text))
        return refer(text)

    async def text(self, stored: str) -> str:
        """The JSON text that the journal holds or refers to; raises StoreDamaged."""
        digest = referred(stored)
        if digest is None:
            return stored
        if digest not in self._large:
            self._large[digest] = await self.core.store.large(self.row.no, digest)
        return self._large[digest]

    def text_here(self, stored: str) -> str:
        """The same for an entry whose large value is in memory: recorded decisions are fetched with the run."""
        digest = referred(stored)
        return stored if digest is None else self._large[digest]

    async def fetch(self) -> None:
        """Bring the large values of recorded decisions into memory."""
        for entry in self.entries.values():
            if entry.kind not in ("node", "child"):
                await self.text(entry.output)

    # Stopping

    def stop(self, how: str, reason: str) -> None:
        """Stop the run from now on: its attempts are cancelled, its waits are over; a page on its way settles first."""
        if self.row.stop or self.shielded:
            return
        self.put_run(stop=how, stop_reason=reason)
        for attempt in self.attempts:
            attempt.cancel()
        self.branches.wake()

    def may_begin(self) -> None:
        """The same, also in a run that leaves memory."""
        super().may_begin()
        if self.leaving:
            raise Parked

    # Waiting

    async def park(self, due_at: datetime | None, waiting_for: str, seen: int) -> None:
        """Wait until that time, or until something wakes the run; then look again.

        Args:
            seen: `branches.generation` as it was before the caller looked whether it has to wait.

        Raises:
            Parked: the run has left memory.
        """
        await self.branches.park(due_at, waiting_for, self.core.clock, self.flush, seen)
        if self.row.status == "waiting":  # woken while that was being written
            self.put_run(status="running", waiting_for="")

    def _in_time(self, due_at: datetime | None) -> datetime | None:
        """No later than the end of the run's time."""
        if self.row.deadline_at is None or self.shielded or self.row.stop:
            return due_at
        return self.row.deadline_at if due_at is None else min(due_at, self.row.deadline_at)

    def _all_parked(self, due_at: datetime | None, waiting_for: str) -> None:
        now, due_at = self.core.clock.now(), self._in_time(due_at)
        delay_s = max(0.0, (due_at - now).total_seconds()) if due_at is not None else 0.0
        self.put_run(status="waiting", due_at=due_at, delay_s=delay_s, waiting_for=waiting_for)

    # Signals

    def receive(self, gate: str, text: str) -> None:
        """Keep an answer for a gate with the next batch."""
        self.keep_answer(gate, self.now(), self.keep(text))

"""The store port: what the embedded engine asks of its journal.

A store keeps rows; it knows nothing of flows. Batches are applied whole, in the order of the calls;
a batch that cannot be written at the moment is held and repeated by the store, and every later one
waits behind it. All operations may be applied twice with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, Self

from resolute.engine import RunQuery, RunStatus
from resolute.errors import StoreError
from resolute.ledger.row import Row

#: Version of the rows below; a store written by a newer one is not opened.
SCHEMA_VERSION: Final = 3


class _Changing:
    """A frozen dataclass of which a changed copy is made at every step of a run."""

    def but(self, **changes: Any) -> Self:
        """A copy with some fields changed: `dataclasses.replace` in a fifth of its time, for fields alone."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(changes)
        return copy


@dataclass(frozen=True)
class RunRow(_Changing):
    """A run.

    Attributes:
        no: its number in this store, in order of start.
        input, output: JSON text.
        input_digest: of flow, input and the digests of its secret inputs.
        due_at, delay_s: when a parked run goes on, and how long that was when it was parked, so that a
            clock that was set back does not lengthen the wait.
        waiting_for: what it waits for, in words.
        stop: "cancelled" or "timed_out" from the moment it was decided to end the run early, else "".
        stop_reason: by whom and why.
        deadline_at: when the run's time is over.
        retries: how often it was taken up again after it had failed.
        has_undo: whether its flow can undo anything.
        scheduled_at: the tick that started it.
        after_no: the number of the run that has to end before this one begins, 0 for none.
    """

    no: int
    id: str
    flow: str
    fingerprint: str
    status: RunStatus
    input: str
    input_digest: str
    trigger: str
    created_at: datetime
    scheduled: bool = False
    due_at: datetime | None = None
    delay_s: float = 0.0
    waiting_for: str = ""
    output: str | None = None
    error: str = ""
    error_key: str = ""
    finished_at: datetime | None = None
    schema_version: int = SCHEMA_VERSION
    stop: str = ""
    stop_reason: str = ""
    deadline_at: datetime | None = None
    retries: int = 0
    has_undo: bool = False
    scheduled_at: datetime | None = None
    after_no: int = 0


@dataclass(frozen=True)
class Entry(_Changing):
    """One entry of a run's journal: a node, a decision, a pause, a recorded time.

    Attributes:
        order: place in the journal of its run.
        status: "running" (an attempt was begun), "waiting", "done", "failed" or "cancelled".
        attempt: number of the latest attempt; failures: attempts that failed by themselves.
        lost: attempts in a row that were lost with their worker while nothing else ran.
        inputs, output: JSON text, or `large.LARGE_MARK` and a digest for one that is kept apart as `PutLarge`.
        secrets: JSON list of [path, name] for inputs that are secrets.
        ready_at: when the node became ready; all its `now()` are this instant.
        row_id: its row in the incident log, 0 for none.
        done_no: place among all that finished in this run, from 1; 0 while it has not.
        has_turn: whether its rate limit lets it go at `due_at`.
        heartbeat: JSON text of what its latest attempt last said, "" for nothing.
    """

    run_no: int
    position: str
    order: int
    kind: str
    key: str
    status: str
    ready_at: datetime
    activity: str = ""
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    inputs: str = ""
    secrets: str = ""
    output: str = ""
    error: str = ""
    row_id: int = 0
    due_at: datetime | None = None
    finished_at: datetime | None = None
    done_no: int = 0
    has_turn: bool = False
    heartbeat: str = ""


@dataclass(frozen=True, slots=True)
class DropEntry:
    """Takes an entry out of a run's journal, so that it is decided anew; nothing when there is none."""

    run_no: int
    position: str


@dataclass(frozen=True, slots=True)
class PutLarge:
    """A value of a run that is too large for its journal entry. Written once; a second one changes nothing.

    Attributes:
        digest: SHA-256 of the text in UTF-8, in hexadecimal.
    """

    run_no: int
    digest: str
    text: str


@dataclass(frozen=True, slots=True)
class PutOutline:
    """What a flow looked like under a fingerprint. Written once; a second one changes nothing."""

    fingerprint: str
    flow: str
    text: str


@dataclass(frozen=True, slots=True)
class PutMemory:
    """A write to a flow's memory; None removes the key."""

    flow: str
    key: str
    text: str | None


@dataclass(frozen=True, slots=True)
class PutTick:
    """The latest scheduled time that was seen to. Whether the schedule is paused stays as it was."""

    flow: str
    trigger: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PutPause:
    """Pauses a schedule or lets it go on. The latest time seen to stays; without one it is `at`."""

    flow: str
    trigger: str
    paused: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Prune:
    """Takes a finished run out of the store with its journal and its large values; nothing when it is unfinished.

    What `PrunedRun` says of it is kept, and so are its rows of the incident log. Its number is not given again.
    """

    run_no: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Forget:
    """Drops what is kept of the runs that were pruned before an instant: their ids are free again.

    Not of those that have a row in the incident log: one send has one row under the id of its run, and keeps it.
    """

    before: datetime


Op = RunRow | Entry | DropEntry | PutLarge | PutOutline | Row | PutMemory | PutTick | PutPause | Prune | Forget


@dataclass(frozen=True, slots=True)
class PrunedRun:
    """What is kept of a run that was pruned: enough to tell whether a start asks for it again."""

    id: str
    no: int
    input_digest: str
    status: RunStatus
    finished_at: datetime | None
    pruned_at: datetime


@dataclass(frozen=True)
class Opened:
    """What a store holds that the engine needs at once.

    Attributes:
        digest_key: the random key of this store's digests.
        rows: rows of the incident log that still matter: unsettled, open, or to be repeated.
        ticks: (flow, trigger) → the latest scheduled time that was seen to.
        paused: the schedules that are paused, as (flow, trigger).
    """

    next_run_no: int
    next_row_id: int
    digest_key: bytes = field(repr=False)
    rows: Sequence[Row] = ()
    ticks: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    paused: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class TickRow:
    """How far a schedule is.

    Attributes:
        at: the latest scheduled time that was seen to.
    """

    at: datetime
    paused: bool = False


@dataclass(frozen=True)
class LedgerQuery:
    """Which rows of the incident log to list: unsettled and rejected first, then newest first."""

    dedup_key: str | None = None
    status: str | None = None
    run_id: str | None = None
    limit: int = 20


class Store(Protocol):
    """A journal. Reads see every batch that was handed in before them."""

    async def open(self) -> Opened:
        """Make ready; raises StoreOwned, StoreBroken."""
        ...

    async def close(self) -> None:
        """Write what was handed in and let go."""
        ...

    async def commit(self, batch: Sequence[Op]) -> None:
        """Return once the batch is durable; raises StoreBroken when that can never be."""
        ...

    async def find(self, run_id: str) -> RunRow | None:
        """The run with this id."""
        ...

    async def known(self, run_id: str) -> RunRow | PrunedRun | None:
        """The run with this id, else what is kept of a pruned one that had it."""
        ...

    async def load(self, run_no: int) -> tuple[RunRow, list[Entry]]:
        """A run with its journal in order."""
        ...

    async def running(self) -> list[int]:
        """The numbers of runs with status "running", in order."""
        ...

    async def due(self, until: datetime, limit: int) -> list[int]:
        """Numbers of queued and waiting runs that are due, soonest first.

        A run parked at a time that now lies ahead (the clock was set back) is due no later than its
        delay from now; it counts as due when that has come or its wait cannot be told.
        """
        ...

    async def next_due(self, after: datetime) -> datetime | None:
        """The soonest due time after an instant."""
        ...

    async def runs(self, query: RunQuery) -> list[RunRow]:
        """Runs, newest first."""
        ...

    async def ledger(self, query: LedgerQuery) -> list[Row]:
        """Rows of the incident log."""
        ...

    async def ledger_row(self, row_id: int) -> Row | None:
        """One row of the incident log."""
        ...

    async def ledger_by_key(self, idempotency_key: str) -> Row | None:
        """The row of one send."""
        ...

    async def large(self, run_no: int, digest: str) -> str:
        """A large value; raises StoreDamaged when it is not there or does not have this digest."""
        ...

    async def outline(self, fingerprint: str) -> str | None:
        """What a flow looked like under a fingerprint, None when that was never written down."""
        ...

    async def unfinished(self, after: int, limit: int) -> list[int]:
        """Numbers of runs that have not finished and are greater than `after`, in order."""
        ...

    async def memory(self, flow: str) -> dict[str, str]:
        """A flow's memory: key → JSON text."""
        ...

    async def ticks(self) -> dict[tuple[str, str], TickRow]:
        """Every schedule that was seen to or paused, by (flow, trigger)."""
        ...

    async def latest_unfinished(self, flow: str, trigger: str) -> int | None:
        """The number of the newest run of a schedule that is queued, running or waiting."""
        ...

    async def in_turn(self) -> list[tuple[int, int]]:
        """Queued runs that wait for another to end, in order of start: (number, `after_no`)."""
        ...

    async def prunable(
        self, before: datetime | None, keep: int | None, limit: int, flow: str | None = None
    ) -> list[int]:
        """Numbers of finished runs that nothing needs any more, oldest first; of one flow, or of all.

        First those that finished before an instant, then, flow by flow, those beyond the newest `keep` finished ones
        of their flow. Never a run that failed to its operator (`needs_attention`), one with a row of the incident log
        that still matters, or one whose parent or child has not finished.
        """
        ...

    async def pruned(self, run_id: str) -> PrunedRun | None:
        """What is kept of a run that was pruned."""
        ...

    @property
    def held_since(self) -> datetime | None:
        """Since when batches are held because they cannot be written; None while all is well."""
        ...

    def on_broken(self, tell: Callable[[StoreError], None]) -> None:
        """Call this once the open store can never be written again, also when nobody waits for a batch."""
        return  # one in memory cannot break

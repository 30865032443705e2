"""The engine port: what a flow may ask while it runs, and what an operator may ask about runs.

The interpreter knows `FlowPort` alone; workers, clients and commands know `Engine` alone. An engine
says how each of these becomes durable, never what a step means.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from resolute.jsontypes import JsonValue
from resolute.model.activity import Node

RunStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled", "needs_attention"]
STATUSES: Final[tuple[RunStatus, ...]] = (
    "queued",
    "running",
    "waiting",
    "succeeded",
    "failed",
    "cancelled",
    "needs_attention",
)
SignalOutcome = Literal["approved", "rejected"]
FINISHED: Final = frozenset({"succeeded", "failed", "cancelled", "needs_attention"})


@dataclass(frozen=True)
class Fault:
    """One thing that went wrong in a run.

    Attributes:
        key, position: the node or step that failed, and its place in the run.
        error: what went wrong, scrubbed of secrets, as it stands in the journal.
    """

    key: str
    position: str
    error: str


class StepFailed(Exception):
    """A step failed for good; the run fails unless the flow says otherwise.

    Attributes:
        key: key of the node or step.
        error: what went wrong, scrubbed of secrets, as it stands in the journal.
        faults: everything that went wrong: one for a node, several for branches side by side.
        undo_faults: what could not be undone after it.
    """

    def __init__(self, key: str, error: str, *, position: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(f"{key}: {error}")
        self.key = key
        self.error = error
        self.faults = tuple(faults) or (Fault(key, key if position is None else position, error),)
        self.undo_faults: list[Fault] = []


class RunStopped(Exception):
    """The run was cancelled, or its time is over: nothing further is begun, what was done is undone.

    Attributes:
        failure: what the run has failed with when its time was over, None when it was cancelled.
        undo_faults: what could not be undone after it.
    """

    def __init__(self, reason: str, *, is_failure: bool = False) -> None:
        super().__init__(reason)
        self.failure = StepFailed("", reason, position="") if is_failure else None
        self.undo_faults: list[Fault] = []


@dataclass(frozen=True)
class Finished:
    """A node that has succeeded.

    Attributes:
        output: what it put out, decoded.
        order: its place among all that finished in this run, counted from 1 in the order of the commits.
    """

    output: Any
    order: int


def child_id(run_id: str, position: str) -> str:
    """The id of the child run that stands at this position of a run."""
    return f"{run_id}/{position}"


@dataclass(frozen=True)
class ResolvedInputs:
    """A node's inputs with every reference filled in.

    Attributes:
        values: argument name → value; secrets stand as `SecretName`.
        remarks: what could not be filled in and was marked in its place.
    """

    values: Mapping[str, Any]
    remarks: tuple[str, ...] = ()


class FlowPort(Protocol):
    """What a flow may ask while it runs. Every answer is the same however often the flow is walked again.

    Of a run that is being stopped, whatever is not finished raises RunStopped, until `shield()` was called.
    """

    @property
    def run_id(self) -> str: ...

    @property
    def input(self) -> Any: ...

    @property
    def tick(self) -> tuple[str, datetime] | None:
        """The schedule that started the run, by its id, and its scheduled time; None for a run started otherwise."""
        ...

    @property
    def retries(self) -> int:
        """How often an operator has taken the run up again after it had failed."""
        ...

    async def call(self, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Finished:
        """The node's output, from the journal or by attempts; raises StepFailed.

        Args:
            inputs: resolves the inputs for the instant at which the node became ready; called at most once ever.
        """
        ...

    def record(self, position: str, kind: str, key: str, decide: Callable[[datetime], JsonValue]) -> JsonValue:
        """The recorded answer of a decision; a StepFailed that it raises is recorded and raised again."""
        ...

    async def sleep(self, position: str, key: str, until: Callable[[datetime], datetime]) -> None:
        """Return when that time has come, restarts or not."""
        ...

    async def wait_signal(self, position: str, key: str, until: Callable[[datetime], datetime | None]) -> JsonValue:
        """The answer of a gate as a `GateAnswer` in JSON: the oldest signal for this key or position, or "timed_out".

        Args:
            until: when to give up, None for never.
        """
        ...

    async def spawn(self, position: str, key: str, flow: str, input: Callable[[datetime], JsonValue]) -> JsonValue:
        """The result of a child run, which is started once and lives on if this run dies; raises StepFailed.

        Args:
            input: the child's input; called at most once ever.
        """
        ...

    async def gather(self, branches: Sequence[Coroutine[Any, Any, None]]) -> list[StepFailed | RunStopped | None]:
        """What each branch raised, None for one that went well; all go on side by side to their end."""
        ...

    def cursor(self, name: str) -> JsonValue:
        """A cursor of the flow as it is now, None when it was never moved; what is made of it has to be recorded."""
        ...

    def advance(
        self, position: str, key: str, name: str, move: Callable[[datetime, JsonValue], JsonValue]
    ) -> JsonValue:
        """The value to which a cursor was moved, recorded together with the move.

        Args:
            move: makes the new value from the instant and the old value; a StepFailed that it raises is recorded.
        """
        ...

    def check(self) -> None:
        """Raise RunStopped when the run is being stopped."""
        ...

    def shield(self, end: StepFailed | RunStopped) -> None:
        """Say that the run ends by this: from here on a cancel, or the end of its time, no longer stops it."""
        ...

    def env(self, name: str) -> str | None:
        """An environment variable of the process; what is made of it has to be recorded."""
        ...


@dataclass(frozen=True)
class NodeView:
    """One entry of a run's journal.

    Attributes:
        position: path of keys and iteration numbers, e.g. "poll[3]/check".
        kind: "node", "branch", "sleep", "loop", "round", "pages", "each", "item", "gate", "signal", "children",
            "child", "cursor", "undo", "result" or "failure".
        status: "running", "waiting", "done", "failed" or "cancelled".
        attempt: number of the latest attempt, from 1; 0 for what has none.
        output: what it came to: an output, a decision or a time.
        log_id: its row in the incident log, for a paging node.
        heartbeat: what the latest attempt last said of itself.
    """

    position: str
    kind: str
    key: str
    status: str
    activity: str = ""
    attempt: int = 0
    inputs: JsonValue = None
    output: JsonValue = None
    error: str = ""
    log_id: int | None = None
    heartbeat: JsonValue = None
    ready_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None


@dataclass(frozen=True)
class RunView:
    """A run as operators see it.

    Attributes:
        trigger: what started it: "manual", "schedule:…", "webhook:…", "job:…", "client".
        waiting_for: what a waiting run waits for, in words.
        due_at: when it goes on by itself, None when something else has to happen.
        error: what it has failed with; of a pruned run, that the rest is gone.
        error_key: the node or step that failed it.
        stopping: why it is being ended before its time, "" while it is not.
        retries: how often it was taken up again after it had failed.
        deadline_at: when its time is over, None for a flow without a time limit.
        pruned_at: when its journal and output were pruned; None while they are there.
        nodes: its journal in order, only where it was asked for.
    """

    id: str
    flow: str
    status: RunStatus
    trigger: str
    created_at: datetime
    input: JsonValue = None
    output: JsonValue = None
    error: str = ""
    error_key: str = ""
    waiting_for: str = ""
    due_at: datetime | None = None
    finished_at: datetime | None = None
    stopping: str = ""
    retries: int = 0
    deadline_at: datetime | None = None
    nodes: tuple[NodeView, ...] = field(default=())
    pruned_at: datetime | None = None

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED


@dataclass(frozen=True)
class RunQuery:
    """Which runs to list, newest first."""

    flow: str | None = None
    status: str | None = None
    limit: int = 20


class Engine(Protocol):
    """What an operator may ask about runs; the same on every engine."""

    async def start(
        self, flow: str, input: JsonValue = None, *, run_id: str | None = None, trigger: str = "client"
    ) -> RunView:
        """A run that is on disk: a new one, or the one that has this id already, also for 30 days after it was pruned.

        Raises:
            RunConflict: the id belongs to a run of another flow or input.
        """
        ...

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        """The run once it has finished; raises RunNotFound, RunPruned, TimeoutError."""
        ...

    async def get(self, run_id: str) -> RunView:
        """The run with its journal; raises RunNotFound, RunPruned."""
        ...

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        """Runs, newest first."""
        ...

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        """End an unfinished run: a page in flight settles first, then what was done is undone.

        Returns once that is on disk; `result()` waits for the end. Raises RunNotFound, EngineError.
        """
        ...

    async def retry(self, run_id: str) -> RunView:
        """Take a failed run up again at what failed; refused (EngineError) once undo has begun. Raises RunNotFound."""
        ...

    async def signal(
        self,
        run_id: str,
        gate: str,
        outcome: SignalOutcome = "approved",
        *,
        by: str = "",
        reason: str = "",
        data: JsonValue = None,
    ) -> None:
        """Answer a gate of a run, reached or not; durable when this returns.

        Args:
            gate: the gate's key, or its position where it stands in a loop or an each.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has ended, or its flow has no such gate.
        """
        ...

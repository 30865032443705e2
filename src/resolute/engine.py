"""The engine port: what a flow may ask while it runs, and what an operator may ask about runs.

The interpreter knows `FlowPort` alone; workers, clients and commands know `Engine` alone. An engine
says how each of these becomes durable, never what a step means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
FINISHED: Final = frozenset({"succeeded", "failed", "cancelled", "needs_attention"})


class StepFailed(Exception):
    """A step failed for good; the run fails unless the flow says otherwise.

    Attributes:
        key: key of the node or step.
        error: what went wrong, scrubbed of secrets, as it stands in the journal.
    """

    def __init__(self, key: str, error: str) -> None:
        super().__init__(f"{key}: {error}")
        self.key = key
        self.error = error


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
    """What a flow may ask while it runs. Every answer is the same however often the flow is walked again."""

    run_id: str
    input: Any

    async def call(
        self,
        node: Node[Any],
        position: str,
        inputs: Callable[[datetime], ResolvedInputs],
    ) -> Any:
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

    async def spawn(self, position: str, key: str, flow: str, input: Callable[[datetime], JsonValue]) -> JsonValue:
        """The result of a child run, which is started once and lives on if this run dies; raises StepFailed.

        Args:
            input: the child's input; called at most once ever.
        """
        ...

    def env(self, name: str) -> str | None:
        """An environment variable of the process; what is made of it has to be recorded."""
        ...


@dataclass(frozen=True)
class NodeView:
    """One entry of a run's journal.

    Attributes:
        position: path of keys and iteration numbers, e.g. "poll[3]/check".
        kind: "node", "branch", "sleep", "loop", "round", "child", "result" or "failure".
        status: "running", "waiting", "done" or "failed".
        attempt: number of the latest attempt, from 1; 0 for what has none.
        output: what it came to: an output, a decision or a time.
        log_id: its row in the incident log, for a paging node.
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
    ready_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None


@dataclass(frozen=True)
class RunView:
    """A run as operators see it.

    Attributes:
        trigger: what started it: "manual", "schedule:…", "job:…", "client".
        waiting_for: what a waiting run waits for, in words.
        due_at: when it goes on by itself, None when something else has to happen.
        error_key: the node or step that failed it.
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
    nodes: tuple[NodeView, ...] = field(default=())

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
        """A run that is on disk: a new one, or the one that has this id already.

        Raises:
            RunConflict: the id belongs to a run of another flow or input.
        """
        ...

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        """The run once it has finished; raises RunNotFound, TimeoutError."""
        ...

    async def get(self, run_id: str) -> RunView:
        """The run with its journal; raises RunNotFound."""
        ...

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        """Runs, newest first."""
        ...

    async def cancel(self, run_id: str) -> RunView:
        """End an unfinished run; a page in flight settles first. Raises RunNotFound, EngineError."""
        ...

    async def signal(self, run_id: str, gate: str, data: JsonValue = None, *, by: str = "") -> None:
        """Answer a gate of a run; refused (EngineError) when the run is unknown, finished or has no such gate."""
        ...

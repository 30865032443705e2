"""Runs on Temporal as operators see them: from what the server says of an execution, and from its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus

from resolute.engine import NodeView, RunStatus, RunView
from resolute.engines.embedded.views import view
from resolute.engines.temporal.order import Standing
from resolute.model.codec import from_text

#: Temporal's words and ours.
STATUS: Final[Mapping[WorkflowExecutionStatus, RunStatus]] = {
    WorkflowExecutionStatus.RUNNING: "running",
    WorkflowExecutionStatus.CONTINUED_AS_NEW: "running",
    WorkflowExecutionStatus.COMPLETED: "succeeded",
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.TIMED_OUT: "failed",
    WorkflowExecutionStatus.CANCELED: "cancelled",
    WorkflowExecutionStatus.TERMINATED: "cancelled",
}
#: Our words as a condition on Temporal's; a word that is not here has no such condition.
QUERY: Final[Mapping[str, str]] = {
    "queued": 'ExecutionStatus = "Running"',
    "running": 'ExecutionStatus = "Running"',
    "waiting": 'ExecutionStatus = "Running"',
    "needs_attention": 'ExecutionStatus = "Running"',
    "succeeded": 'ExecutionStatus = "Completed"',
    "failed": '(ExecutionStatus = "Failed" OR ExecutionStatus = "TimedOut")',
    "cancelled": '(ExecutionStatus = "Canceled" OR ExecutionStatus = "Terminated")',
}
#: A workflow task that fails so often in a row is not going to succeed by itself.
STUCK_AFTER: Final = 3


def execution_view(found: WorkflowExecution, memo: Mapping[str, Any]) -> RunView:
    """What the server itself says of a run."""
    status = STATUS[found.status] if found.status is not None else "running"
    created_at = memo.get("created_at")
    error = str(memo.get("error", ""))
    if not error and found.status is WorkflowExecutionStatus.TERMINATED:
        error = "terminated on the Temporal server"
    if not error and found.status is WorkflowExecutionStatus.TIMED_OUT:
        error = "interrupted: the process that worked for it ended"
    return RunView(
        id=found.id,
        flow=found.workflow_type,
        status=status,
        trigger=str(memo.get("trigger", "client")),
        created_at=found.start_time if created_at is None else datetime.fromisoformat(created_at),
        error=error if status in ("failed", "cancelled") else "",
        error_key=str(memo.get("error_key", "")),
        finished_at=found.close_time,
        retries=int(memo.get("retries", 0)),
    )


def standing_view(stood: Standing) -> RunView:
    """A run as it stood when it failed."""
    return view(stood.row, stood.entries)


def with_pending(run: RunView, pending: Sequence[PendingActivityInfo], read: Any) -> RunView:
    """The run with what only the server knows of its nodes: which attempt it is, and when the next one is.

    Args:
        read: makes values of payloads.
    """
    known = {info.activity_id: info for info in pending}
    nodes = tuple(_with(node, known[node.position], read) if node.position in known else node for node in run.nodes)
    waits = [node for node in nodes if node.position in known and node.status == "waiting"]
    run = replace(run, nodes=nodes)
    if run.status == "running" and waits and all(node.status != "running" for node in nodes):
        first = min(waits, key=lambda node: (node.due_at is None, node.due_at, node.position))
        told = f'"{first.key}" is tried again at {first.due_at:%H:%M:%S} UTC: {first.error}' if first.due_at else ""
        run = replace(run, status="waiting", due_at=first.due_at, waiting_for=told)
    return run


def _with(node: NodeView, info: PendingActivityInfo, read: Any) -> NodeView:
    said = read(info.heartbeat_details.payloads[0]) if info.heartbeat_details.payloads else {}
    # The server counts the attempt that is under way, or the next one; some may have been lost before they said a word.
    unsaid = info.attempt - int(said.get("server", 0)) - (info.state == 1)
    attempt = max(0 if said.get("turn") else 1, int(said.get("attempt", 0)) + unsaid)
    details = said.get("details", "")
    error = info.last_failure.message if info.HasField("last_failure") else ""
    waits = info.state == 1 and info.HasField("last_failure")  # scheduled: not begun
    due_at: datetime | None = None
    if waits and info.HasField("next_attempt_schedule_time"):
        due_at = info.next_attempt_schedule_time.ToDatetime(tzinfo=UTC)
    return replace(
        node,
        status="waiting" if waits else "running",
        attempt=attempt,
        error=error,
        due_at=due_at,
        heartbeat=from_text(details) if details else None,
    )

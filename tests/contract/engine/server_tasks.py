"""`ServerTasks`: what a Temporal server has handed out, or would, and has not heard of again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    ListOpenWorkflowExecutionsRequest,
)
from temporalio.service import RPCError, RPCStatusCode, ServiceClient

#: The events after which a workflow waits for a task of its own no longer.
ANSWERED: Final = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
}


@dataclass
class UnderWay:
    """How many of each.

    Attributes:
        to_answer: tasks of workflows that a worker has and is going to answer.
        maybe_lost: those that nobody may answer: their worker was killed, or they have failed before, which a worker
            says only once.
        on_their_way: tasks of workflows, and attempts, that wait for a worker.
        attempts: that a worker has begun, or one that was killed.
        unheard: those of them that have said that they live, which the server has not heard yet.
    """

    to_answer: int = 0
    maybe_lost: int = 0
    on_their_way: int = 0
    attempts: int = 0
    unheard: int = 0


class ServerTasks:
    """Those of a namespace, by a connection that is not the worker's.

    Args:
        beat: how often an attempt says that it lives.
    """

    def __init__(self, client: ServiceClient, namespace: str, beat: timedelta) -> None:
        self._service = client.workflow_service
        self._namespace = namespace
        self._heard_within = beat + timedelta(seconds=0.5)

    async def under_way(self, now: datetime, lost_before: datetime) -> UnderWay:
        """Count them.

        Args:
            lost_before: what was handed out earlier may have been lost with its worker.
        """
        found = UnderWay()
        asked = ListOpenWorkflowExecutionsRequest(namespace=self._namespace)
        for info in (await self._service.list_open_workflow_executions(asked)).executions:
            try:
                await self._count(found, info.execution, now, lost_before)
            except RPCError as error:  # it has just ended
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
        return found

    async def _count(self, found: UnderWay, execution: WorkflowExecution, now: datetime, lost_before: datetime) -> None:
        attempt, is_begun, begun_at = await self._task(execution)
        if is_begun:
            if attempt > 1 or begun_at <= lost_before:
                found.maybe_lost += 1
            else:
                found.to_answer += 1
        elif attempt:
            found.on_their_way += 1
        asked = DescribeWorkflowExecutionRequest(namespace=self._namespace, execution=execution)
        for pending in (await self._service.describe_workflow_execution(asked)).pending_activities:
            if pending.state != PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
                found.attempts += 1
                begun_at = pending.last_started_time.ToDatetime(tzinfo=UTC)
                heard_at = max(begun_at, pending.last_heartbeat_time.ToDatetime(tzinfo=UTC))
                found.unheard += begun_at > lost_before and now - heard_at > self._heard_within
            elif _is_due(pending, now):
                found.on_their_way += 1

    async def _task(self, execution: WorkflowExecution) -> tuple[int, bool, datetime]:
        """Attempt of the task of a workflow, 0 for none; whether a worker has it, and since when."""
        asked = GetWorkflowExecutionHistoryRequest(namespace=self._namespace, execution=execution)
        attempt, is_begun, at = 0, False, datetime.min.replace(tzinfo=UTC)
        for event in (await self._service.get_workflow_execution_history(asked)).history.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                attempt, is_begun = event.workflow_task_scheduled_event_attributes.attempt, False
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                is_begun, at = True, event.event_time.ToDatetime(tzinfo=UTC)
            elif event.event_type in ANSWERED:
                attempt, is_begun = 0, False
        return attempt, is_begun, at


def _is_due(pending: PendingActivityInfo, now: datetime) -> bool:
    """Whether an attempt waits for a worker, and not for its time."""
    if not pending.HasField("last_failure"):
        return True
    return pending.HasField("next_attempt_schedule_time") and (
        pending.next_attempt_schedule_time.ToDatetime(tzinfo=UTC) <= now
    )

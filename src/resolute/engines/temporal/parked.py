"""Why a run cannot be walked, as its worker tells it: to who asks, or by the last failure of its workflow task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client

from resolute.engines.temporal.replay import in_words

#: Events that are looked through, newest first.
LOOKED_AT: Final = 50
#: What a task fails with when its flow does not fit the run: our own word, or that of Temporal's core.
MISFITS: Final = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
    }
)


@dataclass(frozen=True)
class Parked:
    """A run that is stuck.

    Attributes:
        reason: what to mend, in a sentence or two.
        since: number of the newest event up to which it was walked, 0 for none among those that were looked at.
        is_told: whether a worker has said that its flow does not fit, which trying again does not mend.
    """

    reason: str
    since: int = 0
    is_told: bool = False


async def parked(client: Client, run_id: str, execution: str = "") -> Parked:
    """Why the run is stuck.

    Args:
        execution: its id, "" for the latest one of the run.
    """
    answer = await client.workflow_service.get_workflow_execution_history_reverse(
        GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=run_id, run_id=execution),
            maximum_page_size=LOOKED_AT,
        )
    )
    walked, failed = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    events = answer.history.events
    since = next((event.event_id for event in events if event.event_type == walked), 0)
    for event in events:
        if event.event_type == failed:
            told = event.workflow_task_failed_event_attributes
            is_told = event.event_id > since and told.cause in MISFITS
            return Parked(not_walked(run_id, told.failure.message), since, is_told)
    return Parked("Its worker fails to walk it; the worker's log says why.", since)


def not_walked(run_id: str, told: str) -> str:
    """What to mend of a run that a worker cannot walk, by what it says of it."""
    return (
        f"It cannot be walked: {in_words(told)}. It is tried again by itself: restore that part, or "
        f"`resolute runs cancel {run_id}` and start it anew."
    )

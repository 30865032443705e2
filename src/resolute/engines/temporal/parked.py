"""Why a run is stuck: the last failure of its workflow task, as the worker told it to the server."""

from __future__ import annotations

from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client, WorkflowHandle

from resolute.engines.temporal.replay import in_words

#: Events that are looked through, newest first.
LOOKED_AT = 50


async def parked_reason(client: Client, handle: WorkflowHandle[Any, Any]) -> str:
    """What to mend, in a sentence or two."""
    answer = await client.workflow_service.get_workflow_execution_history_reverse(
        GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=handle.id),
            maximum_page_size=LOOKED_AT,
        )
    )
    for event in answer.history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            told = event.workflow_task_failed_event_attributes.failure.message
            return (
                f"It cannot be walked: {in_words(told)}. It is tried again by itself: restore that part, or "
                f"`resolute runs cancel {handle.id}` and start it anew."
            )
    return "Its worker fails to walk it; the worker's log says why."

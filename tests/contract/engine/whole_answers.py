"""`WholeAnswers`: puts into the answers of Temporal's test server what a server says, and the test server leaves out.

It lists no runs by a query, does not tell of an attempt that has failed when the next one is due, nor how often a task
of a workflow has failed, reads no history backwards, and lets nobody wait for an event for longer than 20 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryReverseRequest,
    GetWorkflowExecutionHistoryReverseResponse,
    ListClosedWorkflowExecutionsRequest,
    ListOpenWorkflowExecutionsRequest,
)
from temporalio.client import (
    CancelWorkflowInput,
    Client,
    DescribeWorkflowInput,
    FetchWorkflowHistoryEventsInput,
    Interceptor,
    ListWorkflowsInput,
    OutboundInterceptor,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartWorkflowInput,
    WorkflowExecutionAsyncIterator,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowHistoryEventAsyncIterator,
    WorkflowHistoryEventFilterType,
)

from resolute.engines.temporal.port import AGAIN
from resolute.engines.temporal.views import STUCK_AFTER

#: What a query asks for, by the field that it names.
ASKED: Final = re.compile(r'(WorkflowType|ExecutionStatus) = "([^"]+)"')


class WholeAnswers(Interceptor):
    """For the calls of clients.

    Attributes:
        awaited: how many answers are awaited that come at once.
    """

    def __init__(self) -> None:
        self.awaited = 0

    def of(self, client: Client) -> Client:
        """The client with whole answers."""
        config: Any = {**client.config(), "interceptors": [self]}
        made = Client(**config)

        async def backwards(
            asked: GetWorkflowExecutionHistoryReverseRequest,
        ) -> GetWorkflowExecutionHistoryReverseResponse:
            handle = made.get_workflow_handle(asked.execution.workflow_id, run_id=asked.execution.run_id or None)
            answer = GetWorkflowExecutionHistoryReverseResponse()
            answer.history.events.extend(reversed((await handle.fetch_history()).events))
            return answer

        service: Any = made.workflow_service
        service.get_workflow_execution_history_reverse = backwards
        return made

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Calls(next, self)

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """Count one more."""
        self.awaited += 1
        try:
            yield
        finally:
            self.awaited -= 1


class _Calls(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, whole: WholeAnswers) -> None:
        super().__init__(next)
        self._whole = whole

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        with self._whole.awaiting():
            return await super().start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        with self._whole.awaiting():
            await super().signal_workflow(input)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        with self._whole.awaiting():
            return await super().query_workflow(input)

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        with self._whole.awaiting():
            await super().cancel_workflow(input)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:
        with self._whole.awaiting():
            found = await super().describe_workflow(input)
            if found.status is WorkflowExecutionStatus.RUNNING:
                found.raw_description.pending_workflow_task.attempt = await self._task_attempt(found)
        for pending in found.raw_description.pending_activities:
            _tell_next(pending)
        return found

    async def _task_attempt(self, found: WorkflowExecutionDescription) -> int:
        """How often the task was begun that the workflow waits for."""
        asked = FetchWorkflowHistoryEventsInput(
            id=found.id,
            run_id=found.run_id,
            page_size=None,
            next_page_token=None,
            wait_new_event=False,
            event_filter_type=WorkflowHistoryEventFilterType.ALL_EVENT,
            skip_archival=True,
            rpc_metadata={},
            rpc_timeout=None,
        )
        attempt = 0
        async for event in self.next.fetch_workflow_history_events(asked):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                attempt = 0
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                attempt += 1
        return attempt

    def fetch_workflow_history_events(
        self, input: FetchWorkflowHistoryEventsInput
    ) -> WorkflowHistoryEventAsyncIterator:
        events: Any = super().fetch_workflow_history_events(input)
        return _Events(events._client, input) if input.wait_new_event else events  # type: ignore[no-any-return]

    def list_workflows(self, input: ListWorkflowsInput) -> WorkflowExecutionAsyncIterator:
        listed: Any = super().list_workflows(input)
        return _Executions(listed._client, input)


def _tell_next(pending: PendingActivityInfo) -> None:
    """Say when the next attempt is due, where the last one has failed."""
    if not pending.HasField("last_failure") or not pending.HasField("last_attempt_complete_time"):
        return
    ended = pending.last_attempt_complete_time.ToDatetime()
    if ended < pending.last_started_time.ToDatetime():
        return
    pending.state = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    told = pending.last_failure.application_failure_info.next_retry_delay.ToTimedelta()
    pending.next_attempt_schedule_time.FromDatetime(ended + (told or AGAIN.initial_interval or timedelta(0)))


class _Events(WorkflowHistoryEventAsyncIterator):
    """Events that are waited for: after 20 s the test server says that there are none, and not that it was too long."""

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        while True:
            await super().fetch_next_page(page_size=page_size)
            if self.current_page or self.next_page_token:
                return


class _Executions(WorkflowExecutionAsyncIterator):
    """All executions that a query asks for, newest first."""

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        service, namespace = self._client.workflow_service, self._client.namespace
        opened = await service.list_open_workflow_executions(ListOpenWorkflowExecutionsRequest(namespace=namespace))
        closed = await service.list_closed_workflow_executions(ListClosedWorkflowExecutionsRequest(namespace=namespace))
        page: list[WorkflowExecutionDescription] = []
        for info in (*opened.executions, *closed.executions):
            handle = self._client.get_workflow_handle(info.execution.workflow_id, run_id=info.execution.run_id)
            page.append(await handle.describe())
        asked: dict[str, set[Any]] = {}
        for field, value in ASKED.findall(self._input.query or ""):
            asked.setdefault(field, set()).add(value)
        if "TemporalReportedProblems" in (self._input.query or ""):
            page = [found for found in page if found.raw_description.pending_workflow_task.attempt >= STUCK_AFTER]
        types, statuses = asked.get("WorkflowType"), asked.get("ExecutionStatus")
        self._current_page = sorted(
            (
                found
                for found in page
                if (types is None or found.workflow_type in types)
                and (statuses is None or (found.status is not None and found.status.name.title() in statuses))
            ),
            key=lambda found: found.start_time,
            reverse=True,
        )
        self._current_page_index = 0
        self._next_page_token = None

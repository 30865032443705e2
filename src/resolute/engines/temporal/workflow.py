"""The one workflow of Resolute: it walks the flow whose name is its type with the interpreter.

What a step means stands in the interpreter alone. A worker that does not have the flow, or under whose flow a history
cannot be repeated, fails the task and never the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from resolute.engine import RunStopped, StepFailed
from resolute.engines.embedded.failure_notice import ERRORS_TOLD
from resolute.engines.embedded.request import input_text
from resolute.engines.embedded.socket import view_to_json
from resolute.engines.embedded.store import RunRow
from resolute.engines.embedded.views import view
from resolute.engines.temporal.ending import End
from resolute.engines.temporal.order import (
    AWAIT_RUN,
    BEGIN,
    CANCEL,
    LACKS_FLOW,
    RUN_FAILED,
    SHOW,
    TELL,
    WALK,
    RunOrder,
    Standing,
)
from resolute.engines.temporal.payloads import ANSWER
from resolute.engines.temporal.port import ALWAYS, OWN_LIMIT, WorkflowPort, pages_queue
from resolute.engines.temporal.taken_up import fitting, taken_up
from resolute.engines.temporal.variables import variables_of
from resolute.engines.temporal.witness import Witness
from resolute.errors import InputError, ReplayMismatch
from resolute.interpreter import interpret
from resolute.jsontypes import JsonValue
from resolute.model.codec import NotJournalable, from_text, to_plain, to_text
from resolute.model.recipe import Flow

_flows: ContextVar[Mapping[str, Flow]] = ContextVar("flows of the worker")
_witness: ContextVar[Witness | None] = ContextVar("witness of the worker")


class FlowsOf(Interceptor):
    """Gives the flows of a worker, and who is told of what happens, to its runs."""

    def __init__(self, flows: Mapping[str, Flow], witness: Witness | None = None) -> None:
        self._known = flows
        self._witness = witness

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        known, witness = self._known, self._witness

        class Given(WorkflowInboundInterceptor):
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
                _flows.set(known)
                _witness.set(witness)
                return await self.next.execute_workflow(input)

        return Given


@workflow.defn(dynamic=True)
class RunWorkflow:
    """One execution of a run."""

    def __init__(self) -> None:
        self._port: WorkflowPort | None = None
        self._early: list[tuple[str, dict[str, Any]]] = []
        self._why = ""
        self._is_cancelled = False
        self._witness: Witness | None = None
        self._parked = ""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> Any:
        flows = _flows.get()
        self._witness = _witness.get()
        info = workflow.info()
        flow = flows.get(info.workflow_type)
        if flow is None:
            known = ", ".join(sorted(flows)) or "none"
            raise ReplayMismatch(
                f'The flow "{info.workflow_type}" {LACKS_FLOW}. Known: {known}. Add it, '
                "or let a worker with other flows have a task queue of its own."
            )
        order = RunOrder.from_json(_value(args[0]) if args else None)
        walk = asyncio.create_task(self._walk(flows, flow, order))
        while not walk.done():
            try:
                await workflow.wait_condition(lambda: walk.done() or self._may_hand_on() or self._is_at_rest_anew())
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is None:
                    raise  # it leaves the memory of this worker
                self._cancel()
                continue
            if not walk.done() and self._is_at_rest_anew():
                self._tell_rest()
            elif not walk.done() and self._port is not None:
                handed = RunOrder(
                    None,
                    order.trigger,
                    order.input_digest,
                    order.scheduled_at,
                    goes_on=self._port.standing(flow.outline),
                )
                workflow.continue_as_new(handed.to_json())
        return self._ended(walk.result())

    def _cancel(self) -> None:
        """Stop the run; what it has done is undone by its walk."""
        self._is_cancelled = True
        self._why = self._why or f"cancelled{_reason(workflow.cancellation_reason())}"
        if self._port is not None:
            self._port.stop("cancelled", self._why)

    def _may_hand_on(self) -> bool:
        """Whether the history has grown long, and nothing is under way that would be lost with it."""
        port = self._port
        return port is not None and not port.in_flight and port.is_long

    def _is_at_rest_anew(self) -> bool:
        """Whether what the run waits for has changed, and somebody is told of that."""
        return self._witness is not None and self._rest != self._parked

    @property
    def _rest(self) -> str:
        """What the run waits for, "" while something of it is at work."""
        run = None if self._port is None else self._port.shown()
        return run.waiting_for if run is not None and run.status == "waiting" else ""

    def _tell_rest(self) -> None:
        self._parked = self._rest
        if self._parked and self._port is not None and self._witness is not None:
            self._witness.parked(self._port.shown())

    # The walk

    async def _walk(self, flows: Mapping[str, Flow], flow: Flow, order: RunOrder) -> RunRow:
        try:
            standing = await self._standing(flow, order)
        except InputError as error:
            if workflow.unsafe.is_replaying():  # it fitted when the run began, so that it is the flow that has changed
                raise ReplayMismatch(str(error)) from None
            port = self._port = WorkflowPort(flows, _open(flow), _new(flow, order, "null"), {})
            return await self._come_to(port, End(failure=StepFailed("", str(error), position="")))
        if self._witness is not None and order.goes_on is None:
            self._witness.began(standing.row)
        if order.after:
            await self._wait_for(order.after)
        port = self._port = WorkflowPort(flows, flow, standing, await self._known(flow), self._witness)
        port.notes_gates = order.notes_gates
        for gate, answer in self._early:
            port.receive(gate, answer)
        if self._is_cancelled:
            port.stop("cancelled", self._why)
        limit = asyncio.create_task(self._watch(port))
        end = await self._interpreted(flow, port)
        limit.cancel()
        await port.flush()
        return await self._come_to(port, end)

    async def _interpreted(self, flow: Flow, port: WorkflowPort) -> End:
        try:
            plain: JsonValue = from_text(to_text(to_plain(await interpret(flow, port))))
            return End(result=plain)
        except StepFailed as failure:
            return End(failure=failure)
        except RunStopped as stopped:
            return End(stopped=stopped)
        except NotJournalable as error:
            return End(failure=StepFailed("", f"The run's result cannot be kept: {error}.", position=""))

    async def _standing(self, flow: Flow, order: RunOrder) -> Standing:
        """How the run stands when this execution begins; raises InputError, ReplayMismatch."""
        if order.goes_on is None:
            return _new(flow, order, input_text(flow, order.input))
        if not order.is_retry:
            return await fitting(flow, order.goes_on)
        return await fitting(flow, await taken_up(flow, order.goes_on, workflow.now()))

    async def _known(self, flow: Flow) -> Mapping[str, Any]:
        """The variables and cursors that the flow may ask for, recorded once."""
        names = variables_of(flow)
        if not names and not flow.cursors:
            return {}
        order = {"flow": flow.name, "env": names}
        found: Mapping[str, Any] = await workflow.execute_local_activity(
            BEGIN, order, start_to_close_timeout=OWN_LIMIT, retry_policy=ALWAYS
        )
        return found

    async def _wait_for(self, run_id: str) -> None:
        """Return when the run before this one has ended, or this one is cancelled."""
        before = workflow.start_activity(
            AWAIT_RUN,
            {"run_id": run_id},
            task_queue=pages_queue(),
            start_to_close_timeout=OWN_LIMIT,
            retry_policy=ALWAYS,
        )
        await workflow.wait_condition(lambda: before.done() or self._is_cancelled)
        if not before.done():
            before.cancel()

    async def _watch(self, port: WorkflowPort) -> None:
        """Stop the run when its time is over."""
        if port.row.deadline_at is None or port.row.stop:
            return
        left = max(timedelta(0), port.row.deadline_at - workflow.now())
        await workflow.sleep(left)
        port.stop("timed_out", f"The run did not end within {port.flow.timeout}.")

    # The end

    async def _come_to(self, port: WorkflowPort, end: End) -> RunRow:
        """The run's row with its end; that it has failed is told before it ends."""
        if end.stopped is not None:
            for entry in list(port.entries.values()):  # set back by a retry, and not come by since
                if entry.status in ("running", "waiting") and entry.kind != "signal":
                    port.cancelled(entry)
        run = end.row(port.row, workflow.now())
        if run.status == "failed":
            told = Standing(run.but(input="", output=None), [])
            faults: JsonValue = [{**vars(fault)} for fault in end.faults[:ERRORS_TOLD]]
            await port.see_to(TELL, {"run": told.to_json(), "faults": faults})
        return run

    def _ended(self, run: RunRow) -> JsonValue:
        """The result of a run that has succeeded; raises what ends any other."""
        port = self._port
        assert port is not None, "a walk that has ended had begun"
        port.row = run
        if self._witness is not None:
            self._witness.ended(run, workflow.info().run_id)
        if run.status == "succeeded":
            result: JsonValue = from_text(run.output or "null")
            return result
        workflow.upsert_memo({"error": run.error, "error_key": run.error_key})
        if run.status == "cancelled":
            raise asyncio.CancelledError(run.error)
        stood = port.standing(port.flow.outline)
        raise ApplicationError(_printable(run.error), stood.to_json(), type=RUN_FAILED, non_retryable=True)

    # From outside

    @workflow.signal(dynamic=True)
    async def answer(self, name: str, args: Sequence[RawValue]) -> None:
        """An answer for a gate, by its key or position; or who is about to cancel the run, and why."""
        value = _value(args[0]) if args else None
        told = dict(value) if isinstance(value, dict) else {}
        if name == CANCEL:
            self._why = str(told.get("why", ""))
            return
        if told.get("outcome") not in ("approved", "rejected"):
            workflow.logger.warning('a signal "%s" names no outcome: {"outcome": "approved"} or "rejected"', name)
            return
        if self._port is None:
            self._early.append((name, told))
        else:
            self._port.receive(name, told)

    @workflow.query(name=WALK)
    def walked(self) -> None:
        """Nothing: whoever can answer has walked the run so far."""

    @workflow.query(name=SHOW)
    def show(self) -> Any:
        """The run with its journal."""
        port = self._port
        if port is None:
            return None
        told = workflow.payload_converter().to_payload(view_to_json(view(port.shown(), list(port.entries.values()))))
        told.metadata[ANSWER] = b"1"
        return RawValue(told)


def _value(raw: RawValue) -> Any:
    return workflow.payload_converter().from_payload(raw.payload)


def _reason(text: str | None) -> str:
    return f": {text}" if text else ""


def _open(flow: Flow) -> Flow:
    """The flow for any input: for a run whose own does not fit it."""
    return Flow(flow.name, flow.triggers, flow.steps)


def _new(flow: Flow, order: RunOrder, text: str) -> Standing:
    """How a run stands that has done nothing."""
    info, now = workflow.info(), workflow.now()
    row = RunRow(
        no=0,
        id=info.workflow_id,
        flow=flow.name,
        fingerprint=flow.fingerprint,
        status="running",
        input=text,
        input_digest=order.input_digest,
        trigger=order.trigger,
        created_at=order.created_at or info.workflow_start_time,
        scheduled=order.scheduled_at is not None,
        scheduled_at=order.scheduled_at,
        deadline_at=_deadline(flow, now),
        has_undo=flow.has_undo,
        retries=order.retries,
    )
    return Standing(row, [])


def _deadline(flow: Flow, now: datetime) -> datetime | None:
    return None if flow.timeout is None else now + flow.timeout


def _printable(text: str) -> str:
    """The text as it may stand in a failure: a lone surrogate is written out."""
    return text.encode("utf-8", "backslashreplace").decode()

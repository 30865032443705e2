"""A child run on Temporal: a child workflow that lives on if its parent dies, and is stopped with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
)

from resolute.engine import RunStopped, StepFailed, child_id
from resolute.engines.embedded.request import input_digest, input_text
from resolute.engines.embedded.store import Entry, RunRow
from resolute.engines.temporal.order import AWAIT_RUN, CANCEL, RUN_FAILED, RunOrder, Standing
from resolute.errors import InputError
from resolute.jsontypes import JsonValue
from resolute.model.codec import from_text, to_text
from resolute.model.recipe import Flow


class Parent(Protocol):
    """What a child asks of its parent's port."""

    row: RunRow
    flows: Mapping[str, Flow]
    in_flight: int

    @property
    def run_id(self) -> str: ...

    @property
    def stopping(self) -> bool: ...

    def put(self, entry: Entry) -> Entry: ...

    def finish(self, entry: Entry, **changes: Any) -> Entry: ...

    def failed(self, entry: Entry, error: str) -> Entry: ...

    def cancelled(self, entry: Entry) -> RunStopped: ...

    async def ask(self, name: str, order: JsonValue) -> Any: ...


async def wait_for_child(parent: Parent, entry: Entry) -> Entry:
    """The entry of the child once it has succeeded; raises StepFailed, RunStopped."""
    run_id = child_id(parent.run_id, entry.position)
    parent.in_flight += 1
    try:
        ended, told = await _ended(parent, entry, run_id)
    except InputError as error:
        ended, told = "", str(error)
    finally:
        parent.in_flight -= 1
    if ended == "succeeded":
        return parent.finish(entry, output=to_text(told))
    if parent.stopping and ended:
        raise parent.cancelled(entry)
    what = str(told)
    if isinstance(told, Standing):  # a retry of the parent takes the child up again from here
        entry, what = entry.but(output=to_text(told.to_json())), told.row.error
    entry = parent.failed(entry, f"The run {run_id} {ended}: {what}" if ended else what)
    raise StepFailed(entry.key, entry.error, position=entry.position)


async def _ended(parent: Parent, entry: Entry, run_id: str) -> tuple[str, Any]:
    """The child's status, and its result, how it stood or what went wrong; raises InputError."""
    order = _order(parent, entry)
    policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY if order.is_retry else None
    try:
        handle = await workflow.start_child_workflow(
            entry.activity,
            order.to_json(),
            id=run_id,
            id_reuse_policy=policy or WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            memo=memo_of(order, parent.flows[entry.activity]),
        )
    except WorkflowAlreadyStartedError:  # before its parent was continued, or taken up again
        found = await parent.ask(AWAIT_RUN, {"run_id": run_id})
        return found["status"], found["output"] if found["status"] == "succeeded" else found["error"]
    await workflow.wait_condition(lambda: handle.done() or parent.stopping)
    if not handle.done():
        why = parent.row.stop_reason or f"its parent {parent.run_id} ended"
        try:
            await handle.signal(CANCEL, {"why": f"cancelled: {why}"})
        except FailureError:  # it has ended meanwhile
            workflow.logger.debug("the child %s had ended", run_id)
        handle.cancel()
    try:
        return "succeeded", await handle
    except ChildWorkflowError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == RUN_FAILED and cause.details:
            return "failed", Standing.from_json(cause.details[0])
        if parent.stopping:
            return "cancelled", str(cause or error)
        found = await parent.ask(AWAIT_RUN, {"run_id": run_id})  # who cancelled it, and why
        return found["status"], found["error"]


def _order(parent: Parent, entry: Entry) -> RunOrder:
    """What the child is started with; raises InputError."""
    recipe = parent.flows.get(entry.activity)
    if recipe is None:
        known = ", ".join(sorted(parent.flows)) or "none"
        raise InputError(f'The flow "{entry.activity}" is not known here. Known: {known}.')
    given = from_text(entry.inputs)
    text = input_text(recipe, given)
    stood = Standing.from_json(from_text(entry.output)) if entry.output else None
    return RunOrder(
        input=from_text(text),
        trigger=f"child:{parent.run_id}",
        created_at=workflow.now(),
        input_digest=input_digest(entry.activity, given),
        goes_on=stood,
        is_retry=stood is not None,
    )


def memo_of(order: RunOrder, flow: Flow | None) -> dict[str, Any]:
    """What stands beside a run for who lists runs, or starts one under its id."""
    found: dict[str, Any] = {"trigger": order.trigger, "input_digest": order.input_digest}
    created_at = order.goes_on.row.created_at if order.goes_on is not None else order.created_at
    if created_at is not None:
        found["created_at"] = created_at.isoformat()
    if flow is not None:
        found |= {"fingerprint": flow.fingerprint, "has_undo": flow.has_undo}
    if order.goes_on is not None:
        found["retries"] = order.goes_on.row.retries + order.is_retry
    elif order.retries:
        found["retries"] = order.retries
    return found

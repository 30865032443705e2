"""What is known of a run on Temporal: by the run itself, as a worker walks it to answer, or by the server alone."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.exceptions import ApplicationError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from resolute.engine import RunView
from resolute.engines.embedded.socket import view_from_json
from resolute.engines.temporal.order import CANCEL, RUN_FAILED, SHOW, WALK, Standing
from resolute.engines.temporal.parked import not_walked, parked
from resolute.engines.temporal.views import STUCK_AFTER, execution_view, standing_view, with_pending
from resolute.errors import ReplayMismatch, StoreDamaged

log = logging.getLogger("resolute.temporal")

#: How long a run may take to say how it stands; then the server's own word has to do.
ANSWER_IN: Final = timedelta(seconds=3)


async def shown(client: Client, found: WorkflowExecutionDescription) -> RunView:
    """The run with its journal; without a worker that has its flow, only with what the server knows."""
    known = execution_view(found, await found.memo())
    if found.status is WorkflowExecutionStatus.TERMINATED:
        known = replace(known, error=await _why_terminated(client, found.id))
    if found.status is WorkflowExecutionStatus.FAILED:
        try:
            left = await last_standing(client, found.id)
        except StoreDamaged:  # values of it are kept where this process cannot read
            return known
        return known if left is None else standing_view(left)
    try:
        told = await _told(client, found)
    except ReplayMismatch as error:
        return replace(known, status="needs_attention", error=str(error))
    if told is None:
        return await with_result(client, known)
    if found.status is WorkflowExecutionStatus.RUNNING:
        pending = found.raw_description.pending_activities
        return with_pending(told, pending, client.data_converter.payload_converter.from_payload)
    why, at = told.error or known.error, known.finished_at or told.finished_at
    return replace(told, status=known.status, error=why, finished_at=at)


async def _told(client: Client, found: WorkflowExecutionDescription) -> RunView | None:
    """What the run says of itself, None when there is no worker to ask; raises ReplayMismatch."""
    if reason := await why_stuck(client, found):
        raise ReplayMismatch(reason)
    try:
        answer = await client.get_workflow_handle(found.id).query(SHOW, rpc_timeout=ANSWER_IN)
    except WorkflowQueryFailedError as error:  # to answer, a worker walks the run
        if found.status is WorkflowExecutionStatus.RUNNING:
            raise ReplayMismatch(not_walked(found.id, error.message)) from error
        return None
    except WorkflowQueryRejectedError:
        return None
    except StoreDamaged as error:  # it is longer than an answer may be, and kept in a store that is elsewhere
        log.warning("run %s is shown without its nodes: %s", found.id, error)
        return None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise
        return None
    return None if answer is None else view_from_json(answer)


async def why_stuck(client: Client, found: WorkflowExecutionDescription) -> str:
    """Why workers fail to walk the run, "" while they do not."""
    tries = found.raw_description.pending_workflow_task.attempt
    if tries < 2:
        return ""
    why = await parked(client, found.id)
    return why.reason if why.is_told or tries >= STUCK_AFTER else ""


async def is_parked(client: Client, found: WorkflowExecutionDescription) -> bool:
    """Whether the run cannot be walked under its flow as it is now, be there something to walk or not."""
    if found.status is not WorkflowExecutionStatus.RUNNING:
        return False
    if await why_stuck(client, found):
        return True
    try:
        await client.get_workflow_handle(found.id).query(WALK, rpc_timeout=ANSWER_IN)
    except WorkflowQueryFailedError:
        return True
    except (WorkflowQueryRejectedError, RPCError):  # nobody is there who could say
        return False
    return False


async def with_result(client: Client, known: RunView) -> RunView:
    """The run with its output, if it has succeeded."""
    if known.status != "succeeded":
        return known
    return replace(known, output=await client.get_workflow_handle(known.id).result())


async def last_standing(client: Client, run_id: str) -> Standing | None:
    """How a failed run stood at its end; None for one that another workflow of that name has failed with."""
    try:
        await client.get_workflow_handle(run_id).result()
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == RUN_FAILED and cause.details:
            return Standing.from_json(cause.details[0])
    return None


async def _why_terminated(client: Client, run_id: str) -> str:
    """The reason: ours, when it was parked and cancelled, or that of whoever did it with Temporal's own tools."""
    try:
        await client.get_workflow_handle(run_id).result()
    except WorkflowFailureError as error:
        if isinstance(error.cause, TerminatedError):
            why = error.cause.message
            return why if CANCEL in error.cause.details else f"terminated on the Temporal server: {why}"
    return "terminated on the Temporal server"

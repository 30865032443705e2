"""`TemporalEngine`: what operators ask of runs on Temporal: start, show, list, answer, cancel and retry.

It needs a connection and no flow; with the flows it refuses earlier what a run would refuse.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from resolute.clock import Clock, Randomness, new_id
from resolute.engine import RunQuery, RunView, SignalOutcome
from resolute.engines.embedded.failure_notice import NOTICE_FLOW
from resolute.engines.embedded.request import (
    check_gate,
    check_run_id,
    input_digest,
    input_text,
    signal_text,
)
from resolute.engines.embedded.store import Entry
from resolute.engines.temporal.asking import asked, quoted
from resolute.engines.temporal.child import memo_of
from resolute.engines.temporal.order import CANCEL, LACKS_FLOW, OWN_QUEUE, RunOrder, Standing
from resolute.engines.temporal.showing import is_parked, last_standing, shown, why_stuck, with_result
from resolute.engines.temporal.views import QUERY, STATUS, execution_view, standing_view
from resolute.errors import EngineError, RunConflict, StoreDamaged
from resolute.jsontypes import JsonValue
from resolute.model.codec import from_text
from resolute.model.recipe import Flow

log = logging.getLogger("resolute.temporal")

#: How long a cancelled run without anything to undo is waited for.
END_IN_S: Final = 5.0
#: How long a run that is stuck may take to be tried again, a little more than a task that nobody answers; how often
#: that is looked at.
TRIED_IN_S, TRIED_LOOK_S = 12.0, 0.5
#: When a run that is waited for is looked at, whether it is stuck: first after so long, then ever more seldom.
FIRST_LOOK_S, LONGEST_LOOK_S = 2.0, 15.0


class TemporalEngine:
    """Runs on one task queue of one namespace.

    Args:
        flows: those that are known here; a client may know none.
    """

    def __init__(
        self,
        client: Client,
        task_queue: str,
        *,
        clock: Clock,
        randomness: Randomness,
        flows: Iterable[Flow] = (),
    ) -> None:
        self.client = client
        self.task_queue = task_queue
        self._clock = clock
        self._randomness = randomness
        self._flows = {flow.name: flow for flow in flows}

    @property
    def flows(self) -> Sequence[Flow]:
        """The flows that are known here."""
        return list(self._flows.values())

    def beside(self, suffix: str, flow: Flow) -> TemporalEngine:
        """The engine of another task queue, whose name begins like this one's."""
        queue = self.task_queue + suffix
        return TemporalEngine(self.client, queue, clock=self._clock, randomness=self._randomness, flows=[flow])

    # Starting

    async def start(
        self,
        flow: str,
        input: JsonValue = None,
        *,
        run_id: str | None = None,
        trigger: str = "client",
        scheduled_at: datetime | None = None,
        after: str = "",
        secret_digests: Mapping[str, str] | None = None,
        limit: timedelta | None = None,
        again: bool = False,
    ) -> RunView:
        """A run that the server has: a new one, or the one that has this id already.

        Args:
            scheduled_at: the tick that starts it.
            after: id of a run that has to end before this one begins.
            secret_digests: the digests of its secret inputs by name.
            limit: when the server itself ends it.
            again: begin one anew that has failed.

        Raises:
            RunConflict: the id belongs to a run of another flow or input.
            InputError: the input does not fit what the flow accepts.
            EngineError: the flow is not known here.
            StoreUnavailable: the server cannot be reached.
        """
        recipe = self._flows.get(flow)
        if recipe is None and self._flows:
            raise EngineError(f'The flow "{flow}" is not known here. Known: {", ".join(sorted(self._flows))}.')
        name = run_id or new_id(self._clock, self._randomness)
        if flow != NOTICE_FLOW:  # in that of a notice stands the one of another run
            check_run_id(name)
        digest = input_digest(flow, input, secret_digests)
        retries = (await self.look(name)).retries + 1 if again else 0
        policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY if again else WorkflowIDReusePolicy.REJECT_DUPLICATE
        given: JsonValue = input if recipe is None else from_text(input_text(recipe, input))
        now = self._clock.now()
        order = RunOrder(given, trigger, digest, scheduled_at, now, after, retries=retries)
        with asked(name):
            try:
                handle = await self.client.start_workflow(
                    flow,
                    order.to_json(),
                    id=name,
                    task_queue=self.task_queue,
                    id_reuse_policy=policy,
                    execution_timeout=limit,
                    memo=memo_of(order, recipe),
                )
            except WorkflowAlreadyStartedError:
                return await self._existing(name, flow, digest, is_tick=scheduled_at is not None)
        return RunView(handle.id, flow, "running", trigger, now, input=given)

    async def _existing(self, run_id: str, flow: str, digest: str, *, is_tick: bool) -> RunView:
        found = await self.client.get_workflow_handle(run_id).describe()
        memo = await found.memo()
        if not is_tick and (found.workflow_type != flow or memo.get("input_digest", digest) != digest):
            raise RunConflict(
                f'Run "{run_id}" exists already, with another flow or input (it runs "{found.workflow_type}"). '
                "Use another run id, or the same input."
            )
        return execution_view(found, memo)

    # Showing

    async def look(self, run_id: str) -> RunView:
        """The run as the server knows it, without asking a worker."""
        with asked(run_id):
            found = await self.client.get_workflow_handle(run_id).describe()
            return execution_view(found, await found.memo())

    async def ended(self, run_id: str) -> RunView:
        """The run, with what it came to if it has ended; it is not waited for."""
        with asked(run_id):
            run = await self.look(run_id)
            return await with_result(self.client, run)

    async def ended_here(self, run_id: str) -> RunView | None:
        """A run of this task queue that has ended, as `get` shows it; None while it goes on, and for one of others."""
        with asked(run_id):
            handle = self.client.get_workflow_handle(run_id)
            found = await handle.describe()
            is_ours = found.task_queue == self.task_queue or found.task_queue.startswith(self.task_queue + OWN_QUEUE)
            return await shown(self.client, found) if is_ours and execution_view(found, {}).is_finished else None

    async def get(self, run_id: str) -> RunView:
        """The run with its journal; without a worker that has its flow, only with what the server knows."""
        with asked(run_id):
            handle = self.client.get_workflow_handle(run_id)
            found = await handle.describe()
            return await shown(self.client, found)

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        """Runs, newest first; those that just began may be missing for a moment."""
        where = [self._ours]
        if query.flow is not None:
            where.append(f"WorkflowType = {quoted(query.flow)}")
        if query.status is not None:
            where.append(QUERY[query.status])
        found: dict[str, RunView] = {}
        with asked(""):
            async for execution in self.client.list_workflows(" AND ".join(where)):
                if execution.id in found or execution.status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
                    continue  # an earlier execution of the same run
                found[execution.id] = execution_view(execution, await execution.memo())
                if len(found) >= query.limit:
                    break
            shown = await asyncio.gather(*(self._listed(run) for run in found.values()))
        return [run for run in shown if query.status is None or run.status == query.status]

    async def unfinished(self) -> list[WorkflowExecution]:
        """The executions that have not ended, of whatever flow."""
        where = f'TaskQueue = {quoted(self.task_queue)} AND ExecutionStatus = "Running"'
        with asked(""):
            return [execution async for execution in self.client.list_workflows(where)]

    async def stuck(self) -> list[WorkflowExecution]:
        """The executions that their workers fail to walk again and again.

        Raises:
            StoreUnavailable: the server cannot be reached.
            EngineError: it does not say which they are.
        """
        where = f'{self._ours} AND ExecutionStatus = "Running" AND TemporalReportedProblems IS NOT NULL'
        with asked(""):
            return [execution async for execution in self.client.list_workflows(where)]

    async def unfinished_of(self, flow: str, trigger: str) -> str:
        """The id of the newest run of a trigger that has not ended, "" for none."""
        where = f'{self._ours} AND WorkflowType = {quoted(flow)} AND ExecutionStatus = "Running"'
        with asked(""):
            async for execution in self.client.list_workflows(where):
                if (await execution.memo()).get("trigger") == trigger:
                    return execution.id
        return ""

    @property
    def _ours(self) -> str:
        own = self.task_queue + OWN_QUEUE
        return f"(TaskQueue = {quoted(self.task_queue)} OR TaskQueue STARTS_WITH {quoted(own)})"

    async def _listed(self, run: RunView) -> RunView:
        """A run of a list; one that has not ended says itself what it waits for."""
        if run.status != "running":
            return run
        with suppress(RPCError):
            handle = self.client.get_workflow_handle(run.id)
            return replace(await shown(self.client, await handle.describe()), nodes=())
        return run

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        """The run once it has ended, or needs attention; raises RunNotFound, TimeoutError."""
        with asked(run_id):
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                await self._over(run_id)
            handle = self.client.get_workflow_handle(run_id)
            found = await handle.describe()
            known = execution_view(found, await found.memo())
            if known.status == "succeeded":
                return await with_result(self.client, known)
            return replace(await shown(self.client, found), nodes=())

    async def _over(self, run_id: str) -> None:
        """Return when the run has ended, or its flow does not fit it, though it only waits."""
        handle = self.client.get_workflow_handle(run_id)
        ended, look_s = asyncio.create_task(handle.result()), FIRST_LOOK_S
        try:
            while True:
                await asyncio.wait({ended}, timeout=look_s)
                if ended.done() or await is_parked(self.client, await handle.describe()):
                    break
                look_s = min(2 * look_s, LONGEST_LOOK_S)
            if ended.done():
                with suppress(WorkflowFailureError, StoreDamaged):  # who needs what it came to asks for it
                    ended.result()
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    # Orders

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        """End an unfinished run: a page on its way settles first, then what was done is undone.

        A run that has nothing to undo has ended when this returns, if its worker is there.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has ended already.
        """
        why = f"cancelled{f' by {by}' if by else ''}{f': {reason}' if reason else ''}"
        with asked(run_id):
            handle = self.client.get_workflow_handle(run_id)
            found = await handle.describe()
            status = execution_view(found, {}).status
            if found.status is not WorkflowExecutionStatus.RUNNING:
                raise EngineError(f'Run "{run_id}" has {status} already and cannot be cancelled.')
            if await is_parked(self.client, found):  # so it can neither be undone nor end by itself
                if (await found.memo()).get("has_undo", True):
                    why = f"{why}. Nothing was undone: the run could not be walked under its flow as it is now"
                await handle.terminate(CANCEL, reason=why)
                return await self.get(run_id)
            await handle.signal(CANCEL, {"why": why})
            await handle.cancel()
            if not (await found.memo()).get("has_undo", False):
                with suppress(TimeoutError):
                    async with asyncio.timeout(END_IN_S):
                        await self._over(run_id)
            return await self.get(run_id)

    async def retry(self, run_id: str) -> RunView:
        """Take a failed run up again at what failed, as the next execution under its id.

        Raises:
            RunNotFound: no run has this id.
            EngineError: it has not failed, or was undone.
        """
        with asked(run_id):
            handle = self.client.get_workflow_handle(run_id)
            found = await handle.describe()
            run = execution_view(found, await found.memo())
            if run.status == "running" and await is_parked(self.client, found):
                return await self._tried_again(handle)
            if OWN_QUEUE in found.task_queue:
                raise EngineError(
                    f'The secrets of run "{run_id}" lived in the process that started it. Start it there again: '
                    f"resolute run --job ... --run-id {run_id}"
                )
            stood = await last_standing(self.client, run_id) if run.status == "failed" else None
            if stood is None:
                hint = "Start it anew with another id." if run.is_finished else "It is not over yet."
                raise EngineError(f'Run "{run_id}" has not failed, it is {run.status}. {hint}')
            _check_not_undone(stood)
            order = RunOrder(
                None, stood.row.trigger, stood.row.input_digest, stood.row.scheduled_at, goes_on=stood, is_retry=True
            )
            memo = {**await found.memo(), **memo_of(order, self._flows.get(run.flow))}
            try:
                await self.client.start_workflow(
                    run.flow,
                    order.to_json(),
                    id=run_id,
                    task_queue=found.task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                    memo={key: value for key, value in memo.items() if key not in ("error", "error_key")},
                )
            except WorkflowAlreadyStartedError:
                raise EngineError(f'Run "{run_id}" was taken up again already.') from None
            row = stood.row
            return replace(standing_view(stood), status="running", error="", error_key="", retries=row.retries + 1)

    async def _tried_again(self, handle: WorkflowHandle[Any, Any]) -> RunView:
        """A parked run once its worker has tried again to walk it, which it does by itself; raises EngineError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TRIED_IN_S):
                while await why_stuck(self.client, await handle.describe()):  # noqa: ASYNC110 - a rare command
                    await asyncio.sleep(TRIED_LOOK_S)
        run = await self.get(handle.id)
        if run.status == "needs_attention" and LACKS_FLOW in run.error:
            raise EngineError(f'The flow "{run.flow}" of run "{run.id}" is not among those of this worker. Add it.')
        return run

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
        """Keep an answer for a gate, reached or not; the server has it when this returns.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has ended, or its flow has no such gate.
            InputError: the data cannot be kept.
        """
        answer = from_text(signal_text(outcome, by, reason, data, self._clock.now()))
        with asked(run_id):
            handle = self.client.get_workflow_handle(run_id)
            found = await handle.describe()
            if found.status is not WorkflowExecutionStatus.RUNNING:
                status = STATUS[found.status] if found.status is not None else "ended"
                raise EngineError(f'Run "{run_id}" has {status} already: nothing of it waits for an answer.')
            check_gate(self._flows.get(found.workflow_type), run_id, gate)
            try:
                await handle.signal(gate, answer)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                raise EngineError(f'Run "{run_id}" has just ended: nothing of it waits for an answer.') from error


def _check_not_undone(stood: Standing) -> None:
    if any(entry.position == "~undo" for entry in stood.entries):
        raise EngineError(f'Run "{stood.row.id}" was undone after it failed and cannot go on. Start it anew.')
    for child in _children(stood.entries):
        _check_not_undone(child)


def _children(entries: Iterable[Entry]) -> Iterator[Standing]:
    """How the children that have failed stood."""
    for entry in entries:
        if entry.kind == "child" and entry.status == "failed" and entry.output:
            yield Standing.from_json(from_text(entry.output))

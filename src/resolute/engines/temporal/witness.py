"""`Witness`: tells hooks of what this worker sees of runs on Temporal, and never of what a replay only repeats.

Attempts are told by the worker that makes them, all else by the one that walks the run, once the server has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHistoryEventFilterType
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from resolute.engines.embedded.core import Core
from resolute.engines.embedded.happenings import happened
from resolute.engines.embedded.store import Entry, RunRow
from resolute.engines.temporal.order import ATTEMPT_FAILED, NODE_FAILED
from resolute.hooks import RunEvent, RunEventKind
from resolute.model.activity import Node

log = logging.getLogger("resolute.temporal")

#: How long the ends of runs are waited for that the server has not confirmed when the worker stops, in seconds.
LAST_WORDS_S: Final = 2.0
#: When the server is asked again that could not say whether a run has ended, in seconds.
AGAIN_S: Final = 1.0


class Witness:
    """What one worker sees. Workflows run in threads of their own: what they say is told in the worker's loop.

    Args:
        closed: returns when the server has ended an execution: run id, id of the execution.
    """

    def __init__(self, core: Core, closed: Callable[[str, str], Awaitable[None]]) -> None:
        self._core = core
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._ends: dict[str, RunRow] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # In workflows

    def began(self, run: RunRow) -> None:
        """The run is new."""
        self._say(self._began, run)

    def changed(self, run: RunRow, entry: Entry) -> None:
        """An entry of the run's journal has come to its end."""
        self._say(self._changed, run, entry)

    def parked(self, run: RunRow) -> None:
        """The run has come to wait for something."""
        self._say(self._parked, run)

    def ended(self, run: RunRow, execution: str) -> None:
        """The run has come to its end, unless the server refuses that because something else came first."""
        self._say(self._ended, run, execution)

    def _say(self, told: Callable[..., None], *what: Any) -> None:
        if not workflow.unsafe.is_replaying():
            self._loop.call_soon_threadsafe(told, *what)

    # In the worker's loop

    def _began(self, run: RunRow) -> None:
        self._core.hooks.tell(happened(run, (), run.created_at, is_new=True))
        self._count(run)

    def _changed(self, run: RunRow, entry: Entry) -> None:
        clean = entry.but(error=self._core.secrets.scrub(entry.error))
        for event in happened(run, [clean], entry.finished_at or self._core.clock.now(), is_new=False):
            self._core.hooks.announce(event)

    def _parked(self, run: RunRow) -> None:
        self._core.hooks.tell(happened(run, [run], self._core.clock.now(), is_new=False))

    def _ended(self, run: RunRow, execution: str) -> None:
        waits = execution in self._ends
        self._ends[execution] = run.but(error=self._core.secrets.scrub(run.error))
        if not waits:
            task = asyncio.create_task(self._confirmed(run.id, execution))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _confirmed(self, run_id: str, execution: str) -> None:
        try:
            await self._closed(run_id, execution)
        finally:
            run = self._ends.pop(execution)
        self._core.hooks.tell(happened(run, [run], run.finished_at or self._core.clock.now(), is_new=False))
        self._count(run)

    def _count(self, run: RunRow) -> None:
        if self._core.count_run is not None:
            self._core.count_run(run)

    async def close(self) -> None:
        """Wait a little for what the server has still to confirm."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_WORDS_S)
        for task in self._tasks:
            task.cancel()


async def closed(client: Client, run_id: str, execution: str) -> None:
    """Return when the server has ended this execution, or has forgotten it."""
    handle = client.get_workflow_handle(run_id, run_id=execution)
    only_end = WorkflowHistoryEventFilterType.CLOSE_EVENT
    while True:
        try:
            async for _ in handle.fetch_history_events(wait_new_event=True, event_filter_type=only_end):
                return
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return
            log.debug("the end of run %s is not confirmed yet: %s", run_id, error)
        await asyncio.sleep(AGAIN_S)


# Attempts, in activities


def attempt_event(
    core: Core, kind: RunEventKind, flow: str, node: Node[Any], attempt: int, error: str = ""
) -> RunEvent:
    """What has happened to the attempt that is made here."""
    info = activity.info()
    return RunEvent(
        kind,
        core.clock.now(),
        info.workflow_id or "",
        flow,
        "running",
        position=info.activity_id,
        key=node.key,
        activity=node.activity.name,
        attempt=attempt,
        error=error,
    )


def attempt_failed(core: Core, flow: str, node: Node[Any], error: ApplicationError) -> None:
    """Tell of an attempt that failed; the failure of its node is counted here, and told when the server has it."""
    told = dict(error.details[0]) if error.details else {}
    attempt = told.get("attempt", 1)
    if error.type == ATTEMPT_FAILED:
        core.hooks.tell([attempt_event(core, "attempt_failed", flow, node, attempt, error.message)])
    elif error.type == NODE_FAILED:
        core.hooks.count(attempt_event(core, "node_failed", flow, node, attempt, error.message))

"""`Pauses`: which schedules are paused, for all workers of a task queue: it stands on the server.

Each is a schedule of Temporal's own that has no times: it never starts anything, and is there to be paused.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from resolute.engines.temporal.asking import asked

#: A pause that has no end yet.
FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)


class Pauses:
    """The pauses of the schedules of one task queue.

    Raises:
        StoreUnavailable: from every question: the server cannot be reached.
        EngineError: it refuses.
    """

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def pause(self, flow: str, trigger: str, paused: bool) -> None:
        """Let a schedule's ticks pass without a run from now on, or go on with its next one."""
        handle = self._handle(flow, trigger)
        with asked(""):
            try:
                await handle.update(lambda known: ScheduleUpdate(self._schedule(paused)))
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                if paused:  # what goes on needs none; the server forgets one a week after that
                    with suppress(ScheduleAlreadyRunningError):  # another command has just paused it
                        await self._client.create_schedule(handle.id, self._schedule(paused))

    async def passes_until(self, flow: str, trigger: str) -> datetime | None:
        """Up to when a schedule's ticks pass: for ever while it is paused, else to when it was resumed, if ever."""
        with asked(""):
            try:
                found = await self._handle(flow, trigger).describe()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return None
        return FOR_EVER if found.schedule.state.paused else found.info.last_updated_at

    def _handle(self, flow: str, trigger: str) -> ScheduleHandle:
        return self._client.get_schedule_handle(f"{self._task_queue} {flow} {trigger}")

    def _schedule(self, paused: bool) -> Schedule:
        told = "paused" if paused else "resumed"
        return Schedule(
            action=ScheduleActionStartWorkflow("none", id="none", task_queue=self._task_queue),
            spec=ScheduleSpec(),
            state=ScheduleState(paused=paused, note=f"{told} with `resolute schedule`, which starts its runs itself"),
        )

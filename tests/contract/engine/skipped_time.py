"""`SkippedTime`: the time of Temporal's test server and of the loop, which leap together wherever nothing happens."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.empty_pb2 import Empty
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, SleepRequest, UnlockTimeSkippingRequest
from temporalio.service import ConnectConfig, RPCError, ServiceClient, TestService

from resolute.clock import monotonic
from tests.contract.engine.patient_loop import PatientLoop
from tests.contract.engine.server_tasks import ServerTasks
from tests.temporal_server import TestServer

#: How long the server may take to leap when nothing holds it.
AT_ONCE_S: Final = 0.004
#: How long something may be on its way that the server has handed out and nobody has begun.
ON_ITS_WAY_S: Final = 2.0
#: The same where it may have been lost with a worker, or where nobody is going to answer.
LOST_S: Final = 0.2
#: After so long a task of a workflow that nobody answers is a defect.
LONGEST_S: Final = 60.0


class SkippedTime:
    """Lets time leap on a server of its own.

    The server counts locks: one for each attempt and each task of a workflow that is under way, and one of ours. It
    leaps to its next timer only while it counts none. So a leap waits for the tasks, which take no time, and takes the
    locks of attempts away, which may; a timer of ours, which is the end of the leap, puts them back. Whatever passes
    the wire meanwhile ends the leap before it is let through.

    Attributes:
        begins_at: the server's time when the loop's was 0.
    """

    def __init__(
        self, loop: PatientLoop, client: ServiceClient, namespace: str, beat: timedelta, now: datetime
    ) -> None:
        self.begins_at = now - timedelta(seconds=loop.time())
        self._loop = loop
        self._service = client.test_service
        self._tasks = ServerTasks(client, namespace, beat)
        self._idle: asyncio.Future[float] = loop.create_future()
        self._passes = asyncio.Event()
        self._passes.set()
        self._stirred = asyncio.Event()
        self._own = 1
        self._lost_before = now
        self._sleeps: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._go_on())
        self._task.add_done_callback(self._broke)
        loop.on_idle = self._is_idle

    @staticmethod
    async def of(loop: PatientLoop, server: TestServer, beat: timedelta) -> SkippedTime:
        """The time of a server, which begins on a full hour.

        Args:
            beat: how often an attempt says that it lives.
        """
        client = await ServiceClient.connect(ConnectConfig(target_host=f"127.0.0.1:{server.port}"))
        service = client.test_service
        now = await _now(service)
        begin = (now + timedelta(days=1)).replace(hour=10, minute=0, second=0, microsecond=0)
        await service.unlock_time_skipping_with_sleep(_sleep(begin - now))
        return SkippedTime(loop, client, server.namespace(), beat, await _now(service))

    async def stop(self) -> None:
        """Leave time as it is."""
        self._loop.on_idle = None
        self._passes.set()
        tasks = self.tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """What is at work here, and not for a worker."""
        return {self._task, *self._sleeps}

    async def pass_through(self) -> None:
        """Return when what waits at the wire may pass it."""
        while not self._passes.is_set():
            self._stirred.set()
            await self._passes.wait()

    def _broke(self, task: asyncio.Task[None]) -> None:
        """Let the test fail, which would wait for hours."""
        error = None if task.cancelled() else task.exception()
        if error is not None:

            def fail(due_s: float) -> None:
                raise error

            self._loop.on_idle = fail

    def _is_idle(self, due_s: float) -> None:
        if not self._idle.done():
            self._idle.set_result(due_s)

    async def _go_on(self) -> None:
        while True:
            due_s = await self._idle
            self._loop.on_idle = None
            self._passes.clear()
            self._stirred.clear()
            try:
                await self._leap(timedelta(seconds=due_s - self._loop.time()))
                now = await _now(self._service)
                self._loop.leap(max(0.0, (now - self.begins_at).total_seconds() - self._loop.time()))
            finally:
                self._passes.set()
            self._idle = self._loop.create_future()
            self._loop.on_idle = self._is_idle

    async def _leap(self, left: timedelta) -> None:
        """Let the server leap so far, or to where something happens."""
        await self._have_one()
        at, began_s = await _now(self._service), monotonic()
        ends_at, since_s = at + left, began_s
        sleep = asyncio.create_task(self._asleep(left))
        self._sleeps.add(sleep)
        sleep.add_done_callback(self._sleeps.discard)
        while not await self._stirs(AT_ONCE_S):
            tasks = await self._tasks.under_way(await _now(self._service), self._lost_before)
            waited_s = monotonic() - began_s
            if tasks.to_answer and waited_s > LONGEST_S:
                raise AssertionError("a worker does not answer a task of a workflow")
            if tasks.to_answer or (tasks.maybe_lost and waited_s < LOST_S):
                continue
            if tasks.unheard and waited_s < ON_ITS_WAY_S:
                continue
            # The less is leapt the less it matters.
            if tasks.on_their_way and waited_s < max(LOST_S, min(ON_ITS_WAY_S, left.total_seconds() / 4)):
                continue
            for _ in range(max(1, tasks.attempts)):
                now, now_s = await _now(self._service), monotonic()
                has_leapt = (now - at).total_seconds() > now_s - since_s + AT_ONCE_S
                at, since_s = now, now_s
                # What locks it after a leap does so rightly: the end of the sleep, or a task that began by it.
                if has_leapt or now >= ends_at or self._stirred.is_set() or not await self._unlock():
                    break
        await self._have_one()

    async def worker_is_new(self) -> None:
        """What the server handed out until now may have been lost with the worker before."""
        self._lost_before = await _now(self._service)

    async def _stirs(self, within_s: float) -> bool:
        """Whether the end of the leap has come, or something on the wire."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._stirred.wait()
        return self._stirred.is_set()

    async def _asleep(self, left: timedelta) -> None:
        self._own -= 1
        try:
            await self._service.unlock_time_skipping_with_sleep(_sleep(left))
            self._own += 1
        except RPCError:
            pass  # there was no lock left, so it has leapt: `_have_one` puts one there
        finally:
            self._stirred.set()

    async def _have_one(self) -> None:
        """Have one lock of our own, no more and no less."""
        while self._own > 1 and await self._unlock():
            pass
        while self._own < 1:
            self._own += 1
            await self._service.lock_time_skipping(LockTimeSkippingRequest())

    async def _unlock(self) -> bool:
        """Take one lock away, if there is one."""
        self._own -= 1
        try:
            await self._service.unlock_time_skipping(UnlockTimeSkippingRequest())
        except RPCError:
            self._own += 1
            return False
        return True


def _sleep(time: timedelta) -> SleepRequest:
    request = SleepRequest()
    request.duration.FromTimedelta(time + timedelta(milliseconds=1))  # the server counts whole ones
    return request


async def _now(service: TestService) -> datetime:
    found = await service.get_current_time(Empty())
    return found.time.ToDatetime(tzinfo=UTC)

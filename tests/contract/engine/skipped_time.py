"""`SkippedTime`: the time of Temporal's test server and of the loop, which leap together wherever nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, SleepRequest, UnlockTimeSkippingRequest
from temporalio.service import ConnectConfig, RPCError, ServiceClient, TestService

from resolute.clock import monotonic
from tests.contract.engine.patient_loop import PatientLoop

#: How long the server may take to leap when nothing holds it.
AT_ONCE_S: Final = 0.004
#: How long a task may be on its way that the server has handed out and nobody has begun.
ON_ITS_WAY_S: Final = 2.0
#: The same where it may have been lost with a worker.
LOST_S: Final = 0.2


class SkippedTime:
    """Lets time leap on a server of its own.

    The server counts locks: one for each attempt and each task of a workflow that is under way, and one of ours. It
    leaps to its next timer only while it counts none. So a leap takes the locks away, and a timer of ours, which is the
    end of the leap, puts them back. Whatever passes the wire meanwhile ends the leap before it is let through.

    Attributes:
        begins_at: the server's time when the loop's was 0.
    """

    def __init__(self, loop: PatientLoop, service: TestService, now: datetime) -> None:
        self.begins_at = now - timedelta(seconds=loop.time())
        self._loop = loop
        self._service = service
        self._idle: asyncio.Future[float] = loop.create_future()
        self._passes = asyncio.Event()
        self._passes.set()
        self._stirred = asyncio.Event()
        self._own = 1
        self._others = 0
        self._is_lossy = False
        self._is_quiet = True
        self._sleeps: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._go_on())
        self._task.add_done_callback(self._broke)
        loop.on_idle = self._is_idle

    @staticmethod
    async def of(loop: PatientLoop, port: int) -> SkippedTime:
        """The time of the server at this port, which begins on a full hour."""
        client = await ServiceClient.connect(ConnectConfig(target_host=f"127.0.0.1:{port}"))
        service = client.test_service
        now = await _now(service)
        begin = (now + timedelta(days=1)).replace(hour=10, minute=0, second=0, microsecond=0)
        await service.unlock_time_skipping_with_sleep(_sleep(begin - now))
        return SkippedTime(loop, service, await _now(service))

    async def stop(self) -> None:
        """Leave time as it is."""
        self._loop.on_idle = None
        self._passes.set()
        tasks = {self._task, *self._sleeps}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def pass_through(self) -> None:
        """Return when what waits at the wire may pass it."""
        self._is_quiet = False
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
        began_s = monotonic()
        sleep = asyncio.create_task(self._asleep(left))
        self._sleeps.add(sleep)
        sleep.add_done_callback(self._sleeps.discard)
        was_quiet, self._is_quiet = self._is_quiet, True
        attempts = _attempts()
        # Others stay as they were as long as nothing was said that may have ended one and begun another.
        others = [AT_ONCE_S if was_quiet else LOST_S, *[AT_ONCE_S] * (self._others - 1)] if self._others else []
        taken = 0
        for patience_s in chain([AT_ONCE_S] * attempts, others, [self._patience_s(left)], repeat(LOST_S)):
            if await self._stirs(patience_s):
                break
            taken += await self._unlock()
        if sleep.done() and monotonic() - began_s < left.total_seconds() - 0.05:  # it has leapt, and so met all locks
            self._others, self._is_lossy = max(0, taken - attempts), False
        await self._have_one()

    def _patience_s(self, left: timedelta) -> float:
        """How long something may take to come that is on its way. The less is leapt the less it matters.

        It is long enough for the end of a leap to be heard of: a lock is not to be taken away that is our own again.
        """
        return LOST_S if self._is_lossy else max(LOST_S, min(ON_ITS_WAY_S, left.total_seconds() / 4))

    @contextmanager
    def losing(self) -> Iterator[None]:
        """A worker is killed inside: its attempts hold the server until it gives them up, and maybe a task as well."""
        self._others += _attempts()
        self._is_lossy = True
        yield

    async def _stirs(self, within_s: float) -> bool:
        """Whether the end of the leap has come, or something on the wire."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._stirred.wait()
        return self._stirred.is_set()

    async def _asleep(self, left: timedelta) -> None:
        self._own -= 1
        await self._service.unlock_time_skipping_with_sleep(_sleep(left))
        self._own += 1
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


def _attempts() -> int:
    """How many attempts are under way in this process."""
    return sum(_name(task) == "_handle_start_activity_task" for task in asyncio.all_tasks())


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__name__", "")


def _sleep(time: timedelta) -> SleepRequest:
    request = SleepRequest()
    request.duration.FromTimedelta(time + timedelta(milliseconds=1))  # the server counts whole ones
    return request


async def _now(service: TestService) -> datetime:
    found = await service.get_current_time(Empty())
    return found.time.ToDatetime(tzinfo=UTC)

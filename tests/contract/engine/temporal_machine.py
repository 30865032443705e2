"""The machines whose flows run on a Temporal server. Their store is in memory, as a disk would be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest

from resolute.engine import Engine
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.store import Op
from resolute.engines.temporal import attempts, left_pages, notices, pages, port, serving, showing
from resolute.engines.temporal import engine as temporal_engine
from resolute.engines.temporal.address import TemporalAddress
from resolute.engines.temporal.host import TemporalHost
from resolute.errors import StoreBroken
from tests.contract.engine.machines import BreakableStore, MemoryMachine
from tests.contract.engine.patient_loop import PatientLoop
from tests.contract.engine.skipped_time import SkippedTime
from tests.contract.engine.whole_answers import WholeAnswers
from tests.temporal_server import TemporalServer, TestServer, Wire

#: How much time a worker has to stop until `stop` says how much it has.
FOR_EVER: Final = timedelta(days=1)
#: A worker that was killed goes on in this process until it has said good-bye, which takes less than this.
GOOD_BYE_S: Final = 90
#: How often an attempt says that it lives where hours pass.
BEAT_S: Final = 7.0


class MortalStore(BreakableStore):
    """A store that tells of its crash: what the SDK has under way has to end, or its worker never says good-bye."""

    def crash(self, *, apply: int = 0) -> None:
        waiting = [done for _, done in self._queue]
        super().crash(apply=apply)
        for done in waiting:
            if not done.done():
                done.set_exception(StoreBroken("The worker was killed."))
                done.exception()  # whoever still waits hears of it

    async def commit(self, batch: Sequence[Op]) -> None:
        self._check()
        await super().commit(batch)

    async def _settle(self) -> None:
        self._check()
        await super()._settle()

    def _check(self) -> None:
        if self._crashed:
            raise StoreBroken("The worker was killed.")


class TemporalMachine(MemoryMachine):
    """A machine with a worker for a namespace of its own, in real time.

    Args:
        grave: a server that knows no run. What a killed worker says goes there.
    """

    store_type = MortalStore

    def __init__(
        self, loop: PatientLoop, begins_at: datetime, server: TemporalServer | TestServer, grave: TestServer
    ) -> None:
        super().__init__(loop, begins_at)
        self._server = server
        self._namespace = server.namespace()
        self._grave = grave
        self._wires: list[Wire] = []
        self._served = AsyncExitStack()
        self._hurry = asyncio.Event()
        self._ghosts: set[asyncio.Task[Any]] = set()
        self._slots = 100

    @staticmethod
    def on(loop: PatientLoop, server: TemporalServer, grave: TestServer, patch: pytest.MonkeyPatch) -> TemporalMachine:
        """A machine on the development server."""
        loop.go_real()
        # What a kill has cut is attempted again after 2 s instead of 10: a test waits for that.
        _pace(patch, lost_after_s=2, beat_s=0.4)
        patch.setattr(temporal_engine, "FIRST_LOOK_S", 0.5)
        return TemporalMachine(loop, datetime.now(UTC) - timedelta(seconds=loop.time()), server, grave)

    @property
    def engine(self) -> Engine:
        assert isinstance(self._engine, TemporalHost), "the worker is down"
        return self._engine.remote

    def _new_engine(self, *parts: Any, **options: Any) -> EmbeddedEngine:
        self._slots = options.get("max_concurrent", 100)
        return TemporalHost(*parts, **options)

    async def _open(self, engine: EmbeddedEngine) -> None:
        assert isinstance(engine, TemporalHost), "made above"
        wire = Wire(self._server.port, self._pass)
        self._wires.append(wire)
        near = await wire.open()
        await engine.connect(TemporalAddress(f"127.0.0.1:{near}", self._namespace), "tests")
        await self._connected(engine)
        await engine.open()
        self._served, self._hurry = AsyncExitStack(), asyncio.Event()
        if engine.drives_all:
            await self._served.enter_async_context(engine.serving(self._slots, FOR_EVER, self._hurry))

    async def _connected(self, engine: TemporalHost) -> None:
        """The engine has its connection."""

    async def _pass(self) -> None:
        """Return when what is on the wire may go on."""

    async def kill(self) -> None:
        wire = self._wires[-1]
        wire.cut()
        self._cut()
        self._hurry.set()
        self._ghosts.add(asyncio.create_task(self._served.aclose()))
        await self.steps(3)  # now no attempt begins any more
        kept = self._kept()
        doomed = {task for task in asyncio.all_tasks() if not (task in kept or _is_of_sdk(task))}
        for task in doomed:
            task.cancel()
        await wire.divert(self._grave.port)
        await asyncio.wait(doomed)
        if self._engine is not None and self._engine.broken.done():
            self._engine.broken.exception()  # its store broke, which nobody is there to hear
        self._engine = None

    def _kept(self) -> set[asyncio.Task[Any]]:
        """The tasks that are none of the worker's."""
        return self._outside | self._ghosts

    async def stop(self, grace: timedelta = timedelta(0)) -> None:
        if self._engine is not None:
            leaving = asyncio.create_task(self._served.aclose())
            await asyncio.wait({leaving}, timeout=grace.total_seconds())
            self._hurry.set()
            await leaving
        await super().stop(grace)

    async def down(self) -> None:
        await super().down()
        left = self._ghosts | {task for task in asyncio.all_tasks() if _is_of_sdk(task)}
        if left:
            _, late = await asyncio.wait(left, timeout=GOOD_BYE_S)
            assert not late, "a killed worker does not end"
        for wire in self._wires:
            wire.cut()
        await asyncio.sleep(0.05)  # what is aborted is closed by the loop, which ends with the test


class SkippingMachine(TemporalMachine):
    """A machine on a test server of its own, whose time leaps wherever nothing happens."""

    pauses_s = 0.02, 1.4, 20.0

    def __init__(self, loop: PatientLoop, time: SkippedTime, server: TestServer, grave: TestServer) -> None:
        super().__init__(loop, time.begins_at, server, grave)
        self._time = time
        self._answers = WholeAnswers()
        loop.is_busy = lambda: self.threads.are_busy or self._answers.awaited > 0

    @staticmethod
    async def of(
        loop: PatientLoop, server: TestServer, grave: TestServer, patch: pytest.MonkeyPatch
    ) -> SkippingMachine:
        """A machine for a server that no other one has used."""
        loop.go_real()
        # Where hours pass a worker says less often that an attempt lives, and the SDK keeps nothing of that back.
        _pace(patch, lost_after_s=20, beat_s=BEAT_S)
        patch.setattr(serving, "BEAT_S", 0.001)
        patch.setattr(temporal_engine, "LONGEST_LOOK_S", 60.0)
        patch.setattr(left_pages, "LOOK_S", 60.0)
        patch.setattr(notices, "LOOK_EVERY", timedelta(minutes=2))
        patch.setattr(temporal_engine, "END_IN_S", 12.0)
        # The test server takes no task back from a worker that is gone, which a server does after a second. A worker
        # that keeps no run lets all but one of the tasks lie that it was given, so it takes them one by one.
        worker = partial(serving.Worker, max_cached_workflows=0, max_concurrent_workflow_tasks=1)
        patch.setattr(serving, "Worker", worker)
        return SkippingMachine(loop, await SkippedTime.of(loop, server, timedelta(seconds=BEAT_S)), server, grave)

    async def _connected(self, engine: TemporalHost) -> None:
        engine.remote.client = self._answers.of(engine.remote.client)
        await self._time.worker_is_new()

    async def _pass(self) -> None:
        await self._time.pass_through()

    def _kept(self) -> set[asyncio.Task[Any]]:
        return super()._kept() | self._time.tasks

    async def kill(self) -> None:
        await super().kill()
        await self._time.worker_is_new()

    async def down(self) -> None:
        await self._time.stop()
        await super().down()


def _is_of_sdk(task: asyncio.Task[Any]) -> bool:
    """Whether it is a part of the SDK's worker, which says good-bye in order."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "temporalio" in code.co_filename


def _pace(patch: pytest.MonkeyPatch, *, lost_after_s: float, beat_s: float) -> None:
    """How often attempts say that they live, and how soon one is lost that does not."""
    patch.setattr(port, "LOST_AFTER", timedelta(seconds=lost_after_s))
    for module in (attempts, pages, serving):
        patch.setattr(module, "BEAT_S", beat_s)
    patch.setattr(showing, "ANSWER_IN", timedelta(seconds=1))

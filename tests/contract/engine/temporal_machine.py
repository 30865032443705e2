"""The machine whose flows run on a Temporal server, on real time. Its store is in memory, as a disk would be."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolute.engine import Engine
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.temporal import attempts, pages, port, serving
from resolute.engines.temporal.address import TemporalAddress
from resolute.engines.temporal.host import TemporalHost
from tests.contract.engine.machines import MemoryMachine
from tests.contract.engine.patient_loop import PatientLoop
from tests.temporal_server import TemporalServer, Wire


class TemporalMachine(MemoryMachine):
    """A machine with a worker for a namespace of its own."""

    def __init__(self, loop: PatientLoop, server: TemporalServer) -> None:
        self.begins_at = datetime.now(UTC) - timedelta(seconds=loop.time())
        super().__init__(loop)
        self._server = server
        self._namespace = server.namespace()
        self._wire: Wire | None = None
        self._wires: list[Wire] = []
        self._left = AsyncExitStack()
        self._ghosts: set[asyncio.Task[Any]] = set()
        self._cut_wires: list[Wire] = []
        self._slots = 100

    @property
    def engine(self) -> Engine:
        assert isinstance(self._engine, TemporalHost), "the worker is down"
        return self._engine.remote

    def _new_engine(self, *parts: Any, **options: Any) -> EmbeddedEngine:
        self._slots = options.get("max_concurrent", 100)
        return TemporalHost(*parts, **options)

    async def _open(self, engine: EmbeddedEngine) -> None:
        assert isinstance(engine, TemporalHost), "made above"
        self._wire = Wire(self._server.port)
        self._wires.append(self._wire)
        near = await self._wire.open()
        await engine.connect(TemporalAddress(f"127.0.0.1:{near}", self._namespace), "tests")
        await engine.open()
        self._left = AsyncExitStack()
        if not engine.drives_all:
            return
        await self._left.enter_async_context(engine.serving(self._slots, timedelta(0), asyncio.Event()))

    async def kill(self) -> None:
        assert self._wire is not None, "a worker is up"
        self._wire.cut()
        self._cut()
        doomed = {task for task in asyncio.all_tasks() if task not in self._outside}
        for task in doomed:
            task.cancel()
        await asyncio.wait(doomed, timeout=0.1)
        self._ghosts |= doomed  # the SDK's core tries for long to say good-bye, which the wire does not let through
        self._cut_wires.append(self._wire)
        self._engine = None

    async def stop(self, grace: timedelta = timedelta(0)) -> None:
        if self._engine is not None:
            await self._left.aclose()
        await super().stop(grace)

    async def down(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await super().down()
        for wire in self._cut_wires:
            await wire.mend()
        if self._ghosts:
            await asyncio.wait(self._ghosts, timeout=20)
        for wire in self._wires:
            wire.cut()
        await asyncio.sleep(0.05)  # what is aborted is closed by the loop, which ends with the test


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Let what a kill has cut be attempted again after 2 s instead of 10: a test waits in real time."""
    patch.setattr(port, "LOST_AFTER", timedelta(seconds=2))
    for module in (attempts, pages, serving):
        patch.setattr(module, "BEAT_S", 0.4)

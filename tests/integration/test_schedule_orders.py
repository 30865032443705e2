"""Schedules are paused and resumed over the socket of a worker, which knows it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolute import Flow, Worker, WorkerConfig, activity, flow, schedule
from resolute.engines.embedded.files import FileEngine
from resolute.errors import EngineError


@activity
def look() -> int:
    return 1


yearly: Flow = flow("yearly").triggered_by(schedule("0 0 29 2 *"), schedule("@yearly")).then(look()).build()
FIRST, SECOND = (each.id for each in yearly.schedules)


def config(path: Path) -> WorkerConfig:
    return WorkerConfig("schedules", engine=f"sqlite:///{path}")


async def test_worker_is_told_to_pause(tmp_path: Path) -> None:
    """The schedule that was named, on disk when the call returns; the next worker knows it, too."""
    path = tmp_path / "resolute.db"
    async with Worker(config(path), flows=[yearly]):
        await FileEngine(path).pause("yearly", [SECOND], True)
        found = await FileEngine(path).ticks()
        assert [key for key, row in found.items() if row.paused] == [("yearly", SECOND)]
    async with Worker(config(path), flows=[yearly]):
        await FileEngine(path).pause("yearly", [FIRST, SECOND], False)
        assert not any(row.paused for row in (await FileEngine(path).ticks()).values())


async def test_worker_that_has_not_the_flow_says_so(tmp_path: Path) -> None:
    """Another version of the module runs there; nothing is written."""
    path = tmp_path / "resolute.db"
    async with Worker(config(path), flows=[yearly]):
        with pytest.raises(EngineError, match='The worker has no schedule "schedule:@daily:UTC" of a flow "yearly"'):
            await FileEngine(path).pause("yearly", ["schedule:@daily:UTC"], True)
        assert ("yearly", "schedule:@daily:UTC") not in await FileEngine(path).ticks()


async def test_fired_run_of_a_paused_flow_is_run_by_the_worker(tmp_path: Path) -> None:
    """To fire is to ask for it by hand."""
    path = tmp_path / "resolute.db"
    async with Worker(config(path), flows=[yearly]):
        engine = FileEngine(path)
        await engine.pause("yearly", [FIRST, SECOND], True)
        run = await engine.start("yearly", trigger=f"fired:{FIRST}")
        assert (await engine.result(run.id)).output == {"look": 1}

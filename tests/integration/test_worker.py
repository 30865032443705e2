"""`Worker` on a real file: one owner at a time, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from resolute import Flow, Worker, WorkerConfig, activity, flow, manual, oneshot
from resolute.engine import RunQuery, RunView
from resolute.engines.embedded.files import FileEngine
from resolute.engines.embedded.owner import Owner, holder
from resolute.engines.embedded.socket import call
from resolute.errors import ConfigError, StoreOwned
from resolute.oneshot import Once, run_once
from resolute.ports import Ports

calls: list[str] = []
entered = asyncio.Event()


@activity
async def count() -> int:
    calls.append("count")
    return len(calls)


@activity
async def hang() -> None:
    entered.set()
    await asyncio.Event().wait()


counting: Flow = flow("counting").triggered_by(manual()).then(count()).build()
pausing: Flow = (
    flow("pausing")
    .triggered_by(manual())
    .then(count())
    .then_sleep(timedelta(seconds=0.5))
    .then(count().as_("more"))
    .build()
)
hanging: Flow = flow("hanging").triggered_by(manual()).then(hang()).build()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the store; a run that is parked for a moment lets go of it."""
    monkeypatch.setattr(oneshot, "SHORT_WAIT_S", 0.05)
    calls.clear()
    entered.clear()
    return tmp_path / "resolute.db"


def worker(path: Path, grace: timedelta = timedelta(0)) -> Worker:
    return Worker(WorkerConfig(engine=f"sqlite:///{path}", grace=grace), flows=[counting, pausing, hanging])


def exists(address: str) -> bool:
    return os.path.exists(address)


async def test_worker_that_ends_leaves_neither_lock_nor_socket(path: Path) -> None:
    """The next one starts at once."""
    for _ in range(2):
        async with worker(path):
            found = holder(path)
            assert found is not None
            assert found.address is not None
            assert exists(found.address)
        assert holder(path) is None
        assert not exists(found.address)


async def test_second_worker_fails_and_disturbs_nothing(path: Path) -> None:
    """At once, and the first goes on."""
    async with worker(path) as first:
        with pytest.raises(StoreOwned, match="listening at"):
            await worker(path).__aenter__()
        assert await (await first.client.start("counting")).result() == {"count": 1}


async def test_worker_waits_for_a_command_at_work(path: Path) -> None:
    """`resolute run` holds the store for a moment; that is no reason not to start."""
    owner = await Owner.acquire(path, wait=False)
    second = worker(path)
    starting = asyncio.create_task(second.__aenter__())
    await asyncio.sleep(0)
    owner.release()
    await asyncio.wait_for(starting, 10)
    await second.__aexit__(None, None, None)


async def test_attempt_that_outlasts_the_grace_is_made_again(path: Path) -> None:
    """Its run is not lost, and the worker ends in time."""
    async with worker(path) as first:
        run = await first.client.start("hanging", run_id="one")
        await asyncio.wait_for(entered.wait(), 10)
    entered.clear()
    async with worker(path) as second:
        await asyncio.wait_for(entered.wait(), 10)
        assert (await second.client.get(run.id)).status == "running"


async def test_job_of_a_broken_module_costs_the_worker_nothing(path: Path) -> None:
    """The command is told, the worker goes on."""
    async with worker(path) as made:
        found = holder(path)
        assert found is not None
        for main in ("nowhere:no", "no", "sys:exit"):
            order: dict[str, Any] = {"name": "J", "main": main, "input": {}, "wait_s": 1}
            with pytest.raises(ConfigError):
                await call(Path(str(found.address)), "start_job", {"job": order, "run_id": "x"})
        assert not made.engine.broken.done()
        assert not await made.client.runs()


# One run from start to end, without a worker


async def test_run_lets_go_of_the_store_while_it_is_parked(path: Path) -> None:
    """It takes it again when it is due, tells of its start once, and repeats nothing."""
    starts: list[str] = []
    parked = asyncio.Event()

    def on_park(run: RunView) -> None:
        parked.set()

    once = Once(path, pausing, "one", on_start=starts.append, on_park=on_park)
    running = asyncio.create_task(run_once(once, Ports()))
    await asyncio.wait_for(parked.wait(), 10)
    assert holder(path) is None
    run = await asyncio.wait_for(running, 10)
    assert run.output == {"count": 1, "more": 2}
    assert starts == ["one"]


async def test_worker_that_appears_meanwhile_gives_the_result(path: Path) -> None:
    """The parked run is the worker's from then on."""
    parked = asyncio.Event()
    once = Once(path, pausing, "one", on_park=lambda run: parked.set())
    running = asyncio.create_task(run_once(once, Ports()))
    await asyncio.wait_for(parked.wait(), 10)
    async with worker(path):
        run = await asyncio.wait_for(running, 10)
    assert run.output == {"count": 1, "more": 2}


async def test_run_drives_no_other_run(path: Path) -> None:
    """What waits in the store for a worker is left alone."""
    await FileEngine(path).start("counting", run_id="waits")
    assert (await run_once(Once(path, counting, "mine"), Ports())).status == "succeeded"
    runs = await FileEngine(path).runs(RunQuery())
    assert {run.id: run.status for run in runs} == {"mine": "succeeded", "waits": "queued"}
    assert calls == ["count"]


async def test_cancelled_run_is_left_to_a_worker(path: Path) -> None:
    """Ctrl-C: the lock is free, and the run unfinished."""
    parked = asyncio.Event()
    running = asyncio.create_task(run_once(Once(path, pausing, "one", on_park=lambda run: parked.set()), Ports()))
    await asyncio.wait_for(parked.wait(), 10)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert holder(path) is None
    assert (await FileEngine(path).get("one")).status == "waiting"


def test_process_of_a_worker_collects_less_garbage_in_vain() -> None:
    """What was imported is not looked through again; in a process of its own, for the setting stays."""
    code = (
        "import gc; from resolute.worker import GC_OBJECTS, collect_less; collect_less(); "
        "assert gc.isenabled() and gc.get_freeze_count() > 1000 and gc.get_threshold()[0] == GC_OBJECTS"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

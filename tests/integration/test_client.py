"""`Client`: starts runs and asks about them, with a worker that owns the store and without one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from resolute import Client, Flow, Worker, WorkerConfig, activity, flow, input_data, manual
from resolute.engines.embedded import files
from resolute.engines.embedded.owner import Owner, holder
from resolute.errors import (
    ActivityError,
    ConfigError,
    EngineError,
    InputError,
    RunConflict,
    RunFailed,
    RunNotFound,
    StoreError,
    StoreOwned,
)


class Alarm(BaseModel):
    host: str
    level: float = 1.0


@activity
async def look(host: str) -> str:
    return f"{host} is down"


@activity
async def refuse() -> None:
    raise ActivityError("no such host", permanent=True)


report: Flow = flow("report").triggered_by(manual()).then(look(host=input_data("host"))).build()
strict: Flow = flow("strict").triggered_by(manual()).accepts(Alarm).then(look(host=input_data("host"))).build()
broken: Flow = flow("broken").triggered_by(manual()).then(refuse()).build()
pausing: Flow = flow("pausing").triggered_by(manual()).then(look(host="a")).then_sleep(timedelta(hours=1)).build()


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/resolute.db"


@asynccontextmanager
async def worker(store: str) -> AsyncIterator[Worker]:
    async with Worker(WorkerConfig(engine=store), flows=[report, strict, broken, pausing]) as worker:
        yield worker


@asynccontextmanager
async def client(store: str) -> AsyncIterator[Client]:
    async with asyncio.timeout(20), Client.connect(store) as client:
        yield client


async def test_worker_runs_what_a_client_starts(store: str) -> None:
    """Over the socket, as another process would."""
    async with worker(store), client(store) as asked:
        run = await asked.start("report", {"host": "db"})
        assert await run.result() == {"look": "db is down"}
        assert [node.output for node in (await run.get()).nodes] == ["db is down"]


async def test_without_a_worker_the_run_waits_for_one(store: str) -> None:
    """`start` returns when it is on disk; the next worker runs it, and who waits for the result gets it."""
    async with client(store) as asked:
        run = await asked.start(report, {"host": "db"}, run_id="one")
        view = await run.get()
        assert (view.status, view.waiting_for) == ("queued", "a worker")
        waiting = asyncio.create_task(run.result())
        async with worker(store):
            assert await waiting == {"look": "db is down"}


@pytest.mark.parametrize("has_worker", [True, False])
async def test_same_id_is_the_same_run(store: str, has_worker: bool) -> None:
    """With other input, or another flow, it is a conflict."""
    async with worker(store) if has_worker else asyncio.timeout(None), client(store) as asked:
        for _ in range(3):
            assert (await asked.start("report", {"host": "db"}, run_id="one")).id == "one"
        for other, given in (("report", {"host": "other"}), ("pausing", {"host": "db"})):
            with pytest.raises(RunConflict):
                await asked.start(other, given, run_id="one")
        assert len(await asked.runs()) == 1


async def test_model_as_input_is_the_same_as_its_json(store: str) -> None:
    """Whether it goes over the socket or not."""
    async with client(store) as asked:
        await asked.start("strict", Alarm(host="db", level=float("inf")), run_id="one")
    async with worker(store) as made, client(store) as asked:
        run = await asked.start("strict", Alarm(host="db", level=float("inf")), run_id="one")
        assert await run.result() == {"look": "db is down"}
        assert (await made.client.start("strict", Alarm(host="db", level=float("inf")), run_id="one")).id == "one"


async def test_failed_run_raises_where_and_why(store: str) -> None:
    """`RunFailed` has the status, the key and the error."""
    async with worker(store), client(store) as asked:
        with pytest.raises(RunFailed, match="no such host") as caught:
            await (await asked.start("broken")).result()
    assert (caught.value.status, caught.value.key) == ("failed", "refuse")


async def test_input_that_does_not_fit_is_refused_by_the_worker(store: str) -> None:
    """Nothing is written down."""
    async with worker(store), client(store) as asked:
        with pytest.raises(InputError, match="level"):
            await asked.start("strict", {"host": "db", "level": "high"})
        with pytest.raises(EngineError, match="not known here"):
            await asked.start("unknown")
        with pytest.raises(InputError, match="run id"):
            await asked.start("report", {"host": "db"}, run_id="")
        assert not await asked.runs()


@pytest.mark.parametrize("has_worker", [True, False])
async def test_cancel_ends_an_unfinished_run(store: str, has_worker: bool) -> None:
    """One that has finished is refused, one that does not exist not found."""
    async with client(store) as asked:
        async with worker(store):
            run = await asked.start("pausing", run_id="one")
            while (await run.get()).status != "waiting":  # noqa: ASYNC110 - nothing tells that a run was parked
                await asyncio.sleep(0)
        async with worker(store) if has_worker else asyncio.timeout(None):
            assert (await run.cancel()).status == "cancelled"
            with pytest.raises(EngineError, match="has cancelled already"):
                await run.cancel()
            with pytest.raises(RunFailed, match="cancelled"):
                await run.result()
            with pytest.raises(RunNotFound):
                await asked.cancel("two")


async def test_waiting_for_a_result_has_its_limit(store: str) -> None:
    """The run goes on."""
    async with worker(store), client(store) as asked:
        run = await asked.start("pausing")
        with pytest.raises(TimeoutError):
            await run.result(timedelta(seconds=0.05))
        assert not (await run.get()).is_finished


async def test_runs_are_listed_newest_first(store: str) -> None:
    """Filtered by flow and status."""
    async with worker(store), client(store) as asked:
        for number in range(3):
            await (await asked.start("report", {"host": "db"}, run_id=f"run-{number}")).result()
        await asked.start("pausing", run_id="last")
        assert [run.id for run in await asked.runs(limit=2)] == ["last", "run-2"]
        assert [run.id for run in await asked.runs(flow="report", status="succeeded")] == ["run-2", "run-1", "run-0"]


async def test_store_that_does_not_exist_is_told(store: str, tmp_path: Path) -> None:
    """Asking makes no file."""
    async with client(store) as asked:
        with pytest.raises(StoreError, match="There is no store"):
            await asked.runs()
    assert not os.listdir(tmp_path)


async def test_store_in_memory_cannot_be_reached() -> None:
    """It belongs to the worker's process; the message says what to use."""
    with pytest.raises(ConfigError, match=r"Worker\(\.\.\.\)\.client"):
        async with Client.connect("memory:"):
            pass


async def test_owner_that_does_not_answer_is_named(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not waited for without end: its pid and what to do."""
    monkeypatch.setattr(files, "SILENT_S", 0.1)
    owner = await Owner.acquire(tmp_path / "resolute.db", wait=False)
    owner.announce(str(tmp_path / "nobody.sock"))
    async with client(store) as asked:
        with pytest.raises(StoreOwned, match=f"process {os.getpid()}"):
            await asked.start("report", {"host": "db"})
    owner.release()


async def test_command_at_work_is_waited_for(store: str, tmp_path: Path) -> None:
    """A process that holds the store without listening lets go before long."""
    path = tmp_path / "resolute.db"
    owner = await Owner.acquire(path, wait=False)
    async with client(store) as asked:
        starting = asyncio.create_task(asked.start("report", {"host": "db"}))
        await asyncio.sleep(0)
        assert not starting.done()
        owner.release()
        assert (await (await starting).get()).status == "queued"
    assert holder(path) is None


async def test_many_clients_at_once_are_all_served(store: str) -> None:
    """Each takes the lock for a moment, or asks the worker."""
    async with client(store) as asked:
        await asyncio.gather(*(asked.start("report", {"host": "db"}, run_id=f"before-{n}") for n in range(5)))
        async with worker(store):
            runs = await asyncio.gather(*(asked.start("report", {"host": "db"}) for _ in range(30)))
            assert {str(await run.result()) for run in runs} == {"{'look': 'db is down'}"}
            assert len(await asked.runs(status="succeeded", limit=100)) == 35

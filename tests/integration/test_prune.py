"""Pruning real files: by a worker, by a client with and without one, beside other work, and of large stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from resolute import Client, Flow, Retry, Run, Worker, WorkerConfig, activity, current, flow, manual
from resolute.clock import SystemClock
from resolute.engine import RunQuery
from resolute.engines.embedded.files import FileEngine
from resolute.engines.embedded.retention import BATCH, Rule, Selection
from resolute.engines.embedded.sqlite.space import space, vacuum
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Entry, Forget, Op, Prune, RunRow
from resolute.errors import ConfigError, RunConflict, RunPruned, StoreOwned
from tests.integration.sqlite_file import NOW, opened

ALL = Selection(keep=0)
AT_ONCE = 2000


@activity
def one() -> int:
    return 1


HOLD: dict[str, asyncio.Event] = {}


@activity(retry=Retry(attempts=1))
async def fails_once() -> None:
    if current().attempt == 1:
        raise OSError("no")
    await HOLD["second attempt"].wait()


@activity
def large() -> str:
    return "x" * 100_000


failing: Flow = flow("failing").triggered_by(manual()).then(large()).then(fails_once()).returns(1).build()
plain: Flow = flow("plain").triggered_by(manual()).then(one()).build()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolute.db"


@asynccontextmanager
async def working(path: Path, **settings: float) -> AsyncIterator[Worker]:
    """A worker on that file."""
    config = WorkerConfig(engine=f"sqlite:///{path}", **settings)  # type: ignore[arg-type]
    async with Worker(config, flows=[plain, failing]) as worker:
        yield worker


@pytest.mark.parametrize("has_worker", [True, False])
async def test_client_prunes_through_the_worker_or_under_the_lock(path: Path, has_worker: bool) -> None:
    """With the same effect: the run is gone for the client as well, and its id is still its own."""
    engine, told = FileEngine(path), list[int]()
    async with working(path) as worker:
        for no in range(3):
            await worker.client.run((await worker.client.start(plain, run_id=f"r{no}")).id).result()
        if has_worker:
            assert await engine.prune(Selection(keep=1), told.append) == 2
    if not has_worker:
        assert await engine.prune(Selection(keep=1), told.append) == 2
    assert (told, [run.id for run in await engine.runs(RunQuery())]) == ([2], ["r2"])
    async with Client.connect(f"sqlite:///{path}") as client:
        first = await client.start(plain, run_id="r0")
        for ask in (first.result, first.get, first.cancel):
            with pytest.raises(RunPruned, match="was pruned on"):
                await ask()
        with pytest.raises(RunConflict):
            await client.start(plain, input={"other": 1}, run_id="r0")


@pytest.mark.parametrize(("first", "second"), [(0, n) for n in range(5)] + [(n, 0) for n in range(1, 5)])
async def test_retry_beside_the_pruning(path: Path, first: int, second: int) -> None:
    """Whichever comes first, by so many reads: the run goes on with its whole journal, or is told to be gone."""
    async with working(path) as worker:
        engine = worker.engine
        run: Run = await worker.client.start(failing, run_id="a")
        await engine.result(run.id)
        await asyncio.gather(*engine._driver.tasks.values())
        hold = HOLD["second attempt"] = asyncio.Event()

        async def later(reads: int, work: Coroutine[Any, Any, Any]) -> Any:
            for _ in range(reads):
                await engine.core.store.find("a")
            return await work

        works = later(first, run.retry()), later(second, engine.retention.prune(ALL))
        retried, _ = await asyncio.gather(*works, return_exceptions=True)
        if isinstance(retried, RunPruned):
            return
        assert not isinstance(retried, BaseException)
        assert [node.key for node in (await engine.get(run.id)).nodes] == ["large", "fails_once"]
        hold.set()
        assert await run.result() == 1


@pytest.mark.parametrize(
    ("settings", "named"), [({"keep_days": -1}, "keep_days=-1"), ({"keep_runs": -1}, "keep_runs=-1")]
)
async def test_worker_says_what_cannot_be_kept(path: Path, settings: dict[str, float], named: str) -> None:
    """Before it begins."""
    with pytest.raises(ConfigError, match=named):
        async with working(path, **settings):
            pass


@pytest.mark.parametrize(
    ("config", "environ", "rule"),
    [
        ({}, {}, (timedelta(days=90), None)),
        ({}, {"RESOLUTE_KEEP_DAYS": "0", "RESOLUTE_KEEP_RUNS": "500"}, (None, 500)),
        ({"keep_days": 7, "keep_runs": 0}, {"RESOLUTE_KEEP_RUNS": "500"}, (timedelta(days=7), None)),
    ],
)
def test_worker_prunes_by_its_settings(
    config: dict[str, float], environ: dict[str, str], rule: tuple[object, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own before those of the environment; 0 is for ever, or all."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = Worker(WorkerConfig(**config), flows=[plain]).rule  # type: ignore[arg-type]
    assert (found.keep_for, found.keep_runs) == rule


def runs(first: int, count: int, flows: int = 3) -> list[Op]:
    """Finished runs with an entry each, a second apart."""
    made: list[Op] = []
    for no in range(first, first + count):
        at = NOW + timedelta(seconds=no)
        name, text = f"flow{no % flows}", f'"{"x" * 200}"'
        made.append(RunRow(no, f"r{no}", name, "", "succeeded", "null", "d", "manual", at, output=text, finished_at=at))
        made.append(Entry(no, "one", 0, "node", "one", "done", at, output=text))
    return made


async def fill(store: SqliteStore, first: int, count: int) -> None:
    for begin in range(first, first + count, AT_ONCE):
        await store.commit(runs(begin, min(AT_ONCE, first + count - begin)))


async def prune_by(store: SqliteStore, before: int, at_once: int = BATCH) -> int:
    """Prune what ended before the run of that number; how many runs."""
    count, until = 0, NOW + timedelta(seconds=before)
    while found := await store.prunable(until, None, at_once):
        await store.commit([Prune(no, NOW) for no in found])
        count += len(found)
    return count


@pytest.mark.parametrize(
    ("total", "gone"), [(2200, 2000), pytest.param(110_000, 100_000, marks=pytest.mark.ci_only)], ids=["2k", "100k"]
)
async def test_store_after_most_of_its_runs_were_pruned(path: Path, total: int, gone: int) -> None:
    """The rest is listed as before, numbers go on, and the room is used again: the file does not grow."""
    async with opened(path) as store:
        await fill(store, 1, total)
        full = space(path)
        assert await prune_by(store, gone + 1) == gone
        newest = [run.no for run in await store.runs(RunQuery(limit=total))]
        assert newest == list(range(total, gone, -1))
        assert [run.no for run in await store.runs(RunQuery(flow="flow1", limit=3))] == newest_of("flow1", total)
        assert (await store.find("r1"), (await store.pruned("r1")) is not None) == (None, True)
        assert space(path).free_bytes > 0.6 * full.bytes
        await store.commit([Forget(NOW + timedelta(days=1))])
        await fill(store, total + 1, gone)
        assert space(path).bytes <= 1.05 * full.bytes
        await prune_by(store, total + gone + 1)
    assert await next_number(path) == total + gone + 1


def newest_of(flow: str, last: int) -> Sequence[int]:
    """The numbers of the three newest runs of a flow."""
    return [no for no in range(last, 0, -1) if f"flow{no % 3}" == flow][:3]


async def test_file_stays_as_large_as_it_was_after_a_few_rounds(path: Path) -> None:
    """Runs come and go, and so do their ids; the room of those that went is that of those that come."""
    sizes, round_s = [], timedelta(seconds=300)
    async with opened(path) as store:
        for number in range(30):
            await fill(store, number * 300 + 1, 300)
            now = NOW + number * round_s
            gone = await store.prunable(now, None, 1000)
            await store.commit([*(Prune(no, now) for no in gone), Forget(now - 3 * round_s)])
            sizes.append(space(path).bytes)
        assert len(await store.runs(RunQuery(limit=10_000))) == 301
    assert max(sizes[6:]) <= 1.02 * sizes[6]


async def test_worker_sweeps_its_own_file(path: Path) -> None:
    """In batches, beside its runs, and tells the log what it did."""
    async with opened(path) as store:
        await fill(store, 1, 2 * BATCH + 1)
    async with working(path) as worker:
        engine = worker.engine
        run = await worker.client.start(plain)
        assert await engine.retention.sweep(Rule(keep_runs=10)) == 2 * BATCH + 1 - 30
        assert await run.result() == {"one": 1}
        assert len(await engine.runs(RunQuery(limit=1000))) == 31


async def next_number(path: Path) -> int:
    """The number that the next run gets."""
    store = SqliteStore(path)
    try:
        return (await store.open()).next_run_no
    finally:
        await store.close()


async def test_vacuum_gives_the_room_back(path: Path) -> None:
    """What is left is the same, and the store goes on from there; with an owner it is refused and nothing changes."""
    async with opened(path) as store:
        await fill(store, 1, 2200)
        await prune_by(store, 2001)
        with pytest.raises(StoreOwned):
            await vacuum(path)
    before = space(path)
    await vacuum(path)
    after = space(path)
    assert after.bytes <= before.bytes - before.free_bytes * 0.9
    assert after.free_bytes == 0
    async with opened(path) as store:
        assert [run.no for run in await store.runs(RunQuery(limit=5000))] == list(range(2200, 2000, -1))
        assert len((await store.load(2100))[1]) == 1
        assert await store.pruned("r7") is not None


async def test_pruning_by_hand_forgets_what_is_long_gone(path: Path) -> None:
    """Also where no worker ever runs, ids are free again after thirty days."""
    async with opened(path) as store:
        now = SystemClock().now()
        ago = now - timedelta(days=31)
        await store.commit([*runs(1, 2), Prune(1, ago), Prune(2, now)])
    assert await FileEngine(path).prune(ALL) == 0
    async with opened(path) as store:
        assert (await store.pruned("r1"), (await store.pruned("r2")) is not None) == (None, True)

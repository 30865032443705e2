"""What a disk, another program and kill -9 can do to the SQLite store: all of it real."""

from __future__ import annotations

import asyncio
import logging
import random
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from resolute.engines.embedded import group_writer
from resolute.engines.embedded.owner import lock_path
from resolute.engines.embedded.sqlite.database import open_to_write
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.sqlite.verdict import judge
from resolute.engines.embedded.sqlite.writer import Writer
from resolute.engines.embedded.store import Entry, RunRow
from resolute.errors import StoreBroken, StoreError, StoreUnavailable
from tests.integration.sqlite_file import NOW, WRITE, has_whole_batches, is_intact, opened, run, small_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolute.db"


class Warned(logging.Handler):
    """Hands on what the store's thread warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: asyncio.Queue[str] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        self.loop.call_soon_threadsafe(self.texts.put_nowait, record.getMessage())


@pytest.fixture
async def warned() -> AsyncIterator[Warned]:
    handler = Warned()
    group_writer.log.addHandler(handler)
    yield handler
    group_writer.log.removeHandler(handler)


@contextmanager
def locked_by_another_program(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


# When it cannot be written


async def test_locked_file_is_written_once_it_is_free(path: Path, warned: Warned) -> None:
    """Batches wait in their order behind another program, with one warning at the start and one at the end."""
    async with opened(path) as store, asyncio.timeout(30):
        with locked_by_another_program(path):
            commits = [asyncio.create_task(store.commit([run(1, error=str(n))])) for n in range(3)]
            reading = asyncio.create_task(store.find("run1"))
            assert "cannot be written" in await warned.texts.get()
            assert store.held_since is not None
            assert not any(task.done() for task in [*commits, reading])
        await asyncio.gather(*commits)
        assert "can be written again" in await warned.texts.get()
        assert store.held_since is None
        assert await reading == run(1, error="2")
    assert warned.texts.empty()


def test_sqlite_that_finds_no_room_is_asked_again(path: Path) -> None:
    """What SQLite says of a full disk is not taken for damage."""
    with closing(open_to_write(path)) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError, match="full") as caught:
            connection.execute("INSERT INTO memory VALUES ('disk', 'a', ?)", ["x" * 100_000])
        assert judge(caught.value, path) == "repeat"


async def test_closing_a_store_that_cannot_be_written_gives_up(path: Path, warned: Warned) -> None:
    """Who closes learns what was lost; who waited for it learns that it was not written."""
    store = SqliteStore(path, patience=timedelta(seconds=0.2))
    await store.open()
    with locked_by_another_program(path):
        commits = [asyncio.create_task(store.commit([run(no)])) for no in (1, 2)]
        assert "cannot be written" in await warned.texts.get()
        with pytest.raises(StoreUnavailable, match="2 batches were not kept"):
            await store.close()
    results = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable, StoreUnavailable]
    async with opened(path) as again:
        assert await again.running() == []


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


async def test_full_disk_is_waited_for(tmp_path: Path, warned: Warned) -> None:
    """Nothing is lost when the disk is full, and nothing is acknowledged; with room again all goes on."""
    with small_disk(tmp_path) as disk:
        async with opened(disk / "resolute.db") as store, asyncio.timeout(30):
            await store.commit([run(1)])
            filler = fill(disk)
            commits = [asyncio.create_task(store.commit([run(no, error="x" * 5000)])) for no in range(2, 30)]
            assert "SQLITE_FULL" in await warned.texts.get()
            assert not any(commit.done() for commit in commits)
            filler.unlink()
            await asyncio.gather(*commits)
            assert len(await store.running()) == 29


async def test_full_disk_at_the_start(tmp_path: Path) -> None:
    """Who starts on a full disk is told that, not that the file is damaged."""
    with small_disk(tmp_path) as disk:
        filler = fill(disk)
        with pytest.raises(StoreUnavailable, match=r"[Ff]ull|No space"):
            await SqliteStore(disk / "resolute.db").open()
        filler.unlink()
        async with opened(disk / "resolute.db") as store:
            await store.commit([run(1)])


async def test_failing_disk_ends_the_store(path: Path) -> None:
    """After an I/O error nothing is written any more, and everybody is told; what was acknowledged is there."""
    store = SqliteStore(path)
    await store.open()
    await store.commit([run(1)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("resolute.db-wal").stat().st_size, limits[1]))
    try:
        with pytest.raises(StoreBroken, match="SQLITE_IOERR_WRITE"):
            await store.commit([run(2, error="x" * 9000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with pytest.raises(StoreBroken):
        await store.commit([run(3)])
    with pytest.raises(StoreBroken):
        await store.find("run1")
    await store.close()
    async with opened(path) as again:
        assert await again.running() == [1]


async def test_disk_that_fails_while_nothing_is_asked_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is moved into the file when nothing happens; whoever runs the store learns that this has failed."""
    monkeypatch.setattr(Writer, "idle_s", 0.05)
    store = SqliteStore(path)
    await store.open()
    told: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
    store.on_broken(told.set_result)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with asyncio.timeout(30):
        await store.commit([run(1)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            assert isinstance(await told, StoreBroken)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await store.close()
    async with opened(path) as again:
        assert await again.running() == [1]


@pytest.mark.parametrize("lost", ["resolute.db", "resolute.db.lock"])
async def test_file_that_was_replaced_is_not_written(path: Path, lost: str) -> None:
    """Who moves the store away, or lets a second owner in by deleting the lock, loses no page without a word."""
    store = SqliteStore(path)
    await store.open()
    (path.parent / lost).rename(path.parent / "away")
    lock_path(path).touch()
    with pytest.raises(StoreBroken, match=r"moved or deleted|deleted and made anew"):
        await store.commit([run(1)])
    await store.close()


async def test_refused_batch_leaves_the_others_of_its_group(path: Path) -> None:
    """One faulty batch is told to who made it; those that were written together with it are kept."""
    async with opened(path) as store:
        twin = RunRow(9, "run1", "disk", "f", "running", "null", "d", "manual", NOW)
        batches = [[run(1)], [run(2)], [run(3), twin], [run(4)]]
        results = await asyncio.gather(*(store.commit(batch) for batch in batches), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), type(None), StoreError, type(None)]
        assert "UNIQUE constraint failed: runs.id" in str(results[2])
        assert await store.running() == [1, 2, 4]


async def test_value_that_cannot_be_kept_is_refused(path: Path) -> None:
    """It is told to who made it; the store goes on."""
    async with opened(path) as store:
        with pytest.raises(StoreError, match="too large"):
            await store.commit([run(2**64)])
        await store.commit([run(1)])
        assert await store.running() == [1]


# kill -9


def killed_at(path: Path, lines: int) -> list[int]:
    """The numbers that a process acknowledged until it was killed after so many lines."""
    with subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(lines)]
        child.kill()
        return acknowledged + [int(line) for line in child.stdout if line.endswith("\n")]


async def test_kill_nine_loses_nothing_that_was_acknowledged(path: Path) -> None:
    """At whatever moment a process is killed: what it acknowledged is there, and no batch is there in part."""
    moments = random.Random(20260131)
    acknowledged: list[int] = []
    for _ in range(15):
        acknowledged += killed_at(path, int(400 ** moments.random()))
        async with opened(path) as store:
            there = await store.running()
            assert set(acknowledged) <= set(there)
            newest: list[list[Entry]] = [(await store.load(no))[1] for no in there[-40:]]
            assert [len(entries) for entries in newest] == [3] * len(newest)
    assert is_intact(path)
    assert has_whole_batches(path)

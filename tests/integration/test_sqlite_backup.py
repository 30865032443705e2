"""Copies of real stores: beside a process that writes, of what a killed one left, and on a disk that is too small."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from resolute.engine import RunQuery
from resolute.engines.embedded.sqlite import backup
from resolute.engines.embedded.sqlite.backup import back_up
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.errors import StoreBroken, StoreUnavailable
from tests.integration.sqlite_file import WRITE, has_whole_batches, is_intact, opened, run, small_disk

WRITE_ONE = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import RunRow

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    no = (await store.open()).next_run_no
    await store.commit([RunRow(no, f"run{no}", "disk", "f", "running", "null", "d", "manual", datetime.now(UTC))])
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is, in a folder of its own."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder / "resolute.db"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where the copy will be, in a folder of its own."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder / "copy.db"


@contextmanager
def writing(path: Path) -> Iterator[IO[str]]:
    """What a process that writes the store acknowledges, until it is killed."""
    with subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield child.stdout
        child.kill()


def fill(path: Path, runs: int, size: int = 3000) -> None:
    """Let an owner write so many runs and end."""

    async def write() -> None:
        async with opened(path) as store:
            await store.commit([run(no, "x" * size) for no in range(1, runs + 1)])

    asyncio.run(write())


def numbers(path: Path) -> list[int]:
    return [each.no for each in asyncio.run(ReadOnlyStore(path).runs(RunQuery(limit=10**6)))]


def test_copy_beside_a_process_that_writes(path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was acknowledged before is in it and no batch in part; it comes to its end though more is written."""
    monkeypatch.setattr(backup, "STEP", 16)
    with writing(path) as acknowledged:
        before = {int(acknowledged.readline()) for _ in range(500)}
        steps = 0

        def step(doing: str, share: float | None) -> None:
            nonlocal steps
            steps += int(acknowledged.readline()) > 0
            assert steps < 1000

        made = back_up(path, copy, overwrite=False, progress=step)
        assert int(acknowledged.readline()) > 500
    assert steps > 5
    there = numbers(copy)
    assert before <= set(there)
    assert made.runs == len(there)
    assert is_intact(copy)
    assert has_whole_batches(copy)


def test_copy_of_what_a_killed_owner_left(path: Path, copy: Path) -> None:
    """What stands in its log is in the copy; the files that it left stay as they are."""
    with writing(path) as acknowledged:
        there = {int(acknowledged.readline()) for _ in range(300)}
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    assert "resolute.db-wal" in before
    back_up(path, copy, overwrite=False)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    assert [each.name for each in copy.parent.iterdir()] == [copy.name]
    assert there <= set(numbers(copy))
    assert is_intact(copy)


def test_worker_that_starts_does_not_wait_for_a_copy(path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes and writes while the file of a store without owner is copied; the copy holds what it has written."""
    monkeypatch.setattr(backup, "STEP", 4)
    fill(path, 39)
    came: list[int] = []

    def come(doing: str, share: float | None) -> None:
        if not came and share is not None and 0.4 < share < 1:
            came.append(subprocess.run([sys.executable, "-c", WRITE_ONE, str(path)], check=False).returncode)

    back_up(path, copy, overwrite=False, progress=come)
    assert came == [0]
    assert numbers(copy) == list(range(40, 0, -1))
    assert is_intact(copy)


def test_store_that_is_damaged_is_not_copied(path: Path, copy: Path) -> None:
    """Who makes copies every night learns it before the last good one is thrown away."""
    fill(path, 39)
    content = bytearray(path.read_bytes())
    content[-4096:] = bytes(4096)
    path.write_bytes(content)
    copy.write_text("the last good one")
    with pytest.raises(StoreBroken, match=r"resolute\.db is damaged"):
        back_up(path, copy, overwrite=True)
    assert {each.name: each.read_text() for each in copy.parent.iterdir()} == {copy.name: "the last good one"}


def test_copy_that_finds_no_room(path: Path, tmp_path: Path) -> None:
    """The store is not blamed for it, and nothing is left on the full disk."""
    fill(path, 59, 30_000)
    with small_disk(tmp_path) as disk:
        with pytest.raises(StoreUnavailable, match=r"The copy .* cannot be written.*Make room there"):
            back_up(path, disk / "copy.db", overwrite=False)
        assert list(disk.iterdir()) == []
    assert len(numbers(path)) == 59


def test_copy_that_is_interrupted_leaves_nothing(path: Path, copy: Path) -> None:
    """Ctrl-C ends it between two steps, also while the copy is checked."""
    fill(path, 1)
    for moment in ("copying", "checking"):

        def interrupt(doing: str, share: float | None, moment: str = moment) -> None:
            if doing == moment:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            back_up(path, copy, overwrite=False, progress=interrupt)
        assert list(copy.parent.iterdir()) == []


async def test_copy_takes_the_place_of_the_store(path: Path, copy: Path) -> None:
    """To go back to it, it is put where the store was; it needs no file beside it."""
    async with opened(path) as store:
        await store.commit([run(1)])
        back_up(path, copy, overwrite=False)
        await store.commit([run(2)])
    with sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True) as connection:
        assert connection.execute("SELECT no FROM runs").fetchall() == [(1,)]
    connection.close()
    shutil.move(copy, path)
    async with opened(path) as store:
        assert await store.running() == [1]
        await store.commit([run(2)])

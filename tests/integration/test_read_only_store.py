"""Reading a store: no file is made, none is changed, whoever owns it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolute.engine import RunQuery
from resolute.engines.embedded.owner import Owner, lock_path
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import LedgerQuery, RunRow
from resolute.errors import StoreBroken, StoreError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

LEAVE = """
import asyncio, os, sys
from datetime import UTC, datetime
from pathlib import Path
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import PutMemory, RunRow

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    run = RunRow(2, "run2", "disk", "f", "running", "null", "d", "manual", now)
    await store.commit([run, PutMemory("disk", "a", "1")])
    os._exit(9)

asyncio.run(main())
"""


def run(no: int) -> RunRow:
    return RunRow(no, f"run{no}", "disk", "f", "running", "null", "d", "manual", NOW)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with one run, closed."""
    path = tmp_path / "store" / "resolute.db"
    path.parent.mkdir()
    store = SqliteStore(path)
    await store.open()
    await store.commit([run(1)])
    await store.close()
    return path


def killed(path: Path) -> None:
    """Let an owner write one more run and die."""
    assert subprocess.run([sys.executable, "-c", LEAVE, path], check=False).returncode == 9


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in folder.iterdir()}


@contextmanager
def nothing_changed(folder: Path) -> Iterator[None]:
    before, times = files(folder), folder.stat().st_mtime_ns
    yield
    assert files(folder) == before
    assert folder.stat().st_mtime_ns == times


@contextmanager
def not_writable(folder: Path) -> Iterator[None]:
    """Nobody can write in the folder, root included."""
    with ExitStack() as stack:
        if os.geteuid() == 0:
            bound: list[str | Path] = ["mount", "-o", "bind,ro", folder, folder]
            if subprocess.run(bound, capture_output=True, check=False).returncode:
                pytest.skip("runs as root without the right to mount: every folder can be written")
            stack.callback(subprocess.check_call, ["umount", folder])
        else:
            folder.chmod(0o500)
            stack.callback(folder.chmod, 0o700)
        yield


async def everything(path: Path) -> list[object]:
    reader = ReadOnlyStore(path)
    return [
        await reader.find("run1"),
        await reader.load(1),
        await reader.runs(RunQuery()),
        await reader.ledger(LedgerQuery()),
        await reader.ledger_row(1),
        await reader.ledger_by_key("run1/page"),
        await reader.memory("disk"),
    ]


@pytest.mark.parametrize("lock_file", [True, False])
async def test_closed_store(path: Path, lock_file: bool) -> None:
    """With the lock file of the last owner or without, as after a copy."""
    if not lock_file:
        lock_path(path).unlink()
    with nothing_changed(path.parent):
        assert await everything(path) == [run(1), (run(1), []), [run(1)], [], None, None, {}]


async def test_store_of_a_killed_owner(path: Path) -> None:
    """What the owner acknowledged last stands in the log beside the file and is seen; the log is left as it is."""
    killed(path)
    with nothing_changed(path.parent):
        assert (await everything(path))[2] == [run(2), run(1)]
        assert await ReadOnlyStore(path).memory("disk") == {"a": "1"}


@pytest.mark.parametrize("how", ["closed", "killed"])
async def test_folder_that_cannot_be_written(path: Path, how: str) -> None:
    """A copy on a read-only disk is read like any other."""
    if how == "killed":
        killed(path)
    with nothing_changed(path.parent), not_writable(path.parent):
        assert await ReadOnlyStore(path).find("run1") == run(1)
        assert (await ReadOnlyStore(path).find("run2") is not None) == (how == "killed")


async def test_store_beside_its_owner(path: Path) -> None:
    """A reader sees each batch as soon as it is durable, and leaves the owner's files alone."""
    store = SqliteStore(path)
    await store.open()
    await store.commit([run(2)])
    before = {name: content for name, content in files(path.parent).items() if not name.endswith("-shm")}
    assert (await everything(path))[2] == [run(2), run(1)]
    assert {name: content for name, content in files(path.parent).items() if not name.endswith("-shm")} == before
    await store.commit([run(3)])
    assert await ReadOnlyStore(path).find("run3") == run(3)
    await store.close()


async def test_reader_lets_the_owner_in(path: Path) -> None:
    """A question leaves no lock behind."""
    reader = ReadOnlyStore(path)
    await reader.find("run1")
    (await Owner.acquire(path, wait=False)).release()


@pytest.mark.parametrize(
    ("made", "kind", "text"),
    [
        (None, StoreError, "There is no store at"),
        (b"", StoreError, "is empty"),
        (b"Page the on-call engineer.\n" * 60, StoreBroken, "not a database of SQLite"),
    ],
)
async def test_what_is_no_store(tmp_path: Path, made: bytes | None, kind: type[Exception], text: str) -> None:
    """The text says what was found and what to do, and no file comes of it."""
    path = tmp_path / "resolute.db"
    if made is not None:
        path.write_bytes(made)
    with nothing_changed(tmp_path), pytest.raises(kind, match=text):
        await ReadOnlyStore(path).find("run1")


async def test_copy_of_a_store_in_use(path: Path) -> None:
    """A log without its index cannot be read without making one: who asks is told what helps."""
    killed(path)
    path.with_name("resolute.db-shm").unlink()
    with nothing_changed(path.parent), pytest.raises(StoreError, match="Start a worker on it once"):
        await ReadOnlyStore(path).find("run1")

"""What the tests of the SQLite store on real files share."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolute.engines.embedded.sqlite.statements import migrations
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import RunRow

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
VERSION_1 = Path(__file__).parents[1] / "data" / "store" / "v1.sql"

#: A program that owns the store it is given and writes runs with three entries each, from eight tasks; it prints the
#: number of each run that was acknowledged.
WRITE = """
import asyncio, os, sys
from datetime import UTC, datetime
from pathlib import Path
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Entry, RunRow

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    no = (await store.open()).next_run_no - 1

    async def write():
        nonlocal no
        while True:
            no += 1
            mine = no
            run = RunRow(mine, f"run{mine}", "disk", "f", "running", "null", "d", "manual", NOW)
            entries = [Entry(mine, p, n, "node", p, "done", NOW, output="x" * 300) for n, p in enumerate("abc")]
            await store.commit([entries[0], run, *entries[1:]])
            os.write(1, b"%d\\n" % mine)

    await asyncio.gather(*(write() for _ in range(8)))

asyncio.run(main())
"""


def run(no: int, error: str = "") -> RunRow:
    """A run of this number."""
    return RunRow(no, f"run{no}", "disk", "f", "running", "null", "d", "manual", NOW, error=error)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    """The store while it is open."""
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def make_version_1(path: Path) -> None:
    """The store that version 1 left; see `tests/data/store/v1_flows.py`."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1.read_text(encoding="utf-8"))


def make_version_2(path: Path) -> None:
    """The same store as version 2 made it of that."""
    make_version_1(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in migrations()[2]:
            connection.execute(statement)
        connection.execute("UPDATE meta SET value = 2 WHERE name = 'schema_version'")


def is_intact(path: Path) -> bool:
    """Whether SQLite finds no fault in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def has_whole_batches(path: Path) -> bool:
    """Whether every run that WRITE wrote has its three entries."""
    partial = "SELECT 1 FROM journal GROUP BY run_no HAVING count(*) <> 3"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(partial).fetchall() == []


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 1 MB; only root can mount one."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)

"""The SQLite store on real files: what it makes, how it asks, and what it does not open."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from resolute.engines.embedded.owner import Owner
from resolute.engines.embedded.sqlite.database import open_to_write
from resolute.engines.embedded.sqlite.statements import put, schema, statements
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.sqlite.writer import Writer
from resolute.engines.embedded.store import Prune
from resolute.errors import StoreBroken, StoreError, StoreOwned
from tests.integration.sqlite_file import NOW, opened, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolute.db"


# Files


async def test_files_are_for_their_user_alone(path: Path) -> None:
    """The store holds what runs were given, and the key of its digests."""
    async with opened(path) as store:
        await store.commit([run(1)])
        names = ["resolute.db", "resolute.db-shm", "resolute.db-wal", "resolute.db.lock"]
        assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == dict.fromkeys(
            names, 0o600
        )


async def test_closed_store_is_one_file(path: Path) -> None:
    """What is closed can be copied: nothing lies in a log beside it."""
    async with opened(path) as store:
        await store.commit([run(1)])
    assert sorted(each.name for each in path.parent.iterdir()) == ["resolute.db", "resolute.db.lock"]


async def test_log_is_moved_into_the_file_when_nothing_happens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store at rest has an empty write-ahead log."""
    monkeypatch.setattr(Writer, "idle_s", 0.01)
    async with opened(path) as store:
        await store.commit([run(1)])
        log = path.with_name("resolute.db-wal")
        async with asyncio.timeout(20):
            while log.stat().st_size:
                await asyncio.to_thread(log.stat)


def test_power_cut_loses_nothing_that_was_acknowledged(path: Path) -> None:
    """Each commit waits for the disk; other settings of SQLite would not."""
    with closing(open_to_write(path)) as connection:
        asked = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert asked == {"journal_mode": "wal", "synchronous": 2}


def test_tables_and_statements_name_the_same_columns() -> None:
    """Rows are read in the order of the tables and written in that of the statements."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in schema():
            connection.execute(statement)
        names = ("run", "entry", "large", "outline", "row", "memory", "pause", "meta")
        for name in (f"put_{name}" for name in names):
            found = connection.execute("SELECT name FROM pragma_table_info(?)", (put(name).table,))
            assert put(name).columns == tuple(column for (column,) in found)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("rows_that_matter", "incident_log_matters"),
        ("running", "runs_by_status"),
        ("due", "runs_due"),
        ("due", "runs_parked"),
        ("next_due", "runs_due"),
        ("runs_by_status", "runs_by_status"),
        ("latest_unfinished", "runs_of_schedule"),
        ("in_turn", "runs_in_turn"),
        ("prunable_by_age", "runs_finished"),
        ("prunable_beyond", "runs_by_flow"),
        ("prunable_beyond", "incident_log_by_run"),
        ("forget", "pruned_by_time"),
        ("runs_of_flow", "runs_by_flow"),
        ("large", "sqlite_autoindex_large_1"),
        ("log_first", "incident_log_first"),
        ("log_of_run", "incident_log_by_run"),
        ("log_of_dedup_key", "incident_log_by_dedup_key"),
    ],
)
def test_question_is_answered_from_its_index(name: str, index: str) -> None:
    """A store with a million finished runs answers as fast as a new one."""
    steps = plan(name)
    assert any(f"INDEX {index}" in step for step in steps), steps


@pytest.mark.parametrize(
    "name", ["newest_runs", "runs_that_went_well", "runs_by_status", "runs_of_flow", "running", "unfinished"]
)
def test_first_page_of_runs_is_read_without_the_others(name: str) -> None:
    """The order is that of a table or index; nothing is sorted before the first row comes."""
    steps = plan(name)
    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_unfinished_runs_are_found_in_the_index_alone() -> None:
    """Also where each of a million others failed, and a hundred thousand wait."""
    steps = [step for step in plan("unfinished") if "runs" in step]
    assert steps == ["SEARCH runs USING COVERING INDEX runs_by_status (status=? AND no>?)"] * 3


def plan(name: str) -> list[str]:
    """How SQLite answers a question."""
    given = dict.fromkeys(["now", "limit", "after", "status", "flow", "run_id", "dedup_key", "before", "keep"], 1)
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in schema():
            connection.execute(statement)
        text = statements()[name]
        steps = connection.execute(f"EXPLAIN QUERY PLAN {text}", given if ":" in text else (1,) * text.count("?"))
        return [step[3] for step in steps]


# Opening what is no store


async def test_two_stores_on_one_file(path: Path) -> None:
    """The second is refused and learns who has it; the first goes on."""
    async with opened(path) as store:
        with pytest.raises(StoreOwned, match=f"process {os.getpid()}"):
            await SqliteStore(path).open()
        await store.commit([run(1)])


async def test_given_owner_stays_the_callers(path: Path) -> None:
    """A store does not let go what it was lent, and takes none that holds another file."""
    owner = await Owner.acquire(path, wait=False)
    store = SqliteStore(path, owner=owner)
    await store.open()
    await store.close()
    with pytest.raises(StoreOwned):
        await SqliteStore(path).open()
    with pytest.raises(StoreError, match="expected"):
        await SqliteStore(path.with_name("other.db"), owner=owner).open()
    owner.release()


def make_text(path: Path) -> None:
    path.write_text("Page the on-call engineer.\n" * 60, encoding="utf-8")


def make_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE posts (id)")


def make_noise(path: Path) -> None:
    """A disk that turned every page but the first into noise."""
    with closing(open_to_write(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    pages = path.stat().st_size // 4096 - 1
    path.write_bytes(path.read_bytes()[:4096] + random.Random(1).randbytes(4096 * pages))


def content(path: Path) -> bytes | None:
    return None if path.is_dir() else path.read_bytes()


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (make_text, StoreBroken, "not a database of SQLite"),
        (make_database, StoreError, "another program \\(tables: posts\\)"),
        (make_noise, StoreBroken, "SQLITE_CORRUPT.*Check the disk"),
        (Path.mkdir, StoreError, "is a directory"),
    ],
)
async def test_what_is_no_store_is_left_as_it_is(
    path: Path, make: Callable[[Path], None], kind: type[Exception], text: str
) -> None:
    """The text says what was found and what to do; the file is not touched, and the lock is let go."""
    make(path)
    before = content(path)
    with pytest.raises(kind, match=text):
        await SqliteStore(path).open()
    assert content(path) == before
    (await Owner.acquire(path, wait=False)).release()


async def test_newer_store_is_not_opened(path: Path) -> None:
    """An older Resolute does not write into what it does not know."""
    async with opened(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
    with pytest.raises(StoreBroken, match="schema version 99, expected 3: a newer Resolute wrote it"):
        await SqliteStore(path).open()


async def test_folder_that_does_not_exist(path: Path) -> None:
    """No folder is made by mistake."""
    with pytest.raises(StoreError, match="nowhere"):
        await SqliteStore(path.parent / "nowhere" / "resolute.db").open()


async def test_row_that_somebody_changed_by_hand_is_named(path: Path) -> None:
    """A time that cannot be read stops with the row's number, not with a traceback from deep inside."""
    async with opened(path):
        pass
    names = put("put_row").columns
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        values = ["pending" if name == "status" else "[]" if name in ("retry", "remarks") else "0" for name in names]
        connection.execute(put("put_row").of(1), values)
    with pytest.raises(StoreBroken, match="row 0 of incident_log: Invalid isoformat"):
        await SqliteStore(path).open()
    (await Owner.acquire(path, wait=False)).release()


async def test_closed_store_says_so(path: Path) -> None:
    """It can be opened again."""
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="not open"):
        await store.commit([run(1)])
    await store.open()
    await store.close()
    await store.close()
    assert (await store.open()).next_run_no == 1
    await store.close()


async def test_crowd_of_look_ups_is_told_each_its_own(path: Path) -> None:
    """They are asked together; each finds its run, its pruned run or nothing, and what was committed just before."""
    async with opened(path) as store:
        done = replace(run(3), status="succeeded", finished_at=NOW)
        await store.commit([run(1), done, Prune(3, NOW)])
        names = ["run1", "run2", "run3", "run4\"'[\ud7ff", "run1"]
        writing = asyncio.create_task(store.commit([run(2)]))
        await asyncio.sleep(0)
        found, pruned = await asyncio.gather(
            asyncio.gather(*map(store.find, names)), asyncio.gather(*map(store.pruned, names))
        )
        assert found == [run(1), run(2), None, None, run(1)]
        assert [None if each is None else each.no for each in pruned] == [None, None, 3, None, None]
        await writing


async def test_look_up_of_a_broken_row_costs_the_others_nothing(path: Path) -> None:
    """Of a crowd only the one whose row cannot be read is told so."""
    async with opened(path) as store:
        await store.commit([run(1), run(2)])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET error = CAST(x'ff' AS TEXT) WHERE no = 2")
    async with opened(path) as store:
        found = await asyncio.gather(*map(store.find, ["run1", "run2", "run3"]), return_exceptions=True)
    assert found[0] == run(1)
    assert isinstance(found[1], StoreBroken)
    assert found[2] is None

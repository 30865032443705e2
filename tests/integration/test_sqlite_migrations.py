"""A store of an older version: nothing of it is lost, and it becomes what a new one is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resolute.engine import RunQuery
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.statements import migrations
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import SCHEMA_VERSION, LedgerQuery, TickRow
from resolute.errors import StoreBroken, StoreError
from tests.integration.sqlite_file import VERSION_1, make_version_1, make_version_2, opened, run

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TABLES = ("meta", "runs", "journal", "incident_log", "memory", "ticks")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store that version 1 left."""
    path = tmp_path / "resolute.db"
    make_version_1(path)
    return path


def ask(path: Path, question: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(question).fetchall()


def shape(path: Path) -> dict[str, Any]:
    """Tables with their columns in order, and the statements of the indexes."""
    tables = ask(path, "SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY name")
    indexes = ask(path, "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name")
    return {
        "tables": tables,
        "columns": {name: ask(path, f"SELECT * FROM pragma_table_xinfo('{name}')") for name, *_ in tables},
        "indexes": {name: sql and " ".join(sql.split()) for name, sql in indexes},
    }


def content(path: Path) -> dict[str, list[Any]]:
    """Every row of the tables of version 1, in its columns."""
    return {
        table: ask(path, f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2")
        for table, columns in COLUMNS.items()
    }


def columns_of_version_1() -> dict[str, list[str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(VERSION_1.read_text(encoding="utf-8"))
        names = "SELECT name FROM pragma_table_info(?)"
        return {table: [name for (name,) in connection.execute(names, (table,))] for table in TABLES}


COLUMNS = columns_of_version_1()


def test_every_version_is_led_to() -> None:
    """Each schema change comes with the file that brings older stores to it."""
    assert list(migrations()) == list(range(2, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("make", [make_version_1, make_version_2])
async def test_migrated_store_is_like_a_new_one(make: Callable[[Path], None], tmp_path: Path) -> None:
    """Tables, columns and their order, defaults, indexes."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    make(old)
    for each in (old, new):
        async with opened(each):
            pass
    assert shape(old) == shape(new)


async def test_runs_and_schedules_of_version_2_are_taken_over(tmp_path: Path) -> None:
    """No run waits for its turn, no schedule is paused, nothing was pruned, and what ended may be from now on."""
    path = tmp_path / "resolute.db"
    make_version_2(path)
    async with opened(path) as store:
        found = await store.runs(RunQuery())
        assert {(each.scheduled_at, each.after_no) for each in found} == {(None, 0)}
        assert await store.ticks() == {("hourly", "schedule:0 * * * *:UTC"): TickRow(NOON)}
        assert await store.in_turn() == []
        assert await store.prunable(NOON + timedelta(days=9), None, 9) == [
            each.no for each in sorted(found, key=lambda each: (each.finished_at or NOON, each.no)) if each.finished_at
        ]


async def test_nothing_is_lost(path: Path) -> None:
    """Every value of every row stays as version 1 wrote it; only the version is another."""
    before = content(path)
    async with opened(path):
        pass
    after = content(path)
    assert before.pop("meta")[0] == after["meta"][0]
    assert after.pop("meta")[1] == ("schema_version", SCHEMA_VERSION)
    assert after == before


async def test_runs_of_version_1_go_on(path: Path) -> None:
    """What was parked is found when it is due, what the owner has to know is told, and nothing else runs."""
    store = SqliteStore(path)
    found = await store.open()
    statuses = {each.id: each.status for each in await store.runs(RunQuery())}
    assert statuses == {
        "v1-queued": "queued",
        "hourly@2026-01-31T12:00:00Z": "succeeded",
        "v1-paged": "waiting",
        "v1-asleep": "waiting",
        "v1-failed": "failed",
        "v1-finished": "succeeded",
    }
    assert (found.next_run_no, found.next_row_id, len(found.digest_key)) == (7, 2, 32)
    assert (await store.running(), await store.unfinished(0, 9)) == ([], [3, 4, 6])
    assert await store.due(NOON + timedelta(hours=1), 9) == [6, 3, 4]
    assert [(each.run_id, each.is_open) for each in found.rows] == [("v1-paged", True)]
    assert dict(found.ticks) == {("hourly", "schedule:0 * * * *:UTC"): NOON}
    assert await store.memory("hourly") == {"counted": "1"}
    assert await store.ledger(LedgerQuery()) == list(found.rows)
    await store.close()


async def test_new_fields_of_old_runs(path: Path) -> None:
    """No run of version 1 was stopped, had a time limit or could undo anything; it keeps its version."""
    async with opened(path) as store:
        for each in await store.runs(RunQuery()):
            assert (each.stop, each.stop_reason, each.deadline_at, each.retries, each.has_undo) == (
                "",
                "",
                None,
                0,
                False,
            )
            assert each.schema_version == 1
            _, entries = await store.load(each.no)
            assert {(entry.has_turn, entry.heartbeat) for entry in entries} <= {(False, "")}


async def test_what_is_done_is_numbered_as_it_was_committed(path: Path) -> None:
    """By its time, and in its order where the time is the same; what failed or waits has no number."""
    ask(path, "UPDATE journal SET finished_at = 7 WHERE run_no = 1 AND position IN ('seen', 'rounds', 'said')")
    async with opened(path) as store:
        for no in range(1, 7):
            _, entries = await store.load(no)
            done = [entry for entry in entries if entry.status == "done"]
            done.sort(key=lambda entry: (entry.finished_at, entry.order))
            assert [entry.done_no for entry in done] == list(range(1, len(done) + 1))
            assert {entry.done_no for entry in entries if entry.status != "done"} <= {0}


async def test_log_of_version_1_is_taken_over(path: Path, tmp_path: Path) -> None:
    """A worker of version 1 that was killed leaves part of its runs in the log."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE runs SET error = 'in the log' WHERE no = 1")
        for ending in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{ending}", tmp_path / f"left.db{ending}")
    async with opened(tmp_path / "left.db") as store:
        found = await store.find("v1-finished")
    assert found is not None
    assert found.error == "in the log"


async def test_migration_that_fails_changes_nothing(path: Path) -> None:
    """The file is still the older version's, whole, and is migrated once the cause is mended."""
    ask(path, "CREATE TABLE outlines (somebody TEXT)")
    before = shape(path), content(path)
    with pytest.raises(StoreBroken, match="outlines already exists"):
        await SqliteStore(path).open()
    assert (shape(path), content(path)) == before
    ask(path, "DROP TABLE outlines")
    async with opened(path) as store:
        await store.commit([run(7)])


async def test_who_only_reads_leaves_an_older_store_as_it_is(path: Path) -> None:
    """It is told which version is there, which is expected, and who brings it to that."""
    before = shape(path), content(path)
    with pytest.raises(StoreError, match=r"has schema version 1, expected 3: .* The next worker on it, or any command"):
        await ReadOnlyStore(path).runs(RunQuery())
    assert (shape(path), content(path)) == before
    async with opened(path):
        pass
    assert len(await ReadOnlyStore(path).runs(RunQuery())) == 6

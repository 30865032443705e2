"""`census`: every store counts alike."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import pytest

from resolute.engine import STATUSES
from resolute.engines.embedded.census import COUNTED, census
from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Store
from resolute.errors import StoreError
from tests.contract.rows import NOW, run


def stores(folder: Path) -> tuple[Store, Store]:
    return MemoryStore(), SqliteStore(folder / "resolute.db")


async def test_unfinished_runs_are_counted_by_status(tmp_path: Path) -> None:
    """With a different number of each, so that none is taken for another."""
    numbers = itertools.count(1)
    rows = [run(next(numbers), status=status) for many, status in enumerate(STATUSES, 1) for _ in range(many)]
    for store in stores(tmp_path):
        await store.open()
        await store.commit(rows)
        assert census(store).runs == {status: STATUSES.index(status) + 1 for status in COUNTED}
        await store.close()


async def test_the_first_due_run_is_one_that_waits(tmp_path: Path) -> None:
    """Not one that is under way or has ended, nor one that waits for no time."""

    def soon(minutes: int) -> dict[str, object]:
        return {"due_at": NOW + timedelta(minutes=minutes)}

    rows = [
        run(1, status="running", **soon(1)),
        run(2, status="failed", **soon(2)),
        run(3, status="waiting"),
        run(4, status="waiting", **soon(4)),
        run(5, status="queued", **soon(3)),
    ]
    for store in stores(tmp_path):
        await store.open()
        assert census(store).first_due is None
        await store.commit(rows)
        assert census(store).first_due == NOW + timedelta(minutes=3)
        await store.close()


def test_a_store_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    """Counting makes no file."""
    with pytest.raises(StoreError, match="cannot be counted at the moment"):
        census(SqliteStore(tmp_path / "resolute.db"))
    assert not list(tmp_path.iterdir())

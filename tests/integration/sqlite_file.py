"""What the tests of the SQLite store on real files share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import RunRow

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


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

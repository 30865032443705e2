"""`census`: how many runs of a store are unfinished, and since when the first of them is ready.

It reads a file through a connection of its own, so whoever asks holds up no commit, and every answer comes from an
index: what has finished is not looked at.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.sqlite.rows import instant
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Store
from resolute.errors import StoreError

#: What is counted: all that an operator may have to look at.
COUNTED: Final = ("queued", "running", "waiting", "needs_attention")
#: How long a statement waits for another program that locks the file.
_BUSY_S: Final = 0.05
# Word for word the conditions of the indexes runs_by_status and runs_due.
_COUNT: Final = "SELECT count(*) FROM runs WHERE status = ? AND status <> 'succeeded'"
_FIRST_DUE: Final = "SELECT min(due_at) FROM runs WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL"


@dataclass(frozen=True)
class Census:
    """What a store holds at one moment.

    Attributes:
        runs: status → how many runs have it, for those of `COUNTED`.
        first_due: when the first run that waits for a time, or for a place in memory, is or was due.
    """

    runs: Mapping[str, int]
    first_due: datetime | None = None


def census(store: Store) -> Census:
    """What an open store holds; raises StoreError when it cannot be read now."""
    if isinstance(store, SqliteStore):
        return _of_file(store.path)
    if isinstance(store, MemoryStore):
        return _of_memory(store)
    raise StoreError(f"A {type(store).__name__} cannot be counted; expected a SqliteStore or a MemoryStore.")


def _of_file(path: Path) -> Census:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as reader:
            counts = {status: int(reader.execute(_COUNT, (status,)).fetchone()[0]) for status in COUNTED}
            [due] = reader.execute(_FIRST_DUE).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"The store {path} cannot be counted at the moment: {error}.") from error
    return Census(counts, None if due is None else instant(due))


def _of_memory(store: MemoryStore) -> Census:
    runs = store.tables.runs.values()
    counts = Counter(run.status for run in runs)
    dues = (run.due_at for run in runs if run.status in ("queued", "waiting") and run.due_at is not None)
    return Census({status: counts[status] for status in COUNTED}, min(dues, default=None))

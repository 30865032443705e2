"""`ReadOnlyStore`: a store as commands see it. It makes no file and changes none, and needs no owner."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resolute.engines.embedded.owner import lock_path, reading
from resolute.engines.embedded.sqlite.database import check_schema, check_sqlite, opening_failed
from resolute.engines.embedded.sqlite.reads import Found, Query, Reads, answer
from resolute.errors import StoreError


class ReadOnlyStore(Reads):
    """The read half of a store. Each question opens the file anew and sees what is durable then.

    Raises:
        StoreError: from every question, when there is no store or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    async def close(self) -> None:
        """Nothing is left open between two questions."""

    async def _ask(self, *queries: Query) -> Found:
        check_sqlite()
        while True:
            has_lock_file = lock_path(self.path).exists()
            with reading(self.path) as unowned:
                found = self._found(queries, unowned)
            if has_lock_file or not lock_path(self.path).exists():
                return found
            # An owner came for the first time while nobody was kept out: look again.

    def _found(self, queries: tuple[Query, ...], unowned: bool) -> Found:
        try:
            with _opened(self.path, unowned) as connection:
                check_schema(connection, self.path)
                connection.execute("BEGIN")
                return answer(connection, queries)
        except sqlite3.Error as error:
            raise opening_failed(error, self.path) from error


@contextmanager
def _opened(path: Path, unowned: bool) -> Iterator[sqlite3.Connection]:
    """A connection that only reads.

    With an owner, SQLite reads beside it. Without one, the file alone holds everything unless a write-ahead log is
    left of an owner that was killed; that is read with its index rebuilt in memory, which takes its `-shm` file.
    """
    if not path.is_file():
        raise StoreError(f"There is no store at {path}. A worker or `resolute run` makes it; or name another file.")
    how = ""
    if unowned:
        log, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
        has_log = log.exists() and log.stat().st_size > 0
        if has_log and not index.exists():
            raise StoreError(
                f"Beside the store {path} lies {log.name} without {path.name}-shm, as after a copy of a store in use. "
                "Start a worker on it once: that makes the store whole."
            )
        how = "&readonly_shm=1" if has_log else "&immutable=1"
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro{how}", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 2000")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA mmap_size = 0")
        yield connection
    finally:
        connection.close()

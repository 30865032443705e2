"""`ReadOnlyStore`: a store as commands see it. It makes no file and changes none, and needs no owner."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from resolute.engines.embedded.owner import lock_path, reading
from resolute.engines.embedded.sqlite.database import check_sqlite
from resolute.engines.embedded.sqlite.reads import Found, Query, Reads, answer, unreadable
from resolute.engines.embedded.sqlite.rows import Unreadable
from resolute.engines.embedded.sqlite.verdict import READ_ERRORS, opening_failed
from resolute.engines.embedded.sqlite.version import check_to_read
from resolute.engines.embedded.sqlite.whole import LOG_HEAD_BYTES, check_whole, index_path, log_path, stamp
from resolute.errors import StoreError


class ReadOnlyStore(Reads):
    """The read half of a store. Each question opens the file anew and sees what is durable then.

    Raises:
        StoreError: from every question, when there is no store or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = path.resolve()

    async def close(self) -> None:
        """Nothing is left open between two questions."""

    async def _ask(self, *queries: Query) -> Found:
        check_sqlite()
        while True:
            has_lock_file = lock_path(self.path).exists()
            try:
                with reading(self.path) as unowned:
                    found = self._found(queries, unowned)
            except StoreError:
                if has_lock_file or not lock_path(self.path).exists():
                    raise
            else:
                if has_lock_file or not lock_path(self.path).exists():
                    return found
            # An owner came for the first time while nobody was kept out: look again.

    def _found(self, queries: tuple[Query, ...], unowned: bool) -> Found:
        try:
            with opened_to_read(self.path, unowned) as connection:
                check_to_read(connection, self.path)
                connection.execute("BEGIN")
                return answer(connection, queries)
        except Unreadable as error:
            raise unreadable(self.path, error) from error
        except READ_ERRORS as error:
            raise opening_failed(error, self.path) from error


@lru_cache(maxsize=8)
def _check_once(path: Path, state: tuple[object, ...]) -> None:
    """Raise StoreBroken when the files are not whole; for who waits for a run and asks again and again."""
    check_whole(path)


@contextmanager
def opened_to_read(path: Path, unowned: bool) -> Iterator[sqlite3.Connection]:
    """A connection that only reads.

    With an owner, SQLite reads beside it. Without one, the file alone holds everything unless a write-ahead log is
    left of an owner that was killed; that is read with its index rebuilt in memory, which takes its `-shm` file.
    """
    if not path.is_file():
        raise StoreError(f"There is no store at {path}. A worker or `resolute run` makes it; or name another file.")
    how = ""
    if unowned:
        _check_once(path, stamp(path))
        log, index = log_path(path), index_path(path)
        has_log = log.exists() and log.stat().st_size > LOG_HEAD_BYTES
        if has_log and not index.exists():
            raise StoreError(
                f"Beside the store {path} lies {log.name} without {index.name}, as after a copy of a store in use. "
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

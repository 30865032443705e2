"""`Writer`: the one connection that writes the file, and what SQLite asks of a group commit."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Final

from resolute.clock import Clock, monotonic
from resolute.engines.embedded.group_writer import Answer, GroupWriter, Meaning, Work
from resolute.engines.embedded.sqlite.database import BUSY_MS, open_to_write
from resolute.engines.embedded.sqlite.reads import answer, unreadable
from resolute.engines.embedded.sqlite.rows import REMOVES, SWEEPS, Prepared, Unreadable, Values, escaped, staged
from resolute.engines.embedded.sqlite.statements import put, statements
from resolute.engines.embedded.sqlite.verdict import broken_at_work, judge, named
from resolute.errors import StoreBroken, StoreError, StoreUnavailable

#: Rows that one statement puts: each statement costs the thread a wait for the interpreter's lock.
ROWS_AT_ONCE: Final = (256, 128, 64, 32, 16, 8, 4, 2, 1)
#: In a storm, when groups hold so many batches, the file is looked at this often: each look costs the same wait.
STORM: Final = 16
CHECK_S: Final = 0.02
#: SQLite holds a copy of what a statement puts while it runs, and these may be 100 MB each.
ONE_BY_ONE: Final = "put_large"

#: Looks up what one id has → the same for many ids, and where the id stands in what is found.
LOOK_UPS: Final = {"run_by_id": ("runs_by_ids", 1), "pruned": ("pruned_by_ids", 0)}


class Writer(GroupWriter):
    """Owns the connection to a file.

    Args:
        check: raises StoreBroken when the file belongs to another owner by now.
    """

    errors = (Unreadable, OverflowError, ValueError, sqlite3.Error)
    remedy = "make room on the disk, or end what locks the file"
    idle_s = 1.0

    _connection: sqlite3.Connection

    def __init__(self, path: Path, clock: Clock, check: Callable[[], None]) -> None:
        super().__init__(path, clock)
        self._path = path
        self._check_owner = check
        self._checked_s = 0.0
        self._inode = (0, 0)

    @contextmanager
    def _taken(self) -> Iterator[None]:
        with closing(open_to_write(self._path)) as self._connection:
            self._inode = self._inode_now()
            yield

    # Reading

    def _answered(self, works: list[Work]) -> list[Answer]:
        looked_up = [(work, id) for work in works if (id := _id_looked_up(work)) is not None]
        if len(looked_up) < 2:
            return [self._answer(work) for work in works]
        others = [self._answer(work) for work in works if _id_looked_up(work) is None]
        return self._found(looked_up) + others

    def _found(self, looked_up: list[tuple[Work, str]]) -> list[Answer]:
        """Look many ids up together: each statement costs a wait for the interpreter's lock."""
        ids = (json.dumps([id for _, id in looked_up]),)
        queries = [(statement, ids) for statement, _ in LOOK_UPS.values()]
        found, error = self._try(lambda: answer(self._connection, queries))
        if error is not None:  # each on its own says which of them cannot be read
            return [self._answer(work) for work, _ in looked_up]
        rows = {
            (name, row[place]): [row]
            for (name, (_, place)), of_name in zip(LOOK_UPS.items(), found, strict=True)
            for row in of_name
        }
        return [(work.done, [rows.get((name, id), []) for name, _ in work.queries], None) for work, id in looked_up]

    def _answer(self, work: Work) -> Answer:
        return work.done, *self._try(lambda: answer(self._connection, work.queries))

    # Writing

    def _write(self, batches: Sequence[list[Prepared]]) -> None:
        self._check_file(len(batches))
        self._connection.execute("BEGIN IMMEDIATE")
        for stage in staged(batches):
            for name, rows in stage.items():
                _write_rows(self._connection, name, list(rows.values()))
        self._connection.execute("COMMIT")

    def _failed(self, error: Exception) -> tuple[Meaning, StoreError]:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if isinstance(error, Unreadable):  # who asked for it cannot go on; others can
            return "refused", unreadable(self._path, error)
        if not isinstance(error, sqlite3.Error):  # a value that SQLite cannot hold
            return "refused", StoreError(f"The store {self._path} refused this: {error}.")
        meaning = judge(error, self._path)
        if meaning == "refused":
            return meaning, StoreError(f"The store {self._path} refused this: {named(error)}.")
        if meaning == "broken":
            return meaning, broken_at_work(error, self._path)
        return meaning, StoreUnavailable(f"The store {self._path} cannot be written: {named(error)}.")

    def _check_file(self, batches: int) -> None:
        """Raise StoreBroken when the file is not the one that was opened, or belongs to another owner by now."""
        now_s = monotonic()
        if batches >= STORM and now_s - self._checked_s < CHECK_S:
            return
        self._checked_s = now_s
        self._check_owner()
        if self._inode_now() != self._inode:
            raise StoreBroken(
                f"The store {self._path} was moved or deleted while it was in use. Put it back together with its "
                "-wal file, then start again."
            )

    def _inode_now(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino

    def _look_after(self) -> bool:
        """Move the write-ahead log into the database and empty it; True when a reader is in the way."""
        connection = self._connection
        try:
            connection.execute("PRAGMA busy_timeout = 0")  # a batch that comes now is not to wait for a reader
            try:
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        except sqlite3.Error as error:
            if judge(error, self._path) == "broken":
                self._broke(broken_at_work(error, self._path))
            return True
        return bool(busy)


def _id_looked_up(work: Work) -> str | None:
    """The id that a work looks up, None when it asks for anything else."""
    asked = {given[0] for name, given in work.queries if name in LOOK_UPS and isinstance(given, tuple)}
    return asked.pop() if len(asked) == 1 and all(name in LOOK_UPS for name, _ in work.queries) else None


def _write_rows(connection: sqlite3.Connection, name: str, rows: list[Values]) -> None:
    for statement in SWEEPS.get(name, ()):
        connection.executemany(statements()[statement], rows)
    if name in SWEEPS:
        return
    if name in REMOVES and (gone := [row[:2] for row in rows if row[2] is None]):
        connection.executemany(statements()[REMOVES[name]], gone)
        rows = [row for row in rows if row[2] is not None]
    _put(connection, name, rows)


def _put(connection: sqlite3.Connection, name: str, rows: list[Values]) -> None:
    at = 0
    for size in (1,) if name == ONE_BY_ONE else ROWS_AT_ONCE:
        while len(rows) - at >= size:
            statement, values = put(name).of(size), tuple(chain.from_iterable(rows[at : at + size]))
            try:
                connection.execute(statement, values)
            except UnicodeEncodeError:
                connection.execute(statement, tuple(map(escaped, values)))
            at += size

"""The database file: made, opened and set up for the one who writes it."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from resolute.engines.embedded.sqlite.verdict import READ_ERRORS, opening_failed
from resolute.engines.embedded.sqlite.version import check_to_write, is_empty, make_tables, migrate
from resolute.engines.embedded.sqlite.whole import check_whole
from resolute.errors import StoreError, StoreUnavailable

OLDEST_SQLITE: Final = (3, 37, 0)
#: How long a statement waits for another program that locks the file.
BUSY_MS: Final = 250
#: The write-ahead log is cut to this length when it begins anew.
WAL_BYTES: Final = 64 * 1024 * 1024


def check_sqlite() -> None:
    """Raise StoreError when this Python's SQLite is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(
            f"This Python brings SQLite {sqlite3.sqlite_version}, the store needs {wanted} or newer. "
            "Use a newer Python build or operating system."
        )


def check_place(path: Path) -> None:
    """Raise StoreError when no database file can lie there."""
    if path.is_dir():
        raise StoreError(
            f"{path} is a directory, expected a file for the store. Name a file in it: {path / 'resolute.db'}"
        )
    if not path.parent.is_dir():
        raise StoreError(
            f"The folder {path.parent} for the store {path.name} does not exist. Make it, or name another."
        )


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection to the database of that name, which is made when there is none; for the file's owner alone.

    Raises:
        StoreUnavailable: not now: no room on the disk, or another program locks the file.
        StoreError: the file cannot be opened, or it is another program's.
        StoreBroken: not a database, damaged, or written by a newer version.
    """
    check_sqlite()
    check_place(path)
    try:
        check_whole(path)
        if not path.exists():
            _make(path)
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable(
                f"The store {path} cannot be made: the disk is full. Make room and start again."
            ) from error
        raise StoreError(
            f"The store {path} cannot be opened for writing: {error.strerror}. Mend its permissions."
        ) from error
    except sqlite3.Error as error:
        raise opening_failed(error, path) from error
    try:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=64)
    except sqlite3.Error as error:
        raise opening_failed(error, path) from error
    try:
        _make_ready(connection, path)
    except READ_ERRORS as error:
        connection.close()
        raise opening_failed(error, path) from error
    except StoreError:
        connection.close()
        raise
    return connection


def sync_folder(path: Path) -> None:
    """Make the name of a file durable."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make(path: Path) -> None:
    """A store that holds nothing. It gets its name when it is whole: one that is found empty was cut."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # SQLite gives its other files the same mode
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("BEGIN")
            make_tables(connection)
            connection.execute("COMMIT")
        new.rename(path)
        sync_folder(path)
    finally:
        with suppress(OSError):  # what is left over is in nobody's way; the next start removes it
            new.unlink(missing_ok=True)


def _make_ready(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    # Before anything is changed: it may be another program's. One without tables is what other tools make of a name.
    version = None if is_empty(connection) else check_to_write(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"The store {path} lies where SQLite keeps no write-ahead log. Use a local disk.")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN IMMEDIATE")  # also shows whether the file can be written
    if version is None:
        make_tables(connection)
    connection.execute("COMMIT")
    if version is not None:
        migrate(connection, path, version)

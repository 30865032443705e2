"""The database file: made, opened, checked, and what its errors mean."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Final, Literal

from resolute.engines.embedded.sqlite.statements import put, schema, statements
from resolute.engines.embedded.store import SCHEMA_VERSION
from resolute.errors import StoreBroken, StoreError, StoreUnavailable

OLDEST_SQLITE: Final = (3, 37, 0)
#: How long a statement waits for another program that locks the file.
BUSY_MS: Final = 250
#: The write-ahead log is cut to this length when it begins anew.
WAL_BYTES: Final = 64 * 1024 * 1024
#: Less room than this on the disk counts as none.
NO_ROOM_BYTES: Final = 64 * 1024

Verdict = Literal["repeat", "refused", "broken"]

_REPEAT: Final = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}
_BROKEN: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_ROOM: Final = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}


def judge(error: sqlite3.Error, path: Path) -> Verdict:
    """What an error means: repeat it until it works, this batch is refused, or nothing can be relied on any more.

    SQLite reports a disk without room for its shared memory as an I/O error; a look at the disk tells.
    """
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return "broken"
    if code in _NO_ROOM and _has_no_room(path):
        return "repeat"
    if code & 0xFF in _REPEAT:
        return "repeat"
    return "broken" if code & 0xFF in _BROKEN else "refused"


def named(error: sqlite3.Error) -> str:
    """The error in SQLite's words, with its name."""
    return f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"


def _has_no_room(path: Path) -> bool:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < NO_ROOM_BYTES or (disk.f_files > 0 and disk.f_favail == 0)


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
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its other files the same mode
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable(
                f"The store {path} cannot be made: the disk is full. Make room and start again."
            ) from error
        raise StoreError(
            f"The store {path} cannot be opened for writing: {error.strerror}. Mend its permissions."
        ) from error
    try:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=64)
    except sqlite3.Error as error:
        raise opening_failed(error, path) from error
    try:
        _make_ready(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise opening_failed(error, path) from error
    except StoreError:
        connection.close()
        raise
    return connection


def opening_failed(error: sqlite3.Error, path: Path) -> StoreError:
    """What an error of SQLite while opening means to the operator."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
        return StoreBroken(
            f"{path} is not a database of SQLite, expected one or no file. Name another file for the store."
        )
    if judge(error, path) == "repeat":
        return StoreUnavailable(
            f"The store {path} cannot be opened now: {named(error)}. Make sure that this user may use the file and its "
            "folder, that the disk has room, and that no other program locks the file."
        )
    return StoreBroken(
        f"The store {path} cannot be read: {named(error)}. Check the disk; restore the file from a copy."
    )


def _make_ready(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    check_schema(connection, path, may_be_new=True)  # before anything is changed: it may be another program's
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"The store {path} lies where SQLite keeps no write-ahead log. Use a local disk.")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN IMMEDIATE")  # also shows whether the file can be written
    if not connection.execute(statements()["tables"]).fetchall():
        for statement in schema():
            connection.execute(statement)
        add = put("put_meta").of(1)
        connection.execute(add, ("schema_version", SCHEMA_VERSION))
        connection.execute(add, ("digest_key", secrets.token_bytes(32)))
    connection.execute("COMMIT")


def check_schema(connection: sqlite3.Connection, path: Path, *, may_be_new: bool = False) -> None:
    """Raise StoreBroken or StoreError unless the file holds our tables in a version that is known here."""
    tables = {name for (name,) in connection.execute(statements()["tables"])}
    if not tables and may_be_new:
        return
    if not tables:
        raise StoreError(f"The store {path} is empty: nothing was ever written to it.")
    if not {"meta", "runs", "journal"} <= tables:
        raise StoreError(
            f"{path} is a database of another program (tables: {', '.join(sorted(tables)[:5])}). "
            "Name another file for the store."
        )
    found = connection.execute(statements()["meta"], ("schema_version",)).fetchone()
    version = found[0] if found else None
    if version != SCHEMA_VERSION:
        raise StoreBroken(
            f"The store {path} has schema version {version}, expected {SCHEMA_VERSION}: a newer Resolute wrote it. "
            "Install that version again, or name another file for the store."
        )

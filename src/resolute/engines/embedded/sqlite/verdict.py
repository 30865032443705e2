"""What SQLite's errors mean: try again, this one thing is refused, or nothing can be relied on any more."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final, Literal

from resolute.engines.embedded.sqlite.whole import RESTORE
from resolute.errors import StoreBroken, StoreError, StoreUnavailable

#: Less room than this on the disk counts as none.
NO_ROOM_BYTES: Final = 64 * 1024

Verdict = Literal["repeat", "refused", "broken"]

#: What reading a database raises. Of a damaged one SQLite may tell in a message that is no text, which Python refuses.
READ_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)

_REPEAT: Final = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}
_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BROKEN: Final = {sqlite3.SQLITE_IOERR, *_DAMAGE}
_NO_ROOM: Final = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}


def judge(error: Exception, path: Path) -> Verdict:
    """What an error means: repeat it until it works, this batch is refused, or nothing can be relied on any more.

    SQLite reports a disk without room for its shared memory as an I/O error; a look at the disk tells.
    """
    code = _code(error)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return "broken"
    if code in _NO_ROOM and _has_no_room(path):
        return "repeat"
    if code & 0xFF in _REPEAT:
        return "repeat"
    return "broken" if code & 0xFF in _BROKEN else "refused"


def named(error: Exception) -> str:
    """The error in SQLite's words, with its name."""
    return f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"


def opening_failed(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> StoreError:
    """What an error of SQLite while opening means to the operator."""
    if _code(error) & 0xFF == sqlite3.SQLITE_NOTADB:
        return StoreBroken(
            f"{path} is not a database of SQLite, expected one or no file. Name another file for the store. "
            f"If it was one, it is damaged. {RESTORE}"
        )
    if judge(error, path) == "repeat":
        return StoreUnavailable(
            f"The store {path} cannot be opened now: {named(error)}. Make sure that this user may use the file and its "
            "folder, that the disk has room, and that no other program locks the file."
        )
    return StoreBroken(f"The store {path} cannot be read: {named(error)}. Check the disk. {RESTORE}")


def broken_at_work(error: sqlite3.Error, path: Path) -> StoreBroken:
    """What an error that is judged "broken" means to the operator of a store that was in use."""
    if _code(error) & 0xFF in _DAMAGE:
        return StoreBroken(f"The store {path} is damaged: {named(error)}. Check the disk. {RESTORE}")
    return StoreBroken(
        f"The store {path} failed: {named(error)}. Check the disk, then start again; what was acknowledged stands in "
        "the file and its -wal file."
    )


def _code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code


def _has_no_room(path: Path) -> bool:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < NO_ROOM_BYTES or (disk.f_files > 0 and disk.f_favail == 0)

"""A copy of a store at one instant, while its owner goes on writing: whole, checked, and a store by itself."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resolute.engines.embedded.owner import holder, lock_path, reading
from resolute.engines.embedded.sqlite.database import check_sqlite, sync_folder
from resolute.engines.embedded.sqlite.reader import opened_to_read
from resolute.engines.embedded.sqlite.verdict import READ_ERRORS, named, opening_failed
from resolute.engines.embedded.sqlite.version import schema_version
from resolute.engines.embedded.sqlite.whole import RESTORE, index_path, log_path, stamp
from resolute.errors import ConfigError, StoreBroken, StoreUnavailable

#: Pages that are copied at once; between two such steps progress is told, and an interruption heard.
STEP: Final = 2048
#: Instructions of SQLite between two moments in which the check of the copy hears an interruption.
CHECK_STEP: Final = 1_000_000

#: Told what is done at the moment, and which share of it, None when that is not known.
Progress = Callable[[str, float | None], None]

_OF_THE_COPY: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


@dataclass(frozen=True)
class Copy:
    """A copy that was made.

    Attributes:
        runs: how many it holds.
    """

    path: Path
    bytes: int
    runs: int
    schema_version: int


def back_up(path: Path, to: Path, *, overwrite: bool, progress: Progress = lambda doing, share: None) -> Copy:
    """Copy a store, of this version or another. The file gets its name when it is whole and on the disk.

    Raises:
        ConfigError: no copy can have that name.
        StoreUnavailable: there is no room for it.
        StoreError: there is no store, or it cannot be read; StoreBroken when it is damaged.
    """
    check_sqlite()
    path, to = path.resolve(), to.resolve()
    _check_name(path, to, overwrite)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{to.name}.", suffix=".part", dir=to.parent)
    except OSError as error:
        raise ConfigError(f"No copy can be made in {to.parent}: {error.strerror}. Name another folder.") from error
    new = Path(name)
    try:
        _copy(path, new, progress)
        copy = _checked(path, new, to, progress)
        os.fsync(descriptor)
        _check_name(path, to, overwrite)  # somebody else may have taken the name meanwhile
        new.replace(to)
        sync_folder(to)
    except OSError as error:
        raise StoreUnavailable(f"The copy {to} cannot be written: {error.strerror}. Name another place.") from error
    finally:
        os.close(descriptor)
        new.unlink(missing_ok=True)
    return copy


def _check_name(path: Path, to: Path, overwrite: bool) -> None:
    """Raise ConfigError when the copy would be put over what is not to be lost, or beside what would spoil it."""
    if to in (path, log_path(path), index_path(path), lock_path(path)):
        raise ConfigError(f"{to} belongs to the store itself. Name another file for the copy.")
    if to.is_dir():
        raise ConfigError(f"{to} is a directory, expected a file for the copy. Name one in it: {to / path.name}")
    if not to.parent.is_dir():
        raise ConfigError(f"The folder {to.parent} for the copy does not exist. Make it, or name another.")
    if to.exists() and not overwrite:
        raise ConfigError(f"{to} exists already. Name another file, or replace it with --force.")
    found = holder(to)
    if found is not None:
        raise ConfigError(f"{to} is a store in use by {found}. Name another file for the copy.")
    for beside in (log_path(to), to.with_name(f"{to.name}-journal")):
        if beside.exists():
            raise ConfigError(
                f"{beside} lies beside {to}, of a store that was not closed; SQLite would mix it with the copy. "
                "Name another file, or delete it."
            )


def _copy(path: Path, new: Path, progress: Progress) -> None:
    """Copy what the store holds at one instant.

    The store is not locked, not even where it has no owner: a worker that starts does not wait for a copy. What was
    read while one came is thrown away, and read again beside it.
    """
    while True:
        os.truncate(new, 0)
        with reading(path) as unowned:
            before = stamp(path) if unowned else None
        try:
            with opened_to_read(path, unowned) as source, closing(_opened_to_fill(new)) as target:
                schema_version(source, path)
                _fill(path, source, target, new, progress)
            failed = None
        except READ_ERRORS as error:
            failed = opening_failed(error, path)
        except StoreBroken as error:
            failed = error
        if before is None or before == stamp(path):
            if failed is not None:
                raise failed
            return


def _opened_to_fill(new: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(new, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")  # a copy that was not completed is thrown away
    connection.execute("PRAGMA synchronous = OFF")  # it is synced once, before it gets its name
    return connection


def _fill(path: Path, source: sqlite3.Connection, target: sqlite3.Connection, new: Path, progress: Progress) -> None:
    def tell(status: int, left: int, pages: int) -> None:
        progress("copying", 1 - left / pages if pages else None)

    # Without a transaction around all steps SQLite would begin anew whenever the owner has written between two of
    # them, and never come to an end. In it the owner writes on, and only its log grows meanwhile.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    try:
        source.backup(target, pages=STEP, progress=tell)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_COPY or "IOERR_WRITE" in named(error):
            raise StoreUnavailable(
                f"The copy in {new.parent} cannot be written: {named(error)}. Make room there, or name another place."
            ) from error
        raise


def _checked(path: Path, new: Path, to: Path, progress: Progress) -> Copy:
    """The copy, looked through page by page; raises StoreBroken when the store it was made of is damaged."""
    progress("checking", None)
    with closing(sqlite3.connect(f"{new.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        connection.set_progress_handler(lambda: progress("checking", None), CHECK_STEP)
        try:
            [(found,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            if found != "ok":
                raise StoreBroken(f"The store {path} is damaged: {found}. No copy was kept. {RESTORE}")
            [(runs,)] = connection.execute("SELECT count(*) FROM runs").fetchall()
            return Copy(to, new.stat().st_size, runs, schema_version(connection, path))
        except READ_ERRORS as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise KeyboardInterrupt from None
            raise opening_failed(error, path) from error

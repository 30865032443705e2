"""Checks of the store: whether it can be read and written, by whom, and who owns it now. They change no file."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from resolute.doctor.database import in_database
from resolute.doctor.finding import Finding, not_checked, ok, problem, warning
from resolute.doctor.subject import Subject
from resolute.engine import RunQuery
from resolute.engines.embedded.owner import holder, lock_path, reading
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore, opened_to_read
from resolute.engines.embedded.sqlite.verdict import READ_ERRORS, opening_failed
from resolute.engines.embedded.sqlite.version import schema_version
from resolute.engines.embedded.store import SCHEMA_VERSION
from resolute.errors import StoreError

#: Whoever listens answers a connection on the same machine sooner.
CONNECT_S: Final = 5.0
#: The newest run may be this much younger than the present: it was written a moment ago.
AHEAD: Final = timedelta(seconds=5)
NO_STORE: Final = "There is no store yet."


def access(subject: Subject) -> list[Finding]:
    """Whether this user can write the store, and whose it is."""
    path = subject.store
    if subject.database is not None:
        return [in_database(subject.database)]
    if path is None:
        return [not_checked(subject.settings_fault or "The store is in memory: nothing is kept when the worker ends.")]
    if not path.parent.is_dir():
        return [
            problem(
                f"The folder {path.parent} for the store {path.name} does not exist.",
                f"Make it (`mkdir -p {path.parent}`), or name another with --store or RESOLUTE_STORE.",
            )
        ]
    place = path if path.exists() else path.parent
    for each in dict.fromkeys((place, path.parent)):
        wanted = os.R_OK | os.W_OK | (os.X_OK if each.is_dir() else 0)
        if not os.access(each, wanted):
            return [
                problem(
                    f"{_user(os.geteuid())} cannot read and write {each}, which belongs to {_user(each.stat().st_uid)} "
                    f"(mode {_mode(each)}){_mounted(each)}.",
                    f"Run the command as {_user(each.stat().st_uid)}, or give the store to the user that the worker "
                    f"runs as: `chown -R USER {path.parent}`.",
                )
            ]
    if not path.exists():
        return [ok(f"There is no store at {path} yet; the first worker makes it.")]
    owner = path.stat().st_uid
    if owner != os.geteuid():
        return [
            warning(
                f"The store {path} belongs to {_user(owner)}, and this command runs as {_user(os.geteuid())}.",
                f"Use one user for the worker and for commands: `sudo -u {_user(owner)} resolute ...`. Files that "
                "another one makes beside the store may keep the worker out.",
            )
        ]
    return [ok(f"The store {path} belongs to {_user(owner)} and can be read and written.")]


def schema(subject: Subject) -> list[Finding]:
    """Whether the file is a whole store of a version that is known here."""
    path = subject.store
    if path is None or not path.exists():
        return [not_checked(NO_STORE)]
    try:
        with reading(path) as unowned, opened_to_read(path, unowned) as connection:
            version = schema_version(connection, path)
    except READ_ERRORS as error:
        return [_split(str(opening_failed(error, path)))]
    except StoreError as error:
        return [_split(str(error))]
    if version > SCHEMA_VERSION:
        return [
            problem(
                f"The store has schema version {version}, expected {SCHEMA_VERSION}: a newer Resolute wrote it.",
                "Install that version again, or name another file for the store.",
            )
        ]
    if version < SCHEMA_VERSION:
        return [
            warning(
                f"The store has schema version {version}, expected {SCHEMA_VERSION}: an older Resolute wrote it.",
                "Make a copy (`resolute backup FILE`), then start a worker: it brings the store to this version.",
            )
        ]
    return [ok(f"The store has schema version {version}.")]


def permissions(subject: Subject) -> list[Finding]:
    """Whether others can get at the store. It holds what flows put out, and the key of the digests."""
    path = subject.store
    if path is None or not path.parent.is_dir():
        return [not_checked("There is no folder of a store.")]
    found = []
    folder = path.parent.stat().st_mode
    if folder & 0o022 and not folder & stat.S_ISVTX:
        found.append(
            warning(
                f"Other users can replace files in {path.parent} (mode {_mode(path.parent)}).",
                f"`chmod go-w {path.parent}`",
            )
        )
    names = [path, lock_path(path), *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    for each in names:
        if each.exists() and each.stat().st_mode & 0o077:
            found.append(
                warning(f"Other users may get at {each} (mode {_mode(each)}, expected 0600).", f"`chmod 600 {each}`")
            )
    return found or [ok(f"Nobody else can change {path.parent} or read the store.")]


def owner(subject: Subject) -> list[Finding]:
    """Who holds the lock of the store, and whether it answers."""
    path = subject.store
    if path is None:
        return [not_checked("There is no store on disk.")]
    try:
        found = holder(path)
    except StoreError as error:
        return [_split(str(error))]
    if found is None:
        return [_left_behind(path)]
    if found.pid is None:
        return [
            problem(
                f"The store is locked by {found}.",
                f"Find it with `fuser {lock_path(path)}` and stop it. Never delete that file.",
            )
        ]
    if found.address is None:
        return [ok(f"A command is at work on the store: {found}.")]
    silent = _silence(found.address)
    if silent:
        return [
            problem(
                f"The store is owned by {found}, which does not answer there: {silent}.",
                "Run commands as the same user on the same machine and in the same container, or restart the worker.",
            )
        ]
    return [ok(f"A worker owns the store and answers: {found}.")]


def _left_behind(path: Path) -> Finding:
    """Nobody holds the lock: does the file still name somebody who was killed?"""
    try:
        note: Any = json.loads(lock_path(path).read_bytes())
        pid, address = int(note["pid"]), note["address"]
    except (OSError, ValueError, KeyError, TypeError):  # no file, or an empty one: the last owner ended in peace
        return ok("Nobody owns the store now.")
    left = f"; its socket {address} is left over" if address and Path(address).exists() else ""
    return warning(
        f"The last owner, process {pid}, was killed or lost its machine: {lock_path(path)} still names it, though "
        f"nobody holds the lock{left}.",
        "Nothing has to be deleted: start the worker, it takes the store over and goes on where that one stood.",
    )


def _silence(address: str) -> str:
    """Why nobody answers there, "" when somebody does."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(CONNECT_S)
        try:
            caller.connect(address)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def newest_row(subject: Subject) -> Finding | None:
    """A problem when the newest run was made in the future: the clock was set back since. None when all is well."""
    path = subject.store
    if path is None or not path.exists():
        return None
    try:
        runs = asyncio.run(ReadOnlyStore(path).runs(RunQuery(limit=1)))
    except StoreError:  # told by the check of the schema
        return None
    if not runs or runs[0].created_at <= subject.clock.now() + AHEAD:
        return None
    ahead = runs[0].created_at - subject.clock.now()
    return problem(
        f"The newest run in the store, {runs[0].id}, was made {ahead.total_seconds():,.0f} s from now, at "
        f"{runs[0].created_at:%Y-%m-%d %H:%M:%S} UTC: this machine's clock was set back.",
        "Set the clock (`timedatectl set-ntp true`). Retries and sleeps that were written down wait until then.",
    )


def _split(text: str) -> Finding:
    """A problem made of an error's text, whose last sentence says how to mend it."""
    what, separator, fix = text.rpartition(". ")
    return problem(f"{what}.", fix) if separator else problem(text, "Restore the store from a backup.")


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def _mounted(path: Path) -> str:
    """That the file system is read-only, when it is."""
    return ", on a disk that is mounted read-only" if os.statvfs(path).f_flag & os.ST_RDONLY else ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container has users without a name
        return f"user {uid}"

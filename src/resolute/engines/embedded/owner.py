"""`Owner`: which process may write a store, told by a lock on a file beside it.

The lock (`flock` on `resolute.db.lock`) is the truth and ends with its process; what stands in the file
only says who holds it and where it listens. The file is made once and never deleted, for a lock on a
deleted file excludes nobody.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from resolute.clock import SystemClock, monotonic
from resolute.errors import StoreBroken, StoreError, StoreOwned, StoreUnavailable

#: Pauses between two looks at a lock that another holds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5
#: How long a lock may be held by nobody that can be named: a new owner has not written its name yet, or a
#: command is reading.
NAMELESS_S: Final = 2.0
#: Length of what stands in the file; always the same, so that one write replaces it, also on a full disk.
NOTE_BYTES: Final = 1024


@dataclass(frozen=True)
class Holder:
    """Who holds a store.

    Attributes:
        pid: its process; None when it has not said so yet.
        since: when it took the store.
        address: path of the Unix socket on which it listens; None when it does not, or not yet.
    """

    pid: int | None = None
    since: datetime | None = None
    address: str | None = None

    def __str__(self) -> str:
        name = "a process that has not given its name" if self.pid is None else f"process {self.pid}"
        since = f", since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since is not None else ""
        return name + since + (f", listening at {self.address}" if self.address else "")


def lock_path(path: Path) -> Path:
    """The lock file of a store; the same by whatever links the store is reached."""
    real = path.resolve()
    return real.with_name(real.name + ".lock")


class Owner:
    """Holds a store until `release`, or until its process ends."""

    _all: Final[weakref.WeakSet[Owner]] = weakref.WeakSet()

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path.resolve()
        self._descriptor: int | None = descriptor
        self._lock_path = lock_path(path)
        self._since = SystemClock().now()
        Owner._all.add(self)

    @classmethod
    async def acquire(cls, path: Path, *, wait: bool, waiting: Callable[[int], None] | None = None) -> Owner:
        """The right to write a store.

        Args:
            path: the store's file, which need not exist yet.
            wait: wait while a living process holds it; a worker does not.
            waiting: called with the pid of each process that is waited for.

        Raises:
            StoreOwned: another process holds it.
            StoreError: the lock file cannot be made or locked.
        """
        pause_s, nameless_since, named = FIRST_PAUSE_S, monotonic(), 0
        while True:
            owner = cls._try(path)
            if owner is not None:
                return owner
            found = holder(path)
            if found is not None and found.pid is not None:
                if not wait:
                    raise StoreOwned(
                        f"The store {path} is owned by {found}. Expected to own it alone. "
                        "Stop that process, or name another file for the store."
                    )
                if waiting is not None and found.pid != named:
                    waiting(found.pid)
                named, nameless_since = found.pid, monotonic()
            elif monotonic() - nameless_since > NAMELESS_S:
                raise StoreOwned(
                    f"The store {path} is locked by {found or 'a command that reads it'}. "
                    f"Find it (fuser {lock_path(path)}) and stop it, or name another file for the store."
                )
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 1.5 * pause_s)

    @classmethod
    def _try(cls, path: Path) -> Owner | None:
        place = lock_path(path)
        while True:
            try:
                descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StoreError(
                    f"The lock file {place} cannot be opened: {error.strerror}. Its folder has to exist, and the "
                    "file to be writable by whoever writes the store."
                ) from error
            if not _locked(descriptor, fcntl.LOCK_EX, place):
                os.close(descriptor)
                return None
            if _is_at(descriptor, place):
                owner = cls(path, descriptor)
                try:
                    owner._write(owner._note(None))
                except StoreError:
                    owner._close()
                    raise
                return owner
            os.close(descriptor)  # somebody deleted the file in between

    def announce(self, address: str) -> None:
        """Say where this process listens."""
        self._write(self._note(address))

    def check(self, path: Path) -> None:
        """Raise StoreError unless this owner holds that store; StoreBroken when another may hold it as well."""
        if self._descriptor is None or (path != self.path and path.resolve() != self.path):
            held = "nothing any more" if self._descriptor is None else str(self.path)
            raise StoreError(f"The given owner holds {held}, expected {path}. Acquire an owner for that file.")
        if not _is_at(self._descriptor, self._lock_path) and self._lock_path.exists():
            raise StoreBroken(
                f"The lock file {self._lock_path} was deleted and made anew: another process may own the store as "
                "well. Stop both and start one; never delete that file."
            )

    def release(self) -> None:
        """Let the store go; a second call does nothing."""
        if self._descriptor is not None:
            with suppress(StoreUnavailable):  # the name that stays says nothing without the lock
                self._write(b"")
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _note(self, address: str | None) -> bytes:
        note = {"pid": os.getpid(), "since": self._since.isoformat(), "address": address}
        return json.dumps(note).encode("ascii")

    def _write(self, note: bytes) -> None:
        if self._descriptor is None:
            raise StoreError(f"This owner has let {self.path} go. Acquire a new one.")
        if len(note) > NOTE_BYTES:
            raise StoreError(f"The address is too long for the lock file {self._lock_path}: {len(note)} bytes.")
        try:
            os.pwrite(self._descriptor, note.ljust(NOTE_BYTES - 1) + b"\n", 0)
        except OSError as error:
            raise StoreUnavailable(
                f"The lock file {self._lock_path} cannot be written: {error.strerror}. Make room and start again."
            ) from error

    @classmethod
    def _after_fork(cls) -> None:
        """A child process that outlives its owner must not hold the lock."""
        for owner in cls._all:
            owner._close()


os.register_at_fork(after_in_child=Owner._after_fork)


def holder(path: Path) -> Holder | None:
    """Who holds a store; None when nobody does. Takes nothing and makes no file."""
    with reading(path) as free:
        if free:
            return None
        return _read_note(lock_path(path))


@contextmanager
def reading(path: Path) -> Iterator[bool]:
    """Keep owners out while inside, if there is none now: True. False when the store has an owner.

    Where there is no lock file, nobody is kept out and the answer is True.
    """
    place = lock_path(path)
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    except OSError as error:
        raise StoreError(f"The lock file {place} cannot be read: {error.strerror}. Mend its permissions.") from error
    try:
        yield _locked(descriptor, fcntl.LOCK_SH, place)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, kind: int, place: Path) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise StoreError(f"{place} cannot be locked: {error.strerror}. Put the store on a local disk.") from error
    return True


def _is_at(descriptor: int, place: Path) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(place))
    except FileNotFoundError:
        return False


def _read_note(place: Path) -> Holder:
    """What the holder of a lock wrote; what a dead process left says nothing about the holder."""
    try:
        note = json.loads(place.read_bytes())
        pid, since, address = int(note["pid"]), datetime.fromisoformat(note["since"]), note["address"]
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()
    return Holder(pid, since.astimezone(UTC), address) if _lives(pid) else Holder()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True

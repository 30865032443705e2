"""`SqliteStore`: the journal in one SQLite file, written by one thread of the process that owns the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from resolute.clock import Clock, SystemClock
from resolute.engines.embedded.group_store import GroupStore
from resolute.engines.embedded.owner import Owner
from resolute.engines.embedded.sqlite.writer import Writer
from resolute.engines.embedded.store import Opened
from resolute.errors import StoreError, StoreOwned


class SqliteStore(GroupStore):
    """The store of a file.

    Args:
        owner: who holds the file and lets it go; without one the store takes the file when it is opened
            (StoreOwned when another has it) and lets it go when it is closed.
        patience: for how long `close` tries to write what cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        owner: Owner | None = None,
        clock: Clock | None = None,
        patience: timedelta = timedelta(seconds=5),
    ) -> None:
        self.path: Path = path.resolve()
        self._given_owner = owner
        self._owner: Owner | None = None
        self._clock = clock or SystemClock()
        self._patience = patience

    async def open(self) -> Opened:
        if self._writer is not None:
            raise StoreOwned("This SqliteStore is open already. Give each engine a store object of its own.")
        owner = self._given_owner or await Owner.acquire(self.path, wait=False)
        writer = Writer(self.path, self._clock, lambda: owner.check(self.path))
        try:
            owner.check(self.path)
            await writer.start()
            self._owner, self._writer = owner, writer
        finally:
            if self._writer is None:
                writer.end()
                self._let_go(owner)
        try:
            return await self._opened()
        except StoreError:
            await self.close()
            raise

    async def _digest_key(self) -> bytes | None:
        [keys] = await self._ask(("meta", ("digest_key",)))
        return keys[0][0] if keys else None

    async def close(self) -> None:
        writer, owner = self._writer, self._owner
        if writer is None or owner is None:
            return
        try:
            await writer.stop(self._patience.total_seconds())
        finally:
            self._writer = self._owner = None
            self._let_go(owner)

    def _let_go(self, owner: Owner) -> None:
        if owner is not self._given_owner:
            owner.release()

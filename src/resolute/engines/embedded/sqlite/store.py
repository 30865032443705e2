"""`SqliteStore`: the journal in one SQLite file, written by one thread of the process that owns the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from resolute.clock import Clock, SystemClock
from resolute.engines.embedded.owner import Owner
from resolute.engines.embedded.sqlite.reads import Found, Query, Reads
from resolute.engines.embedded.sqlite.rows import instant, prepare, to_row
from resolute.engines.embedded.sqlite.whole import RESTORE
from resolute.engines.embedded.sqlite.writer import Writer
from resolute.engines.embedded.store import Op, Opened, Store
from resolute.errors import StoreBroken, StoreError, StoreOwned


class SqliteStore(Reads, Store):
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
        self._writer: Writer | None = None

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

    async def _opened(self) -> Opened:
        keys, [[run_no]], [[row_id]], rows, ticks = await self._ask(
            ("meta", ("digest_key",)), ("next_run_no", ()), ("next_row_id", ()), ("rows_that_matter", ()), ("ticks", ())
        )
        if not keys:
            raise StoreBroken(f"The store {self.path} has lost the key of its digests. {RESTORE}")
        seen = {(flow, trigger): instant(at) for flow, trigger, at, _ in ticks}
        paused = frozenset((flow, trigger) for flow, trigger, _, is_paused in ticks if is_paused)
        return Opened(run_no, row_id, keys[0][0], self._made(to_row, rows), seen, paused)

    async def close(self) -> None:
        writer, owner = self._writer, self._owner
        if writer is None or owner is None:
            return
        try:
            await writer.stop(self._patience.total_seconds())
        finally:
            self._writer = self._owner = None
            self._let_go(owner)

    async def commit(self, batch: Sequence[Op]) -> None:
        prepared = [prepare(op) for op in batch]
        if prepared:
            await self._open_writer.hand_in(prepared, ())

    @property
    def held_since(self) -> datetime | None:
        return None if self._writer is None else self._writer.held_since

    def on_broken(self, tell: Callable[[StoreError], None]) -> None:
        self._open_writer.broke.add_done_callback(lambda broke: None if broke.cancelled() else tell(broke.result()))

    async def _ask(self, *queries: Query) -> Found:
        found: Found = await self._open_writer.hand_in([], queries)
        return found

    @property
    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"The store {self.path} is not open. Call open() first.")
        return self._writer

    def _let_go(self, owner: Owner) -> None:
        if owner is not self._given_owner:
            owner.release()

"""`PostgresStore`: the journal in one schema of a PostgreSQL database, held and written by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from resolute.clock import Clock, SystemClock
from resolute.engines.embedded.postgres.writer import Writer
from resolute.engines.embedded.sqlite.reads import Found, Query, Reads
from resolute.engines.embedded.sqlite.rows import instant, prepare, to_row
from resolute.engines.embedded.store import Op, Opened, Store
from resolute.errors import StoreBroken, StoreError, StoreOwned
from resolute.postgres.address import PostgresAddress

#: For how long a store that another holds is waited for. A command lets go at once, and of a machine that is gone the
#: server hears within some ten seconds.
HOLDER_PATIENCE = timedelta(seconds=15)


class PostgresReads(Reads):
    """The questions of the store port, asked of PostgreSQL."""

    path: PostgresAddress
    restore: ClassVar[str] = "Restore the schema from a dump (pg_restore)."


class PostgresStore(PostgresReads, Store):
    """The store of a schema. It is held from `open` to `close`, or until its process or its session ends.

    Args:
        listens: whether it is opened by a worker, which takes orders, and not by a command.
        patience: for how long `close` tries to write what cannot be written.
        holder_patience: for how long `open` waits while another process holds the store.
    """

    def __init__(
        self,
        address: PostgresAddress,
        *,
        listens: bool = False,
        clock: Clock | None = None,
        patience: timedelta = timedelta(seconds=5),
        holder_patience: timedelta = HOLDER_PATIENCE,
    ) -> None:
        self.path = address
        self._listens = listens
        self._clock = clock or SystemClock()
        self._patience = patience
        self._holder_patience = holder_patience
        self._writer: Writer | None = None

    async def open(self) -> Opened:
        if self._writer is not None:
            raise StoreOwned("This PostgresStore is open already. Give each engine a store object of its own.")
        patience_s = self._holder_patience.total_seconds()
        writer = Writer(self.path, self._clock, listens=self._listens, patience_s=patience_s)
        await writer.start()
        self._writer = writer
        try:
            return await self._opened()
        except BaseException:
            await self.close()
            raise

    async def _opened(self) -> Opened:
        keys, [[run_no]], [[row_id]], rows, ticks = await self._ask(
            ("digest_key", ()), ("next_run_no", ()), ("next_row_id", ()), ("rows_that_matter", ()), ("ticks", ())
        )
        if not keys:
            raise StoreBroken(f"The store {self.path} has lost the key of its digests. {self.restore}")
        seen = {(flow, trigger): instant(at) for flow, trigger, at, _ in ticks}
        paused = frozenset((flow, trigger) for flow, trigger, _, is_paused in ticks if is_paused)
        return Opened(run_no, row_id, bytes.fromhex(keys[0][0]), self._made(to_row, rows), seen, paused)

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.stop(self._patience.total_seconds())

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

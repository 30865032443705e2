"""`PostgresStore`: the journal in one schema of a PostgreSQL database, held and written by one process at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from resolute.clock import Clock, SystemClock
from resolute.engines.embedded.group_store import GroupStore
from resolute.engines.embedded.postgres.writer import Writer
from resolute.engines.embedded.sqlite.reads import Reads
from resolute.engines.embedded.store import Opened
from resolute.errors import StoreOwned
from resolute.postgres.address import PostgresAddress

#: For how long a store that another holds is waited for. A command lets go at once, and of a machine that is gone the
#: server hears within some ten seconds.
HOLDER_PATIENCE = timedelta(seconds=15)


class PostgresReads(Reads):
    """The questions of the store port, asked of PostgreSQL."""

    path: PostgresAddress
    restore: ClassVar[str] = "Restore the schema from a dump (pg_restore)."


class PostgresStore(PostgresReads, GroupStore):
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

    async def _digest_key(self) -> bytes | None:
        [keys] = await self._ask(("digest_key", ()))
        return bytes.fromhex(keys[0][0]) if keys else None

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.stop(self._patience.total_seconds())

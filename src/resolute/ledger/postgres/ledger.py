"""`PostgresLedger`: the shared ledger in one schema of a PostgreSQL database.

It has one session, made anew when it is lost. What the server does not answer soon is left to itself: the caller goes
on as if there were no ledger, and for a moment nobody else waits for it either.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any, Final, TypeVar

import psycopg

from resolute.clock import monotonic
from resolute.engines.embedded.postgres.reader import PostgresReader
from resolute.engines.embedded.postgres.verdict import named
from resolute.engines.embedded.sqlite.rows import prepare
from resolute.engines.embedded.sqlite.statements import put
from resolute.errors import StoreUnavailable
from resolute.ledger.row import Row
from resolute.ledger.shared import PATIENCE_S, Busy, Claim, Granted, SettledElsewhere
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import (
    AsyncConnection,
    connect,
    connect_async,
    digest_key,
    migrate,
    unreachable,
    version,
)
from resolute.postgres.statements import migrations, statements
from resolute.postgres.text import read, written

log = logging.getLogger("resolute.ledger")

T = TypeVar("T")

PACKAGE: Final = "resolute.ledger.postgres"
#: A lane that another row has is looked at again after this time at the latest, and not before this.
LONGEST_LOOK_S, SHORTEST_LOOK_S = 5.0, 0.25
#: How long nobody waits for a ledger that did not answer.
REST_S: Final = 1.0
#: For how long rows are tried to be written: they may be many, and nobody waits for them.
PUT_S: Final = 30.0

_NAMES: Final = {"id": "local_id"}
_LEFT_OUT: Final = frozenset({"folded_into", "superseded_by"})  # numbers of the journal: see `name_rows`


class PostgresLedger:
    """The ledger of a database.

    Args:
        lease: for how long a claim holds: twice the longest request.
    """

    def __init__(self, address: PostgresAddress, *, lease: timedelta = timedelta(seconds=60)) -> None:
        self.address = address.ledger
        self._lease = lease
        self._worker = ""
        self._connection: AsyncConnection | None = None
        self._turn = asyncio.Lock()
        self._rests_until_s = 0.0
        self._left: set[asyncio.Task[Any]] = set()

    async def open(self, worker: str, key: bytes) -> bytes:
        self._worker = worker
        return await asyncio.to_thread(self._open, key)

    def _open(self, key: bytes) -> bytes:
        try:
            with closing(connect(self.address, "resolute ledger")) as connection:
                known = migrations(PACKAGE)
                if version(connection, self.address) != max(known):
                    migrate(connection, self.address, known, key)
                connection.execute(statements(PACKAGE)["end_leases"].encode(), (self._worker,))
                return digest_key(connection, self.address)
        except psycopg.Error as error:
            raise unreachable(self.address, error) from error

    async def close(self) -> None:
        for task in self._left:
            task.cancel()
        await asyncio.gather(*self._left, return_exceptions=True)
        await self._drop()

    async def claim(self, row: Row) -> Claim:
        place = {
            "lane": row.lane,
            "key": written(row.idempotency_key),
            "worker": self._worker,
            "attempt": row.attempts + 1,
            "local_id": row.id,
            "lease_s": self._lease.total_seconds(),
        }

        async def ask(connection: AsyncConnection) -> Claim:
            async with connection.pipeline():
                await connection.execute("BEGIN")
                await _execute(connection, "make_lane", (row.lane,))
                await _execute(connection, "lock_lane", (row.lane,))
                await _execute(connection, "put_rows", (self._json([row]),))
                await _execute(connection, "settle_mine", place)
                seen = await _execute(connection, "look", place)
                claimed = await _execute(connection, "claim", place)
                await _execute(connection, "take_over", place)
                await connection.execute("COMMIT")
            return _claim(await claimed.fetchone() is not None, await seen.fetchone())

        return await self._soon(ask, PATIENCE_S)

    async def settled(self, keys: Sequence[str]) -> Mapping[str, SettledElsewhere]:
        asked = [written(key) for key in keys]

        async def ask(connection: AsyncConnection) -> Mapping[str, SettledElsewhere]:
            found = await (await _execute(connection, "settled", (asked,))).fetchall()
            return {
                read(key): SettledElsewhere(status, read(message), read(response_status), is_open)
                for key, status, message, response_status, is_open in found
            }

        return await self._soon(ask, PATIENCE_S)

    async def put(self, rows: Sequence[Row], keys: Mapping[int, str]) -> None:
        own = ([written(row.idempotency_key) for row in rows],)
        named = [_names(row, keys) for row in rows if row.superseded_by in keys or row.folded_into in keys]

        async def write(connection: AsyncConnection) -> None:
            async with connection.pipeline():
                await connection.execute("BEGIN")
                await _execute(connection, "lock_lanes", ([row.lane for row in rows],))
                await _execute(connection, "put_rows", (self._json(rows),))
                if named:
                    await _execute(connection, "name_rows", (json.dumps(named),))
                for name in ("settle_older", "close_alerts", "release"):
                    await _execute(connection, name, own)
                await connection.execute("COMMIT")

        await self._soon(write, PUT_S)

    async def open_alerts(self) -> frozenset[tuple[str, str]]:
        async def ask(connection: AsyncConnection) -> frozenset[tuple[str, str]]:
            cursor = await _execute(connection, "open_alerts", None)
            return frozenset((lane, read(key)) for lane, key in await cursor.fetchall())

        return await self._soon(ask, PATIENCE_S)

    def _json(self, rows: Sequence[Row]) -> str:
        """Rows as one array of objects; of several for one send, the last."""
        objects = {}
        for row in rows:
            _, _, values = prepare(row)
            pairs = zip(put("put_row").columns, values, strict=True)
            made = {_NAMES.get(name, name): written(value) for name, value in pairs if name not in _LEFT_OUT}
            objects[row.idempotency_key] = {**made, "worker": self._worker}
        return json.dumps(list(objects.values()), ensure_ascii=False)

    # The session

    async def _soon(self, do: Callable[[AsyncConnection], Awaitable[T]], limit_s: float) -> T:
        """What the server answers within the limit; what takes longer ends by itself, unheard.

        Raises:
            StoreUnavailable: there was no answer.
        """
        if monotonic() < self._rests_until_s:
            raise StoreUnavailable(f"The ledger {self.address} did not answer a moment ago.")
        task = asyncio.ensure_future(self._in_turn(do))
        self._left.add(task)
        task.add_done_callback(self._left.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard by nobody when it is late
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done():
            self._rest()
            raise StoreUnavailable(f"The ledger {self.address} did not answer within {limit_s:g} s.")
        return task.result()

    async def _in_turn(self, do: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._turn:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await connect_async(self.address, "resolute ledger")
                return await do(self._connection)
            except psycopg.Error as error:
                self._rest()
                await self._drop()
                raise StoreUnavailable(
                    f"The ledger {self.address} cannot be asked: {named(error, self.address)}."
                ) from error
            except asyncio.CancelledError:
                await self._drop()
                raise

    def _rest(self) -> None:
        self._rests_until_s = monotonic() + REST_S

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):  # it is no use any more, whatever it says
                await connection.close()


class LedgerReader(PostgresReader):
    """The shared ledger as commands see it: `ledger`, `ledger_row` and `ledger_by_key`."""

    package = PACKAGE

    def __init__(self, address: PostgresAddress) -> None:
        super().__init__(address.ledger)


def _names(row: Row, keys: Mapping[int, str]) -> dict[str, Any]:
    """Which rows a row names, by their numbers in its journal and by what they go by everywhere."""
    names: dict[str, Any] = {"idempotency_key": written(row.idempotency_key)}
    for column, number in (("superseded_by", row.superseded_by), ("folded_into", row.folded_into)):
        if number is not None and number in keys:
            names |= {column: number, f"{column}_key": written(keys[number])}
    return names


def _claim(is_granted: bool, seen: tuple[Any, ...] | None) -> Claim:
    if seen is None:  # the lane or the row was removed by hand in between
        return Busy(SHORTEST_LOOK_S)
    status, message, response_status, is_open, left_s, *granted = seen
    if is_granted:
        return Granted(*granted)
    if status not in ("pending", "sending"):
        return SettledElsewhere(status, read(message), read(response_status), is_open)
    return Busy(min(LONGEST_LOOK_S, max(SHORTEST_LOOK_S, left_s or 0.0)))


async def _execute(connection: AsyncConnection, name: str, values: Any) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    return await connection.execute(statements(PACKAGE)[name].encode(), values)

"""`PostgresLedger`: the shared ledger in one schema of a PostgreSQL database.

A caller whom it does not answer soon goes on as if there were no ledger.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import psycopg

from resolute.engines.embedded.postgres.reader import PostgresReader
from resolute.engines.embedded.postgres.rows import found
from resolute.engines.embedded.sqlite.rows import prepare, to_row
from resolute.engines.embedded.sqlite.statements import put
from resolute.ledger.row import Row
from resolute.ledger.shared import PATIENCE_S, Busy, Claim, Granted, SettledElsewhere
from resolute.postgres.address import PostgresAddress
from resolute.postgres.patient import PatientSession
from resolute.postgres.session import (
    AsyncConnection,
    connect,
    digest_key,
    migrate,
    unreachable,
    version,
)
from resolute.postgres.statements import migrations, statements
from resolute.postgres.text import read, written

log = logging.getLogger("resolute.ledger")

PACKAGE: Final = "resolute.ledger.postgres"
#: A lane that another row has is looked at again after this time at the latest, and not before this.
LONGEST_LOOK_S, SHORTEST_LOOK_S = 5.0, 0.25
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
        self._session = PatientSession(self.address, "ledger")

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
        await self._session.close()

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

        return await self._session.soon(ask, PATIENCE_S)

    async def settled(self, keys: Sequence[str]) -> Mapping[str, SettledElsewhere]:
        asked = [written(key) for key in keys]

        async def ask(connection: AsyncConnection) -> Mapping[str, SettledElsewhere]:
            found = await (await _execute(connection, "settled", (asked,))).fetchall()
            return {
                read(key): SettledElsewhere(status, read(message), read(response_status), is_open)
                for key, status, message, response_status, is_open in found
            }

        return await self._session.soon(ask, PATIENCE_S)

    async def may_be_sent(self, keys: Sequence[str]) -> bool:
        asked = {"keys": [written(key) for key in keys], "worker": self._worker}

        async def ask(connection: AsyncConnection) -> bool:
            return await (await _execute(connection, "may_be_sent", asked)).fetchone() is not None

        return await self._session.soon(ask, PATIENCE_S)

    async def abandoned(self, idle: timedelta, after: int, limit: int) -> Sequence[Row]:
        asked = {"idle_s": idle.total_seconds(), "after": after, "limit": limit}

        async def ask(connection: AsyncConnection) -> Sequence[Row]:
            rows = found(await (await _execute(connection, "abandoned", asked)).fetchall())
            return [_may_be_sent(to_row(row)) if is_claimed else to_row(row) for *row, is_claimed in rows]

        return await self._session.soon(ask, PATIENCE_S)

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

        await self._session.soon(write, PUT_S)

    async def open_alerts(self) -> frozenset[tuple[str, str]]:
        async def ask(connection: AsyncConnection) -> frozenset[tuple[str, str]]:
            cursor = await _execute(connection, "open_alerts", None)
            return frozenset((lane, read(key)) for lane, key in await cursor.fetchall())

        return await self._session.soon(ask, PATIENCE_S)

    def _json(self, rows: Sequence[Row]) -> str:
        """Rows as one array of objects; of several for one send, the last."""
        objects = {}
        for row in rows:
            _, _, values = prepare(row)
            pairs = zip(put("put_row").columns, values, strict=True)
            made = {_NAMES.get(name, name): written(value) for name, value in pairs if name not in _LEFT_OUT}
            objects[row.idempotency_key] = {**made, "worker": self._worker}
        return json.dumps(list(objects.values()), ensure_ascii=False)


class LedgerReader(PostgresReader):
    """The shared ledger as commands see it: `ledger`, `ledger_row` and `ledger_by_key`."""

    package = PACKAGE

    def __init__(self, address: PostgresAddress) -> None:
        super().__init__(address.ledger)


def _may_be_sent(row: Row) -> Row:
    """A row of which a request may have left, of which nobody has told."""
    if row.is_unknown:
        return row
    return replace(row, status="sending", lost=row.lost + 1, unknown_since=row.sent_at or row.created_at)


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

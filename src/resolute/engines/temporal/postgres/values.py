"""`PostgresValues`: memory, cursors and large values of the workers of one task queue, in one schema of a database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

import psycopg

from resolute.engines.embedded.intact import intact
from resolute.engines.temporal.values import NO_RUN, Decide, Values
from resolute.errors import StoreDamaged
from resolute.ledger.shared import PATIENCE_S
from resolute.postgres.address import PostgresAddress
from resolute.postgres.patient import PatientSession
from resolute.postgres.session import AsyncConnection, connect, migrate, version
from resolute.postgres.statements import migrations, statements
from resolute.postgres.text import read, written

PACKAGE: Final = "resolute.engines.temporal.postgres"
#: What it is for, in errors.
WHAT: Final = "database of memory and large values"
#: For how long a large value is tried to be written or read: it may have 100 MB.
LARGE_S: Final = 30.0


class PostgresValues:
    """The values of a scope.

    Args:
        scope: whose they are: a namespace and a task queue.
        before: where this worker kept them until it shared them; what stands there is brought along.
    """

    def __init__(self, address: PostgresAddress, scope: str, before: Values | None = None) -> None:
        self.address = _place(address)
        self._scope = written(scope)
        self._before = before
        self._session = PatientSession(self.address, WHAT)
        self._is_made = False
        self._brought: set[str] = set()

    async def close(self) -> None:
        """End its session."""
        await self._session.close()

    async def memory(self, name: str) -> Mapping[str, str]:
        await self._bring(name)

        async def ask(connection: AsyncConnection) -> Mapping[str, str]:
            await self._make()
            return await _read(await _execute(connection, "memory", self._place(name)))

        return await self._session.soon(ask, PATIENCE_S)

    async def change(self, mark: str, name: str, decide: Decide) -> None:
        await self._bring(name)
        await self._change(mark, name, decide)

    async def _change(self, mark: str, name: str, decide: Decide, *, for_ever: bool = False) -> None:
        place = {**self._place(name), "mark": written(mark), "for_ever": for_ever}

        async def write(connection: AsyncConnection) -> None:
            await self._make()
            async with connection.pipeline(), connection.transaction():
                await _execute(connection, "lock", place)
                mark = await _execute(connection, "mark", place)
                memory = await _execute(connection, "memory", place)
                if await mark.fetchone() is None:
                    return
                changes = decide(await _read(memory))
                kept = {written(key): written(text) for key, text in changes.items() if text is not None}
                gone = [written(key) for key, text in changes.items() if text is None]
                if kept:
                    await _execute(connection, "put", {**place, "values": json.dumps(kept)})
                if gone:
                    await _execute(connection, "remove", {**place, "keys": gone})
                await _execute(connection, "forget_marks", None)

        await self._session.soon(write, PATIENCE_S)

    async def _bring(self, name: str) -> None:
        """Bring along what this worker has kept by itself, unless another one was first."""
        if name in self._brought or self._before is None:
            return
        own = await self._before.memory(name)
        if own:
            mark = f"brought {name}"
            await self._change(
                mark, name, lambda known: {key: own[key] for key in own.keys() - known.keys()}, for_ever=True
            )
        self._brought.add(name)

    async def keep(self, digest: str, text: str) -> None:
        async def write(connection: AsyncConnection) -> None:
            await self._make()
            await _execute(connection, "keep_large", (digest, text))

        await self._session.soon(write, LARGE_S)

    async def read(self, digest: str) -> str:
        async def ask(connection: AsyncConnection) -> str | None:
            await self._make()
            found = await (await _execute(connection, "large", (digest,))).fetchone()
            return None if found is None else str(found[0])

        text = await self._session.soon(ask, LARGE_S)
        if text is None and self._before is not None:
            return await self._before.read(digest)
        if text is None:
            raise StoreDamaged(
                f"A large value (sha256 {digest}) is not in {self.address}. It was kept by a worker that does not "
                "share that database: give all workers of a task queue the same RESOLUTE_DATABASE_URL."
            )
        return await asyncio.to_thread(intact, text.encode(), NO_RUN, digest, str(self.address))

    def _place(self, name: str) -> dict[str, Any]:
        return {"scope": self._scope, "name": written(name)}

    async def _make(self) -> None:
        """Make the tables, or bring them to this version, before they are used for the first time."""
        if not self._is_made:
            await asyncio.to_thread(self._made)
            self._is_made = True

    def _made(self) -> None:
        known = migrations(PACKAGE)
        with closing(connect(self.address, "resolute values")) as connection:
            if version(connection, self.address) != max(known):
                migrate(connection, self.address, known)


async def shared_value(address: PostgresAddress, digest: str) -> str | None:
    """A large value that workers share, None where it is not there; makes no table. Raises StoreUnavailable."""
    session = PatientSession(_place(address), WHAT)

    async def ask(connection: AsyncConnection) -> str | None:
        [is_there] = await (await connection.execute("SELECT to_regclass('large_value') IS NOT NULL")).fetchone() or [0]
        found = await (await _execute(connection, "large", (digest,))).fetchone() if is_there else None
        return None if found is None else str(found[0])

    try:
        text = await session.soon(ask, LARGE_S)
    finally:
        await session.close()
    return None if text is None else await asyncio.to_thread(intact, text.encode(), NO_RUN, digest, str(address))


async def _read(cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> Mapping[str, str]:
    """The memory that was asked for."""
    return {read(key): read(text) for key, text in await cursor.fetchall()}


def _place(address: PostgresAddress) -> PostgresAddress:
    return address.beside(f"{address.schema}_values")


async def _execute(connection: AsyncConnection, name: str, values: Any) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    return await connection.execute(statements(PACKAGE)[name].encode(), values)

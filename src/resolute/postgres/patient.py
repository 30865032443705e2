"""`PatientSession`: one session with a database that nobody waits for long.

It is made anew when it is lost. What the server does not answer soon is left to itself: the caller goes on as if there
were no database, and for a moment nobody else waits for it either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg

from resolute.clock import monotonic
from resolute.errors import StoreUnavailable
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import AsyncConnection, connect_async, named

T = TypeVar("T")

#: How long nobody waits for a database that did not answer.
REST_S: Final = 1.0


class PatientSession:
    """A session, opened when something is asked.

    Args:
        what: what the database is for, in errors and for the server's list of sessions: "ledger".
    """

    def __init__(self, address: PostgresAddress, what: str) -> None:
        self._address = address
        self._what = what
        self._connection: AsyncConnection | None = None
        self._turn = asyncio.Lock()
        self._rests_until_s = 0.0
        self._left: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """End it, and what nobody heard the answer of."""
        for task in self._left:
            task.cancel()
        await asyncio.gather(*self._left, return_exceptions=True)
        await self._drop()

    async def soon(self, do: Callable[[AsyncConnection], Awaitable[T]], limit_s: float) -> T:
        """What the server answers within the limit; what takes longer ends by itself, unheard.

        Raises:
            StoreUnavailable: there was no answer.
        """
        if monotonic() < self._rests_until_s:
            raise StoreUnavailable(f"The {self._what} {self._address} did not answer a moment ago.")
        task = asyncio.ensure_future(self._in_turn(do))
        self._left.add(task)
        task.add_done_callback(self._left.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard by nobody when it is late
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done():
            self._rest()
            raise StoreUnavailable(f"The {self._what} {self._address} did not answer within {limit_s:g} s.")
        return task.result()

    async def _in_turn(self, do: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._turn:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await connect_async(self._address, f"resolute {self._what}")
                return await do(self._connection)
            except psycopg.Error as error:
                self._rest()
                await self._drop()
                raise StoreUnavailable(
                    f"The {self._what} {self._address} cannot be asked: {named(error, self._address)}."
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

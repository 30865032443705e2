"""`Inbox`: what other processes ask of the worker that holds the store, wherever they run. They ask by a table.

A call is the same line of JSON as on the socket of a store in a file. It waits in `orders` for the holder it was meant
for; who asked takes it away with its answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import psycopg

from resolute.engines.embedded.postgres.holder import PACKAGE
from resolute.engines.embedded.socket import Handler, answering, failure, line_of
from resolute.errors import EngineError, StoreError
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import AsyncConnection, connect_async, named
from resolute.postgres.statements import statements

log = logging.getLogger("resolute.store")

#: Pause before a lost session is made anew.
PAUSE_S: Final = 1.0
#: The table is looked at this often, should a notification have been lost with a session.
LOOK_S: Final = 5.0
#: How long calls that do something may take when the worker stops.
LAST_CALLS_S: Final = 5.0


def channel(address: PostgresAddress) -> str:
    """The channel on which the holder of a store hears of orders."""
    return f"resolute_{address.schema}"


class Inbox:
    """Carries out orders with an engine's methods from `start` to `stop`."""

    def __init__(self, address: PostgresAddress, handlers: Mapping[str, Handler]) -> None:
        self._address = address
        self._handlers = handlers
        self._calls: set[asyncio.Task[None]] = set()
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._serving = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """Take no more orders; what was begun is finished first."""
        if self._serving is None:
            return
        if self._calls:
            await asyncio.wait(self._calls, timeout=LAST_CALLS_S)
        self._serving.cancel()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(self._serving, *self._calls, return_exceptions=True)

    async def _serve(self) -> None:
        while True:
            try:
                async with (
                    await connect_async(self._address, "resolute inbox") as ear,
                    await connect_async(self._address, "resolute inbox") as hand,
                ):
                    await ear.execute(f'LISTEN "{channel(self._address)}"'.encode())
                    await self._execute(hand, "remove_old_orders")
                    while True:
                        await self._take(hand)
                        async for _ in ear.notifies(timeout=LOOK_S, stop_after=1):
                            pass
            except (psycopg.Error, StoreError) as error:
                told = named(error, self._address) if isinstance(error, psycopg.Error) else str(error)
                log.info("no orders can be taken from %s for now: %s", self._address, told)
            await asyncio.sleep(PAUSE_S)

    async def _take(self, hand: AsyncConnection) -> None:
        cursor = await self._execute(hand, "take_orders")
        for id, text in await cursor.fetchall():
            task = asyncio.create_task(self._carry_out(hand, int(str(id)), str(text)))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _carry_out(self, hand: AsyncConnection, id: int, text: str) -> None:
        try:
            _, answer = answering(self._handlers, text)
            told = await answer
        except EngineError as error:
            told = failure(error)
        with suppress(psycopg.Error):  # who asked sees that there is no answer, and asks again
            await self._execute(hand, "answer_order", line_of(told).decode("ascii"), id)

    async def _execute(
        self, hand: AsyncConnection, name: str, *given: object
    ) -> psycopg.AsyncCursor[tuple[object, ...]]:
        found: psycopg.AsyncCursor[tuple[object, ...]] = await hand.execute(
            statements(PACKAGE)[name].encode(), given or None
        )
        return found

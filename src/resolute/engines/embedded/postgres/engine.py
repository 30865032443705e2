"""`PostgresEngine`: a store in PostgreSQL, seen from another process, on this machine or another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import psycopg

from resolute.clock import monotonic
from resolute.engine import FINISHED, RunView
from resolute.engines.embedded.postgres.holder import PACKAGE, PostgresHolder
from resolute.engines.embedded.postgres.inbox import channel
from resolute.engines.embedded.postgres.reader import PostgresReader
from resolute.engines.embedded.postgres.store import PostgresStore
from resolute.engines.embedded.postgres.vacuum import vacuum
from resolute.engines.embedded.socket import OwnerGone, call_text, result_of
from resolute.engines.embedded.space import Space
from resolute.engines.embedded.store_engine import StoreEngine, Taken
from resolute.engines.embedded.views import view, with_large
from resolute.errors import StoreOwned, StoreUnavailable
from resolute.model.codec import from_text
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import OWNER_LOCK, connect_async, unreachable
from resolute.postgres.statements import statements

log = logging.getLogger("resolute.client")

#: First and longest pause between two looks at whether an order was answered, or a run has ended.
FIRST_LOOK_S, LONGEST_LOOK_S = 0.01, 0.25
#: For how long a worker that has lost its session, or its life, is waited for before the store is taken from it.
RETURN_S: Final = 10.0
#: For how long a worker may leave an order alone.
SILENT_S: Final = 30.0
#: Orders that do no harm when they are given twice, and for how long they are given again while the server is away.
REPEATABLE: Final = frozenset({"start", "start_job"})
AGAIN_S: Final = 60.0


class PostgresEngine(StoreEngine):
    """The engine of a store in PostgreSQL.

    Args:
        on_wait: called with who holds the store and is waited for.
    """

    def __init__(
        self, address: PostgresAddress, *, on_wait: Callable[[PostgresHolder], None] = lambda holder: None
    ) -> None:
        self.path: PostgresAddress = address
        self._on_wait = on_wait

    @property
    def reader(self) -> PostgresReader:
        return PostgresReader(self.path)

    @property
    def has_worker(self) -> bool:
        found = self.reader.holder()
        return found is not None and found.listens

    @property
    def owner(self) -> str:
        found = self.reader.holder()
        return "" if found is None else found.token

    async def order(self, method: str, *, is_secret: bool = False, **params: Any) -> Any:
        line = call_text(method, params).decode("ascii")
        reached, away_s = False, 0.0
        while True:
            try:
                found = await self._worker()
                reached = True
                if isinstance(found, Taken):
                    return found
                if is_secret:
                    raise self._no_place_for_secrets(found)
                return result_of(from_text(await self._asked(found, line)))
            except OwnerGone as error:
                log.debug("the owner changes: %s", error)
            except StoreUnavailable as error:  # the worker may have carried it out
                away_s = away_s or monotonic()
                if not reached or method not in REPEATABLE or monotonic() - away_s > AGAIN_S:
                    raise
                log.info("waiting: %s", error)
            await asyncio.sleep(LONGEST_LOOK_S)

    def _no_place_for_secrets(self, holder: PostgresHolder) -> StoreOwned:
        return StoreOwned(
            f"The store {self.path} is owned by {holder}, and a secret input cannot be handed to it: orders go "
            "through the database, where no secret is to stand. Nothing was sent or written. Run it on a store "
            "of its own (--store sqlite:///jobs.db; RESOLUTE_DATABASE_URL keeps the incident log in common), "
            "start a flow of that worker, which reads the key itself, or stop the worker first."
        )

    async def outcome(self, run_id: str) -> RunView | Taken:
        while True:
            try:
                row = await self._found(run_id)
                if row.status in FINISHED:
                    return view(await with_large(self.reader, row))
                found = await self._worker()
                if isinstance(found, Taken):
                    return found
            except StoreUnavailable as error:  # its worker waits for the server as well
                log.info("waiting: %s", error)
            await asyncio.sleep(LONGEST_LOOK_S)

    async def _worker(self) -> PostgresHolder | Taken:
        """The worker, or the store when nobody holds it. Who else holds it is waited for, as is a worker's return."""
        waits_for, began_s = "", monotonic()
        while True:
            found, last = await asyncio.to_thread(self.reader.holders)
            if found is not None and found.listens:
                return found
            if found is None and (not last.listens or monotonic() - began_s >= RETURN_S):
                return Taken(PostgresStore(self.path))
            if found is not None and waits_for != found.token:
                waits_for = found.token
                self._on_wait(found)
            await asyncio.sleep(LONGEST_LOOK_S)

    async def _asked(self, holder: PostgresHolder, line: str) -> str:
        """What the holder answers to a call; raises OwnerGone, StoreOwned, StoreUnavailable."""
        try:
            async with await connect_async(self.path, "resolute client") as connection:
                cursor = await connection.execute(statements(PACKAGE)["place_order"].encode(), (holder.token, line))
                [id] = await cursor.fetchone() or (0,)
                await connection.execute(b"SELECT pg_notify(%s, '')", (channel(self.path),))
                given = {"id": id, "token": holder.token, "lock": OWNER_LOCK, "schema": self.path.schema}
                began_s, pause_s = monotonic(), FIRST_LOOK_S
                try:
                    while True:
                        cursor = await connection.execute(statements(PACKAGE)["look_at_order"].encode(), given)
                        answer, is_taken, is_same, is_held = await cursor.fetchone() or (None, None, False, False)
                        if answer is not None:
                            return str(answer)
                        if not is_same or not is_held or is_taken is None:
                            raise OwnerGone(f"{holder} let the store {self.path} go before it answered.")
                        if not is_taken and monotonic() - began_s > SILENT_S:
                            raise StoreOwned(
                                f"The store {self.path} is owned by {holder}, which takes no orders. Look at its log, "
                                "or stop it."
                            )
                        await asyncio.sleep(pause_s)
                        pause_s = min(LONGEST_LOOK_S, 1.2 * pause_s)
                finally:
                    if not connection.closed:
                        await connection.execute(statements(PACKAGE)["remove_order"].encode(), (id,))
        except psycopg.Error as error:
            raise unreachable(self.path, error) from error

    async def space(self) -> Space:
        return await self.reader.space()

    async def vacuum(self) -> None:
        await asyncio.to_thread(vacuum, self.path)

    async def _until_ended(self, run_id: str) -> None:
        await asyncio.sleep(LONGEST_LOOK_S)

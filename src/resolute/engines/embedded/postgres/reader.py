"""`PostgresReader`: a store as commands see it. It holds nothing, writes nothing and makes no table."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import ClassVar

import psycopg

from resolute.engines.embedded.postgres.holder import PACKAGE, PostgresHolder, holder_now, known_holder
from resolute.engines.embedded.postgres.rows import found, given
from resolute.engines.embedded.postgres.store import PostgresReads
from resolute.engines.embedded.postgres.verdict import judge
from resolute.engines.embedded.space import Space
from resolute.engines.embedded.sqlite.reads import Found, Query
from resolute.errors import StoreError
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import Connection, check_version, connect, named, unreachable, version
from resolute.postgres.statements import migrations, statements


class PostgresReader(PostgresReads):
    """The read half of a store. Each question has a session of its own and sees what is durable then.

    Raises:
        StoreError: from every question, when there is no store or it cannot be read.
    """

    #: Where its statements and migrations are.
    package: ClassVar[str] = PACKAGE

    def __init__(self, address: PostgresAddress) -> None:
        self.path = address

    async def close(self) -> None:
        """Nothing is left open between two questions."""

    async def _ask(self, *queries: Query) -> Found:
        return await asyncio.to_thread(self._found, queries)

    async def space(self) -> Space:
        """How large the tables are now, with their indexes."""
        [[[size]]] = await self._ask(("space", ()))
        return Space(size)

    def holder(self) -> PostgresHolder | None:
        """Who holds the store now; waits for the server."""
        return self.holders()[0]

    def holders(self) -> tuple[PostgresHolder | None, PostgresHolder]:
        """Who holds the store now, and who held it last without letting go in good order."""
        with closing(self._connected()) as connection:
            try:
                return holder_now(connection, self.path), known_holder(connection)
            except psycopg.Error as error:
                raise unreachable(self.path, error) from error

    def _connected(self) -> Connection:
        try:
            return connect(self.path, "resolute reader")
        except psycopg.Error as error:
            raise unreachable(self.path, error) from error

    def _found(self, queries: tuple[Query, ...]) -> Found:
        with closing(self._connected()) as connection:
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                check_version(version(connection, self.path), migrations(self.package), self.path)
                return [
                    found(connection.execute(statements(self.package)[query[0]].encode(), given(query)).fetchall())
                    for query in queries
                ]
            except psycopg.Error as error:
                if judge(error) == "lost":
                    raise unreachable(self.path, error) from error
                raise StoreError(f"The store {self.path} cannot be read: {named(error, self.path)}.") from error

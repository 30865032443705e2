"""`PostgresHolder`: who holds a store in PostgreSQL, told by an advisory lock of a session of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import OWNER_LOCK, Connection
from resolute.postgres.statements import statements

PACKAGE = "resolute.engines.embedded.postgres"


@dataclass(frozen=True)
class PostgresHolder:
    """Who holds a store.

    Attributes:
        token: random, one for each time that the store is held; "" when it has not said so yet.
        backend: the process of the server that holds the lock, 0 when nobody does.
        host, pid: where its process runs.
        listens: whether it is a worker, which takes orders.
    """

    token: str = ""
    backend: int = 0
    host: str = ""
    pid: int = 0
    since: datetime | None = None
    listens: bool = False

    def __str__(self) -> str:
        if not self.token:
            return "a process that has not given its name"
        since = f", since {self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if self.since is not None else ""
        return f"{'worker' if self.listens else 'command'} {self.pid} on {self.host}{since}"


def last_holder(connection: Connection) -> PostgresHolder:
    """Who has held the store last, whether it still does or not; the tables must be there."""
    found = connection.execute(statements(PACKAGE)["owner"].encode()).fetchone()
    return PostgresHolder() if found is None else PostgresHolder(*found)


def holder_now(connection: Connection, address: PostgresAddress) -> PostgresHolder | None:
    """Who holds the store; None when nobody does. The tables need not be there."""
    found = connection.execute(statements(PACKAGE)["is_held"].encode(), (OWNER_LOCK, address.schema)).fetchone()
    return known_holder(connection) if found is not None and found[0] else None


def known_holder(connection: Connection) -> PostgresHolder:
    """Who has said last that it holds the store; who let go in good order says so no more."""
    [has_table] = connection.execute("SELECT to_regclass('owner') IS NOT NULL").fetchone() or (False,)
    return last_holder(connection) if has_table else PostgresHolder()

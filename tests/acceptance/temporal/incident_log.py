"""The incident log that the workers of a fleet share, as a test reads it."""

from __future__ import annotations

import asyncio
from collections import Counter

from resolute.engines.embedded.store import LedgerQuery
from resolute.ledger.postgres.ledger import LedgerReader
from resolute.ledger.row import Row
from resolute.postgres.address import postgres_address
from tests.postgres_server import PostgresServer


class SharedLog:
    """One in a schema that no other test has used.

    Attributes:
        url: its address, for `RESOLUTE_DATABASE_URL`.
    """

    def __init__(self, postgres: PostgresServer) -> None:
        self.url = postgres.url(postgres.address().schema)

    def rows(self) -> list[Row]:
        """Its rows, in the order in which the events were decided."""
        rows = asyncio.run(LedgerReader(postgres_address(self.url)).ledger(LedgerQuery(limit=10_000)))
        return sorted(rows, key=lambda row: row.created_at)

    def statuses(self) -> Counter[str]:
        return Counter(row.status for row in self.rows())

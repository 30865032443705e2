"""Two machines whose workers, each with a journal of its own, share an incident log in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from resolute.client import Client
from resolute.engines.embedded.store import LedgerQuery
from resolute.ledger.postgres.ledger import LedgerReader
from resolute.ledger.row import Row
from resolute.postgres.address import postgres_address
from tests.acceptance.machine import Machine
from tests.postgres_server import PostgresServer


class Fleet:
    """Two machines with one PagerDuty outside and one ledger."""

    def __init__(self, folder: Path, postgres: PostgresServer, stack: ExitStack) -> None:
        self.url = postgres.url(postgres.address().schema)
        for name in "ab":
            (folder / name).mkdir()
        first = stack.enter_context(LedgerMachine(folder / "a", self.url))
        self.machines = (first, LedgerMachine(folder / "b", self.url, first))
        stack.callback(self._end)
        for machine in self.machines:
            machine.start()
        self.pagerduty = first.server

    def _end(self) -> None:
        second = self.machines[1].worker
        if second is not None:
            second.kill()
            second.wait()

    def rows(self) -> list[Row]:
        """The shared ledger, in the order in which the events were decided."""
        reader = LedgerReader(postgres_address(self.url))
        rows = asyncio.run(reader.ledger(LedgerQuery(limit=10_000)))
        return sorted(rows, key=lambda row: row.created_at)

    def statuses(self) -> Counter[str]:
        return Counter(row.status for row in self.rows())

    def applied(self, key: str) -> list[str]:
        """What PagerDuty took for an alert, in order."""
        return self.pagerduty.call(
            lambda sim: [request.action for request in sim.requests if request.applied and request.dedup_key == key]
        )


class LedgerMachine(Machine):
    """A machine whose worker shares its incident log."""

    def __init__(self, folder: Path, url: str, beside: Machine | None = None) -> None:
        super().__init__(folder)
        self._url = url
        if beside is not None:
            self.pagerduty, self.server = beside.pagerduty, beside.server

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "RESOLUTE_DATABASE_URL": self._url}


async def start(client: Client, flow: str, runs: dict[str, str]) -> None:
    for run_id, key in runs.items():
        await client.start(flow, {"key": key}, run_id=run_id)

"""`Reads`: the questions of the store port, whoever asks the database."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from resolute.engine import RunQuery
from resolute.engines.embedded.sqlite.rows import Values, instant, micros, plain, to_entry, to_row, to_run
from resolute.engines.embedded.sqlite.statements import statements
from resolute.engines.embedded.store import Entry, LedgerQuery, RunRow
from resolute.errors import RunNotFound
from resolute.ledger.row import Row

#: A statement by name and its parameters.
Query = tuple[str, tuple[Any, ...] | dict[str, Any]]
Found = list[list[Values]]

#: The largest integer that SQLite takes.
_LARGEST: Final = 2**63 - 1


def answer(connection: sqlite3.Connection, queries: Sequence[Query]) -> Found:
    """The rows of each query."""
    return [connection.execute(statements()[name], given).fetchall() for name, given in queries]


class Reads(ABC):
    """Answers from the rows that `_ask` finds."""

    @abstractmethod
    async def _ask(self, *queries: Query) -> Found:
        """The rows of each query, all from one state of the database."""

    async def find(self, run_id: str) -> RunRow | None:
        [rows] = await self._ask(("run_by_id", (plain(run_id),)))
        return to_run(rows[0]) if rows else None

    async def load(self, run_no: int) -> tuple[RunRow, list[Entry]]:
        rows, entries = await self._ask(("run_by_no", (run_no,)), ("journal_of_run", (run_no,)))
        if not rows:
            raise RunNotFound(f"No run has the number {run_no}.")
        return to_run(rows[0]), [to_entry(entry) for entry in entries]

    async def runs(self, query: RunQuery) -> list[RunRow]:
        given = {"flow": _plain(query.flow), "status": _plain(query.status), "limit": min(query.limit, _LARGEST)}
        if query.flow is not None:
            name = "runs_of_flow"
        elif query.status is None:
            name = "newest_runs"
        else:
            name = "runs_that_went_well" if query.status == "succeeded" else "runs_by_status"
        [rows] = await self._ask((name, given))
        return [to_run(row) for row in rows]

    async def ledger(self, query: LedgerQuery) -> list[Row]:
        given = {
            "run_id": _plain(query.run_id),
            "dedup_key": _plain(query.dedup_key),
            "status": _plain(query.status),
            "limit": min(query.limit, _LARGEST),
        }
        if query.run_id is not None:
            found = await self._ask(("log_of_run", given))
        elif query.dedup_key is not None:
            found = await self._ask(("log_of_dedup_key", given))
        else:
            found = await self._ask(("log_first", given), ("log_rest", given))
        return [to_row(row) for rows in found for row in rows][: query.limit]

    async def ledger_row(self, row_id: int) -> Row | None:
        [rows] = await self._ask(("log_row", (min(row_id, _LARGEST),)))
        return to_row(rows[0]) if rows else None

    async def ledger_by_key(self, idempotency_key: str) -> Row | None:
        [rows] = await self._ask(("log_by_key", (plain(idempotency_key),)))
        return to_row(rows[0]) if rows else None

    async def memory(self, flow: str) -> dict[str, str]:
        [rows] = await self._ask(("memory_of_flow", (plain(flow),)))
        return dict(rows)

    async def running(self) -> list[int]:
        [rows] = await self._ask(("running", ()))
        return [no for (no,) in rows]

    async def due(self, until: datetime, limit: int) -> list[int]:
        [rows] = await self._ask(("due", {"now": micros(until), "limit": limit}))
        return [no for (no,) in rows]

    async def next_due(self, after: datetime) -> datetime | None:
        [rows] = await self._ask(("next_due", (micros(after),)))
        return None if rows[0][0] is None else instant(rows[0][0])


def _plain(text: str | None) -> str | None:
    return None if text is None else plain(text)

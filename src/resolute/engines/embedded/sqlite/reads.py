"""`Reads`: the questions of the store port, whoever asks the database."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from resolute.engine import RunQuery
from resolute.engines.embedded.intact import intact
from resolute.engines.embedded.sqlite.rows import (
    Unreadable,
    Values,
    instant,
    micros,
    plain,
    to_entry,
    to_pruned,
    to_row,
    to_run,
)
from resolute.engines.embedded.sqlite.statements import statements
from resolute.engines.embedded.sqlite.whole import RESTORE
from resolute.engines.embedded.store import Entry, LedgerQuery, PrunedRun, RunRow, TickRow
from resolute.errors import RunNotFound, StoreBroken
from resolute.ledger.row import Row
from resolute.postgres.address import PostgresAddress

T = TypeVar("T")

#: A statement by name and its parameters.
Query = tuple[str, tuple[Any, ...] | dict[str, Any]]
Found = list[list[Values]]

#: The largest integer that SQLite takes.
_LARGEST: Final = 2**63 - 1


def answer(connection: sqlite3.Connection, queries: Sequence[Query]) -> Found:
    """The rows of each query; raises Unreadable when a text in them is none."""
    try:
        return [connection.execute(statements()[name], given).fetchall() for name, given in queries]
    except UnicodeDecodeError as error:
        raise Unreadable(str(error)) from error
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" in str(error):  # Python's own word, without a code of SQLite
            raise Unreadable(str(error)) from error
        raise


class Reads(ABC):
    """Answers from the rows that `_ask` finds.

    Raises:
        StoreError: from every question; StoreBroken when a row holds what was never written.
    """

    #: What names the store in errors, and what to do when it is damaged.
    path: Path | PostgresAddress
    restore: ClassVar[str] = RESTORE

    @abstractmethod
    async def _ask(self, *queries: Query) -> Found:
        """The rows of each query, all from one state of the database."""

    async def find(self, run_id: str) -> RunRow | None:
        [rows] = await self._ask(("run_by_id", (plain(run_id),)))
        return self._first(to_run, rows)

    async def known(self, run_id: str) -> RunRow | PrunedRun | None:
        runs, pruned = await self._ask(("run_by_id", (plain(run_id),)), ("pruned", (plain(run_id),)))
        return self._first(to_run, runs) or self._first(to_pruned, pruned)

    async def load(self, run_no: int) -> tuple[RunRow, list[Entry]]:
        rows, entries = await self._ask(("run_by_no", (run_no,)), ("journal_of_run", (run_no,)))
        if not rows:
            raise RunNotFound(f"No run has the number {run_no}.")
        [run] = self._made(to_run, rows)
        return run, self._made(to_entry, entries)

    async def runs(self, query: RunQuery) -> list[RunRow]:
        given = {"flow": _plain(query.flow), "status": _plain(query.status), "limit": min(query.limit, _LARGEST)}
        if query.status not in (None, "succeeded"):
            name = "runs_by_status"
        elif query.flow is not None:
            name = "runs_of_flow"
        else:
            name = "newest_runs" if query.status is None else "runs_that_went_well"
        [rows] = await self._ask((name, given))
        return self._made(to_run, rows)

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
        return self._made(to_row, chain.from_iterable(found))[: query.limit]

    async def ledger_row(self, row_id: int) -> Row | None:
        [rows] = await self._ask(("log_row", (min(row_id, _LARGEST),)))
        return self._first(to_row, rows)

    async def ledger_by_key(self, idempotency_key: str) -> Row | None:
        [rows] = await self._ask(("log_by_key", (plain(idempotency_key),)))
        return self._first(to_row, rows)

    async def large(self, run_no: int, digest: str) -> str:
        [rows] = await self._ask(("large", (run_no, digest)))
        content = rows[0][0] if rows else None
        # In a thread: the digest of 100 MB takes a moment in which nothing else would be done.
        return await asyncio.to_thread(intact, content, run_no, digest, str(self.path))

    async def outline(self, fingerprint: str) -> str | None:
        [rows] = await self._ask(("outline", (plain(fingerprint),)))
        return rows[0][0] if rows else None

    async def unfinished(self, after: int, limit: int) -> list[int]:
        [rows] = await self._ask(("unfinished", {"after": after, "limit": limit}))
        return [no for (no,) in rows]

    async def memory(self, flow: str) -> dict[str, str]:
        [rows] = await self._ask(("memory_of_flow", (plain(flow),)))
        return dict(rows)

    async def ticks(self) -> dict[tuple[str, str], TickRow]:
        [rows] = await self._ask(("ticks", ()))
        return {(flow, trigger): TickRow(instant(at), bool(paused)) for flow, trigger, at, paused in rows}

    async def latest_unfinished(self, flow: str, trigger: str) -> int | None:
        [[(found,)]] = await self._ask(("latest_unfinished", (plain(flow), plain(trigger))))
        return None if found is None else int(found)

    async def in_turn(self) -> list[tuple[int, int]]:
        [rows] = await self._ask(("in_turn", ()))
        return [(no, after_no) for no, after_no in rows]

    async def prunable(
        self, before: datetime | None, keep: int | None, limit: int, flow: str | None = None
    ) -> list[int]:
        found: list[int] = []
        of_flow = {"flow": _plain(flow)}
        if before is not None:
            [rows] = await self._ask(("prunable_by_age", {"before": micros(before), "limit": limit, **of_flow}))
            found = [no for (no,) in rows]
        if keep is not None and len(found) < limit:
            [rows] = await self._ask(("prunable_beyond", {"keep": keep, "limit": limit + len(found), **of_flow}))
            found += [no for (no,) in rows]
        return list(dict.fromkeys(found))[:limit]

    async def pruned(self, run_id: str) -> PrunedRun | None:
        [rows] = await self._ask(("pruned", (plain(run_id),)))
        return self._first(to_pruned, rows)

    async def running(self) -> list[int]:
        [rows] = await self._ask(("running", ()))
        return [no for (no,) in rows]

    async def due(self, until: datetime, limit: int) -> list[int]:
        [rows] = await self._ask(("due", {"now": micros(until), "limit": limit}))
        return [no for (no,) in rows]

    async def next_due(self, after: datetime) -> datetime | None:
        [rows] = await self._ask(("next_due", (micros(after),)))
        return None if rows[0][0] is None else instant(rows[0][0])

    def _first(self, make: Callable[[Values], T], rows: list[Values]) -> T | None:
        made = self._made(make, rows[:1])
        return made[0] if made else None

    def _made(self, make: Callable[[Values], T], rows: Iterable[Values]) -> list[T]:
        """What each row holds."""
        try:
            return [make(row) for row in rows]
        except Unreadable as error:
            raise unreadable(self.path, error, self.restore) from error


def unreadable(path: Path | PostgresAddress, error: Unreadable, restore: str = RESTORE) -> StoreBroken:
    """What a row that was read and makes no sense means to the operator."""
    return StoreBroken(
        f"The store {path} holds what was never written there: {error}. Put back what was changed by hand; if nothing "
        f"was, check the disk. {restore}"
    )


def _plain(text: str | None) -> str | None:
    return None if text is None else plain(text)

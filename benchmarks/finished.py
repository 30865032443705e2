"""Fills a store with finished runs: copies of one that really ran, each with its whole journal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from five_steps import RESOLUTE

from resolute.engine import RunQuery
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Entry, Op, RunRow

#: Runs of one batch, which is one transaction.
RUNS_AT_ONCE = 2000


async def fill(path: Path, runs: int) -> None:
    """Make a store at this path that holds so many finished runs."""
    async with RESOLUTE.open(path, 1) as run_one:
        await run_one()
    store = SqliteStore(path)
    await store.open()
    try:
        [newest] = await store.runs(RunQuery(limit=1))
        run, entries = await store.load(newest.no)
        earlier: asyncio.Task[None] | None = None
        for first in range(run.no + 1, runs + 1, RUNS_AT_ONCE):
            batch = _copies(run, entries, range(first, min(runs + 1, first + RUNS_AT_ONCE)))
            latest = asyncio.create_task(store.commit(batch))
            await asyncio.sleep(0)  # hands the batch in: the thread has it while the next one is made
            if earlier is not None:
                await earlier
            earlier = latest
        if earlier is not None:
            await earlier
    finally:
        await store.close()


def _copies(run: RunRow, entries: Sequence[Entry], numbers: range) -> list[Op]:
    """The run and its journal under other numbers, with ids that sort as those do."""
    copies: list[Op] = []
    for no in numbers:
        copies.append(run.but(no=no, id=f"{no:020}"))
        copies.extend(entry.but(run_no=no) for entry in entries)
    return copies

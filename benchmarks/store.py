"""How fast the SQLite store commits, beside a bare sqlite3 loop on the same disk in the same run.

    python benchmarks/store.py [--seconds 3] [--runs 100000] [--folder DIR]

A batch is what one node costs: its entry done, the next one begun, 400 bytes of JSON each. Rates vary with disk and
neighbours; the ratio says more. `--runs` fills a store with finished runs and times its questions.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from resolute.engine import RunQuery
from resolute.engines.embedded.sqlite.database import open_to_write
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.rows import prepare
from resolute.engines.embedded.sqlite.statements import put
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Entry, RunRow

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TEXT = '{"text":"' + "x" * 400 + '"}'


def run(no: int) -> RunRow:
    return RunRow(no, f"{no:020}", f"flow{no % 20}", "f", "succeeded", "null", "d", "manual", NOW, finished_at=NOW)


def node(no: int) -> list[Entry]:
    """The batch between two nodes of a run of five."""
    run_no, place = divmod(no, 5)
    done = Entry(run_no, f"step{place}", place, "node", "step", "done", NOW, inputs=TEXT, output=TEXT, finished_at=NOW)
    return [done, Entry(run_no, f"step{place + 1}", place + 1, "node", "step", "running", NOW, inputs=TEXT)]


def told(name: str, waits_s: list[float], seconds: float, bare: float | None = None) -> float:
    waits_s.sort()
    rate = len(waits_s) / seconds
    p50, p99 = (1000 * waits_s[len(waits_s) * percent // 100] for percent in (50, 99))
    ratio = "" if bare is None else f"{rate / bare:8.1f}x"
    print(f"{name:<32}{rate:>10,.0f}/s{p50:>9.2f} ms{p99:>9.2f} ms{ratio}")
    return rate


def bare(path: Path, seconds: float) -> float:
    """sqlite3 with the same settings and statements, one transaction a batch."""
    waits_s: list[float] = []
    with closing(open_to_write(path)) as connection:
        begun = now = time.perf_counter()
        while now - begun < seconds:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(put("put_entry").of(1), [prepare(entry)[2] for entry in node(len(waits_s))])
            connection.execute("COMMIT")
            waits_s.append(-now + (now := time.perf_counter()))
    return told("bare sqlite3, one by one", waits_s, seconds)


async def store(path: Path, tasks: int, seconds: float, bare: float) -> None:
    """The store, with so many tasks that wait for each of their batches."""
    waits_s: list[float] = []
    begun = time.perf_counter()
    no = 0

    async def work(store: SqliteStore) -> None:
        nonlocal no
        now = time.perf_counter()
        while now - begun < seconds:
            no += 1
            await store.commit(node(no))
            waits_s.append(-now + (now := time.perf_counter()))

    store = SqliteStore(path)
    await store.open()
    begun = time.perf_counter()
    await asyncio.gather(*(work(store) for _ in range(tasks)))
    told(f"store, {tasks} task{'s' if tasks > 1 else ''}", waits_s, time.perf_counter() - begun, bare)
    await store.close()


def fill(path: Path, runs: int) -> None:
    with closing(open_to_write(path)) as connection:
        connection.execute("BEGIN")
        connection.executemany(put("put_run").of(1), (prepare(run(no))[2] for no in range(1, runs + 1)))
        connection.executemany(put("put_entry").of(1), (prepare(node(5 * no)[0])[2] for no in range(1, runs + 1)))
        connection.execute("COMMIT")
    print(f"\nquestions to {runs:,} finished runs ({path.stat().st_size / 1e6:,.0f} MB)")


async def questions(path: Path, runs: int) -> None:
    """The questions of a store that holds so many finished runs."""
    fill(path, runs)
    owned = SqliteStore(path)
    await owned.open()
    reader = ReadOnlyStore(path)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "newest page": lambda: owned.runs(RunQuery(limit=20)),
        "newest page of one flow": lambda: owned.runs(RunQuery(flow="flow7", limit=20)),
        "failed runs": lambda: owned.runs(RunQuery(status="failed", limit=20)),
        "due runs": lambda: owned.due(NOW, 200),
        "one run with its journal": lambda: owned.load(runs // 2),
        "newest page, another process": lambda: reader.runs(RunQuery(limit=20)),
    }
    for name, ask in asked.items():
        begun = time.perf_counter()
        for _ in range(20):
            await ask()
        print(f"{name:<32}{50 * (time.perf_counter() - begun):>10.2f} ms")
    await owned.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--runs", type=int, default=100_000, help="finished runs of the store that is questioned")
    parser.add_argument("--folder", help="where the files are made and removed, on the disk that counts")
    given = parser.parse_args()
    print(f"SQLite {sqlite3.sqlite_version}\n{'':<32}{'commits':>12}{'p50':>12}{'p99':>12}{'ratio':>9}")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rate = bare(Path(folder, "bare.db"), given.seconds)
        for tasks in (1, 20, 200):
            await store(Path(folder, f"{tasks}.db"), tasks, given.seconds, rate)
        await questions(Path(folder, "large.db"), given.runs)


if __name__ == "__main__":
    asyncio.run(main())

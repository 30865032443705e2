"""Workers on a Temporal server, whose pages go to a simulator."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from resolute import Flow, Worker, WorkerConfig
from resolute.clock import SystemClock
from resolute.ports import Ports
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.simulator import PagerDutySimulator, SimulatorTransport

SOON = timedelta(seconds=30)
TOKEN = "very-secret-token-0815"


@asynccontextmanager
async def working(
    address: str,
    folder: Path,
    *made: Flow,
    account: PagerDutySimulator | None = None,
    task_queue: str = "default",
    slots: int = 100,
    dashboard: str = "",
    **options: Any,
) -> AsyncIterator[Worker]:
    """A worker with these flows, and its store in this folder; its pages go to an account of its own by default."""
    account = account or PagerDutySimulator(SystemClock(), randomness=random.Random(1))
    environ = {
        "RESOLUTE_STORE": f"sqlite:///{folder / 'resolute.db'}",
        "PAGERDUTY_ROUTING_KEY": account.routing_key,
        "TOKEN": TOKEN,
    }
    provider = PagerDutyProvider(PagerDutyConfig(), transport=SimulatorTransport(account))
    config = WorkerConfig(
        task_queue, engine=address, grace=timedelta(0), max_concurrent=slots, dashboard=dashboard or None
    )
    parts: dict[str, Any] = {"flows": made, "providers": [provider], "ports": Ports(environ=environ), **options}
    async with Worker(config, **parts) as worker:
        yield worker


async def until(holds: Callable[[], object], limit: timedelta = SOON) -> None:
    """Return when this holds."""
    async with asyncio.timeout(limit.total_seconds()):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other tasks
            await asyncio.sleep(0.01)

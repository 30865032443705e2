"""Runs that were begun by the previous version of the store finish under this one."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resolute import Worker, WorkerConfig
from resolute.clock import SystemClock
from resolute.ports import Ports
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from tests.data.store import v1_flows
from tests.integration.sqlite_file import VERSION_1

#: When the runs that sleep in it are due.
DUE = datetime(2026, 1, 31, 13, 0, tzinfo=UTC)


class Later:
    """A clock that stood at `DUE` when it was made."""

    def __init__(self) -> None:
        self._ahead = DUE - SystemClock().now()

    def now(self) -> datetime:
        return SystemClock().now() + self._ahead


@asynccontextmanager
async def worker(path: Path, pagerduty: PagerDutySimulator) -> AsyncIterator[Worker]:
    """A worker of today on a file that version 1 wrote; its schedule is left out, so that nothing new begins."""
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_1.read_text())
    connection.close()
    provider = PagerDutyProvider(PagerDutyConfig(), transport=SimulatorTransport(pagerduty))
    flows = [flow for flow in v1_flows.FLOWS if flow.name != "hourly"]
    ports = Ports(clock=Later(), environ={"PAGERDUTY_ROUTING_KEY": pagerduty.routing_key})
    async with Worker(
        WorkerConfig(engine=f"sqlite:///{path}"), flows=flows, providers=[provider], ports=ports
    ) as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file lies."""
    return tmp_path / "resolute.db"


async def test_a_run_that_slept_over_the_migration_wakes_and_finishes(path: Path) -> None:
    """What it had done is not done again."""
    async with worker(path, PagerDutySimulator(Later())) as running:
        result = await running.client.run("v1-asleep").result(timeout=timedelta(seconds=30))
        view = await running.client.get("v1-asleep")
    assert result == {"look": "db-3 is slow", "tell": "told: db-3 is slow"}
    assert [(node.position, node.status, node.attempt) for node in view.nodes if node.kind == "node"] == [
        ("look", "done", 1),
        ("tell", "done", 1),
    ]


async def test_a_page_of_version_1_is_resolved_and_not_sent_again(path: Path) -> None:
    """The alert was opened before the migration; only its resolve goes out."""
    pagerduty = PagerDutySimulator(Later())
    async with worker(path, pagerduty) as running:
        result = await running.client.run("v1-paged").result(timeout=timedelta(seconds=30))
        unsettled = running.engine.core.log.unsettled()
    assert (result["page"]["status"], result["resolved"]["status"]) == ("success", "success")
    assert (pagerduty.alerts, unsettled) == ([], [])


async def test_a_failed_run_of_version_1_can_be_taken_up_again(path: Path) -> None:
    """At what failed: what had succeeded stays."""
    async with worker(path, PagerDutySimulator(Later())) as running:
        run = await running.client.retry("v1-failed")
        view = await running.engine.result(run.id, timedelta(seconds=30))
        view = await running.client.get(view.id)
    assert (view.status, view.retries) == ("failed", 1)
    assert {node.position: node.attempt for node in view.nodes} == {"look": 1, "refuse": 6}


async def test_a_run_that_was_only_queued_begins(path: Path) -> None:
    """It was written down when no worker ran."""
    async with worker(path, PagerDutySimulator(Later())) as running:
        await running.client.run("v1-asleep").result(timeout=timedelta(seconds=30))
        view = await running.client.get("v1-queued")
    assert (view.status, [node.position for node in view.nodes]) == ("waiting", ["look", "nap"])

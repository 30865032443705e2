"""A worker and its clients on a real Temporal server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from resolute import Client, RunFailed, Worker
from resolute.clock import SystemClock
from resolute.engines.embedded.store import LedgerQuery
from resolute.engines.temporal import left_pages
from resolute.errors import EngineError
from resolute.simulator import PagerDutySimulator
from tests.integration.temporal import flows
from tests.integration.temporal.workers import SOON, TOKEN, until, working

pytestmark = pytest.mark.ci_only


async def test_a_flow_of_every_step_runs_to_its_end(address: str, tmp_path: Path) -> None:
    """With children, memory, an answer that came before its gate, and a value kept apart."""
    async with working(address, tmp_path, flows.every_step()) as worker:
        run = await worker.client.start("every-step", run_id="r")
        await run.signal("ok", by="ann")
        assert await run.result(SOON) == {"first": 1, "by": "ann", "total": 5}
        shown = await run.get()
        assert {node.kind for node in shown.nodes} >= {"node", "branch", "each", "loop", "sleep", "children", "gate"}


async def test_a_retry_runs_what_failed_and_nothing_else(address: str, tmp_path: Path) -> None:
    """The finished sibling of a failed branch is not attempted again."""
    flows.broken.add("bad")
    async with working(address, tmp_path, flows.failing()) as worker:
        run = await worker.client.start("failing", run_id="r")
        with pytest.raises(RunFailed, match="bad is broken"):
            await run.result(SOON)
        flows.broken.clear()
        await run.retry()
        assert await run.result(SOON) == {"good": 1, "bad": 2, "last": 3}
        assert flows.attempts == {"good": 1, "bad": 2, "last": 1}
        assert (await run.get()).retries == 1


async def test_a_client_elsewhere_needs_no_flow(address: str, tmp_path: Path) -> None:
    """It starts, answers, lists and cancels by the server alone."""
    async with working(address, tmp_path, flows.every_step()), Client.connect(address) as client:
        flows.attempts.clear()
        run = await client.start("every-step", run_id="r")
        await until(lambda: flows.attempts["large"] > 0)  # a value that the worker keeps, and the client cannot read
        await run.cancel(by="bob")
        with pytest.raises(RunFailed, match="cancelled by bob"):
            await run.result(SOON)
        assert (await run.get()).error.startswith("cancelled by bob")


async def test_a_client_elsewhere_sees_a_run_with_large_values(address: str, tmp_path: Path) -> None:
    """Its worker answers with all of them, though only the worker's store keeps them."""
    async with working(address, tmp_path, flows.every_step()), Client.connect(address) as client:
        run = await client.start("every-step", run_id="r")
        await run.signal("ok", by="ann")
        await run.result(SOON)
        [large] = [node for node in (await run.get()).nodes if node.key == "large"]
        assert large.output == "x" * 100_000


async def test_a_client_elsewhere_learns_why_a_run_with_large_values_failed(address: str, tmp_path: Path) -> None:
    """The server knows that without the journal."""
    flows.broken.add("second")
    async with working(address, tmp_path, flows.every_step()), Client.connect(address) as client:
        run = await client.start("every-step", run_id="r")
        with pytest.raises(RunFailed, match="second is broken"):
            await run.result(SOON)
        assert (await run.get()).error == "second is broken"


async def test_no_secret_is_in_any_history(address: str, tmp_path: Path) -> None:
    """Neither a routing key, nor a token that an activity puts out or pages with."""
    async with working(address, tmp_path, flows.paging()) as worker:
        run = await worker.client.start("paging", run_id="r")
        told = await run.result(SOON)
        engine: Any = worker.client._engine
        history = await engine.client.get_workflow_handle("r").fetch_history()
        assert told["page"]["status"] == "success"
        text = history.to_json() + "".join(str(event) for event in history.events)
        assert TOKEN not in text
        assert worker.ports.environ["PAGERDUTY_ROUTING_KEY"] not in text


async def test_pages_of_one_alert_do_not_wait_longer_than_for_each_other(address: str, tmp_path: Path) -> None:
    """Each is woken when its turn has come, and does not come by a minute later."""
    async with working(address, tmp_path, flows.paging()) as worker:
        runs = [await worker.client.start("paging", run_id=f"r{number}") for number in range(6)]
        told = await asyncio.gather(*(run.result(SOON) for run in runs))
        assert {each["page"]["status"] for each in told} <= {"success", "superseded"}


async def test_attempts_that_hang_keep_no_page_waiting(address: str, tmp_path: Path) -> None:
    """Pages are sent beside `max_concurrent`."""
    async with working(address, tmp_path, flows.hanging(), flows.page_alone(), slots=1) as worker:
        await worker.client.start("hanging", run_id="h")
        await until(lambda: flows.attempts["hang"] == 1)
        told = await (await worker.client.start("page-alone", run_id="r")).result(SOON)
        assert told["page"]["status"] == "success"
        assert flows.attempts["hang"] == 1


async def test_a_page_of_a_run_that_was_ended_elsewhere_is_dropped(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker was away when Temporal's own tools ended the run; it was never sent, and nothing waits behind it."""
    monkeypatch.setattr(left_pages, "OVERDUE", timedelta(0))
    account = PagerDutySimulator(SystemClock())
    account.faults.outage(True)
    async with working(address, tmp_path, flows.paging(), account=account) as worker:
        await worker.client.start("paging", run_id="r")
        core = worker.engine.core
        await until(lambda: any(row.due_at for row in core.log.unsettled()))
    async with Client.connect(address) as client:
        engine: Any = await client._engine.engine()  # type: ignore[attr-defined]
        await engine.client.get_workflow_handle("r").terminate()
    async with working(address, tmp_path, flows.paging(), account=account) as worker:
        core = worker.engine.core
        await until(lambda: not core.log.unsettled())
        assert [row.status for row in await core.store.ledger(LedgerQuery(limit=9))] == ["cancelled"]


async def test_a_tick_starts_a_run_with_its_time_in_its_id(address: str, tmp_path: Path) -> None:
    """By the rules of the embedded engine, and never twice."""
    async with working(address, tmp_path, flows.ticking()) as worker:
        [(_, schedule)] = [(made, made.schedules[0]) for made in worker.flows]
        at = worker.ports.clock.now().replace(microsecond=0) - timedelta(hours=1)
        assert await worker.engine.tick(worker.flows[0], schedule, at)
        assert await worker.engine.tick(worker.flows[0], schedule, at)
        found = await worker.client.run(f"ticking@{at:%Y-%m-%dT%H:%M:%SZ}").result(SOON)
        assert found == {"tick": 1}
        assert (await worker.client.get(f"ticking@{at:%Y-%m-%dT%H:%M:%SZ}")).trigger == schedule.id


async def test_two_task_queues_are_apart(address: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each has its own flows and its own list of runs, and a start goes to the queue of who asks."""
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    async with (
        working(address, here, flows.failing(), task_queue="alerting") as alerting,
        working(address, there, flows.child(), task_queue="billing") as billing,
    ):
        with pytest.raises(EngineError, match='The flow "child" is not known here'):
            await alerting.client.start("child")
        one = await alerting.client.start("failing", run_id="a")
        two = await billing.client.start("child", {"n": 1}, run_id="b")
        assert await one.result(SOON) == {"good": 1, "bad": 2, "last": 3}
        assert await two.result(SOON) == {"work": 1}
        assert await _first_listed(alerting) == ["a"]
        assert await _first_listed(billing) == ["b"]


async def _first_listed(worker: Worker) -> list[str]:
    """The runs that the worker's list holds, once it holds any."""
    async with asyncio.timeout(SOON.total_seconds()):
        while True:
            if found := await worker.client.runs():
                return [run.id for run in found]
            await asyncio.sleep(0.1)

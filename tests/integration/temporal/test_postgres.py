"""Workers on a Temporal server whose stores, or whose incident log, are in PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from resolute import Client, Flow, RunFailed, Worker, WorkerConfig, flow, input_data, manual
from resolute.clock import SystemClock
from resolute.engines.embedded.store import LedgerQuery
from resolute.ledger.postgres.ledger import LedgerReader
from resolute.ledger.row import Row
from resolute.ports import Ports
from resolute.postgres.address import postgres_address
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from tests.integration.temporal import flows
from tests.integration.temporal.workers import SOON, TOKEN, until
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.ci_only


@pytest.fixture
def account() -> PagerDutySimulator:
    """The PagerDuty to which every worker sends."""
    return PagerDutySimulator(SystemClock(), randomness=random.Random(1))


@asynccontextmanager
async def working(
    address: str, account: PagerDutySimulator, environ: Mapping[str, str], *made: Flow
) -> AsyncIterator[Worker]:
    """A worker with these flows."""
    environ = {"PAGERDUTY_ROUTING_KEY": account.routing_key, "TOKEN": TOKEN, **environ}
    provider = PagerDutyProvider(PagerDutyConfig(), transport=SimulatorTransport(account))
    config = WorkerConfig(engine=address, grace=timedelta(0))
    async with Worker(config, flows=made, providers=[provider], ports=Ports(environ=environ)) as worker:
        yield worker


def sharing(url: str, folder: Path) -> list[dict[str, str]]:
    """The settings of two workers with a store each and one incident log."""
    return [{"RESOLUTE_STORE": f"sqlite:///{folder / name}.db", "RESOLUTE_DATABASE_URL": url} for name in ("a", "b")]


def waiting(worker: Worker) -> list[Row]:
    """The pages of a worker that wait for their next attempt."""
    return [row for row in worker.engine.core.log.unsettled() if row.due_at is not None]


async def logged(url: str) -> list[Row]:
    """The rows of a shared incident log."""
    return await LedgerReader(postgres_address(url)).ledger(LedgerQuery(limit=100))


async def test_a_store_on_a_server_is_read_from_everywhere(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client on another machine sees also the values that are kept apart."""
    store = postgres.url(postgres.address().schema)
    monkeypatch.setenv("RESOLUTE_STORE", store)
    async with (
        working(address, account, {"RESOLUTE_STORE": store}, flows.every_step()) as worker,
        Client.connect(address) as client,
    ):
        run = await client.start("every-step", run_id="r")
        await run.signal("ok", by="ann")
        assert await run.result(SOON) == {"first": 1, "by": "ann", "total": 5}
        [large] = [node for node in (await client.get("r")).nodes if node.key == "large"]
        assert large.output == "x" * 100_000
        assert str(worker.engine.core.store.path).startswith("postgresql://")  # type: ignore[attr-defined]


async def test_pages_of_two_workers_stand_in_one_incident_log(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Each claims the alert before it sends, and each run has one row, whichever worker had it."""
    shared = postgres.url(postgres.address().schema)
    at = sharing(shared, tmp_path)
    async with (
        working(address, account, at[0], flows.paging()) as one,
        working(address, account, at[1], flows.paging()),
    ):
        runs = [await one.client.start("paging", run_id=f"r{number}") for number in range(6)]
        told = await asyncio.gather(*(run.result(SOON) for run in runs))
        assert {each["page"]["status"] for each in told} <= {"success", "superseded"}
    rows = await logged(shared)
    assert sorted(row.run_id for row in rows) == [f"r{number}" for number in range(6)]
    assert {row.status for row in rows} <= {"accepted", "superseded"}


async def test_a_page_that_another_worker_goes_on_with_is_settled_everywhere(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path
) -> None:
    """It has one row, which goes on where it stood; the worker that had begun it learns what became of it."""
    shared = postgres.url(postgres.address().schema)
    at = sharing(shared, tmp_path)
    account.faults.outage(True)
    async with working(address, account, at[0], flows.paging()) as one:
        run = await one.client.start("paging", run_id="r")
        await until(lambda: bool(waiting(one)))
    account.faults.outage(False)
    async with working(address, account, at[1], flows.paging()) as two:
        assert (await two.client.run(run.id).result(SOON))["page"]["status"] == "success"
        async with working(address, account, at[0], flows.paging()) as one:
            await until(lambda: not one.engine.core.log.unsettled())
    [row] = await logged(shared)
    assert (row.status, row.attempts > 1) == ("accepted", True)


async def test_a_page_is_retried_by_a_worker_that_has_never_seen_it(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path
) -> None:
    """The shared log knows that it failed; the retry is sent all the same."""
    shared = postgres.url(postgres.address().schema)
    at = sharing(shared, tmp_path)
    async with working(address, account, {**at[0], "PAGERDUTY_ROUTING_KEY": "0" * 32}, flows.paging()) as one:
        with pytest.raises(RunFailed):
            await (await one.client.start("paging", run_id="r")).result(SOON)
    async with working(address, account, at[1], flows.paging()) as two:
        run = two.client.run("r")
        await run.retry()
        assert (await run.result(SOON))["page"]["status"] == "success"
    assert sorted(row.status for row in await logged(shared)) == ["accepted", "rejected"]


async def test_a_page_is_retried_by_a_worker_that_had_begun_it(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Another one failed with it since: that does not fail the retry."""
    shared = postgres.url(postgres.address().schema)
    at = sharing(shared, tmp_path)
    account.faults.outage(True)
    async with working(address, account, at[1], flows.paging()) as two:
        await two.client.start("paging", run_id="r")
        await until(lambda: bool(waiting(two)))
    account.faults.outage(False)
    async with working(address, account, {**at[0], "PAGERDUTY_ROUTING_KEY": "0" * 32}, flows.paging()) as one:
        with pytest.raises(RunFailed):
            await one.client.run("r").result(SOON)
    async with working(address, account, at[1], flows.paging()) as two:
        run = two.client.run("r")
        await run.retry()
        assert (await run.result(SOON))["page"]["status"] == "success"


async def test_memory_goes_on_from_worker_to_worker(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Whichever of them makes an attempt; what the first had kept by itself is brought along."""
    at = sharing(postgres.url(postgres.address().schema), tmp_path)
    counting = flow("counting").triggered_by(manual()).then(flows.remember(value=input_data(""))).build()
    alone = {"RESOLUTE_STORE": at[0]["RESOLUTE_STORE"]}
    for environ, total in ((alone, 1), (at[0], 2), (at[1], 3), (at[0], 4)):
        async with working(address, account, environ, counting) as worker:
            run = await worker.client.start("counting", 1, run_id=f"r{total}")
            assert (await run.result(SOON))["remember"] == total


async def test_a_large_value_is_read_by_another_worker_and_by_commands(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that one has begun goes on at the other, with all that it has come by."""
    at = sharing(postgres.url(postgres.address().schema), tmp_path)
    flows.attempts.clear()
    async with working(address, account, at[0], flows.every_step()) as one:
        await one.client.start("every-step", run_id="r")
        await until(lambda: flows.attempts["large"] > 0)
    monkeypatch.setenv("RESOLUTE_DATABASE_URL", at[1]["RESOLUTE_DATABASE_URL"])
    async with working(address, account, at[1], flows.every_step()), Client.connect(address) as client:
        await client.run("r").signal("ok", by="ann")
        assert await client.run("r").result(SOON) == {"first": 1, "by": "ann", "total": 5}
        [large] = [node for node in (await client.get("r")).nodes if node.key == "large"]
        assert large.output == "x" * 100_000

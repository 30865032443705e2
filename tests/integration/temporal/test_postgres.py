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
from resolute.engines.temporal import left_pages, lost_pages
from resolute.engines.temporal.order import DROP_PAGE
from resolute.ledger.postgres.ledger import LedgerReader, PostgresLedger
from resolute.ledger.row import Row
from resolute.ports import Ports
from resolute.postgres.address import postgres_address
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from tests.contract import rows
from tests.integration.temporal import flows
from tests.integration.temporal.workers import SOON, TOKEN, until
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.ci_only

#: Between two looks at what other workers have done.
LOOK_S = 0.1


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


async def settled(url: str) -> Row:
    """The one row of a shared incident log, once it is settled."""
    async with asyncio.timeout(SOON.total_seconds()):
        while not (found := await logged(url)) or not found[0].is_settled:  # noqa: ASYNC110 - others settle it
            await asyncio.sleep(LOOK_S)
    [row] = found
    return row


async def lost(address: str, account: PagerDutySimulator, environ: Mapping[str, str], fault: str, made: Flow) -> None:
    """A page that is on its way when its worker is lost, while every event meets this fault."""
    account.faults.outage(kind=fault, scope="events")
    async with working(address, account, environ, made) as one:
        await one.client.start(made.name, run_id="r")
        await until(lambda: bool(waiting(one)))
        if made.name == "left":
            await one.client.run("r").result(SOON)
    account.faults.outage(False)


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
    found = await logged(shared)
    assert sorted(row.run_id for row in found) == [f"r{number}" for number in range(6)]
    assert {row.status for row in found} <= {"accepted", "superseded"}


async def test_a_page_that_another_worker_goes_on_with_is_settled_everywhere(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path
) -> None:
    """It has one row, which goes on where it stood; the worker that had begun it learns what became of it."""
    shared = postgres.url(postgres.address().schema)
    at = sharing(shared, tmp_path)
    await lost(address, account, at[0], "503", flows.paging())
    async with working(address, account, at[1], flows.paging()) as two:
        assert (await two.client.run("r").result(SOON))["page"]["status"] == "success"
        async with working(address, account, at[0], flows.paging()) as one:
            await until(lambda: not one.engine.core.log.unsettled())
    [row] = await logged(shared)
    assert (row.status, row.attempts > 1) == ("accepted", True)


async def test_a_page_that_was_delivered_while_the_log_was_away_is_not_sent_anew(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who had begun it finds its run ended and the log without an answer, until the other worker tells that."""
    monkeypatch.setattr(left_pages, "LOOK_S", 0.1)
    monkeypatch.setattr(left_pages, "OVERDUE", timedelta(0))
    shared = postgres.url(postgres.address().schema)
    at = sharing(shared, tmp_path)
    account.faults.outage()
    async with working(address, account, at[0], flows.paging()) as one:
        await one.client.start("paging", run_id="r")
        await until(lambda: bool(waiting(one)))
    try:
        async with working(address, account, at[1], flows.paging()) as two:
            await asyncio.to_thread(postgres.stop)
            account.faults.outage(False)
            assert (await two.client.run("r").result(SOON))["page"]["ledger"] == "deferred"
    finally:
        await asyncio.to_thread(postgres.start)
    async with (
        working(address, account, at[0], flows.paging()) as one,
        working(address, account, at[1], flows.paging()),
    ):
        await until(lambda: not one.engine.core.log.unsettled())
    [row] = await logged(shared)
    assert (row.status, row.is_deferred) == ("accepted", True)
    assert sum(request.applied for request in account.requests) == 1


async def test_cancel_of_a_page_with_an_undo_waits_for_the_shared_log(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Another worker may have sent the page: while nobody can tell, it is neither dropped nor sent."""
    environ = sharing(postgres.url(postgres.address().schema), tmp_path)[0]
    account.faults.outage(True)
    async with working(address, account, environ, flows.undone()) as worker:
        run = await worker.client.start("undone", run_id="r")
        await until(lambda: bool(waiting(worker)))
        await asyncio.to_thread(postgres.stop)
        try:
            await run.cancel()
            handle = worker.engine.remote.client.get_workflow_handle("r")  # type: ignore[attr-defined]

            async def asks_again() -> bool:
                pending = (await handle.describe()).raw_description.pending_activities
                return any(each.activity_type.name == DROP_PAGE and each.attempt > 1 for each in pending)

            async with asyncio.timeout(SOON.total_seconds()):
                while not await asks_again():  # noqa: ASYNC110 - the server is asked
                    await asyncio.sleep(LOOK_S)
            account.faults.outage(False)
        finally:
            await asyncio.to_thread(postgres.start)
        with pytest.raises(RunFailed, match="cancelled"):
            await run.result(SOON)
    assert not any(request.applied for request in account.requests)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers take others for lost as soon as nothing is heard of them."""
    monkeypatch.setattr(lost_pages, "IDLE", timedelta(0))
    monkeypatch.setattr(lost_pages, "TOLD_IN", timedelta(0))
    monkeypatch.setattr(lost_pages, "LOOK_S", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "can_look", "status"),
    [("503", False, "cancelled"), ("apply_then_cut", True, "accepted"), ("apply_then_cut", False, "undelivered")],
    ids=["never sent", "found by look-up", "unknown"],
)
async def test_page_of_a_lost_worker_is_settled_once_its_run_was_cancelled(
    address: str,
    account: PagerDutySimulator,
    postgres: PostgresServer,
    tmp_path: Path,
    fault: str,
    can_look: bool,
    status: str,
) -> None:
    """By another worker, which says what is known and sends nothing; the lost one hears of it when it comes back."""
    shared = postgres.url(postgres.address().schema)
    at = sharing(shared, tmp_path)
    look = {"PAGERDUTY_API_KEY": account.api_key} if can_look else {}
    await lost(address, account, at[0] | look, fault, flows.page_alone())
    async with Client.connect(address) as client:
        await (await client._engine.engine()).client.get_workflow_handle("r").terminate()  # type: ignore[attr-defined]
    sent = len([request for request in account.requests if request.api == "events"])
    async with working(address, account, at[1] | look, flows.page_alone()):
        row = await settled(shared)
    assert (row.status, row.is_open) == (status, fault != "503")
    assert row.message.startswith("its run was cancelled, and its worker did not come back")
    async with working(address, account, at[0] | look, flows.page_alone()) as one:
        await until(lambda: not one.engine.core.log.unsettled())
    assert len([request for request in account.requests if request.api == "events"]) == sent


@pytest.mark.usefixtures("impatient")
async def test_page_that_its_run_has_left_goes_on_when_its_worker_is_lost(
    address: str, account: PagerDutySimulator, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Its fallback was all that the run waited for; another worker delivers it."""
    shared = postgres.url(postgres.address().schema)
    at = sharing(shared, tmp_path)
    await lost(address, account, at[0], "503", flows.left())
    async with working(address, account, at[1], flows.left()):
        assert (await settled(shared)).status == "accepted"
    assert sum(request.applied for request in account.requests) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("position", "status", "reason"),
    [("work", "accepted", "its run has its answer"), ("other", "undelivered", "not accepted within 24 h")],
    ids=["its run has its answer", "its time is over"],
)
async def test_page_of_a_lost_worker_is_not_sent_in_vain(
    address: str,
    account: PagerDutySimulator,
    postgres: PostgresServer,
    tmp_path: Path,
    position: str,
    status: str,
    reason: str,
) -> None:
    """Where its worker could tell the server what came of it but not the log, and where it is too late."""
    shared = postgres.url(postgres.address().schema)
    dead = PostgresLedger(postgres_address(shared))
    await dead.open("dead", b"k" * 32)
    async with working(address, account, sharing(shared, tmp_path)[0], flows.child()) as worker:
        await (await worker.client.start("child", {"n": 1}, run_id="r")).result(SOON)
        await dead.put([rows.row(1, run_no=0, run_id="r", position=position)], {})
        row = await settled(shared)
    await dead.close()
    assert (row.status, len(account.requests)) == (status, 0)
    assert row.message == f"{reason}, and its worker did not come back"


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
    await lost(address, account, at[1], "503", flows.paging())
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

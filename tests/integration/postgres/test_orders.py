"""A client of a store in PostgreSQL: its worker is asked, on whatever machine; without one the store is written."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import timedelta

import pytest

from resolute import (
    Client,
    RunConflict,
    RunNotFound,
    Worker,
    WorkerConfig,
    activity,
    flow,
    input_data,
    manual,
)
from resolute.errors import EngineError
from resolute.postgres.address import postgres_address
from tests.postgres_server import PostgresServer

PATIENCE = timedelta(seconds=30)


@activity
async def double(number: int) -> int:
    return 2 * number


@activity
async def refuse() -> None:
    raise ValueError("no")


FLOW = flow("double").triggered_by(manual("by-hand")).then(double(number=input_data("number"))).build()
GATED = flow("gated").triggered_by(manual("by-hand")).then_gate("approve").build()
FAILING = flow("failing").triggered_by(manual("by-hand")).then(refuse()).build()


def worker(url: str) -> Worker:
    return Worker(WorkerConfig(engine=url), flows=[FLOW, GATED, FAILING])


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.url(postgres.address().schema)


async def test_run_is_started_and_its_result_told(url: str) -> None:
    """By a client in a session of its own; the same id gives the same run, with another input a conflict."""
    async with worker(url), Client.connect(url) as client:
        run = await client.start("double", {"number": 21}, run_id="a")
        assert await run.result(PATIENCE) == {"double": 42}
        assert (await client.start("double", {"number": 21}, run_id="a")).id == "a"
        with pytest.raises(RunConflict):
            await client.start("double", {"number": 22}, run_id="a")


async def test_gate_is_answered(url: str) -> None:
    """The answer is durable when the call returns, and the run goes on with it."""
    async with worker(url), Client.connect(url) as client:
        run = await client.start("gated")
        await run.signal("approve", by="eva")
        found = await run.result(PATIENCE)
    assert (found["approve"]["outcome"], found["approve"]["by"]) == ("approved", "eva")


async def test_many_clients_are_served_at_once(url: str) -> None:
    """Each gets its own answer."""
    async with worker(url), Client.connect(url) as client:
        runs = await asyncio.gather(*(client.start("double", {"number": n}) for n in range(12)))
        assert [await run.result(PATIENCE) for run in runs] == [{"double": 2 * n} for n in range(12)]


async def test_errors_come_back_as_what_they_are(url: str) -> None:
    """What the worker refuses is raised where it was asked for."""
    async with worker(url), Client.connect(url) as client:
        with pytest.raises(RunNotFound):
            await client.cancel("nobody")
        with pytest.raises(EngineError, match="is not known here"):
            await client.start("unknown")


async def test_run_that_is_started_without_a_worker_is_left_to_the_next_one(url: str) -> None:
    """It is written down, listed, and begun by the worker that comes."""
    async with Client.connect(url) as client:
        run = await client.start("double", {"number": 4})
        assert [each.status for each in await client.runs()] == ["queued"]
        async with worker(url):
            assert await run.result(PATIENCE) == {"double": 8}


async def test_run_is_cancelled_without_a_worker(url: str) -> None:
    """The client holds the store for that moment."""
    async with Client.connect(url) as client:
        run = await client.start("gated")
        async with worker(url):
            await run.get()
        assert (await run.cancel(by="eva")).status == "cancelled"


async def test_orders_go_on_after_the_server_was_away(url: str, postgres: PostgresServer) -> None:
    """The worker hears of them again without a restart."""
    async with worker(url), Client.connect(url) as client:
        await (await client.start("double", {"number": 1})).result(PATIENCE)
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(postgres.start)
        while True:
            try:
                found = await (await client.start("double", {"number": 2}, run_id="after")).result(PATIENCE)
            except EngineError:  # it takes the worker a moment to have the store again
                continue
            break
    assert found == {"double": 4}


async def test_start_outlives_a_restart_of_the_server(url: str, postgres: PostgresServer) -> None:
    """An order that the worker has taken and not answered is given again; the same id starts no second run."""
    schema = postgres_address(url).schema
    async with worker(url), Client.connect(url) as client:
        with closing(postgres.connect()) as outside:
            outside.execute("BEGIN")
            outside.execute(f"LOCK TABLE {schema}.runs IN EXCLUSIVE MODE".encode())  # no run can be written down
            starting = asyncio.create_task(client.start("double", {"number": 21}, run_id="one"))
            taken = f"SELECT count(*) FROM {schema}.orders WHERE is_taken".encode()
            async with asyncio.timeout(PATIENCE.total_seconds()):
                while outside.execute(taken).fetchone() != (1,):  # noqa: ASYNC110 - another process writes it
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(postgres.start)
        assert await (await starting).result(PATIENCE) == {"double": 42}
        assert len(await client.runs()) == 1

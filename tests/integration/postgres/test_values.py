"""Memory and large values that workers on Temporal share, in a real database."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from resolute.engines.temporal.postgres.values import PostgresValues, shared_value
from resolute.engines.temporal.values import Decide
from resolute.errors import StoreDamaged, StoreUnavailable
from resolute.postgres.address import PostgresAddress
from tests.postgres_server import PostgresServer

LARGE = "ä" * 100_000
DIGEST = hashlib.sha256(LARGE.encode()).hexdigest()


class Own:
    """What one worker has kept by itself."""

    def __init__(self, **kept: str) -> None:
        self.kept = kept

    async def memory(self, name: str) -> Mapping[str, str]:
        return self.kept if name == "f" else {}

    async def change(self, mark: str, name: str, decide: Decide) -> None:
        raise AssertionError("it is only read")

    async def keep(self, digest: str, text: str) -> None:
        raise AssertionError("it is only read")

    async def read(self, digest: str) -> str:
        raise StoreDamaged("not there either")


@pytest.fixture
def address(postgres: PostgresServer) -> PostgresAddress:
    """A database in which no worker has kept anything."""
    return postgres.address()


@asynccontextmanager
async def worker(
    address: PostgresAddress, scope: str = "default/alerting", **own: str
) -> AsyncIterator[PostgresValues]:
    """The values as one worker sees them."""
    values = PostgresValues(address, scope, Own(**own))
    try:
        yield values
    finally:
        await values.close()


async def test_what_one_worker_writes_all_know(address: PostgresAddress) -> None:
    """Whatever a key and a value hold, and until it is removed."""
    async with worker(address) as one, worker(address) as two:
        await one.change("m1", "f", lambda known: {"a\0b": '"1"', "\ud800": "2"})
        assert await two.memory("f") == {"a\0b": '"1"', "\\ud800": "2"}
        await two.change("m2", "f", lambda known: {"a\0b": None, "c": "3"})
        assert await one.memory("f") == {"\\ud800": "2", "c": "3"}


async def test_each_flow_and_each_task_queue_has_a_memory_of_its_own(address: PostgresAddress) -> None:
    """Two queues may have flows of one name."""
    async with worker(address) as one, worker(address, "default/billing") as other:
        await one.change("m", "f", lambda known: {"a": "1"})
        await other.change("m", "f", lambda known: {"a": "2"})
        assert [await one.memory("f"), await other.memory("f"), await one.memory("g")] == [{"a": "1"}, {"a": "2"}, {}]


async def test_a_write_is_done_once_by_whichever_worker_tries_it_again(address: PostgresAddress) -> None:
    """A worker may die before it can say that it has written."""
    async with worker(address) as one, worker(address) as two:
        await one.change("run/total", "f", lambda known: {"total": "1"})
        await one.change("run2/total", "f", lambda known: {"total": "2"})
        await two.change("run/total", "f", lambda known: {"total": "1"})
        assert await two.memory("f") == {"total": "2"}


async def test_changes_at_once_see_each_other(address: PostgresAddress) -> None:
    """Each decides by what the one before it has left."""

    def more(known: Mapping[str, str]) -> Mapping[str, str | None]:
        return {"total": str(int(known.get("total", "0")) + 1)}

    async with worker(address) as one, worker(address) as two:
        await asyncio.gather(*((one, two)[n % 2].change(f"m{n}", "f", more) for n in range(20)))
        assert await one.memory("f") == {"total": "20"}


async def test_what_a_worker_kept_by_itself_is_brought_along_once(address: PostgresAddress) -> None:
    """The first that shares its memory brings it; what is removed later does not come back with the next start."""
    async with worker(address, a="1", b="2") as first:
        assert await first.memory("f") == {"a": "1", "b": "2"}
        await first.change("m", "f", lambda known: {"a": None})
    async with worker(address, a="1", b="2") as again, worker(address, c="3") as second:
        assert await again.memory("f") == await second.memory("f") == {"b": "2"}


async def test_a_large_value_is_read_by_all(address: PostgresAddress) -> None:
    """Workers, also of other task queues, and commands; kept twice it stands there once."""
    async with worker(address) as one, worker(address, "default/billing") as other:
        assert await shared_value(address, DIGEST) is None
        await one.keep(DIGEST, LARGE)
        await other.keep(DIGEST, LARGE)
        assert await other.read(DIGEST) == await shared_value(address, DIGEST) == LARGE
        with pytest.raises(StoreDamaged, match="not there either"):
            await one.read("0" * 64)


async def test_a_database_that_is_away_is_told_and_asked_again(postgres: PostgresServer) -> None:
    """Nobody waits long for it; once it is back it is asked again."""
    async with worker(postgres.address()) as values:
        await values.change("m", "f", lambda known: {"a": "1"})
        postgres.stop()
        try:
            with pytest.raises(StoreUnavailable, match=r"cannot be asked|did not answer"):
                await values.memory("f")
        finally:
            postgres.start()
        async with asyncio.timeout(30):
            assert await answered(values) == {"a": "1"}


async def answered(values: PostgresValues) -> Mapping[str, str]:
    """The memory as soon as it can be read."""
    while True:
        try:
            return await values.memory("f")
        except StoreUnavailable:
            await asyncio.sleep(0.1)

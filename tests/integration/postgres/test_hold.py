"""One process holds a store in PostgreSQL, for as long as its session lives, and says who it is."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from resolute.engines.embedded.postgres.reader import PostgresReader
from resolute.engines.embedded.postgres.store import PostgresStore
from resolute.errors import StoreBroken, StoreError, StoreOwned, StoreUnavailable
from resolute.postgres.address import PostgresAddress, postgres_address
from resolute.postgres.session import connect
from tests.contract.rows import run
from tests.postgres_server import PASSWORD, QUOTED, PostgresServer

PATIENT = timedelta(seconds=30)


async def opened(address: PostgresAddress, **options: object) -> PostgresStore:
    store = PostgresStore(address, holder_patience=timedelta(0), patience=PATIENT, **options)  # type: ignore[arg-type]
    await store.open()
    return store


def end_session(server: PostgresServer, address: PostgresAddress) -> None:
    """What a network that drops connections does to the holder."""
    with server.connect() as outside:
        outside.execute(f"SELECT pg_terminate_backend(backend, 5000) FROM {address.schema}.owner".encode())


async def test_second_worker_is_refused_by_name(postgres: PostgresServer) -> None:
    """Who comes second learns who holds the store, and nobody learns the password."""
    address = postgres.address()
    first = await opened(address, listens=True)
    with pytest.raises(StoreOwned, match=rf"worker {os.getpid()} on .+, since 20.+ UTC.* Stop that process") as refused:
        await opened(address, listens=True)
    assert PASSWORD not in str(refused.value)
    assert QUOTED not in str(refused.value)
    await first.close()
    await (await opened(address)).close()


async def test_command_is_waited_for(postgres: PostgresServer) -> None:
    """A worker that starts while a command is at work gets the store as soon as that lets go, however long it takes."""
    address = postgres.address()
    command = await opened(address)
    worker = PostgresStore(address, listens=True, holder_patience=timedelta(seconds=0.4))
    opening = asyncio.create_task(worker.open())
    await asyncio.wait({opening}, timeout=1.5)
    assert not opening.done()
    await command.close()
    await opening
    await worker.close()


async def test_lost_session_costs_nothing(postgres: PostgresServer) -> None:
    """What was handed in when the session was lost is written in the next one."""
    address = postgres.address()
    store = await opened(address)
    await store.commit([run(1)])
    end_session(postgres, address)
    await store.commit([run(2)])
    assert (await store.find("run1"), await store.find("run2")) == (run(1), run(2))
    assert store.held_since is None
    await store.close()


async def test_server_that_is_stopped_is_waited_for(postgres: PostgresServer) -> None:
    """Batches and questions wait while the server is down, and are answered once it is back."""
    store = await opened(postgres.address())
    await asyncio.to_thread(postgres.stop)
    writing = asyncio.create_task(store.commit([run(1)]))
    reading = asyncio.create_task(store.find("run1"))
    await asyncio.wait({writing, reading}, timeout=1)
    assert store.held_since is not None
    assert not writing.done()
    await asyncio.to_thread(postgres.start)
    await writing
    assert await reading == run(1)
    await store.close()


async def test_store_that_another_held_meanwhile_is_not_written(postgres: PostgresServer) -> None:
    """What the other has written is not overwritten by one who knows nothing of it."""
    address = postgres.address()
    store = await opened(address)
    await asyncio.to_thread(postgres.stop)
    writing = asyncio.create_task(store.commit([run(1)]))
    await asyncio.wait({writing}, timeout=0.5)
    with ThreadPoolExecutor(1) as pool:  # the other is faster, for it takes the store before ours may try again
        await asyncio.get_running_loop().run_in_executor(pool, take_first, postgres, address)
    with pytest.raises(StoreBroken, match=r"meanwhile .+ took the store"):
        await writing
    await store.close()


def take_first(server: PostgresServer, address: PostgresAddress) -> None:
    """Start the server with an owner's name in the table that is not the one we know."""
    server.start()
    with server.connect() as outside:
        outside.execute(f"UPDATE {address.schema}.owner SET token = 'another'".encode())
        outside.execute(f"SELECT pg_terminate_backend(backend, 5000) FROM {address.schema}.owner".encode())


async def test_closing_while_the_server_is_away_says_what_was_not_kept(postgres: PostgresServer) -> None:
    """Nothing of it was acknowledged; the worker ends with an error instead of waiting for ever."""
    store = PostgresStore(postgres.address(), patience=timedelta(seconds=0.5))
    await store.open()
    await asyncio.to_thread(postgres.stop)
    try:
        writing = asyncio.create_task(store.commit([run(1)]))
        await asyncio.wait({writing}, timeout=0.2)
        with pytest.raises(StoreUnavailable, match="1 batch was not kept"):
            await store.close()
        with pytest.raises(StoreUnavailable):
            await writing
    finally:
        await asyncio.to_thread(postgres.start)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE meta SET value = '99' WHERE name = 'version'", "a newer Resolute"),
        ("DELETE FROM meta WHERE name = 'version'", "another program"),
        ("DELETE FROM meta WHERE name = 'digest_key'", "lost the key"),
    ],
)
async def test_tables_that_are_not_ours_are_left_alone(postgres: PostgresServer, change: str, told: str) -> None:
    """A newer version's, another program's or damaged ones are refused with what to do."""
    address = postgres.address()
    await (await opened(address)).close()
    with connect(address, "test") as outside:
        outside.execute(change.encode())
    with pytest.raises(StoreBroken, match=told):
        await opened(address)


async def test_reader_makes_nothing(postgres: PostgresServer) -> None:
    """A question about a store that is not there says so and leaves no schema behind."""
    address = postgres.address()
    with pytest.raises(StoreError, match="There is no store in"):
        await PostgresReader(address).find("run1")
    with postgres.connect() as outside:
        found = outside.execute("SELECT to_regnamespace(%s) IS NULL", (address.schema,)).fetchone()
    assert found == (True,)


@pytest.mark.parametrize("wrong", ["password", "port"])
async def test_error_of_a_connection_names_no_password(postgres: PostgresServer, wrong: str) -> None:
    """Neither a refused password nor a server that is not there brings it into the text."""
    url = postgres.url("s", port=1 if wrong == "port" else None)
    address = postgres_address(url.replace("s3cret", "n0secret") if wrong == "password" else url)
    with pytest.raises(StoreUnavailable, match="cannot be reached") as refused:
        await opened(address)
    assert "secret" not in str(refused.value)
    assert "s3cret" not in str(refused.value)

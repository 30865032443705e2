"""Two engines with journals of their own on one ledger: what each knows of the other's alerts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from resolute import Flow, flow, manual, secret
from resolute.clock import SystemClock
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.memory import MemoryStore, Tables
from resolute.engines.embedded.store import LedgerQuery
from resolute.errors import StoreUnavailable
from resolute.ledger.postgres.ledger import LedgerReader, PostgresLedger
from resolute.ledger.row import Row
from resolute.postgres.address import PostgresAddress
from resolute.providers import pagerduty
from resolute.secrets import Secrets
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from tests.postgres_server import PostgresServer

KEY = "disk-full"
PATIENCE = timedelta(seconds=30)


def made(name: str, action: Callable[..., object], key: str = KEY) -> Flow:
    node = action(routing_key=secret("PAGERDUTY_ROUTING_KEY"), dedup_key=key)
    return flow(name).triggered_by(manual()).then(node).build()  # type: ignore[arg-type]


def page(routing_key: object, dedup_key: str) -> object:
    return pagerduty.trigger_event(
        routing_key=routing_key, summary="Disk full", source="db", severity="critical", dedup_key=dedup_key
    )  # type: ignore[call-overload]


FLOWS = [made("page", page), made("resolve", pagerduty.resolve_event), made("elsewhere", page, "other")]


class Pair:
    """Two engines, and the PagerDuty that both send to."""

    def __init__(self, address: PostgresAddress, stack: AsyncExitStack) -> None:
        self.address = address
        self.pagerduty = PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))
        self._stack = stack

    async def engine(self, tables: Tables | None = None, *, shares: bool = True) -> EmbeddedEngine:
        """One that is up; without `shares` its own journal holds the only log."""
        environ = {"PAGERDUTY_ROUTING_KEY": self.pagerduty.routing_key}
        secrets = Secrets(environ)
        account = pagerduty.PagerDutyProvider(pagerduty.PagerDutyConfig(), transport=SimulatorTransport(self.pagerduty))
        account.open(environ, SystemClock(), secrets)
        self._stack.push_async_callback(account.close)
        ledger = PostgresLedger(self.address) if shares else None
        if ledger is not None:
            self._stack.push_async_callback(ledger.close)
        paging = account.paging
        assert paging is not None
        made = EmbeddedEngine(
            MemoryStore(tables),
            FLOWS,
            clock=SystemClock(),
            randomness=random.Random(1),
            secrets=secrets,
            providers={("pagerduty", ""): account},
            paging={("pagerduty", ""): paging},
            environ=environ,
            ledger=ledger,
        )
        await made.open()
        return made


@pytest.fixture
async def pair(postgres: PostgresServer) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        yield Pair(postgres.address(), stack)


async def run(engine: EmbeddedEngine, name: str) -> Row:
    """The row of the one event that the flow sends."""
    begun = await engine.start(name)
    ended = await engine.result(begun.id, PATIENCE)
    assert ended.status == "succeeded", ended.error
    [row] = await engine.core.store.ledger(LedgerQuery(run_id=begun.id))
    return row


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not holds():  # noqa: ASYNC110 - what another engine tells comes by a database
            await asyncio.sleep(0.02)


async def test_each_knows_the_alerts_of_the_other(pair: Pair) -> None:
    """From the page of the one to the resolve of the other, and neither keeps what is over in memory."""
    a, b = await pair.engine(), await pair.engine()
    await run(a, "page")
    await until(lambda: KEY in b.core.log.open_keys)
    await run(b, "resolve")
    await until(lambda: not a.core.log.open_keys and not b.core.log.open_keys)
    assert a.core.log.unsettled() == []
    await a.close()
    await b.close()


async def test_page_into_an_alert_of_the_other_says_so(pair: Pair) -> None:
    """PagerDuty folds it; the row names the one it was folded into."""
    a, b = await pair.engine(), await pair.engine()
    await run(a, "page")
    await a.close()
    row = await run(b, "page")
    assert "folded into the open alert of row 1 of the shared ledger" in row.remarks
    assert len(pair.pagerduty.incidents) == 1
    await b.close()


async def test_what_took_a_rows_place_goes_by_its_number_in_the_shared_log(pair: Pair) -> None:
    """Each journal counts from 1, the log of both counts all."""
    a, b = await pair.engine(), await pair.engine()
    await run(a, "elsewhere")
    pair.pagerduty.faults.outage(True)
    begun = [await b.start("page"), await b.start("page")]
    log = b.core.log
    await until(lambda: log.row(2) is not None and ((first := log.row(1)) is None or first.is_settled))
    pair.pagerduty.faults.outage(False)
    for each in begun:
        await b.result(each.id, PATIENCE)
    await a.close()
    await b.close()
    rows = await LedgerReader(pair.address).ledger(LedgerQuery(dedup_key=KEY))
    older, newer = sorted(rows, key=lambda row: row.created_at)
    assert (older.status, older.superseded_by, newer.status) == ("superseded", newer.id, "accepted")
    assert newer.id > 2
    assert older.message == f"a newer trigger (row {newer.id}) took its place"


async def test_journal_brings_its_alerts_along(pair: Pair) -> None:
    """An alert that was open before the log was shared is closed by the other's resolve."""
    tables = Tables()
    alone = await pair.engine(tables, shares=False)
    await run(alone, "page")
    await alone.close()
    a = await pair.engine(tables)
    b = await pair.engine()
    await until(lambda: KEY in b.core.log.open_keys)
    await run(b, "resolve")
    await until(lambda: not a.core.log.open_keys)
    await a.close()
    await b.close()


async def test_output_of_a_page_says_whether_the_ledger_knows_of_it(pair: Pair, postgres: PostgresServer) -> None:
    """Deferred while the ledger is away; written as soon as an attempt has found it again."""
    engine = await pair.engine()
    pair.pagerduty.faults.outage(True)
    await asyncio.to_thread(postgres.stop)
    begun = await engine.start("page")
    log = engine.core.log
    await until(lambda: (row := log.row(1)) is not None and row.is_deferred and row.attempts > 0)
    await asyncio.to_thread(postgres.start)
    await until(lambda: (row := log.row(1)) is not None and not row.is_deferred)
    pair.pagerduty.faults.outage(False)
    output: Any = (await engine.result(begun.id, PATIENCE)).output
    assert output["trigger_event"]["ledger"] == "written"
    assert output["trigger_event"]["remarks"] == []
    await engine.close()


async def test_engine_that_never_saw_the_ledger_says_that_it_needs_it(pair: Pair, postgres: PostgresServer) -> None:
    """Later it starts without: what it sends is noted, and told when the ledger is back."""
    tables = Tables()
    await (await pair.engine(tables)).close()
    await asyncio.to_thread(postgres.stop)
    try:
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await pair.engine()
        engine = await pair.engine(tables)
        begun = await engine.start("page")
        output: Any = (await engine.result(begun.id, PATIENCE)).output
        assert output["trigger_event"]["ledger"] == "deferred"
        assert "deferred: the shared ledger did not answer" in output["trigger_event"]["remarks"]
        await engine.close()
    finally:
        await asyncio.to_thread(postgres.start)
    again, other = await pair.engine(tables), await pair.engine()
    await until(lambda: KEY in other.core.log.open_keys)
    await again.close()
    await other.close()

"""The ledger that several workers share: one row for each send, one request in flight for each alert, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from resolute.engines.embedded import ledger_mirror
from resolute.engines.embedded.ledger_mirror import LedgerMirror
from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.store import LedgerQuery
from resolute.errors import StoreUnavailable
from resolute.ledger.postgres.ledger import LedgerReader, PostgresLedger
from resolute.ledger.row import Row
from resolute.ledger.shared import Busy, Granted, SettledElsewhere
from resolute.postgres.address import PostgresAddress
from tests.contract.rows import NOW, row
from tests.postgres_server import PostgresServer

S = timedelta(seconds=1)
KEY = b"k" * 32


class Workers:
    """Workers A and B on one ledger, and a look at what it holds."""

    def __init__(self, address: PostgresAddress, a: PostgresLedger, b: PostgresLedger) -> None:
        self.address, self.a, self.b = address, a, b

    async def seen(self) -> dict[str, str]:
        """Idempotency key → status."""
        rows = await LedgerReader(self.address).ledger(LedgerQuery(limit=100))
        return {each.idempotency_key: each.status for each in rows}


@pytest.fixture
async def workers(postgres: PostgresServer) -> AsyncIterator[Workers]:
    address = postgres.address()
    async with AsyncExitStack() as stack:
        made = [PostgresLedger(address) for _ in "ab"]
        for name, ledger in zip("ab", made, strict=True):
            await ledger.open(name, KEY)
            stack.push_async_callback(ledger.close)
        yield Workers(address, *made)


def event(key: str, second: int, action: str = "trigger", **fields: Any) -> Row:
    """An event of one alert that was decided at this second."""
    at = NOW + second * S
    values = {"idempotency_key": key, "action": action, "created_at": at, "since": at}
    return row(1, **(values | fields))


def sending(event: Row) -> Row:
    """The event while its request is on its way."""
    return replace(event, status="sending", attempts=event.attempts + 1, sent_at=event.created_at)


def accepted(event: Row) -> Row:
    """The event once the service has it."""
    settled_at = event.created_at + S / 10
    return replace(sending(event), status="accepted", settled_at=settled_at, is_open=event.action == "trigger")


async def granted(ledger: PostgresLedger, event: Row) -> Granted:
    """The claim of an event once it is granted."""
    claim = await ledger.claim(event)
    if isinstance(claim, Busy):
        await asyncio.sleep(claim.wait_s)
        claim = await ledger.claim(event)
    assert isinstance(claim, Granted)
    return claim


async def test_one_worker_at_a_time_has_a_lane(workers: Workers) -> None:
    """The second waits until the first has told what came of it."""
    first, second = event("a/1", 1), event("b/1", 2)
    assert isinstance(await workers.a.claim(first), Granted)
    waits = await workers.b.claim(second)
    assert isinstance(waits, Busy)
    assert 0 < waits.wait_s <= 5
    await workers.a.put([accepted(first)], {})
    assert await workers.b.claim(second) == Granted(False, 1, first.since)


async def test_many_claims_at_once_grant_one(postgres: PostgresServer, workers: Workers) -> None:
    """However many workers ask in one moment."""
    many = [PostgresLedger(workers.address) for _ in range(8)]
    for number, ledger in enumerate(many):
        await ledger.open(f"w{number}", KEY)
    claims = await asyncio.gather(*(ledger.claim(event(f"w{n}/1", n)) for n, ledger in enumerate(many)))
    assert sum(isinstance(claim, Granted) for claim in claims) == 1
    assert sum(isinstance(claim, Busy) for claim in claims) == 7
    for ledger in many:
        await ledger.close()


async def test_lease_of_a_worker_that_died_ends(workers: Workers) -> None:
    """On the database's clock; the page of another worker then goes out."""
    dead = PostgresLedger(workers.address, lease=timedelta(seconds=0.2))
    await dead.open("dead", KEY)
    assert isinstance(await dead.claim(event("dead/1", 1)), Granted)
    await dead.close()
    await granted(workers.b, event("b/1", 2))


async def test_row_that_a_dead_worker_left_is_taken_over(workers: Workers) -> None:
    """Who claims it next learns that it may have been sent, and only that one tells what it comes to."""
    page, dead = event("run/1", 1), PostgresLedger(workers.address, lease=timedelta(seconds=0.2))
    await dead.open("dead", KEY)
    assert isinstance(await dead.claim(replace(page, attempts=2)), Granted)
    claim = await granted(workers.b, page)
    assert (claim.attempts, claim.lost, claim.unknown_since is None) == (3, 1, False)
    await workers.b.put([replace(sending(page), status="rejected", attempts=4, settled_at=NOW)], {})
    await dead.put([replace(sending(page), attempts=9)], {})
    assert await workers.seen() == {"run/1": "rejected"}
    await dead.close()


async def test_row_that_a_dead_worker_was_sending_is_unknown_whoever_had_the_lane_since(workers: Workers) -> None:
    """A newer page of the alert was tried meanwhile: who takes the older one over still asks first whether it came."""
    page, newer = event("run/1", 1), event("a/1", 2)
    await workers.b.claim(page)
    await workers.b.put([sending(page)], {})
    await workers.b.open("b", KEY)
    await granted(workers.a, newer)
    await workers.a.put([replace(sending(newer), status="pending", due_at=NOW)], {})
    claim = await granted(workers.a, page)
    assert (claim.attempts, claim.lost, claim.unknown_since) == (1, 1, page.created_at)


async def test_log_tells_whether_another_worker_may_have_sent_a_page(workers: Workers) -> None:
    """From its claim on, before the first byte, until it says that nothing has happened; for ever once it was."""
    page, asked = event("run/1", 1), ["run/1", "run/1@retry"]
    await workers.a.put([page], {})
    assert not await workers.b.may_be_sent(asked)
    await workers.a.claim(page)
    assert [await each.may_be_sent(asked) for each in (workers.a, workers.b)] == [False, True]
    failed = replace(sending(page), status="pending", due_at=NOW)
    await workers.a.put([failed], {})
    assert not await workers.b.may_be_sent(asked)
    await workers.a.put([replace(failed, status="sending", unknown_since=NOW)], {})
    assert await workers.b.may_be_sent(asked)
    await workers.a.put([accepted(page)], {})
    assert await workers.b.may_be_sent(asked)


async def test_rows_of_lost_workers_are_found(workers: Workers) -> None:
    """Those with which nothing was done for long, of runs in no journal. What was claimed may have been sent."""
    ages, of_a_run = timedelta(days=10**4), {"run_no": 0, "run_id": "r"}
    for key, fields in {
        "waits/1": of_a_run,
        "journal/1": {"run_no": 7},
        "due/1": {**of_a_run, "due_at": NOW + ages},
        "done/1": {**of_a_run, "status": "cancelled", "settled_at": NOW},
        "begun/1": {**of_a_run, "status": "sending", "sent_at": NOW},
    }.items():
        await workers.a.put([event(key, 1, **fields)], {})
    await workers.b.claim(event("claimed/1", 1, lane="other", **of_a_run))
    assert await names(workers, timedelta(0)) == {"waits/1": False, "begun/1": True}
    await workers.b.open("b", KEY)
    assert await names(workers, timedelta(0)) == {"waits/1": False, "begun/1": True, "claimed/1": True}
    assert await names(workers, ages) == {}


async def names(workers: Workers, idle: timedelta) -> dict[str, bool]:
    """Idempotency keys of abandoned rows, and whether their outcome is unknown."""
    rows = [row for after in (0, 2, 99) for row in await workers.a.abandoned(idle, after, 2)]
    return {row.idempotency_key: row.is_unknown for row in rows}


async def test_worker_that_begins_again_has_claimed_nothing(workers: Workers) -> None:
    """What it was about to send when it was killed need not wait for its lease to end."""
    page = event("run/1", 1)
    await workers.a.claim(page)
    assert isinstance(await workers.b.claim(page), Busy)
    await workers.a.open("a", KEY)
    claim = await workers.b.claim(page)
    assert isinstance(claim, Granted)
    assert claim.unknown_since is not None


async def test_newer_event_that_was_accepted_takes_the_place_of_older_ones(workers: Workers) -> None:
    """Also of another worker's, which learns it when it asks for its lane."""
    older, newer = event("a/1", 1), event("b/1", 2, "resolve")
    await workers.a.put([older], {})
    assert isinstance(await workers.b.claim(newer), Granted)
    await workers.b.put([accepted(newer)], {})
    claim = await workers.a.claim(older)
    assert isinstance(claim, SettledElsewhere)
    assert (claim.status, claim.is_open) == ("superseded", False)
    assert await workers.seen() == {"a/1": "superseded", "b/1": "accepted"}


async def test_event_that_comes_late_is_measured_by_when_it_was_decided(workers: Workers) -> None:
    """A page decided before a resolve that was accepted already is not sent after it."""
    await workers.b.put([accepted(event("b/1", 5, "resolve"))], {})
    claim = await workers.a.claim(event("a/1", 1))
    assert isinstance(claim, SettledElsewhere)
    assert claim.status == "superseded"
    assert isinstance(await workers.a.claim(event("a/2", 6)), Granted)


async def test_acknowledge_waits_for_what_was_decided_before_it(workers: Workers) -> None:
    """It takes no other event's place, so it needs the order."""
    page = event("a/1", 1)
    await workers.a.put([page], {})
    ack = event("b/1", 2, "acknowledge")
    assert isinstance(await workers.b.claim(ack), Busy)
    await workers.a.put([accepted(page)], {})
    assert isinstance(await workers.b.claim(ack), Granted)


async def test_one_send_of_two_workers_is_sent_once(workers: Workers) -> None:
    """Two workers that run the same tick have one row for its page: the second takes the answer of the first."""
    page = event("tick/page", 1)
    assert isinstance(await workers.a.claim(page), Granted)
    assert isinstance(await workers.b.claim(page), Busy)
    await workers.a.put([accepted(replace(page, message="Event processed"))], {})
    claim = await workers.b.claim(page)
    assert claim == SettledElsewhere("accepted", "Event processed", "", True)
    assert await workers.seen() == {"tick/page": "accepted"}


async def test_row_that_is_told_late_changes_nothing_newer(workers: Workers) -> None:
    """What was decided or told after it stays, and the lane of the next attempt stays claimed."""
    first = event("a/1", 1)
    failed = replace(sending(first), status="pending", due_at=NOW)
    await workers.a.put([failed], {})
    assert isinstance(await workers.a.claim(failed), Granted)
    await workers.a.put([failed], {})
    await workers.a.put([first], {})
    assert isinstance(await workers.b.claim(event("b/1", 2)), Busy)
    await workers.a.put([replace(failed, attempts=2)], {})
    await workers.a.put([failed], {})
    assert isinstance(await workers.b.claim(event("b/1", 2)), Granted)
    stored = await LedgerReader(workers.address).ledger_by_key("a/1")
    assert stored is not None
    assert stored.attempts == 2


async def test_page_that_was_sent_without_the_ledger_stands_in_it_as_accepted(workers: Workers) -> None:
    """Whatever it was thought to be meanwhile, and the alert is open or not by what came after it."""
    page, resolve = event("a/1", 1), event("b/1", 2, "resolve")
    await workers.a.put([page], {})
    await workers.b.put([accepted(resolve)], {})
    await workers.a.put([accepted(page)], {})
    assert await workers.seen() == {"a/1": "accepted", "b/1": "accepted"}
    assert await workers.a.open_alerts() == frozenset()


async def test_open_alerts_are_those_of_all_workers(workers: Workers) -> None:
    """From the moment that a page waits until a later resolve is accepted."""
    page = event("a/1", 1, lane="other", dedup_key="disk \0 full")
    await workers.a.put([page], {})
    assert await workers.b.open_alerts() == {("other", "disk \0 full")}
    await workers.a.put([accepted(page)], {})
    assert await workers.b.open_alerts() == {("other", "disk \0 full")}
    await workers.b.put([accepted(event("b/1", 2, "resolve", lane="other"))], {})
    assert await workers.b.open_alerts() == frozenset()


async def test_second_resolve_is_dropped_by_a_newer_page(workers: Workers) -> None:
    """A page of another worker since then would be resolved by it."""
    resolve = replace(accepted(event("a/1", 1, "resolve")), repeat_at=NOW)
    await workers.a.put([resolve], {})
    assert isinstance(await workers.a.claim(resolve), Granted)
    await workers.a.put([resolve], {})
    await workers.b.put([event("b/1", 2)], {})
    assert isinstance(await workers.a.claim(resolve), SettledElsewhere)


async def test_resolve_after_an_unknown_page_of_another_worker_is_to_be_repeated(workers: Workers) -> None:
    """That page may still take effect at the service."""
    unknown = replace(sending(event("a/1", 1)), unknown_since=NOW, due_at=NOW)
    await workers.a.put([unknown], {})
    assert await workers.b.claim(event("b/1", 2, "resolve")) == Granted(may_arrive=True)


async def test_workers_share_the_key_of_their_digests(workers: Workers) -> None:
    """That of the journal that came first: the lanes of one alert have one name, and its own keep theirs."""
    assert await workers.a.open("a", b"a" * 32) == await workers.b.open("b", b"b" * 32) == KEY


async def test_ledger_that_is_away_is_not_waited_for(postgres: PostgresServer, workers: Workers) -> None:
    """Every call says so at once, and the next ones are answered when it is back."""
    page = event("a/1", 1)
    await asyncio.to_thread(postgres.stop)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await workers.a.claim(page)
    await asyncio.to_thread(postgres.start)
    while True:
        try:
            claim = await workers.a.claim(page)
        except StoreUnavailable:
            await asyncio.sleep(0.1)
            continue
        break
    assert isinstance(claim, Granted)


async def test_ledger_that_hangs_is_not_waited_for(postgres: PostgresServer, workers: Workers) -> None:
    """Somebody locks its tables: a claim has its answer, that there is none, all the same."""
    await workers.a.claim(event("a/1", 1))
    with postgres.connect() as outside:
        outside.execute("BEGIN")
        outside.execute(f"LOCK TABLE {workers.a.address.schema}.lanes".encode())
        with pytest.raises(StoreUnavailable):
            await workers.b.claim(event("b/1", 2))
        outside.execute("ROLLBACK")


async def test_rows_name_each_other_by_the_numbers_of_the_log(workers: Workers) -> None:
    """In columns and texts, whichever numbers they have in their journals; telling them again changes nothing."""
    await workers.b.put([event("b/1", 1, lane="other"), event("b/2", 2, lane="other")], {})
    newer = accepted(replace(event("a/5", 5), id=5, folded_into=3))
    newer = replace(newer, is_open=False, remarks=("row 3 is mine", "folded into the open alert of row 3, 4 min old"))
    alert = replace(accepted(event("a/3", 1)), id=3)
    older = replace(event("a/4", 3), id=4, status="superseded", superseded_by=5)
    older = replace(older, message="a newer trigger (row 5) took its place", settled_at=NOW)
    for _ in range(2):
        await workers.a.put([alert, older, newer], {3: "a/3", 5: "a/5"})
    found = {row.idempotency_key: row for row in await LedgerReader(workers.address).ledger(LedgerQuery(limit=100))}
    numbers = {key: row.id for key, row in found.items()}
    assert (found["a/4"].superseded_by, found["a/5"].folded_into) == (numbers["a/5"], numbers["a/3"])
    assert found["a/4"].message == f"a newer trigger (row {numbers['a/5']}) took its place"
    assert found["a/5"].remarks[1] == f"folded into the open alert of row {numbers['a/3']}, 4 min old"
    assert found["a/5"].remarks[0] == "row 3 is mine"


async def test_row_and_what_took_its_place_are_told_together(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows are told at once, the one that is named is known to the log."""
    monkeypatch.setattr(ledger_mirror, "AT_ONCE", 1)
    older = replace(event("a/1", 1), status="superseded", superseded_by=2, settled_at=NOW)
    newer = replace(event("a/2", 2), id=2)
    await workers.b.put([event("b/1", 1, lane="other")], {})
    store, mirror = MemoryStore(), LedgerMirror(workers.a)
    await store.open()
    await store.commit([older, newer])
    mirror.note([older, newer])
    await mirror.tell_all(store)
    reader = LedgerReader(workers.address)
    told, named = await reader.ledger_by_key("a/1"), await reader.ledger_by_key("a/2")
    assert told is not None
    assert named is not None
    assert told.superseded_by == named.id > 2


async def test_names_of_another_worker_stay(workers: Workers) -> None:
    """What one worker's newer event has settled is not renamed by what the other believed of it."""
    older, newer = event("a/1", 1), event("b/1", 2, "resolve")
    await workers.a.put([older], {})
    await workers.b.claim(newer)
    await workers.b.put([accepted(newer)], {})
    await workers.a.put([replace(older, superseded_by=7)], {7: "a/1"})
    settled = await LedgerReader(workers.address).ledger_by_key("a/1")
    by = await LedgerReader(workers.address).ledger_by_key("b/1")
    assert settled is not None
    assert by is not None
    assert settled.superseded_by == by.id
    assert settled.message == f"a newer resolve (row {by.id} of the shared ledger) took its place"

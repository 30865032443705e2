"""What every store promises the engine, one text for all of them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resolute.engine import STATUSES, RunQuery, RunStatus
from resolute.engines.embedded.driver import CHILD_OF
from resolute.engines.embedded.large import digest_of
from resolute.engines.embedded.memory import MemoryStore, Tables
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import (
    DropEntry,
    Forget,
    LedgerQuery,
    Op,
    Prune,
    PrunedRun,
    PutLarge,
    PutMemory,
    PutOutline,
    PutPause,
    PutTick,
    Store,
    TickRow,
)
from resolute.errors import RunNotFound, StoreDamaged, StoreOwned
from tests.contract.rows import NOW, entry, row, run

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

LARGE = '{"text":"' + "x" * 100_000 + '"}'
ODD_JSON = '{"nan":NaN,"far":-Infinity,"half":"\\ud800","nul":"\\u0000"}'

Opening = Callable[[], Store]  # each call opens the same journal anew


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    if request.param == "memory":
        tables = Tables()
        return lambda: MemoryStore(tables)
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        address = server.address()
        return lambda: server.store(address)
    return lambda: SqliteStore(tmp_path / "resolute.db")


@pytest.fixture
async def store(opening: Opening) -> AsyncIterator[Store]:
    store = opening()
    await store.open()
    yield store
    await store.close()


def changed(value: Any) -> Any:
    """Another value for each field of a row, so that none is left at what it is by default."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        if field.name.endswith(("_at", "_since", "_until")) or field.name == "since":
            fields[field.name] = NOW + timedelta(microseconds=len(fields) + 1)
        elif isinstance(old, bool):
            fields[field.name] = not old
        elif isinstance(old, int) or field.name in ("folded_into", "superseded_by"):
            fields[field.name] = 7 + len(fields)
        elif isinstance(old, float):
            fields[field.name] = 0.1 + len(fields)
        elif isinstance(old, str) or old is None:
            fields[field.name] = f"{field.name} ä€😀 \0 ' --"
    return replace(value, **fields)


async def test_reads_see_what_was_handed_in_before(store: Store) -> None:
    """A read does not overtake a batch, even one that nobody has waited for yet."""
    commits = [asyncio.create_task(store.commit([run(no)])) for no in range(1, 51)]
    reads = asyncio.create_task(store.find("run50"))
    assert await reads == run(50)
    await asyncio.gather(*commits)


async def test_batch_is_seen_whole_or_not_at_all(store: Store) -> None:
    """Whoever reads while batches are written finds a run and its journal of the same batch."""
    await store.commit([run(1, error="0"), entry(1, 1, error="0")])

    async def write() -> None:
        for number in range(1, 40):
            await store.commit([run(1, error=str(number)), entry(1, 1, error=str(number))])

    writing = asyncio.create_task(write())
    while not writing.done():
        seen, [first] = await store.load(1)
        assert seen.error == first.error
        await asyncio.wait({writing}, timeout=0)
    await writing


async def test_batches_of_many_tasks_are_applied_in_the_order_of_the_calls(store: Store) -> None:
    """Of two batches for one row the one handed in later stays."""
    await asyncio.gather(*(store.commit([run(1, error=str(n)), PutMemory("disk", "n", str(n))]) for n in range(300)))
    found = await store.find("run1")
    assert found is not None
    assert (found.error, await store.memory("disk")) == ("299", {"n": "299"})


async def test_later_operation_of_a_batch_wins(store: Store) -> None:
    """Within a batch the order counts too: a key that is set and removed is gone."""
    await store.commit([PutMemory("disk", "a", "1"), PutMemory("disk", "a", None), run(1), run(1, status="failed")])
    assert await store.memory("disk") == {}
    assert await store.running() == []


async def test_batch_applied_twice_changes_nothing(store: Store) -> None:
    """A batch whose acknowledgement was lost may be handed in again."""
    batch: list[Op] = [run(1), entry(1, 1), row(1), PutMemory("disk", "a", "1"), PutTick("disk", "t", NOW)]
    batch += [entry(1, 2), DropEntry(1, "step2"), PutLarge(1, digest_of(LARGE), LARGE), PutOutline("f1", "disk", "a")]
    batch += [PutPause("disk", "t", True, NOW), run(2, status="failed"), Prune(2, NOW)]
    await store.commit(batch)
    await store.commit(batch)
    assert await store.ticks() == {("disk", "t"): TickRow(NOW, True)}
    assert (await store.find("run2"), await store.pruned("run2")) == (
        None,
        PrunedRun("run2", 2, "d", "failed", None, NOW),
    )
    assert await store.load(1) == (run(1), [entry(1, 1)])
    assert await store.ledger(LedgerQuery()) == [row(1)]
    assert (await store.large(1, digest_of(LARGE)), await store.outline("f1")) == (LARGE, "a")


async def test_batch_survives_that_who_handed_it_in_is_cancelled(store: Store) -> None:
    """Cancelling a task neither loses its batch nor disturbs who reads meanwhile."""
    writing = asyncio.create_task(store.commit([run(1)]))
    await asyncio.wait({writing}, timeout=0)
    reading = asyncio.create_task(store.find("run1"))
    writing.cancel()
    await asyncio.wait({writing})
    assert await reading == run(1)


async def test_empty_batch_is_no_batch(store: Store) -> None:
    """Nothing to be written is durable at once."""
    await store.commit([])
    assert await store.runs(RunQuery()) == []


@pytest.mark.parametrize("kind", ["plain", "changed"])
async def test_every_field_comes_back(opening: Opening, kind: str) -> None:
    """What was written is what another opening reads, to the microsecond."""
    a_run, an_entry, a_row = run(3), entry(3, 1), row(5)
    if kind == "changed":
        a_run = replace(changed(a_run), no=3, status="waiting", input=ODD_JSON, output=ODD_JSON)
        an_entry = replace(changed(an_entry), run_no=3, inputs=ODD_JSON, output=ODD_JSON)
        a_row = replace(changed(a_row), id=5, status="sending", action="resolve", remarks=("a", "b\ud800"))
        a_row = replace(a_row, retry=(0.1, 2.0, 3.5, 0.5, 4), event={"deep": [{"half": "\ud800"}, -0.0, 1e300, True]})
    first = opening()
    await first.open()
    await first.commit([a_run, an_entry, a_row])
    await first.close()
    second = opening()
    await second.open()
    assert await second.load(3) == (a_run, [an_entry])
    assert await second.find(a_run.id) == a_run
    assert await second.ledger_row(5) == await second.ledger_by_key(a_row.idempotency_key) == a_row
    await second.close()


async def test_nan_in_an_event_comes_back(store: Store) -> None:
    """A payload with a number that JSON does not know is kept as it is."""
    await store.commit([row(1, event={"load": float("nan")})])
    found = await store.ledger_row(1)
    assert found is not None
    assert repr(found.event) == "{'load': nan}"


async def test_lone_surrogate_in_a_text_for_people_stops_nothing(store: Store) -> None:
    """The text comes back as it was, or with that half of a character as its escape."""
    await store.commit([run(1, error="half \ud83d of"), entry(1, 1, error="\udcff"), row(1, title="\ud800 disk")])
    found, [first] = await store.load(1)
    sent = await store.ledger_row(1)
    assert sent is not None
    assert found.error in ("half \ud83d of", "half \\ud83d of")
    assert first.error in ("\udcff", "\\udcff")
    assert sent.title in ("\ud800 disk", "\\ud800 disk")


async def test_lone_surrogate_in_a_key_is_found_again(store: Store) -> None:
    """Who asks with the same text finds what was written under it."""
    await store.commit([run(1, id="a\ud800", flow="f\ud800"), row(1, dedup_key="k\ud800")])
    assert await store.find("a\ud800") is not None
    assert len(await store.runs(RunQuery(flow="f\ud800"))) == 1
    assert len(await store.ledger(LedgerQuery(dedup_key="k\ud800"))) == 1


async def test_what_is_not_there(store: Store) -> None:
    """Questions about the unknown have an answer."""
    assert await store.find("nobody") is None
    assert await store.ledger_row(9) is None
    assert await store.ledger_by_key("nobody/page") is None
    assert await store.memory("nothing") == {}
    assert await store.next_due(NOW) is None
    with pytest.raises(RunNotFound):
        await store.load(9)


async def test_number_that_is_far_too_large(store: Store) -> None:
    """A typing error on the command line finds nothing, or all there is; it does no harm."""
    await store.commit([run(1), row(1)])
    assert await store.ledger_row(10**30) is None
    assert await store.runs(RunQuery(limit=10**30)) == [run(1)]
    assert await store.ledger(LedgerQuery(limit=10**30)) == [row(1)]


async def test_journal_is_in_order(store: Store) -> None:
    """Entries come in the order in which they were made, not of their names or last changes."""
    await store.commit([run(1), entry(1, 2, position="a"), entry(1, 10, position="b"), entry(1, 1, position="c")])
    await store.commit([run(2), entry(2, 1), entry(1, 1, position="c", status="done")])
    _, entries = await store.load(1)
    assert [each.position for each in entries] == ["c", "a", "b"]


async def test_entry_that_is_dropped_is_gone(store: Store) -> None:
    """Of one batch or of several, the later operation wins; other entries and runs stay."""
    await store.commit([run(1), run(2), *(entry(no, order) for no in (1, 2) for order in (1, 2, 3, 4))])
    again = entry(1, 2, error="again")
    await store.commit([DropEntry(1, "step1"), DropEntry(1, "step2"), again, entry(1, 3), DropEntry(1, "step3")])
    await store.commit([DropEntry(1, "step9"), DropEntry(9, "step1")])
    assert await store.load(1) == (run(1), [again, entry(1, 4)])
    assert len((await store.load(2))[1]) == 4


async def test_large_value_comes_back(opening: Opening) -> None:
    """Whole, to the run that wrote it, in this opening and the next."""
    values = [LARGE, ODD_JSON, '"äöü 😀"', ""]
    first = opening()
    await first.open()
    await first.commit([PutLarge(1, digest_of(value), value) for value in values])
    assert [await first.large(1, digest_of(value)) for value in values] == values
    await first.close()
    second = opening()
    await second.open()
    assert [await second.large(1, digest_of(value)) for value in values] == values
    await second.close()


@pytest.mark.parametrize(("run_no", "digest", "found"), [(2, "", "is not there"), (1, "a" * 64, "is not what was")])
async def test_large_value_that_is_not_what_was_written(store: Store, run_no: int, digest: str, found: str) -> None:
    """No run goes on with a value that is missing, another run's, or changed; the text says what helps."""
    digest = digest or digest_of(LARGE)
    await store.commit([PutLarge(1, digest, LARGE)])
    with pytest.raises(StoreDamaged, match=f"run number {run_no} {found}.*Restore the file from a backup, or cancel"):
        await store.large(run_no, digest)


async def test_what_was_written_down_first_stays(store: Store) -> None:
    """An outline belongs to its fingerprint and a large value to its digest; neither is ever another."""
    await store.commit([PutOutline("f1", "disk", "first"), PutOutline("f1", "disk", "of the same batch")])
    await store.commit([PutOutline("f1", "disk", "later"), PutOutline("f2", "disk", "other")])
    await store.commit([PutLarge(1, digest_of("1"), "1"), PutLarge(1, digest_of("1"), "2")])
    await store.commit([PutLarge(1, digest_of("1"), "3")])
    assert [await store.outline(name) for name in ("f1", "f2", "f3")] == ["first", "other", None]
    assert await store.large(1, digest_of("1")) == "1"


async def test_unfinished_runs_in_pages(store: Store) -> None:
    """Those that an engine has to bring to an end, in order of start, from where the last page ended."""
    await store.commit([run(no, status=STATUSES[no % len(STATUSES)]) for no in range(22, 0, -1)])
    unfinished = [no for no in range(1, 23) if STATUSES[no % len(STATUSES)] in ("queued", "running", "waiting")]
    assert await store.unfinished(0, 100) == unfinished
    assert await store.unfinished(0, 4) == unfinished[:4]
    assert await store.unfinished(unfinished[3], 3) == unfinished[4:7]
    assert await store.unfinished(22, 3) == []


async def test_running_runs(store: Store) -> None:
    """Only what was in memory when the last owner ended, in order of start."""
    await store.commit([run(3), run(1), run(2, status="waiting"), run(4, status="succeeded"), run(5, status="queued")])
    assert await store.running() == [1, 3]


async def test_due_runs_come_soonest_first(store: Store) -> None:
    """Queued and waiting runs whose time has come; nothing that runs, has ended or waits for no time."""
    second = timedelta(seconds=1)
    await store.commit(
        [
            run(1, status="waiting", due_at=NOW, delay_s=10.0),
            run(2, status="queued", due_at=NOW - 2 * second),
            run(3, status="waiting", due_at=NOW + second, delay_s=5.0),
            run(4, status="running", due_at=NOW - second),
            run(5, status="succeeded", due_at=NOW - second),
            run(6, status="waiting"),
            run(7, status="waiting", due_at=NOW - 2 * second),
        ]
    )
    assert await store.due(NOW, 10) == [2, 7, 1]
    assert await store.due(NOW, 2) == [2, 7]
    assert await store.next_due(NOW) == NOW + second
    assert await store.next_due(NOW + second) is None


async def test_clock_that_was_set_back_lengthens_no_wait(store: Store) -> None:
    """A run that was parked at a time that is yet to come is due: nobody can tell how long it has waited."""
    await store.commit([run(1, status="waiting", due_at=NOW + timedelta(hours=2), delay_s=60.0)])
    assert await store.due(NOW + timedelta(hours=2), 10) == [1]
    assert await store.due(NOW + timedelta(hours=1, minutes=59, seconds=30), 10) == []
    assert await store.due(NOW, 10) == [1]


async def test_runs_newest_first(store: Store) -> None:
    """Filters by flow and status go together; the limit counts what passes them."""
    statuses = ["succeeded", "failed", "running", "waiting"]
    await store.commit([run(no, flow=f"flow{no % 2}", status=statuses[no % 4]) for no in range(1, 21)])

    async def numbers(**query: Any) -> list[int]:
        return [found.no for found in await store.runs(RunQuery(**query))]

    assert await numbers(limit=3) == [20, 19, 18]
    assert await numbers(flow="flow1", limit=2) == [19, 17]
    assert await numbers(status="failed") == [17, 13, 9, 5, 1]
    assert await numbers(status="succeeded", limit=1) == [20]
    assert await numbers(flow="flow0", status="running") == [18, 14, 10, 6, 2]
    assert await numbers(flow="flow0", status="failed") == []


async def test_ledger_lists_what_needs_a_look_first(store: Store) -> None:
    """Unsettled, rejected and undelivered rows before all others, each newest first."""
    statuses = ["accepted", "pending", "superseded", "rejected", "expired", "sending", "undelivered", "cancelled"]
    rows = [row(id, status=status) for id, status in enumerate(statuses, 1)]
    await store.commit([*rows, row(9, dedup_key="other", status="accepted"), row(10, run_id="run2", status="accepted")])

    async def ids(**query: Any) -> list[int]:
        return [found.id for found in await store.ledger(LedgerQuery(**query))]

    assert await ids() == [7, 6, 4, 2, 10, 9, 8, 5, 3, 1]
    assert await ids(limit=5) == [7, 6, 4, 2, 10]
    assert await ids(dedup_key="disk-full", limit=6) == [7, 6, 4, 2, 10, 8]
    assert await ids(status="accepted") == [10, 9, 1]
    assert await ids(status="rejected") == [4]
    assert await ids(run_id="run1", limit=5) == [7, 6, 4, 2, 9]
    assert await ids(run_id="run1", dedup_key="other", status="accepted") == [9]
    assert await ids(run_id="run2", status="pending") == []


async def test_memory_of_one_flow(store: Store) -> None:
    """A flow sees its own keys; a removed one is gone."""
    await store.commit([PutMemory("disk", "a", "1"), PutMemory("disk", "b", ODD_JSON), PutMemory("net", "a", "2")])
    await store.commit([PutMemory("disk", "a", None), PutMemory("disk", "never", None)])
    assert await store.memory("disk") == {"b": ODD_JSON}


async def test_opening_tells_what_the_last_owner_left(opening: Opening) -> None:
    """Next numbers, rows that still matter and scheduled times seen to; the same digest key for ever."""
    first = opening()
    empty = await first.open()
    assert (empty.next_run_no, empty.next_row_id, list(empty.rows), dict(empty.ticks)) == (1, 1, [], {})
    settled = row(1, status="accepted", settled_at=NOW)
    matter = [
        row(2, status="pending"),
        row(3, status="sending"),
        replace(settled, id=4, idempotency_key="x", is_open=True),
        replace(settled, id=5, idempotency_key="y", repeat_at=NOW),
    ]
    await first.commit(
        [run(7), settled, *matter, PutTick("disk", "cron", NOW - timedelta(hours=1)), PutTick("disk", "cron", NOW)]
    )
    await first.close()
    second = opening()
    opened = await second.open()
    await second.close()
    assert (opened.next_run_no, opened.next_row_id, opened.digest_key) == (8, 6, empty.digest_key)
    assert sorted(opened.rows, key=lambda found: found.id) == matter
    assert dict(opened.ticks) == {("disk", "cron"): NOW}


async def test_paused_schedule_stays_paused(opening: Opening) -> None:
    """Over its ticks and over restarts, until it is told to go on; the time that was seen to is the ticks' own."""
    first, later = opening(), NOW + timedelta(hours=1)
    await first.open()
    await first.commit([PutPause("disk", "a", True, NOW), PutTick("disk", "a", later), PutTick("disk", "b", NOW)])
    await first.commit(
        [PutTick("disk", "b", later), PutPause("disk", "b", True, NOW), PutPause("disk", "c", True, NOW)]
    )
    await first.commit([PutPause("disk", "c", False, later)])
    await first.close()
    second = opening()
    opened = await second.open()
    assert opened.paused == {("disk", "a"), ("disk", "b")}
    expected = {("disk", "a"): TickRow(later, True), ("disk", "b"): TickRow(later, True), ("disk", "c"): TickRow(NOW)}
    assert await second.ticks() == expected
    await second.close()


async def test_unfinished_run_of_a_schedule(store: Store) -> None:
    """The newest one of that flow and trigger that is queued, running or waiting; not one started otherwise."""
    unfinished = ("queued", "running", "waiting")
    await store.commit(
        [
            *(run(no, trigger="t", scheduled=True, status=status) for no, status in enumerate(STATUSES, 1)),
            *(run(no + 10, trigger="t", status="running") for no in range(3)),
            run(20, trigger="other", scheduled=True),
            run(21, trigger="t", flow="net", scheduled=True),
        ]
    )
    newest = max(no for no, status in enumerate(STATUSES, 1) if status in unfinished)
    assert await store.latest_unfinished("disk", "t") == newest
    assert await store.latest_unfinished("net", "t") == 21
    assert await store.latest_unfinished("net", "other") is None


async def test_runs_that_wait_for_their_turn(store: Store) -> None:
    """Queued ones alone, in order of start; they are not due by themselves."""
    await store.commit([run(3, status="queued", after_no=2), run(2, status="queued", after_no=1), run(1)])
    await store.commit([run(4, status="queued"), run(5, status="succeeded", after_no=4)])
    assert await store.in_turn() == [(2, 1), (3, 2)]
    assert await store.due(NOW + timedelta(days=1), 9) == []


async def test_pruned_run_is_gone_with_all_that_was_its_own(opening: Opening) -> None:
    """Its id is known until it is forgotten, never when something was sent under it; its number is not given again."""
    first, digest = opening(), digest_of(LARGE)
    await first.open()
    ended = run(7, status="succeeded", finished_at=NOW)
    await first.commit([ended, entry(7, 1), entry(6, 1), PutLarge(7, digest, LARGE), row(1, run_no=7, run_id="run7")])
    later = NOW + timedelta(days=1)
    await first.commit([PutMemory("disk", "a", "1"), Prune(7, later), Prune(7, NOW)])
    assert (await first.find("run7"), await first.runs(RunQuery())) == (None, [])
    assert await first.pruned("run7") == PrunedRun("run7", 7, "d", "succeeded", NOW, later)
    with pytest.raises(StoreDamaged):
        await first.large(7, digest)
    assert len(await first.ledger(LedgerQuery(run_id="run7"))) == 1
    await first.commit([run(7, id="another"), run(6), Forget(later)])
    assert (await first.load(7), await first.load(6)) == ((run(7, id="another"), []), (run(6), [entry(6, 1)]))
    assert await first.pruned("run7") is not None
    await first.commit([run(7, id="another", status="failed"), Prune(7, NOW), Forget(later + timedelta(seconds=1))])
    assert await first.pruned("another") is None
    assert await first.pruned("run7") is not None
    await first.close()
    second = opening()
    assert (await second.open()).next_run_no == 8
    await second.close()


async def test_whose_an_id_is(store: Store) -> None:
    """The run that has it, else the pruned one that had it, else nobody's."""
    await store.commit([run(1, status="failed", finished_at=NOW), run(2), Prune(1, NOW)])
    assert await store.known("run1") == PrunedRun("run1", 1, "d", "failed", NOW, NOW)
    assert await store.known("run2") == run(2)
    assert await store.known("run3") is None
    await store.commit([run(3, id="run1")])
    assert await store.known("run1") == run(3, id="run1")


@pytest.mark.parametrize(
    "status", [status for status in STATUSES if status not in ("succeeded", "failed", "cancelled")]
)
async def test_unfinished_run_is_not_pruned(store: Store, status: RunStatus) -> None:
    """Nor one that needs attention: somebody has yet to look at it."""
    await store.commit([run(1, status=status, finished_at=NOW), entry(1, 1), Prune(1, NOW)])
    assert await store.load(1) == (run(1, status=status, finished_at=NOW), [entry(1, 1)])
    assert await store.pruned("run1") is None
    assert await store.prunable(NOW + timedelta(days=1), 0, 9) == []


async def test_prunable_runs_by_age_and_by_number(store: Store) -> None:
    """Those that ended before an instant, oldest end first; then those beyond the newest of each flow."""
    hour = timedelta(hours=1)
    ends = [3, 1, 2, 5, 4, 6, 7, 8]
    runs = [
        run(no, flow=f"flow{no % 2}", status="failed" if no == 2 else "succeeded", finished_at=NOW + at * hour)
        for no, at in enumerate(ends, 1)
    ]
    await store.commit([*runs, run(9, flow="flow1"), run(10, flow="only", status="cancelled")])
    assert await store.prunable(NOW + 4 * hour, None, 9) == [2, 3, 1]
    assert await store.prunable(NOW + 4 * hour, None, 2) == [2, 3]
    assert await store.prunable(None, 2, 9) == [2, 4, 1, 3]
    assert await store.prunable(NOW + 3 * hour, 3, 9) == [2, 3, 1]
    assert await store.prunable(NOW + 3 * hour, 1, 4) == [2, 3, 4, 6]
    assert await store.prunable(None, 0, 99) == [2, 4, 6, 8, 1, 3, 5, 7, 10]
    assert await store.prunable(None, None, 9) == []
    assert await store.prunable(NOW + 3 * hour, 3, 9, "flow1") == [3, 1]


async def test_runs_that_something_needs_are_not_prunable(store: Store) -> None:
    """Not while a row of the incident log still matters, nor while the parent or a child of it goes on."""
    ended = {"status": "succeeded", "finished_at": NOW}
    matter: list[dict[str, Any]] = [{"status": "pending"}, {"status": "sending"}, {"is_open": True}, {"repeat_at": NOW}]
    rows = [row(id, **({"status": "accepted", "run_id": f"run{id}"} | more)) for id, more in enumerate(matter, 1)]
    await store.commit([*(run(no, **ended) for no in range(1, 6)), *rows, row(5, run_id="run5", status="accepted")])
    parents = [run(6, status="waiting"), run(7, status="needs_attention"), run(8, **ended)]
    await store.commit([*parents, *(run(no, trigger=f"{CHILD_OF}{no - 4}", **ended) for no in range(10, 14))])
    await store.commit([run(20, **ended), run(21, id="run20/a", trigger=f"{CHILD_OF}20"), run(22, **ended)])
    await store.commit([run(23, id="run22/a", trigger=f"{CHILD_OF}22", **ended)])
    later = NOW + timedelta(hours=1)
    assert await store.prunable(later, None, 99) == [5, 8, 12, 13, 22, 23]
    assert await store.prunable(None, 0, 99) == [5, 8, 12, 13, 22, 23]


async def test_store_object_is_opened_once(store: Store) -> None:
    """Two engines do not share a store."""
    with pytest.raises(StoreOwned):
        await store.open()

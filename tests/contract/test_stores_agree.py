"""Every store tells the same history: what is asked after random batches has one answer."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from resolute.engine import RunQuery
from resolute.engines.embedded.large import digest_of
from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import (
    DropEntry,
    Forget,
    LedgerQuery,
    Op,
    Prune,
    PutLarge,
    PutMemory,
    PutOutline,
    PutPause,
    PutTick,
    Store,
)
from resolute.errors import StoreDamaged
from tests.contract.rows import NOW, entry, row, run

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

IDS = {no: f"run{no}" for no in range(1, 6)} | {6: "run1/6"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TIMES = st.integers(-5, 5).map(lambda s: NOW + timedelta(seconds=s))
RUNS = st.builds(
    run,
    st.integers(1, 6),
    status=st.sampled_from(["queued", "running", "waiting", "succeeded", "failed"]),
    due_at=st.none() | TIMES,
    delay_s=st.integers(0, 8).map(lambda n: n / 2),
    error=TEXTS,
    output=st.none() | TEXTS,
    finished_at=st.none() | TIMES,
    trigger=st.sampled_from(["t", "child:1", "child:2"]),
    scheduled=st.booleans(),
    after_no=st.integers(0, 2),
).map(lambda made: replace(made, id=IDS[made.no], flow=f"flow{made.no % 2}"))
ENTRIES = st.builds(
    entry, st.integers(1, 6), st.integers(1, 4), status=st.sampled_from(["running", "done"]), output=TEXTS
)
ROWS = st.builds(
    row,
    st.integers(1, 6),
    status=st.sampled_from(["pending", "sending", "accepted", "rejected", "superseded"]),
    is_open=st.booleans(),
    repeat_at=st.none() | TIMES,
    title=TEXTS,
).map(lambda made: replace(made, run_id=f"run{made.id % 3}", dedup_key=f"key{made.id % 2}"))
MEMORIES = st.builds(PutMemory, st.sampled_from(["flow0", "flow1"]), st.sampled_from("ab"), st.none() | TEXTS)
TICKS = st.builds(PutTick, st.just("flow0"), st.sampled_from("xy"), TIMES)
DROPS = st.builds(DropEntry, st.integers(1, 6), st.sampled_from(["step1", "step2"]))
LARGE = st.builds(
    PutLarge, st.integers(1, 2), st.sampled_from([digest_of(text) for text in "ab"]), st.sampled_from("ab")
)
OUTLINES = st.builds(PutOutline, st.sampled_from("fg"), st.just("flow0"), TEXTS)
PAUSES = st.builds(PutPause, st.just("flow0"), st.sampled_from("xy"), st.booleans(), TIMES)
PRUNES = st.builds(Prune, st.integers(1, 6), TIMES)
FORGETS = st.builds(Forget, TIMES)
OPS = st.one_of(RUNS, ENTRIES, DROPS, LARGE, OUTLINES, ROWS, MEMORIES, TICKS, PAUSES, PRUNES, FORGETS)
BATCHES = st.lists(st.lists(OPS, max_size=8), max_size=8)


async def large(store: Store, run_no: int, digest: str) -> str | None:
    try:
        return await store.large(run_no, digest)
    except StoreDamaged:
        return None


async def seen(store: Store) -> list[Any]:
    """Everything that can be asked."""
    flows, statuses = [None, "flow0", "flow1"], [None, "running", "succeeded", "failed"]
    answers: list[Any] = [
        await store.running(),
        [await store.due(NOW + timedelta(seconds=s), limit) for s in range(-6, 7, 2) for limit in (1, 9)],
        [await store.next_due(NOW + timedelta(seconds=s)) for s in range(-6, 7)],
        [await store.runs(RunQuery(flow, status, 4)) for flow in flows for status in statuses],
        [
            await store.ledger(LedgerQuery(key, status))
            for key in (None, "key0")
            for status in (None, "pending", "accepted")
        ],
        [await store.ledger(LedgerQuery(key, None, id, 2)) for key in (None, "key1") for id in (None, "run0", "run1")],
        [await store.ledger_row(id) for id in range(1, 7)],
        [await store.memory(flow) for flow in ("flow0", "flow1")],
        [await store.unfinished(after, limit) for after in (0, 2, 6) for limit in (2, 9)],
        [await store.outline(fingerprint) for fingerprint in "fg"],
        [await large(store, no, digest_of(text)) for no in (1, 2) for text in "ab"],
        [await store.ticks(), await store.in_turn()],
        [await store.latest_unfinished(flow, trigger) for flow in ("flow0", "flow1") for trigger in ("t", "child:1")],
        [await store.pruned(id) for id in IDS.values()],
        [
            await store.prunable(before, keep, limit, flow)
            for before in (None, NOW)
            for keep in (None, 1)
            for limit in (2, 9)
            for flow in (None, "flow0")
        ],
    ]
    for no, id in IDS.items():
        if await store.find(id) is not None:
            answers.append(await store.load(no))
    return answers


async def history(store: Store, batches: list[list[Op]]) -> list[Any]:
    await store.open()
    answers = []
    for batch in batches:
        await store.commit(batch)
        answers.append(await seen(store))
    await store.close()
    opened = await store.open()
    await store.close()
    answers.append([opened.next_run_no, opened.next_row_id, list(opened.rows), dict(opened.ticks), opened.paused])
    return answers


@settings(max_examples=12, deadline=None)
@given(batches=BATCHES)
def test_postgres_tells_the_same_history(postgres: PostgresServer, batches: list[list[Op]]) -> None:
    """A server of another make orders, rounds and compares as the others do."""
    told = asyncio.run(history(postgres.store(postgres.address()), batches))
    assert told == asyncio.run(history(MemoryStore(), batches))


@settings(max_examples=40, deadline=None)
@given(batches=BATCHES)
def test_stores_tell_the_same_history(batches: list[list[Op]]) -> None:
    """Whatever is written, no question tells one store from the other."""
    with tempfile.TemporaryDirectory() as folder:
        sqlite = asyncio.run(history(SqliteStore(Path(folder, "resolute.db")), batches))
    assert sqlite == asyncio.run(history(MemoryStore(), batches))

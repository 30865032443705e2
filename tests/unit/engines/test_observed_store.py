"""`ObservedStore`: who observes a store hears of each batch that it takes, and of no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from resolute.engines.embedded.memory import MemoryStore, Tables
from resolute.engines.embedded.observed_store import ObservedStore
from resolute.engines.embedded.store import Op, Opened
from resolute.errors import StoreError
from tests.contract.rows import run


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.next_run_no = 0
        self.batches: list[Sequence[Op]] = []

    def opened(self, opened: Opened) -> None:
        self.next_run_no = opened.next_run_no

    def written(self, batch: Sequence[Op]) -> None:
        self.batches.append(batch)


class FullStore(MemoryStore):
    """A store without room."""

    async def commit(self, batch: Sequence[Op]) -> None:
        raise StoreError("The disk is full.")


async def test_what_is_there_and_what_is_taken_is_told() -> None:
    """Everything else is the store's own answer."""
    heard, inner = Heard(), MemoryStore(Tables(runs={6: run(6)}, run_no={"run6": 6}))
    store = ObservedStore(inner, heard)
    await store.open()
    await store.commit([run(7)])
    assert (heard.next_run_no, heard.batches) == (7, [[run(7)]])
    assert await store.find("run7") == run(7)
    assert store.held_since is None


async def test_a_batch_is_taken_also_when_who_waits_for_it_is_cancelled() -> None:
    """It was handed in, and will be on disk."""
    heard = Heard()
    store = ObservedStore(MemoryStore(delay=lambda batch: 0.001), heard)
    await store.open()
    waiting = asyncio.create_task(store.commit([run(1)]))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert heard.batches == [[run(1)]]
    await store.close()


async def test_a_batch_that_is_refused_is_not_told() -> None:
    """What is not on disk has not happened."""
    heard = Heard()
    with pytest.raises(StoreError):
        await ObservedStore(FullStore(), heard).commit([run(1)])
    assert heard.batches == []

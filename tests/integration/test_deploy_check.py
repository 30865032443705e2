"""`check_runs`: what becomes of runs that sleep in a store when their flows have changed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from resolute import Activity, Client, Flow, Worker, WorkerConfig, activity, flow, input_data, manual
from resolute.cli.deploy_check import FlowCheck, check_runs
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore


class Order(BaseModel):
    host: str = "db"


class StricterOrder(Order):
    level: int


@activity
def look(host: str) -> str:
    return f"{host} is up"


@activity(name="look")
def look_closely(host: str) -> dict[str, int]:
    return {host: 1}


@activity
def page(text: str) -> str:
    return text


def watch(
    look: Activity[Any, Any] = look, *, key: str = "look", model: type[BaseModel] = Order, more: bool = False
) -> Flow:
    """A flow that sleeps after its first node; the variants are versions of it."""
    begun = flow("watch").triggered_by(manual()).accepts(model).then(look(host=input_data("host")).as_(key))
    slept = begun.then_sleep(timedelta(hours=1), key="pause")
    return (slept.then(page(text="new")) if more else slept).build()


WATCH = watch()
other: Flow = flow("other").triggered_by(manual()).then_sleep(timedelta(hours=1)).build()


async def asleep(store: Path, **runs: Flow) -> None:
    """Runs that have begun and sleep; their worker has ended."""
    async with (
        asyncio.timeout(30),
        Worker(WorkerConfig(engine=f"sqlite:///{store}"), flows=set(runs.values())) as worker,
    ):
        for run_id, recipe in runs.items():
            await worker.client.start(recipe, {}, run_id=run_id)
        while {run.status for run in await worker.client.runs()} != {"waiting"}:  # noqa: ASYNC110 - nothing tells that
            await asyncio.sleep(0)


async def checked(store: Path, *flows: Flow) -> dict[str, FlowCheck]:
    return {check.flow: check for check in await check_runs(flows, ReadOnlyStore(store))}


def content(store: Path) -> bytes:
    return store.read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "resolute.db"


async def test_flow_that_is_as_it_was_keeps_its_runs(store: Path) -> None:
    """Nothing is changed by looking."""
    await asleep(store, one=WATCH, two=WATCH, three=other)
    before = content(store)
    found = await checked(store, watch(), other)
    assert [(check.state, check.unfinished, check.parked) for check in found.values()] == [
        ("unchanged", 2, []),
        ("unchanged", 1, []),
    ]
    assert content(store) == before


async def test_step_behind_what_the_runs_have_done_fits(store: Path) -> None:
    """The flow has changed and its runs go on."""
    await asleep(store, one=WATCH)
    check = (await checked(store, watch(more=True)))["watch"]
    assert (check.state, check.changed, check.parked) == ("changed", 1, [])


async def test_run_that_would_be_parked_is_named_with_the_reason(store: Path) -> None:
    """The reason names the place, what was there before, and what is there now."""
    await asleep(store, one=WATCH, two=WATCH)
    check = (await checked(store, watch(key="looked")))["watch"]
    assert (check.state, [run.run_id for run in check.parked]) == ("changed", ["one", "two"])
    assert '"look" (look)' in check.parked[0].reason
    assert "+ node looked look" in check.parked[0].reason


@pytest.mark.parametrize(
    ("changed", "words"),
    [(watch(look_closely), "does not fit"), (watch(model=StricterOrder), "level")],
    ids=["output", "input"],
)
async def test_model_that_takes_the_old_values_no_more_parks_its_runs(store: Path, changed: Flow, words: str) -> None:
    """Although the steps are the same: what was recorded cannot be read any more."""
    await asleep(store, one=WATCH)
    check = (await checked(store, changed))["watch"]
    assert (check.state, len(check.parked)) == ("unchanged", 1)
    assert words in check.parked[0].reason


async def test_flow_that_is_gone_parks_its_runs(store: Path) -> None:
    """Keep it until they have ended, or cancel them."""
    await asleep(store, one=WATCH, two=other)
    check = (await checked(store, watch()))["other"]
    assert (check.state, check.is_known, [run.run_id for run in check.parked]) == ("gone", False, ["two"])
    assert "resolute runs cancel two" in check.parked[0].reason


async def test_run_that_has_not_begun_fits_any_version(store: Path) -> None:
    """It was handed in without a worker."""
    async with Client.connect(f"sqlite:///{store}") as client:
        await client.start("watch", {}, run_id="one")
        assert (await client.get("one")).status == "queued"
    check = (await checked(store, watch(key="looked")))["watch"]
    assert (check.state, check.unfinished, check.parked) == ("unchanged", 1, [])


async def test_runs_that_have_ended_and_those_of_jobs_are_not_looked_at(store: Path) -> None:
    """Jobs belong to their commands; progress is told for what is left."""
    await asleep(store, one=WATCH, two=WATCH)
    async with Client.connect(f"sqlite:///{store}") as client:
        await client.start("job:page", {}, run_id="three")
    async with Client.connect(f"sqlite:///{store}") as client:
        await client.cancel("one")
    told: list[tuple[int, int]] = []
    [check] = await check_runs([watch()], ReadOnlyStore(store), lambda done, total: told.append((done, total)))
    assert (check.unfinished, told) == (1, [(0, 2), (1, 2)])

"""Promise 1: `start` returns when the run is on disk, and one id is one run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from resolute import RunConflict, RunNotFound, input_data, steps
from resolute.engine import RunQuery
from resolute.errors import EngineError, InputError
from tests.contract.engine.book import hang
from tests.contract.engine.flows import begin, do, of
from tests.contract.engine.machine import Machine

ONE = of(do("a", input_data()))


class Order(BaseModel):
    size: int = 1


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 8, 13])
async def test_a_run_that_was_started_survives_a_kill(machine: Machine, number: int) -> None:
    """From the moment at which `start` returns."""
    await machine.up(ONE)
    await machine.start(input={"size": 3})
    await machine.steps(number)
    await machine.kill()
    await machine.up(ONE)
    view = await machine.result()
    assert (view.status, view.input, view.output) == ("succeeded", {"size": 3}, {"a": {"size": 3}})


@pytest.mark.needs("disk")
async def test_start_waits_for_the_disk(machine: Machine) -> None:
    """Nothing is begun before the run is durable."""
    await machine.up(ONE)
    machine.hold_disk(seconds=10)
    began_s = machine.loop.time()
    await machine.start()
    assert machine.loop.time() - began_s >= 10
    await machine.result()
    assert (machine.book.calls[0].at - machine.pagerduty.now()).total_seconds() > -1


@pytest.mark.needs("disk")
async def test_start_waits_for_the_disk_whatever_the_run_begins_with(machine: Machine) -> None:
    """Also for branches that have come to their end before anything is on disk."""

    def broken(state: Any) -> bool:
        raise ValueError("no")

    body = steps().when(broken, then=do("a"), key="check")
    await machine.up(begin().then_each("all", over=[1, 2, 3], body=body, keep_going=False, on_error="continue").build())
    machine.hold_disk(seconds=10)
    began_s = machine.loop.time()
    await machine.start()
    assert machine.loop.time() - began_s >= 10


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
async def test_a_start_that_was_never_acknowledged_may_be_repeated(machine: Machine, number: int) -> None:
    """Whether or not the first one reached the disk, there is one run."""
    await machine.up(ONE)
    lost = asyncio.create_task(machine.start(input=1))
    await machine.steps(number)
    await machine.kill()
    assert lost.done()
    await machine.up(ONE)
    await machine.start(input=1)
    await machine.result()
    assert [run.id for run in await machine.engine.runs(RunQuery())] == ["r"]
    assert machine.book.finished.count("a") == 1


async def test_the_same_id_returns_the_first_run(machine: Machine) -> None:
    """While it runs, when it has ended, and after a kill; nothing is done twice."""
    machine.book.will("a", hang)
    await machine.up(ONE)
    first = await machine.start(input=1)
    await machine.called("a")
    again = await machine.start(input=1)
    assert (again.id, again.created_at, again.status) == (first.id, first.created_at, "running")
    await machine.kill()
    await machine.up(ONE)
    await machine.result()
    again = await machine.start(input=1)
    assert (again.created_at, again.status) == (first.created_at, "succeeded")
    assert len(machine.book.calls) == 2


async def test_the_same_id_started_twice_at_once_is_one_run(machine: Machine) -> None:
    """Ten callers get the same run."""
    await machine.up(ONE)
    runs = await asyncio.gather(*(machine.start(input=1) for _ in range(10)))
    await machine.result()
    assert len({run.created_at for run in runs}) == 1
    assert len(machine.book.calls) == 1


@pytest.mark.parametrize(("name", "input"), [("f", 2), ("f", None), ("g", 1)], ids=["input", "no input", "flow"])
async def test_the_id_of_another_run_is_refused(machine: Machine, name: str, input: Any) -> None:
    """Another flow or input under the same id is a mistake; the first run is untouched."""
    await machine.up(ONE, of(do("b"), name="g"))
    await machine.start(input=1)
    await machine.result()
    with pytest.raises(RunConflict, match='Run "r" exists already, with another flow or input'):
        await machine.start(name, input)
    assert machine.book.attempted() == ["a"]


async def test_equal_inputs_are_the_same_input(machine: Machine) -> None:
    """However their keys are ordered."""
    await machine.up(ONE)
    await machine.start(input={"a": 1, "b": [2, None]})
    again = await machine.start(input={"b": [2, None], "a": 1})
    assert again.id == "r"


async def test_a_run_without_an_id_gets_one_of_its_own(machine: Machine) -> None:
    """Ids are ordered by time."""
    await machine.up(ONE)
    ids = []
    for _ in range(5):
        ids.append((await machine.start(run_id=None)).id)
        await machine.wait(seconds=1)
    assert len(set(ids)) == 5
    assert ids == sorted(ids)


@pytest.mark.parametrize("run_id", ["", "x" * 201, "line\nbreak"])
async def test_an_id_that_cannot_be_typed_is_refused(machine: Machine, run_id: str) -> None:
    """The error says what an id may be; an empty one is none."""
    await machine.up(ONE)
    if not run_id:
        assert (await machine.start(run_id=run_id)).id
        return
    with pytest.raises(InputError, match="needs 1 to 200 printable characters"):
        await machine.start(run_id=run_id)


async def test_a_flow_that_nobody_knows_is_refused(machine: Machine) -> None:
    """The error knows which ones there are."""
    await machine.up(ONE)
    with pytest.raises(EngineError, match=r'The flow "none" is not known here\. Known: f'):
        await machine.start("none")


@pytest.mark.parametrize(
    ("input", "words"),
    [({"size": "large"}, "size: Input should be a valid integer"), ([1], "valid dictionary")],
)
async def test_an_input_that_does_not_fit_is_refused(machine: Machine, input: Any, words: str) -> None:
    """Nothing is written."""
    await machine.up(begin().then(do("a", input_data("size"))).accepts(Order).build())
    with pytest.raises(InputError, match=words):
        await machine.start(input=input)
    with pytest.raises(RunNotFound):
        await machine.engine.get("r")


async def test_an_input_is_completed_by_its_model(machine: Machine) -> None:
    """The run sees the defaults; they are recorded."""
    view = await machine.run(begin().then(do("a", input_data("size"))).accepts(Order).build(), {})
    assert (view.input, machine.book.calls[0].given) == ({"size": 1}, 1)


async def test_a_large_input_comes_through(machine: Machine) -> None:
    """Two megabytes, kill or not."""
    await machine.up(ONE)
    await machine.start(input={"text": "ä" * 1_000_000})
    await machine.kill()
    await machine.up(ONE)
    view = await machine.result()
    assert view.input == machine.book.calls[0].given == {"text": "ä" * 1_000_000}


@pytest.mark.needs("room")
async def test_runs_beyond_what_fits_into_memory_wait_and_are_run(machine: Machine) -> None:
    """They are on disk when `start` returns, and begin in turn."""
    machine.book.always("a", hang)
    await machine.up(ONE, max_concurrent=1)
    for number in range(120):
        await machine.start(input=number + 1, run_id=f"r{number}")
    assert {run.status for run in await machine.engine.runs(RunQuery(limit=500))} == {"queued", "running"}
    await machine.kill()
    machine.book.always("a", 1)
    await machine.up(ONE)
    for number in range(120):
        assert (await machine.result(f"r{number}")).status == "succeeded"

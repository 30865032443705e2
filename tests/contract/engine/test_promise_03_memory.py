"""Promise 3, from run to run: memory is written with an output or not at all, and cursors only move on."""

from __future__ import annotations

from typing import Any

import pytest

from resolute import Flow, activity, current, cursor, input_data, output, steps
from tests.contract.engine.book import after, hang
from tests.contract.engine.flows import begin, book, do, of
from tests.contract.engine.machine import Machine


@activity
async def count(by: int = 1) -> Any:
    """Adds to the flow's memory."""
    memory = current().memory
    memory["n"] = memory.get("n", 0) + by
    return await book().perform(memory["n"])


async def test_memory_goes_on_from_run_to_run(machine: Machine) -> None:
    """And from worker to worker."""
    made = of(count())
    for number in range(1, 4):
        await machine.up(made)
        await machine.start(run_id=f"r{number}")
        assert (await machine.result(f"r{number}")).output == {"count": number}
        await machine.kill()


@pytest.mark.parametrize("how", ["fails", "killed"])
async def test_memory_is_written_with_the_output_or_not_at_all(machine: Machine, how: str) -> None:
    """An attempt that fails, or is lost, has written nothing."""
    made = of(count().with_retry(do("x", tries=2).retry))
    machine.book.will("count", hang if how == "killed" else ValueError("no"))
    await machine.up(made)
    await machine.start()
    await machine.called("count")
    if how == "killed":
        await machine.kill()
        await machine.up(made)
    assert (await machine.result()).output == {"count": 1}


async def test_each_flow_has_a_memory_of_its_own(machine: Machine) -> None:
    """Under the same keys."""
    await machine.up(of(count(5)), of(count(7), name="g"))
    for flow in ("f", "g"):
        await machine.start(flow, run_id=flow)
        await machine.result(flow)
    await machine.start("g", run_id="again")
    assert (await machine.result("again")).output == {"count": 14}


def moving() -> Flow:
    """A flow that moves its cursor to what it was given, and reads it."""
    made = begin().with_cursor("seen", int, start=0).then(do("a", [input_data("to"), cursor("seen")]))
    return made.then_advance("seen", input_data("to")).then(do("b", cursor("seen"))).build()


async def seen(machine: Machine, run_id: str) -> Any:
    """Where a run found the cursor after it had moved it."""
    view = await machine.result(run_id)
    return view.output["b"]


async def test_a_cursor_goes_on_from_run_to_run(machine: Machine) -> None:
    """From its start, and from worker to worker."""
    for number, to in enumerate((3, 5)):
        await machine.up(moving())
        await machine.start(input={"to": to}, run_id=f"r{number}")
        assert await seen(machine, f"r{number}") == to
        await machine.kill()
    assert [call.given[1] for call in machine.book.of("a")] == [0, 3]


async def test_a_cursor_never_moves_back(machine: Machine) -> None:
    """A value behind it changes nothing."""
    await machine.up(moving())
    for number, to in enumerate((7, 4, 9)):
        await machine.start(input={"to": to}, run_id=f"r{number}")
        assert await seen(machine, f"r{number}") == max(7, to)


async def test_a_cursor_is_moved_by_the_run_that_is_further(machine: Machine) -> None:
    """Two runs at the same time: the one that ends last does not take it back, kill or not."""
    await machine.up(moving())
    machine.book.will("a", after(60), after(10))
    await machine.start(input={"to": 3}, run_id="slow")
    await machine.called("a")
    await machine.start(input={"to": 8}, run_id="fast")
    assert await seen(machine, "fast") == 8
    assert await seen(machine, "slow") == 8
    await machine.kill()
    await machine.up(moving())
    await machine.start(input={"to": 1}, run_id="next")
    assert await seen(machine, "next") == 8


async def test_what_a_node_read_of_a_cursor_is_recorded(machine: Machine) -> None:
    """A repeated attempt sees the same, though another run has moved it on."""
    made = moving()
    machine.book.will("a", hang)
    await machine.up(made)
    await machine.start(input={"to": 1}, run_id="first")
    await machine.called("a")
    await machine.start(input={"to": 5}, run_id="other")
    await machine.result("other")
    await machine.kill()
    await machine.up(made)
    await machine.result("first")
    assert [call.given for call in machine.book.of("a") if call.run_id == "first"] == [[1, 0], [1, 0]]


async def test_a_value_that_a_cursor_cannot_hold_fails_the_run(machine: Machine) -> None:
    """And leaves the cursor where it was."""
    await machine.up(moving())
    await machine.start(input={"to": "x"}, run_id="bad")
    view = await machine.result("bad")
    assert (view.status, view.error_key) == ("failed", "a~advance")
    assert "the cursor \"seen\" cannot be moved to 'x'" in view.error
    await machine.start(input={"to": 2}, run_id="good")
    assert await seen(machine, "good") == 2


async def test_what_a_branch_knows_survives_a_kill_in_every_kind_of_step(machine: Machine) -> None:
    """Outputs of loops, branches and gates are the same to a node that is repeated."""
    made = (
        begin()
        .then_loop("l", do("a"), until=output("a") == 2, at_most=3)
        .then_parallel("p", do("b", 1), steps(do("c", 2)))
        .then_gate("ok")
        .then(do("d", [output("a"), output("b"), output("c"), output("ok.by")]))
        .build()
    )
    machine.book.will("a", 1, 2)
    machine.book.will("d", hang)
    await machine.up(made)
    await machine.start()
    await machine.engine.signal("r", "ok", by="ann")
    await machine.called("d")
    await machine.kill()
    await machine.up(made)
    await machine.result()
    assert [call.given for call in machine.book.of("d")] == [[2, 1, 2, "ann"]] * 2

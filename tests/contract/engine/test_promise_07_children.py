"""Promise 7, of runs: children are started once, outlive a crash of their parent, and end with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute import Flow, RunNotFound, input_data, item, output, steps
from tests.contract.engine.book import after, fails_for, hang
from tests.contract.engine.flows import begin, do, page, undoable
from tests.contract.engine.machine import Machine, node

CHILD = begin("child").then(do("work", input_data("n"))).returns(output("work")).build()


def parent(inputs: Any, **settings: Any) -> Flow:
    """A flow with a child run for each of these inputs."""
    return begin().then_children("subs", CHILD, inputs=inputs, **settings).build()


def numbers(*given: int) -> list[dict[str, int]]:
    """The inputs of so many children."""
    return [{"n": number} for number in given]


async def test_a_child_runs_for_each_input(machine: Machine) -> None:
    """The result holds their ids and what they returned, in the order of the inputs."""
    await machine.up(parent(numbers(7, 8)), CHILD)
    await machine.start()
    view = await machine.result()
    assert view.output["subs"] == {"run_ids": ["r/subs[0]", "r/subs[1]"], "results": [7, 8], "errors": []}
    assert (await machine.engine.get("r/subs[1]")).status == "succeeded"


async def test_a_child_outlives_a_kill_of_its_parent(machine: Machine) -> None:
    """It is started once; afterwards its parent finds it."""
    machine.book.will("work", hang)
    made = parent(numbers(7))
    await machine.up(made, CHILD)
    await machine.start()
    await machine.called("work")
    await machine.kill()
    await machine.up(made, CHILD)
    assert (await machine.result()).output["subs"]["results"] == [7]
    assert len(machine.book.calls) == 2


async def test_a_child_that_has_ended_is_not_started_again_by_its_parent(machine: Machine) -> None:
    """Not even when the parent was killed before it heard of the end."""
    made = begin().then_parallel("p", do("a"), steps().then_children("subs", CHILD, inputs=numbers(7))).build()
    machine.book.will("a", hang)
    await machine.up(made, CHILD)
    await machine.start()
    await machine.status("succeeded", "r/p/subs[0]")
    await machine.kill()
    await machine.up(made, CHILD)
    assert (await machine.result()).status == "succeeded"
    assert len(machine.book.of("work")) == 1


async def test_no_more_children_run_than_the_limit_says(machine: Machine) -> None:
    """The next one begins when one has ended."""
    machine.book.always("work", after(60))
    await machine.up(parent(numbers(1, 2, 3, 4), limit=2), CHILD)
    await machine.start()
    await machine.result()
    begun = [call.at for call in machine.book.calls]
    assert begun[2] - begun[0] >= timedelta(seconds=60)


async def test_all_children_end_and_all_errors_are_told(machine: Machine) -> None:
    """The parent then fails; each error names the run that failed."""
    machine.book.always("work", fails_for(1, 3))
    await machine.up(parent(numbers(1, 2, 3)), CHILD)
    await machine.start()
    view = await machine.result()
    assert view.error == (
        "2 of 3 runs failed: subs[0]: The run r/subs[0] failed: ValueError: no 1; "
        "subs[2]: The run r/subs[2] failed: ValueError: no 3"
    )
    assert sorted(machine.book.given("work")) == [1, 2, 3]


async def test_a_parent_may_continue_with_the_errors_of_its_children(machine: Machine) -> None:
    """`on_error="continue"`."""
    machine.book.always("work", fails_for(1))
    await machine.up(parent(numbers(1, 2), on_error="continue"), CHILD)
    await machine.start()
    view = await machine.result()
    assert view.status == "succeeded"
    assert view.output["subs"]["results"] == [None, 2]
    assert [fault["index"] for fault in view.output["subs"]["errors"]] == [0]


async def test_children_are_cancelled_with_their_parent(machine: Machine) -> None:
    """Those that had begun; the others never begin."""
    machine.book.always("work", hang)
    await machine.up(parent(numbers(1, 2, 3), limit=2), CHILD)
    await machine.start()
    await machine.called("work", 2)
    await machine.engine.cancel("r")
    assert (await machine.result()).status == "cancelled"
    assert [(await machine.result(f"r/subs[{number}]")).status for number in (0, 1)] == ["cancelled"] * 2
    with pytest.raises(RunNotFound):
        await machine.engine.get("r/subs[2]")


async def test_a_cancelled_child_undoes_what_it_did_before_its_parent_does(machine: Machine) -> None:
    """The newest is undone first, across runs."""
    child = begin("child").then(undoable("b"), do("work")).build()
    made = begin().then(undoable("a")).then_children("subs", child, inputs=[None]).build()
    machine.book.will("work", hang)
    await machine.up(made, child)
    await machine.start()
    await machine.called("work")
    await machine.engine.cancel("r")
    await machine.result()
    assert machine.book.attempted() == ["a", "b", "work", "undo_b", "undo_a"]


async def test_a_child_that_is_cancelled_alone_fails_its_step(machine: Machine) -> None:
    """The parent tells which one, and why."""
    machine.book.always("work", hang)
    await machine.up(parent(numbers(1)), CHILD)
    await machine.start()
    await machine.called("work")
    await machine.engine.cancel("r/subs[0]", by="ann")
    view = await machine.result()
    assert (view.status, view.error_key) == ("failed", "subs")
    assert "The run r/subs[0] cancelled: cancelled by ann" in view.error


async def test_children_may_have_children(machine: Machine) -> None:
    """Their ids tell whose they are."""
    middle = begin("middle").then_children("subs", CHILD, inputs=numbers(1, 2)).returns(output("subs.results")).build()
    top = begin().then_children("tops", middle, inputs=[None]).build()
    await machine.up(top, middle, CHILD)
    await machine.start()
    assert (await machine.result()).output["tops"]["results"] == [[1, 2]]
    assert (await machine.engine.get("r/tops[0]/subs[1]")).status == "succeeded"


async def test_a_child_that_cannot_be_started_fails_its_step(machine: Machine) -> None:
    """The worker does not have its flow."""
    await machine.up(begin().then_children("subs", "none", inputs=[1]).build())
    await machine.start()
    view = await machine.result()
    assert 'The flow "none" is not known here' in view.error
    assert node(view, "subs[0]").status == "failed"


async def test_branches_of_every_kind_end_together_in_a_killed_run(machine: Machine) -> None:
    """A parallel of an each, a child and a page goes on after a kill with what was left of each."""
    body = steps(do("a", item())).then_sleep(timedelta(minutes=1)).then(do("b", item()))
    made = begin().then_parallel(
        "p",
        steps().then_each("all", over=[1, 2], body=body),
        steps().then_children("subs", CHILD, inputs=numbers(5)),
        page(),
    )
    await machine.up(made.build(), CHILD)
    await machine.start()
    await machine.status("waiting")
    await machine.kill()
    await machine.up(made.build(), CHILD)
    assert (await machine.result()).status == "succeeded"
    assert sorted(machine.book.attempted()) == ["a", "a", "b", "b", "work"]
    assert len(machine.pagerduty.alerts) == 1

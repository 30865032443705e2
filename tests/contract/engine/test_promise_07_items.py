"""Promise 7, of items: an each does its body for every one, so many at a time, and tells all errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute import Flow, input_data, item, output, steps
from tests.contract.engine.book import Call, after, fails_for, hang
from tests.contract.engine.flows import begin, do
from tests.contract.engine.machine import Machine, states


def each(**settings: Any) -> Flow:
    """A flow that does "a" for each item of its input."""
    return begin().then_each("all", over=input_data("items"), body=do("a", item()), **settings).build()


async def test_an_each_does_its_body_for_every_item(machine: Machine) -> None:
    """Its result holds what the body put out for each, in the list's order."""
    view = await machine.run(each(), {"items": [3, 1, 2]})
    assert sorted(machine.book.given("a")) == [1, 2, 3]
    assert view.output["all"] == {"results": [{"a": 3}, {"a": 1}, {"a": 2}], "errors": [], "skipped": []}


async def test_an_each_of_nothing_succeeds(machine: Machine) -> None:
    """Its result is empty."""
    view = await machine.run(each(), {"items": []})
    assert view.output == {"all": {"results": [], "errors": [], "skipped": []}}


@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_no_more_items_are_under_way_than_the_limit_says(machine: Machine, limit: int) -> None:
    """And no fewer, while there are some left."""
    under_way: list[int] = [0, 0]

    async def count(call: Call) -> int:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await after(10)(call)
        under_way[0] -= 1
        return 1

    machine.book.always("a", count)
    await machine.run(each(limit=limit), {"items": list(range(1, 9))})
    assert under_way[1] == min(limit, 8)


async def test_the_limit_holds_while_items_wait(machine: Machine) -> None:
    """A body that sleeps is under way: the next item begins when it has ended."""
    body = steps(do("a", item())).then_sleep(timedelta(hours=1)).then(do("b"))
    await machine.run(begin().then_each("all", over=[1, 2, 3, 4], body=body, limit=2).build())
    begun = [call.at for call in machine.book.of("a")]
    assert begun[2] - begun[0] >= timedelta(hours=1)
    assert begun[3] - begun[1] >= timedelta(hours=1)


async def test_the_limit_holds_after_a_kill(machine: Machine) -> None:
    """The items that were under way go on; no further one joins them."""
    machine.book.always("a", hang)
    made = each(limit=2)
    await machine.up(made)
    await machine.start(input={"items": [1, 2, 3, 4, 5]})
    await machine.called("a", 2)
    await machine.kill()
    await machine.up(made)
    await machine.called("a", 4)
    await machine.wait(minutes=1)
    assert sorted(machine.book.given("a")) == [1, 1, 2, 2]


async def test_an_item_sees_only_its_own_outputs(machine: Machine) -> None:
    """What the others put out is known after the join, all of it under its key in the state."""
    seen: list[Any] = []
    body = steps(do("a", item())).then(do("b", [output("a"), item()]))
    made = begin().then_each("all", over=[1, 2, 3], body=body).when(lambda state: bool(seen.append(state.all("b"))))
    await machine.run(made.then(do("c")).end_when().build())
    assert sorted(machine.book.given("b")) == [[1, 1], [2, 2], [3, 3]]
    assert seen
    assert all(known == [[1, 1], [2, 2], [3, 3]] for known in seen)


async def test_all_items_are_done_though_one_fails(machine: Machine) -> None:
    """The run then fails with all errors, in the list's order."""
    machine.book.always("a", fails_for(1, 3))
    view = await machine.run(each(limit=1), {"items": [1, 2, 3, 4]})
    assert machine.book.given("a") == [1, 2, 3, 4]
    assert view.error == "2 of 4 items failed: all[0]/a: ValueError: no 1; all[2]/a: ValueError: no 3"


async def test_an_each_may_continue_with_its_errors(machine: Machine) -> None:
    """`on_error="continue"`: the result tells which failed, and what the others put out."""
    machine.book.always("a", fails_for(2))
    view = await machine.run(each(on_error="continue"), {"items": [1, 2]})
    assert view.status == "succeeded"
    assert view.output["all"] == {
        "results": [{"a": 1}, {}],
        "errors": [{"index": 1, "item": 2, "key": "a", "error": "ValueError: no 2"}],
        "skipped": [],
    }


async def test_an_each_may_stop_at_the_first_failure(machine: Machine) -> None:
    """`keep_going=False`: what is under way ends, nothing further begins."""
    machine.book.always("a", fails_for(2))
    view = await machine.run(each(keep_going=False, limit=1, on_error="continue"), {"items": [1, 2, 3, 4]})
    assert machine.book.given("a") == [1, 2]
    assert view.output["all"]["skipped"] == [2, 3]


async def test_an_each_that_has_stopped_begins_nothing_after_a_kill(machine: Machine) -> None:
    """That it stopped is recorded."""
    machine.book.always("a", fails_for(1))
    made = each(keep_going=False, limit=1, on_error="continue")
    flow = begin().then_each(
        "all", over=[1, 2, 3], body=do("a", item()), keep_going=False, limit=1, on_error="continue"
    )
    made = flow.then(do("b")).build()
    machine.book.will("b", hang)
    await machine.up(made)
    await machine.start()
    await machine.called("b")
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).output["all"]["skipped"] == [1, 2]
    assert machine.book.given("a") == [1]


async def test_the_items_of_an_each_are_recorded(machine: Machine) -> None:
    """A body reads what the list held when the step was reached, kill or not."""
    made = begin().then(do("find")).then_each("all", over=output("find"), body=do("a", item("name"))).build()
    machine.book.will("find", [{"name": "x"}, {"name": "y"}])
    machine.book.always("a", hang)
    await machine.up(made)
    await machine.start()
    await machine.called("a", 2)
    await machine.kill()
    machine.book.always("a", 1)
    await machine.up(made)
    assert (await machine.result()).status == "succeeded"
    assert sorted(machine.book.given("a")) == ["x", "x", "y", "y"]
    assert len(machine.book.of("find")) == 1


async def test_an_each_inside_an_each_knows_both(machine: Machine) -> None:
    """Inside, `item` is the inner one; positions tell both."""
    inner = steps().then_each("inner", over=item("list"), body=do("a", item()))
    made = begin().then_each("outer", over=[{"list": [1, 2]}, {"list": [3]}], body=inner).build()
    view = await machine.run(made)
    assert sorted(states(view)) == ["outer[0]/inner[0]/a", "outer[0]/inner[1]/a", "outer[1]/inner[0]/a"]
    assert sorted(machine.book.given("a")) == [1, 2, 3]

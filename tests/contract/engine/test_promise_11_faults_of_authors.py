"""Promise 11: what an author's code raises fails that run, visibly, and nothing else; hooks change nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute import FlowState, env, input_data, item, output, steps
from resolute.hooks import RunEvent
from tests.contract.engine.book import hang
from tests.contract.engine.flows import act, begin, do, of, page, undoable
from tests.contract.engine.machine import Machine, node, states


def broken(state: FlowState) -> bool:
    return bool(1 / 0)


def forgetful(state: FlowState) -> bool:
    return bool(state["b"])


BROKEN: dict[str, tuple[Any, str, str]] = {
    "when": (begin().then(do("a")).when(broken, then=do("b")).build(), "a~when", 'the predicate of "a~when" raised'),
    "condition": (
        begin().then(do("a")).when(output("a", "x") == 1, then=do("b")).build(),
        "a~when",
        '"a" is of type str and has no field "x"',
    ),
    "unknown key": (
        begin().then(do("a")).when(forgetful, then=do("b")).build(),
        "a~when",
        'step "a~when" reads state["b"], which this run does not have. Known here: "a".',
    ),
    "loop": (
        begin().then_loop("l", do("a"), until=broken, at_most=3).build(),
        "l",
        'the predicate of "l" raised ZeroDivisionError: division by zero (line ',
    ),
    "exit": (begin().then(do("a")).when(lambda state: exit(3), then=do("b")).build(), "a~when", "SystemExit: 3"),
    "input": (of(do("a"), do("b", output("a.x"))), "b", '"b(given=...)" cannot be filled in'),
    "env": (of(do("a"), do("b", env("NOT_SET"))), "b", "The environment variable NOT_SET is not set"),
    "each": (
        begin().then(do("a")).then_each("all", over=output("a"), body=do("b")).build(),
        "all",
        'Flow "f": "all" works through a list, not str. Refer to a list, or write [output(...)] for a single one.',
    ),
    "children": (
        begin().then(do("a")).then_children("subs", of(do("b"), name="g"), inputs=output("a")).build(),
        "subs",
        "works through a list, not str",
    ),
    "sleep": (
        begin().then(do("a")).then_sleep(output("a")).then(do("b")).build(),
        "a~sleep",
        "\"a~sleep\" cannot sleep for 'a': give a timedelta or seconds.",
    ),
    "result": (begin().then(do("a")).returns(output("a.x")).build(), "returns", "returns(...) cannot be filled in"),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_what_an_author_got_wrong_fails_the_run_and_names_the_place(machine: Machine, kind: str) -> None:
    """The node before it has succeeded, nothing behind it runs; the worker and other runs go on."""
    made, key, words = BROKEN[kind]
    view = await machine.run(made)
    assert (view.status, view.error_key) == ("failed", key)
    assert words in view.error
    assert machine.book.attempted() == ["a"]
    await machine.start(run_id="other")
    assert (await machine.result("other")).status == "failed"


@pytest.mark.parametrize("kind", BROKEN)
async def test_the_failure_is_the_same_after_a_kill(machine: Machine, kind: str) -> None:
    """It is recorded: nothing is asked again."""
    made, key, words = BROKEN[kind]
    machine.book.will("a", hang)
    await machine.up(made)
    await machine.start()
    await machine.called("a")
    await machine.kill()
    await machine.up(made)
    view = await machine.result()
    await machine.kill()
    await machine.up(made)
    again = await machine.result()
    assert (again.status, again.error_key, again.error) == (view.status, key, view.error)
    assert words in again.error


async def test_what_was_done_is_undone_when_a_predicate_raises(machine: Machine) -> None:
    """It is a failure like any other, with fallback, undo and failure node."""
    made = begin().then(undoable("a")).when(broken, then=do("b")).on_failure(do("tell", input_data("key"))).build()
    await machine.run(made)
    assert machine.book.attempted() == ["a", "undo_a", "tell"]
    assert machine.book.calls[-1].given == "a~when"


async def test_a_predicate_that_raises_in_a_branch_leaves_the_others_to_their_end(machine: Machine) -> None:
    """Its error is told with theirs."""
    bad = steps(do("a")).when(broken, then=do("b"))
    slow = steps().then_sleep(timedelta(hours=1)).then(do("c"))
    view = await machine.run(begin().then_parallel("p", bad, slow).build())
    assert view.error.startswith('1 of 2 branches failed: p/a~when: Flow "f": the predicate of "a~when" raised')
    assert machine.book.attempted() == ["a", "c"]


async def test_a_predicate_that_raises_for_an_item_fails_that_item(machine: Machine) -> None:
    """`on_error="continue"` tells it with the others."""

    def positive(state: FlowState) -> bool:
        return bool(1 / state.item)

    body = steps().when(positive, then=do("a", item()), key="check")
    view = await machine.run(begin().then_each("all", over=[1, 0, 2], body=body, on_error="continue").build())
    assert view.status == "succeeded"
    assert [fault["index"] for fault in view.output["all"]["errors"]] == [1]
    assert sorted(call.given for call in machine.book.calls) == [1, 2]


async def test_no_content_costs_a_page(machine: Machine) -> None:
    """What cannot be filled in is marked in its place, and the page is sent."""
    made = of(do("a"), page(summary=output("a.message"), component=output("a.x.y")))
    view = await machine.run(made)
    assert view.status == "succeeded"
    await machine.wait(seconds=10)
    assert machine.pagerduty.alerts[0].summary == "<missing a.message>"


async def test_an_error_that_a_failure_node_raises_does_not_hide_the_first(machine: Machine) -> None:
    """The run tells what failed it."""
    machine.book.will("a", ValueError("first"))
    machine.book.will("tell", ValueError("second"))
    view = await machine.run(begin().then(do("a")).on_failure(do("tell")).build())
    assert (view.status, view.error) == ("failed", "ValueError: first")
    assert node(view, "~failure[0]/tell").error == "ValueError: second"


@pytest.mark.parametrize(
    "raised", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=lambda error: type(error).__name__
)
async def test_an_activity_that_raises_more_than_an_error_fails_alone(machine: Machine, raised: BaseException) -> None:
    """It does not end the worker."""
    machine.book.will("a", raised)
    view = await machine.run(of(do("a")))
    assert view.status == "failed"
    assert f"act raised {type(raised).__name__}; an activity ends by returning" in view.error


# Hooks


async def test_hooks_are_told_what_is_on_disk(machine: Machine) -> None:
    """In order, once each."""
    told: list[tuple[str, str]] = []
    machine.book.will("b", ValueError("no"))
    await machine.up(of(do("a"), do("b", tries=2)), hooks=[lambda event: told.append((event.kind, event.key))])
    await machine.start()
    await machine.heard(told, ("run_finished", ""))
    assert [each for each in told if each != ("run_parked", "")] == [
        ("run_started", ""),
        ("attempt_started", "a"),
        ("node_finished", "a"),
        ("attempt_started", "b"),
        ("attempt_failed", "b"),
        ("attempt_started", "b"),
        ("node_finished", "b"),
        ("run_finished", ""),
    ]


async def test_hooks_are_told_that_a_run_waits(machine: Machine) -> None:
    """Once for each wait, and not again when it is over."""
    told: list[str] = []
    await machine.up(begin().then_gate("ok").then(do("a")).build(), hooks=[lambda event: told.append(event.kind)])
    await machine.start()
    await machine.heard(told, "run_parked")
    await machine.engine.signal("r", "ok")
    await machine.heard(told, "run_finished")
    assert told == ["run_started", "run_parked", "attempt_started", "node_finished", "run_finished"]


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_a_hook_that_raises_changes_nothing(machine: Machine, is_async: bool) -> None:
    """The run succeeds, and the other hooks are told all the same."""
    told: list[str] = []

    def plain(event: RunEvent) -> None:
        raise ValueError("hook")

    async def awaited(event: RunEvent) -> None:
        raise ValueError("hook")

    await machine.up(of(do("a")), hooks=[awaited if is_async else plain, lambda event: told.append(event.kind)])
    await machine.start()
    view = await machine.result()
    await machine.heard(told, "run_finished")
    assert (view.status, states(view)) == ("succeeded", {"a": "done"})
    assert told == ["run_started", "attempt_started", "node_finished", "run_finished"]


async def test_a_hook_that_takes_its_time_does_not_hold_up_the_run(machine: Machine) -> None:
    """Hooks observe; nobody waits for them."""
    await machine.up(of(do("a")), hooks=[hang])
    await machine.start()
    began_s = machine.loop.time()
    assert (await machine.result()).status == "succeeded"
    assert machine.loop.time() - began_s < 1


async def test_one_run_knows_nothing_of_the_failure_of_another(machine: Machine) -> None:
    """A hundred fail, one succeeds."""
    made = begin().when(lambda state: bool(1 / state.input), then=act(given=input_data()).as_("a")).build()
    await machine.up(made)
    for number in range(20):
        await machine.start(input=0 if number != 7 else 1, run_id=f"r{number}")
    ends = [(await machine.result(f"r{number}")).status for number in range(20)]
    assert ends == ["succeeded" if number == 7 else "failed" for number in range(20)]

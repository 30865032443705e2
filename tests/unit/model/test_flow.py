"""The builder: what its methods make, and that every one of them returns a new builder."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute.errors import FlowError
from resolute.model.activity import Activity, Node, activity
from resolute.model.flow import FlowBuilder, flow, steps
from resolute.model.recipe import Cursor, Flow, FlowWarning
from resolute.model.reference import MISSING
from resolute.model.refs import output
from resolute.model.steps import (
    Advance,
    Branch,
    Children,
    Each,
    Gate,
    Loop,
    NodeStep,
    Parallel,
    Sleep,
    walk_steps,
)
from resolute.model.trigger import manual, schedule

MINUTE = timedelta(minutes=1)


class Alert(BaseModel):
    host: str = "web-1"


class Page(Activity[Any, Any]):
    """An activity that mends something in every use."""

    def node_warnings(self, node: Node[Any]) -> list[str]:
        return [f'"{node.key}" has a summary of 2,000 characters; it is cut to 1,024.']


@activity
def work() -> int: ...


def a(key: str = "a") -> Node[int]:
    return work().as_(key)


def start() -> FlowBuilder:
    return flow("f").triggered_by(manual())


def always(state: object) -> bool:
    return True


def test_a_flow_is_what_the_builder_was_told() -> None:
    """Name, triggers, steps, input, result and failure node, in order."""
    tick, by_hand, sorry = schedule("@hourly"), manual("drill"), a("sorry")
    made = flow("f").triggered_by(tick).triggered_by(by_hand).accepts(Alert).returns(output("a"))
    built = made.on_failure(sorry).then(a(), a("b")).then_sleep(MINUTE).build()

    assert (built.name, built.triggers, built.schedules) == ("f", (tick, by_hand), (tick,))
    assert (built.input_model, built.failure_node) == (Alert, sorry)
    assert [type(step) for step in built.steps] == [NodeStep, NodeStep, Sleep]
    assert repr(built.result) == 'output("a")'
    assert repr(built) == '<flow "f">'


def test_the_input_of_a_flow_is_validated_by_its_model() -> None:
    """A flow without `accepts` takes anything."""
    adapter = start().accepts(Alert).then(a()).build().input_adapter

    assert adapter is not None
    assert adapter.validate_python({"host": "web-1"}) == Alert(host="web-1")
    assert start().then(a()).build().input_adapter is None


def test_a_finished_flow_cannot_be_changed() -> None:
    """A run in flight reads the recipe it was started under."""
    built = start().then(a()).build()

    with pytest.raises(dataclasses.FrozenInstanceError):
        built.name = "other"


def test_two_flows_may_grow_from_one_beginning() -> None:
    """A builder is never changed, so a shared beginning stays what it was."""
    beginning = start().then(a())

    first = beginning.then(a("b")).accepts(Alert).on_failure(a("x")).triggered_by(manual("more")).build()
    second = beginning.then_sleep(MINUTE).returns(1).build()

    assert [step.key for step in first.steps] == ["a", "b"]
    assert [step.key for step in second.steps] == ["a", "a~sleep"]
    assert (second.input_model, second.failure_node, len(second.triggers)) == (None, None, 1)
    assert [step.key for step in beginning.build().steps] == ["a"]


def test_two_whens_may_grow_from_one_opening() -> None:
    """An open `when` is a builder like any other."""
    opened = start().when(always, key="w").then(a())

    first = opened.then(a("b")).end_when().build().steps[0]
    second = opened.otherwise().then(a("c")).end_when().build().steps[0]

    assert ([step.key for step in first.then], [step.key for step in first.otherwise]) == (["a", "b"], [])
    assert ([step.key for step in second.then], [step.key for step in second.otherwise]) == (["a"], ["c"])


def test_a_problem_in_one_flow_does_not_reach_another() -> None:
    """Faults travel with the builder that has them."""
    beginning = start().then(a())

    with pytest.raises(FlowError):
        beginning.then(work).build()

    assert beginning.build().name == "f"


def test_the_closed_form_of_when_is_the_same_as_the_open_one() -> None:
    """`when(test, then=..., otherwise=...)` and `.when(test)....otherwise()....end_when()` make one step."""
    yes, no = a("yes"), a("no")

    closed = start().when(always, then=yes, otherwise=steps(no)).build()
    opened = start().when(always).then(yes).otherwise().then(no).end_when().build()

    assert closed.steps == opened.steps == (Branch("start~when", always, (NodeStep(yes),), (NodeStep(no),)),)


def test_whens_nest_and_chain() -> None:
    """Each `end_when()` closes the innermost `when` and goes on where that stood."""
    built = (
        start()
        .when(always, key="outer")
        .then(a("b"))
        .when(always, key="inner")
        .then(a("c"))
        .otherwise()
        .then(a("d"))
        .end_when()
        .then(a("e"))
        .end_when()
        .when(always, key="next")
        .then(a("g"))
        .end_when()
        .build()
    )

    outer, following = built.steps
    assert [step.key for step in outer.then] == ["b", "inner", "e"]
    assert ([step.key for step in outer.then[1].then], [step.key for step in outer.then[1].otherwise]) == (["c"], ["d"])
    assert following.key == "next"


def test_a_fragment_stands_for_its_steps() -> None:
    """Fragments hold every kind of step, fit everywhere and are not used up."""
    ask = steps(a("ask")).when(always, key="w", then=a("b")).then_sleep(MINUTE)

    plain = start().then(ask, a("c")).build()
    inside = start().when(always, key="top", then=ask).build()
    looped = start().then_loop("poll", ask, until=always, at_most=2).build()

    assert [step.key for step in plain.steps] == ["ask", "w", "b~sleep", "c"]
    assert inside.steps[0].then == looped.steps[0].body == plain.steps[:3]


def test_an_empty_fragment_adds_nothing() -> None:
    """A part that is left out by a setting needs no special case."""
    assert len(start().then(a(), steps()).build().steps) == 1


def test_a_loop_holds_what_it_was_given() -> None:
    """Body, test, pace and end of the loop, with their defaults."""
    node = a()
    full = start().then_loop("poll", node, until=always, every=MINUTE, timeout=5 * MINUTE, at_most=3, on_end="continue")
    short = start().then_loop("poll", node, until=always, timeout=MINUTE)

    assert full.build().steps == (Loop("poll", (NodeStep(node),), always, MINUTE, 5 * MINUTE, 3, "continue"),)
    assert short.build().steps == (Loop("poll", (NodeStep(node),), always, timedelta(0), MINUTE, None, "fail"),)


def test_a_parallel_holds_a_branch_for_each_part() -> None:
    """A fragment is one branch with several steps."""
    first, second = a(), a("b")

    built = start().then_parallel("both", first, steps(second).then_sleep(MINUTE)).build()

    assert built.steps == (Parallel("both", ((NodeStep(first),), (NodeStep(second), Sleep("b~sleep", MINUTE)))),)


def test_an_each_holds_what_it_was_given() -> None:
    """List, body, and how many at a time, with their defaults."""
    node = a()
    full = start().then_each("all", over=[1], body=steps(node), limit=3, keep_going=False, on_error="continue")
    short = start().then_each("all", over=(1, 2), body=node)

    assert full.build().steps == (Each("all", [1], (NodeStep(node),), 3, False, "continue"),)
    assert short.build().steps == (Each("all", (1, 2), (NodeStep(node),), 10, True, "fail"),)


def test_a_gate_holds_what_it_was_given() -> None:
    """How long it waits, and what no answer or a rejection means."""
    built = start().then_gate("ok", timeout=MINUTE, on_timeout="continue", on_reject="continue").then_gate("go").build()

    assert built.steps == (Gate("ok", MINUTE, "continue", "continue"), Gate("go", None, "fail", "fail"))
    assert built.gates == ("ok", "go")


def test_children_hold_the_flow_or_its_name() -> None:
    """A flow that was given is known by that; by name it is found among those of the worker."""
    child = flow("child").triggered_by(manual()).then(a()).build()

    built = start().then_children("by_flow", child, inputs=[1], limit=2).then_children("by_name", "child", inputs=[])

    assert built.build().steps == (
        Children("by_flow", "child", [1], 2, "fail", child),
        Children("by_name", "child", [], 10, "fail", None),
    )


def test_a_flow_keeps_its_cursors_and_its_time() -> None:
    """A start is of the declared type from then on, however it was written."""
    built = (
        start()
        .with_timeout(MINUTE)
        .with_cursor("seen", int)
        .with_cursor("since", datetime, start="2026-01-01T00:00:00Z")
        .then_advance("seen", 5)
        .build()
    )

    assert (built.timeout, built.steps) == (MINUTE, (Advance("start~advance", "seen", 5),))
    assert built.cursors == {
        "seen": Cursor("seen", int, MISSING),
        "since": Cursor("since", datetime, datetime(2026, 1, 1, tzinfo=UTC)),
    }
    assert built.cursors["seen"].adapter.validate_python("7") == 7


def test_every_step_stands_at_every_level() -> None:
    """In a branch of a parallel in a `when` in a loop in an each, and in a fragment of that."""
    deep = (
        steps()
        .then_each("all", over=[1], body=steps().then_parallel("both", a(), steps().then_gate("ok")))
        .when(always, key="w", then=steps().then_children("c", "child", inputs=[]).then_advance("seen", 1))
    )

    built = start().with_cursor("seen", int).then_loop("poll", deep, until=always, at_most=1).build()

    assert [step.key for step in walk_steps(built.steps)] == ["poll", "all", "both", "a", "ok", "w", "c", "c~advance"]


def test_a_condition_may_stand_wherever_a_predicate_may() -> None:
    """Comparisons of references are tests as they are."""
    condition = output("a") == 1
    built = start().then(a()).when(condition, then=a("b")).then_loop("l", a("c"), until=condition, at_most=1).build()

    assert built.steps[1].test is condition
    assert built.steps[2].until is condition


def test_what_will_be_mended_is_warned_of() -> None:
    """`build()` warns and builds: content never costs a page."""
    page = Page(work.fn, name="page")

    with pytest.warns(FlowWarning) as caught:
        built = start().then(a()).when(always, then=page()).build()

    assert [str(warning.message) for warning in caught] == [
        'Flow "f": "page" has a summary of 2,000 characters; it is cut to 1,024.'
    ]
    assert caught[0].filename == __file__
    assert isinstance(built, Flow)


def test_a_flow_with_problems_is_not_warned_of() -> None:
    """First the faults, then the rest."""
    with pytest.raises(FlowError):
        start().then(Page(work.fn, name="page")(), work).build()

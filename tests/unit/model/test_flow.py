"""The builder: what its methods make, and that every one of them returns a new builder."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute.errors import FlowError
from resolute.model.activity import Activity, Node, activity
from resolute.model.flow import FlowBuilder, flow, steps
from resolute.model.recipe import Flow, FlowWarning
from resolute.model.refs import output
from resolute.model.steps import Branch, Loop, NodeStep, Sleep
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


BASE = start().then(a(), a("b")).when(always, key="w", then=a("c"), otherwise=a("d")).then_sleep(MINUTE, key="s")


@pytest.mark.parametrize(
    "same",
    [
        start().then(a(), a("b")).when(always, key="w", then=a("c"), otherwise=a("d")).then_sleep(MINUTE, key="s"),
        start()
        .then(a(), a("b"))
        .when(lambda s: False, key="w", then=a("c"), otherwise=a("d"))
        .then_sleep(2 * MINUTE, key="s"),
        start()
        .then(steps(a(), a("b")))
        .when(always, key="w")
        .then(a("c"))
        .otherwise()
        .then(a("d"))
        .end_when()
        .then_sleep(MINUTE, key="s"),
        BASE.accepts(Alert).returns(1).triggered_by(manual("m")).on_failure(a("x")),
        start()
        .then(a().with_timeout(MINUTE), a("b").via("eu"))
        .when(always, key="w", then=a("c"), otherwise=a("d"))
        .then_sleep(MINUTE, key="s"),
    ],
)
def test_the_fingerprint_ignores_what_a_journal_does_not_depend_on(same: FlowBuilder) -> None:
    """Tests, times, inputs, triggers and settings may change while runs are in flight."""
    assert same.build().fingerprint == BASE.build().fingerprint


@pytest.mark.parametrize(
    "other",
    [
        start().then(a("b"), a()),
        start().then(a()),
        start().then(a("renamed"), a("b")),
        start().then(a(), Activity(work.fn, name="other")().as_("b")),
        start().then(a().or_else(a("b"))),
        start().then(a()).when(always, key="b", then=a("c")),
        start().then(a()).then_sleep(MINUTE, key="b"),
        start().then(a()).then_loop("b", a("c"), until=always, at_most=1),
    ],
)
def test_the_fingerprint_tells_changed_steps_apart(other: FlowBuilder) -> None:
    """Key, activity, kind, order and fallback of a step are what a journal is read by."""
    assert other.build().fingerprint != start().then(a(), a("b")).build().fingerprint


def test_the_fingerprint_tells_nesting_apart() -> None:
    """The same keys at another depth or in the other arm are another flow."""
    shapes = [
        start().when(always, key="w", then=steps(a(), a("b"))),
        start().when(always, key="w", then=a()).then(a("b")),
        start().when(always, key="w", then=a(), otherwise=a("b")),
        start().then_loop("w", steps(a(), a("b")), until=always, at_most=1),
        start().then_loop("w", a(), until=always, at_most=1).then(a("b")),
    ]

    assert len({shape.build().fingerprint for shape in shapes}) == len(shapes)


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    """It is stored with each run and compared after a restart."""
    assert start().then(a()).build().fingerprint == "26122b77306b05a7"

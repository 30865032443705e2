"""The outline of a flow and its fingerprint, and what else is read off the finished recipe."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute.model.activity import Activity, Node, activity
from resolute.model.flow import FlowBuilder, flow, steps
from resolute.model.recipe import Flow, with_children
from resolute.model.retry import Retry
from resolute.model.steps import Children
from resolute.model.trigger import manual

MINUTE = timedelta(minutes=1)


class Alert(BaseModel):
    host: str = "web-1"


@activity
def work() -> int: ...


@activity(name="chat.tell")
def tell() -> None: ...


def a(key: str = "a") -> Node[int]:
    return work().as_(key)


def start(name: str = "f") -> FlowBuilder:
    return flow(name).triggered_by(manual())


def always(state: object) -> bool:
    return True


OUTLINE = """\
node a work
  undo u work
    fallback v work
  fallback b work
    undo w work
when a~when
  then
    node c work
    sleep c~sleep
  otherwise
    gate ok
when c~when
  then
    node d work
loop poll
  each all
    parallel both
      branch
        node tell chat.tell
      branch
        node e work
        advance e~advance seen
children hosts child
failure sorry work
  fallback last work"""


def test_an_outline_has_a_line_for_each_step() -> None:
    """Kind, key and activity, in source order, indented by depth: two of them can be compared by eye or by diff."""
    both = steps().then_parallel("both", tell(), steps(a("e")).then_advance("seen", 1))
    built = (
        start()
        .with_cursor("seen", int)
        .then(a().undo(a("u").or_else(a("v"))).or_else(a("b").undo(a("w"))))
        .when(always)
        .then(a("c"))
        .then_sleep(MINUTE)
        .otherwise()
        .then_gate("ok")
        .end_when()
        .when(always, key="c~when", then=a("d"))
        .then_loop("poll", steps().then_each("all", over=[1], body=both), until=always, at_most=1)
        .then_children("hosts", "child", inputs=[])
        .on_failure(a("sorry").or_else(a("last")))
        .build()
    )

    assert built.outline == OUTLINE


def test_gates_are_listed_wherever_they_stand() -> None:
    """Signals are checked against them before they are kept."""
    inner = steps().then_parallel("both", steps().then_gate("two"), a()).then_each("all", over=[1], body=a("b"))
    built = start().then_gate("one").when(always, then=inner, otherwise=steps().then_gate("three")).build()

    assert built.gates == ("one", "two", "three")
    assert start().then(a()).build().gates == ()


@pytest.mark.parametrize(
    ("part", "has_undo"),
    [
        (a(), False),
        (a().or_else(a("b")), False),
        (a().undo(a("b")), True),
        (a().or_else(a("b").undo(a("c"))), True),
        (steps().then_each("all", over=[1], body=a().undo(a("b"))), True),
    ],
)
def test_a_flow_says_whether_anything_is_undone(part: Any, has_undo: bool) -> None:
    """A run of a flow without undo ends as soon as it fails."""
    assert start().then(part).build().has_undo is has_undo


def test_nodes_are_listed_with_those_that_undo_them() -> None:
    """Their secrets and providers are needed just as well."""
    built = start().then(a().undo(a("u")).or_else(a("b"))).on_failure(a("sorry")).build()

    assert [node.key for node in built.nodes()] == ["a", "u", "b", "sorry"]


def parent(name: str, *children: Flow) -> Flow:
    builder = start(name).then(a())
    for number, child in enumerate(children):
        builder = builder.then_each(f"e{number}", over=[], body=steps().then_children(f"c{number}", child, inputs=[]))
    return builder.build()


def test_children_are_found_at_any_depth_and_once() -> None:
    """A worker that runs a flow can run everything that this one starts."""
    leaf = parent("leaf")
    left, right = parent("left", leaf), parent("right", leaf)
    top = parent("top", left, right, left)

    assert top.children == (left, right, leaf)
    assert (leaf.children, left.children) == ((), (leaf,))
    assert with_children([right, top, right]) == (right, top, leaf, left)


def test_a_child_known_by_name_alone_is_not_among_them() -> None:
    """The worker has to be given that flow itself."""
    assert start().then_children("c", "child", inputs=[]).build().children == ()


def test_flows_that_start_each_other_are_found_once() -> None:
    """A flow that starts runs of itself is no child of its own, and the search ends."""
    first = parent("first")
    second = parent("second", first)
    looped = Flow("first", first.triggers, (Children("c", "second", [], recipe=second),))
    object.__setattr__(second, "steps", (Children("c", "first", [], recipe=looped),))

    assert looped.children == (second,)
    assert second.children == (looped,)


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
        BASE.accepts(Alert).with_cursor("n", int, start=1).returns(1).triggered_by(manual("m")).with_timeout(MINUTE),
        start()
        .then(a().with_timeout(MINUTE), a("b").with_retry(Retry(attempts=9)))
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
        start().then(a().undo(a("u")), a("b")),
        start().then(a(), a("b")).on_failure(a("x")),
        start().then(a()).then_gate("b"),
        start().then(a()).then_each("b", over=[], body=a("c")),
        start().then(a()).then_children("b", "child", inputs=[]),
        start().then(a()).then_children("b", "kid", inputs=[]),
        start().then(a()).with_cursor("n", int).then_advance("n", 1, key="b"),
    ],
)
def test_the_fingerprint_tells_changed_steps_apart(other: FlowBuilder) -> None:
    """Key, activity, kind, order and helpers of a step are what a journal is read by."""
    assert other.build().fingerprint != start().then(a(), a("b")).build().fingerprint


def test_the_fingerprint_tells_nesting_apart() -> None:
    """The same keys at another depth or in the other arm are another flow."""
    shapes = [
        start().when(always, key="w", then=steps(a(), a("b"))),
        start().when(always, key="w", then=a()).then(a("b")),
        start().when(always, key="w", then=a(), otherwise=a("b")),
        start().then_loop("w", steps(a(), a("b")), until=always, at_most=1),
        start().then_loop("w", a(), until=always, at_most=1).then(a("b")),
        start().then_parallel("w", a(), a("b")),
        start().then_parallel("w", steps(a(), a("b"))),
        start().then_parallel("w", a()).then(a("b")),
        start().then_each("w", over=[], body=steps(a(), a("b"))),
    ]

    assert len({shape.build().fingerprint for shape in shapes}) == len(shapes)


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    """It is stored with each run and compared after a restart."""
    assert start().then(a()).build().fingerprint == "26122b77306b05a7"

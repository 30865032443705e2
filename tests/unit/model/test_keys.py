"""Keys: how steps get them, which may repeat, and which are refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute.errors import FlowError
from resolute.model.activity import Node, activity
from resolute.model.flow import FlowBuilder, Fragment, flow, steps
from resolute.model.steps import walk_nodes, walk_steps
from resolute.model.trigger import manual

PAUSE = timedelta(minutes=1)


@activity
def work() -> int: ...


@activity(name="vendor.look_up")
def look_up() -> str: ...


@activity
def count() -> int: ...


def a(key: str = "a") -> Node[int]:
    return work().as_(key)


def begun() -> FlowBuilder:
    return flow("f").triggered_by(manual()).with_cursor("seen", int)


def always(state: object) -> bool:
    return True


def keys_of(part: Node[Any] | Fragment) -> list[str]:
    """The keys of all steps in source order."""
    return [step.key for step in walk_steps(begun().then(part).build().steps)]


def problems_of(part: Node[Any] | Fragment) -> tuple[str, ...]:
    with pytest.raises(FlowError) as caught:
        begun().then(part).build()
    return caught.value.problems


def twice(key: str) -> str:
    return f'The key "{key}" stands twice. Give one of them another name with .as_("...") or key="...".'


def no_identifier(key: object) -> str:
    return f"The key {key!r} is not an identifier. Use letters, digits and _, a letter first."


def test_a_node_is_called_like_the_last_part_of_its_activity() -> None:
    """`pagerduty.trigger_event(...)` is "trigger_event" unless `.as_()` says otherwise."""
    assert keys_of(steps(work(), look_up(), look_up().as_("again"))) == ["work", "look_up", "again"]


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        (steps().then_sleep(PAUSE).then(a()), ["start~sleep", "a"]),
        (steps(a()).then_sleep(PAUSE), ["a", "a~sleep"]),
        (steps(a()).then_sleep(PAUSE).then_sleep(PAUSE), ["a", "a~sleep", "a~sleep~sleep"]),
        (steps(a()).then_sleep(PAUSE, key="rest").then_sleep(PAUSE), ["a", "rest", "rest~sleep"]),
        (steps(a()).when(always, then=a("b")), ["a", "a~when", "b"]),
        (steps().when(always, then=a("b")), ["start~when", "b"]),
        (steps(a()).when(always, then=a("b")).when(always, then=a("c")), ["a", "a~when", "b", "b~when", "c"]),
        (
            steps(a()).when(always).then(a("b")).otherwise().then(a("c")).end_when().then_sleep(PAUSE),
            ["a", "a~when", "b", "c", "c~sleep"],
        ),
        (
            steps(a()).when(always).when(always).then(a("b")).end_when().then_sleep(PAUSE).end_when(),
            ["a", "a~when", "a~when~when", "b", "b~sleep"],
        ),
        (steps(a()).when(always, key="bad", then=steps().then_sleep(PAUSE)), ["a", "bad", "bad~sleep"]),
        (
            steps(a()).then_loop("poll", steps().then_sleep(PAUSE).then(a("b")), until=always, at_most=1),
            ["a", "poll", "a~sleep", "b"],
        ),
        (steps().then_loop("poll", a(), until=always, at_most=1).then_sleep(PAUSE), ["poll", "a", "poll~sleep"]),
        (steps(a().or_else(a("b"))).then_sleep(PAUSE), ["a", "a~sleep"]),
        (steps(a().undo(a("b"))).then_sleep(PAUSE), ["a", "a~sleep"]),
        (steps(a()).then_advance("seen", 1).then_advance("seen", 2), ["a", "a~advance", "a~advance~advance"]),
        (steps().then_advance("seen", 1, key="moved").then_sleep(PAUSE), ["moved", "moved~sleep"]),
        (steps().then_gate("ok").then_sleep(PAUSE), ["ok", "ok~sleep"]),
        (steps().then_children("c", "child", inputs=[]).then_sleep(PAUSE), ["c", "c~sleep"]),
        (
            steps(a()).then_each("all", over=[1], body=steps().then_sleep(PAUSE).then(a("b"))).then_sleep(PAUSE),
            ["a", "all", "a~sleep", "b", "all~sleep"],
        ),
        (
            steps(a()).then_parallel("both", steps().then_sleep(PAUSE), steps(a("b")).then_sleep(PAUSE)),
            ["a", "both", "a~sleep", "b", "b~sleep"],
        ),
        (steps().then_parallel("both", a(), a("b")).then_sleep(PAUSE), ["both", "a", "b", "both~sleep"]),
    ],
)
def test_a_step_without_a_key_is_named_after_what_stands_before_it(part: Fragment, keys: list[str]) -> None:
    """The text decides, not the way a run takes; so a key does not change with the data."""
    assert keys_of(part) == keys


def test_a_fragment_is_named_where_it_is_used() -> None:
    """The same fragment in two flows takes its default keys from each."""
    pause = steps().then_sleep(PAUSE)

    assert keys_of(steps(a("x")).then(pause)) == ["x", "x~sleep"]
    assert keys_of(steps(a("y")).then(pause)) == ["y", "y~sleep"]


@pytest.mark.parametrize(
    "part",
    [
        steps().when(always).then(a()).otherwise().then(a()).end_when(),
        steps().when(always).then(a()).otherwise().then(count().as_("a")).end_when(),
        steps().when(always, then=steps(a(), a("b")), otherwise=steps(a("b"), a())),
        steps().when(always, then=steps().when(always, key="w", then=a()), otherwise=a()),
        steps().when(always, then=a("x").or_else(a()), otherwise=a()),
        steps().when(always, then=a(), otherwise=steps().when(always, key="w", then=a(), otherwise=a())),
        steps().when(always, then=a("x").undo(a()), otherwise=a("y").undo(a())),
        steps().when(always, then=steps().then_each("all", over=[], body=a()), otherwise=a()),
    ],
)
def test_a_key_may_stand_in_both_arms_of_a_when_with_one_type(part: Fragment) -> None:
    """Only one of the arms runs, so the key has one meaning afterwards."""
    assert "a" in [node.key for node in begun().then(part).build().nodes()]


@pytest.mark.parametrize(
    ("part", "problems"),
    [
        (steps(a(), a()), [twice("a")]),
        (steps(work(), work(), work()), [twice("work"), twice("work")]),
        (steps(a().or_else(a())), [twice("a")]),
        (steps(a()).when(always, then=a()), [twice("a")]),
        (steps().when(always, then=a()).then(a()), [twice("a")]),
        (steps().when(always, then=steps(a(), a()), otherwise=a()), [twice("a")]),
        (steps().when(always, then=a(), otherwise=steps(a(), a())), [twice("a")]),
        (steps().when(always, then=a(), otherwise=look_up().as_("a")), [twice("a")]),
        (steps(a().undo(a())), [twice("a")]),
        (steps(a().undo(a("u")), a("b").undo(a("u"))), [twice("u")]),
        (steps(a().or_else(a("b").undo(a()))), [twice("a")]),
        (steps(a().undo(a("u").or_else(a()))), [twice("a")]),
        (steps().when(always, then=a("x").undo(a()), otherwise=a()), [twice("a")]),
        (steps(a()).then_gate("a"), [twice("a")]),
        (steps().then_gate("ok").then_gate("ok"), [twice("ok")]),
        (steps().when(always, then=steps().then_gate("ok"), otherwise=steps().then_gate("ok")), [twice("ok")]),
        (steps().then_parallel("a", a(), a("b")), [twice("a")]),
        (steps().then_parallel("both", a(), a()), [twice("a")]),
        (steps().then_each("all", over=[], body=a()).then(a()), [twice("a")]),
        (steps().then_each("a", over=[], body=a()), [twice("a")]),
        (steps(a()).then_children("a", "child", inputs=[]), [twice("a")]),
        (steps(a()).then_advance("seen", 1, key="a"), [twice("a")]),
        (steps(a()).when(always, key="a", then=a("b")), [twice("a")]),
        (steps(a()).then_sleep(PAUSE, key="a"), [twice("a")]),
        (steps().then_loop("a", a(), until=always, at_most=1), [twice("a")]),
        (
            steps().when(always, then=steps().then_sleep(PAUSE, key="s"), otherwise=steps().then_sleep(PAUSE, key="s")),
            [twice("s")],
        ),
        (
            steps()
            .when(always, then=steps(a()).then_sleep(PAUSE), otherwise=steps(a()).then_sleep(PAUSE))
            .then_sleep(PAUSE, key="rest"),
            [twice("a~sleep")],
        ),
    ],
)
def test_a_key_that_stands_twice_is_refused(part: Fragment, problems: list[str]) -> None:
    """Outputs, signals and journals are found by key."""
    assert list(dict.fromkeys(problems)) == [fault for fault in problems_of(part) if "stands twice" in fault]


@pytest.mark.parametrize("key", ["", "two words", "1st", "a-b", "a.b", "a~when", "~sleep", "a\n", 5])
def test_a_key_that_is_no_identifier_is_refused(key: Any) -> None:
    """Keys appear in paths, commands and Python; the fault is told once for both uses."""
    assert problems_of(steps(a(key), a(key))) == (no_identifier(key),)


@pytest.mark.parametrize(
    ("part", "key"),
    [
        (steps(a()).when(always, key="is bad", then=a("b")), "is bad"),
        (steps(a()).then_sleep(PAUSE, key="a~nap"), "a~nap"),
        (steps().then_loop("poll~sleep", a(), until=always, at_most=1), "poll~sleep"),
        (steps().then_loop("", a(), until=always, at_most=1), ""),
        (steps().then_parallel("a/b", a(), a("b")), "a/b"),
        (steps().then_each("all[0]", over=[], body=a()), "all[0]"),
        (steps().then_gate("may we?"), "may we?"),
        (steps().then_gate(None), None),
        (steps().then_children("c~sleep", "child", inputs=[]), "c~sleep"),
        (steps().then_advance("seen", 1, key="see n"), "see n"),
        (a().undo(a("no key")), "no key"),
        (a(["x"]), ["x"]),
    ],
)
def test_the_key_of_a_step_is_an_identifier_too(part: Any, key: Any) -> None:
    """What an author may name follows one rule; only default keys hold a `~`."""
    assert problems_of(part) == (no_identifier(key),)


@pytest.mark.parametrize("key", ["a", "_a", "A1", "café", "уведомить", "class"])
def test_any_identifier_is_a_key(key: str) -> None:
    """Letters of every script are letters."""
    assert keys_of(a(key)) == [key]


def test_deep_nesting_is_checked_quickly() -> None:
    """Forty levels of `otherwise` are forty steps of work, not two to the fortieth."""
    part = steps(a("last"))
    for level in range(40):
        part = steps().when(always, key=f"w{level}", then=a(f"n{level}"), otherwise=part)

    assert len(keys_of(part)) == 81


def test_nodes_are_listed_with_their_fallbacks() -> None:
    """Every node that may run is known to workers and checks, in source order."""
    part = steps(a().or_else(a("b").or_else(a("c")))).when(always, then=a("d"))
    finished = begun().then(part).on_failure(a("e").or_else(a("g"))).build()

    assert [node.key for node in finished.nodes()] == ["a", "b", "c", "d", "e", "g"]
    assert [node.key for node in walk_nodes(finished.steps)] == ["a", "b", "c", "d"]
    assert finished.activities() == {"work": work}

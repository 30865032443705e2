"""`replaced`: the same flow with other nodes in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from resolute import Flow, Node, activity, flow, item, manual, steps
from resolute.model.recipe import with_children
from resolute.testing.replaced import replaced


@activity
async def work(number: int = 0) -> int:
    return number


def named(key: str) -> Node[int]:
    """A node with a fallback and an undo node, each with the same again."""
    undo = work().as_(f"{key}_undo").or_else(work().as_(f"{key}_undo_else"))
    return work().as_(key).undo(undo).or_else(work().as_(f"{key}_else").undo(work().as_(f"{key}_else_undo")))


def every_step() -> Flow:
    """A flow in which nodes stand wherever they can."""
    grandchild = flow("grandchild").triggered_by(manual()).then(named("g")).build()
    child = flow("child").triggered_by(manual()).then(named("c")).then_children("more", grandchild, inputs=[1]).build()
    return (
        flow("parent")
        .triggered_by(manual())
        .on_failure(work().as_("f").or_else(work().as_("f_else")))
        .with_cursor("at", int)
        .then(named("a"))
        .when(lambda state: "a" in state, then=named("then"), otherwise=named("other"))
        .then_sleep(timedelta(seconds=1))
        .then_loop("loop", named("l"), until=lambda state: "l" in state, at_most=2)
        .then_parallel("both", named("p"), steps().then_each("each", over=[1], body=named("e")))
        .then_each("items", over=[1], body=work(number=item()).as_("i"))
        .then_gate("gate")
        .then_children("children", child, inputs=[1])
        .then_children("same", grandchild, inputs=[2])
        .then_advance("at", 1)
        .build()
    )


def test_every_node_is_put_through_the_function_once() -> None:
    """Also those in bodies and branches, in child flows, fallbacks, undo nodes and failure nodes."""
    whole = every_step()
    seen: list[str] = []

    def swap(node: Node[Any]) -> Node[Any]:
        seen.append(node.key)
        return node

    replaced([whole], swap)
    assert sorted(seen) == sorted(node.key for made in with_children([whole]) for node in made.nodes())


def test_what_comes_back_stands_in_the_same_place() -> None:
    """A journal of the one flow fits the other, and their nodes are what the function made."""
    whole = every_step()
    made = replaced([whole], lambda node: replace(node, timeout=timedelta(hours=1)))
    assert {name: each.fingerprint for name, each in made.items()} == {
        each.name: each.fingerprint for each in with_children([whole])
    }
    nodes = [node for each in made.values() for node in each.nodes()]
    assert {node.timeout for node in nodes} == {timedelta(hours=1)}
    assert all(node.timeout is None for node in whole.nodes())


def test_a_child_flow_that_stands_twice_is_made_once() -> None:
    """Both steps hold the one that the worker is given."""
    made = replaced([every_step()], lambda node: node)
    assert set(with_children([made["parent"]])) == set(made.values())

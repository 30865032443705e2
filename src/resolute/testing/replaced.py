"""A flow with other nodes in it: every node is handed to a function, and the flow is built anew of what comes back.

Keys, nesting and order stay, so that a journal fits the one flow as well as the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, assert_never

from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.steps import Advance, Block, Branch, Children, Each, Gate, Loop, NodeStep, Parallel, Sleep, Step

#: Makes the node that stands in the place of another; its fallback and its undo node are seen to apart.
Swap = Callable[[Node[Any]], Node[Any]]


def replaced(flows: Iterable[Flow], swap: Swap) -> dict[str, Flow]:
    """These flows and those that they start runs of, by name, with every node put through `swap`.

    That is each node of a step at any depth, its fallback, the node that undoes it, and the failure node.
    """
    made: dict[Flow, Flow] = {}
    for flow in flows:
        _flow(flow, swap, made)
    return {flow.name: flow for flow in made.values()}


def _flow(flow: Flow, swap: Swap, made: dict[Flow, Flow]) -> Flow:
    if flow not in made:
        steps = _block(flow.steps, swap, made)
        made[flow] = replace(flow, steps=steps, failure_node=_helper(flow.failure_node, swap))
    return made[flow]


def _block(block: Block, swap: Swap, made: dict[Flow, Flow]) -> Block:
    return tuple(_step(step, swap, made) for step in block)


def _step(step: Step, swap: Swap, made: dict[Flow, Flow]) -> Step:
    match step:
        case NodeStep():
            return replace(step, node=_node(step.node, swap))
        case Branch():
            return replace(step, then=_block(step.then, swap, made), otherwise=_block(step.otherwise, swap, made))
        case Loop() | Each():
            return replace(step, body=_block(step.body, swap, made))
        case Parallel():
            return replace(step, branches=tuple(_block(branch, swap, made) for branch in step.branches))
        case Children():
            recipe = _flow(step.recipe, swap, made) if isinstance(step.recipe, Flow) else step.recipe
            return replace(step, recipe=recipe)
        case Sleep() | Gate() | Advance():
            return step
        case _:
            assert_never(step)


def _node(node: Node[Any], swap: Swap) -> Node[Any]:
    fallback, undo = _helper(node.fallback, swap), _helper(node.compensation, swap)
    return replace(swap(node), fallback=fallback, compensation=undo)


def _helper(node: Node[Any] | None, swap: Swap) -> Node[Any] | None:
    return None if node is None else _node(node, swap)

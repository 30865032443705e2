"""A flow read aloud, step by step: what `resolute flows show` prints and a screen reader says of the picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, assert_never

from resolute.drawing.phrases import (
    advance_lines,
    children_text,
    decision_text,
    each_text,
    fallback_text,
    gate_lines,
    loop_text,
    node_text,
    shown_key,
    sleep_text,
    time_text,
    trigger_text,
)
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.steps import Advance, Block, Branch, Children, Each, Gate, Loop, NodeStep, Parallel, Sleep, Step

_INDENT = "   "


def words(flow: Flow) -> str:
    """The whole flow in words, a numbered line for each step; what a step holds is indented below it."""
    begun = " or ".join(trigger_text(trigger) for trigger in flow.triggers)
    lines = [f"{flow.name} starts {begun}." if begun else f"{flow.name}."]
    if flow.timeout is not None:
        lines.append(f"A run that takes longer than {time_text(flow.timeout)} fails.")
    lines += step_lines(flow.steps)
    if flow.failure_node is not None:
        lines += ["When the run fails:", *_indented(_node_lines(flow.failure_node))]
    return "\n".join(lines) + "\n"


def step_lines(block: Block, number: str = "", first: int = 1) -> Iterator[str]:
    """The steps in words, each behind its number: 1., 2., ..., 2.1., ... of what step 2 holds."""
    for place, step in enumerate(block, first):
        own = f"{number}{place}."
        head, *held = _step_lines(step, own)
        yield f"{own} {head}"
        yield from _indented(held)
        if isinstance(step, Branch) and step.otherwise:
            yield f"{own} Otherwise:"
            yield from _indented(step_lines(step.otherwise, own, len(step.then) + 1))


def _step_lines(step: Step, number: str) -> Iterator[str]:
    """What the step does, then what it holds, whose numbers begin with this one."""
    match step:
        case NodeStep():
            yield from _node_lines(step.node)
        case Branch():
            yield f"{_named(step.key, f'if {decision_text(step.test)}')}:"
            yield from _held(step.then, number)
        case Loop():
            yield f"{_named(step.key, loop_text(step))}:"
            yield from _held(step.body, number)
        case Each():
            yield f"{_named(step.key, each_text(step))}:"
            yield from _held(step.body, number)
        case Parallel():
            yield f"{_named(step.key, 'side by side, until all have ended')}:"
            for place, branch in enumerate(step.branches):
                yield from _held(branch, f"{number}{_letter(place)}")
        case Sleep():
            yield f"{_named(step.key, sleep_text(step))}."
        case Gate():
            yield f"{_named(step.key, '; '.join(gate_lines(step)))}."
        case Children():
            yield f"{_named(step.key, children_text(step))}."
        case Advance():
            yield f"{_named(step.key, ': '.join(advance_lines(step)))}."
        case _:
            assert_never(step)


def _node_lines(node: Node[Any]) -> Iterator[str]:
    yield f"{_named(node.key, node_text(node))}."
    if isinstance(node.compensation, Node):
        yield from _helper("To undo it", node.compensation)
    if isinstance(node.fallback, Node):
        yield from _helper(fallback_text(node).capitalize(), node.fallback)


def _helper(when: str, node: Node[Any]) -> Iterator[str]:
    first, *rest = _node_lines(node)
    yield f"{when}: {first}"
    yield from _indented(rest)


def _held(block: Block, number: str) -> Iterator[str]:
    if not block:
        yield f"{number.rstrip('.')}. Nothing."
    yield from step_lines(block, number)


def _named(key: str, text: str) -> str:
    """What a step does, behind its key where it has one of its own."""
    return f"{shown_key(key)}: {text}" if shown_key(key) else text[:1].upper() + text[1:]


def _letter(place: int) -> str:
    """a, b, ..., z, then 27-, 28-, ...: the branches of one parallel."""
    return chr(ord("a") + place) if place < 26 else f"{place + 1}-"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (_INDENT + line for line in lines)

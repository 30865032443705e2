"""The keys of steps that were given none: those of what stands before them, with a mark of their kind."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from resolute.model.steps import (
    Advance,
    Block,
    Branch,
    Children,
    Each,
    Gate,
    Loop,
    NodeStep,
    Parallel,
    Sleep,
    Step,
)


def with_default_keys(block: Block) -> Block:
    """The steps, with those that were given no key named after what stands before them in the text."""
    last = "start"

    def name(block: Block) -> Block:
        nonlocal last
        named: list[Step] = []
        for step in block:
            match step:
                case NodeStep() | Gate() | Children():
                    last = step.key
                    named.append(step)
                case Branch():
                    last = key = step.key or f"{last}~when"
                    then = name(step.then)
                    named.append(replace(step, key=key, then=then, otherwise=name(step.otherwise)))
                case Sleep():
                    last = key = step.key or f"{last}~sleep"
                    named.append(replace(step, key=key))
                case Advance():
                    last = key = step.key or f"{last}~advance"
                    named.append(replace(step, key=key))
                case Loop() | Each():
                    body = name(step.body)
                    last = step.key
                    named.append(replace(step, body=body))
                case Parallel():
                    branches = tuple(name(branch) for branch in step.branches)
                    last = step.key
                    named.append(replace(step, branches=branches))
                case _:
                    assert_never(step)
        return tuple(named)

    return name(block)

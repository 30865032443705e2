"""The environment variables that a flow may ask for: a run on Temporal records them when it begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from resolute.model.recipe import Flow
from resolute.model.reference import Condition, Ref, references_in
from resolute.model.refs import EnvRef
from resolute.model.steps import walk_steps

#: Fields of steps that hold other steps, nodes or flows, which are walked by themselves.
_INNER: Final = frozenset({"node", "then", "otherwise", "body", "branches", "recipe"})


def variables_of(flow: Flow) -> list[str]:
    """Their names in order, each once."""
    return sorted({ref.name for ref in _references(flow) if isinstance(ref, EnvRef)})


def _references(flow: Flow) -> Iterator[Ref]:
    for node in flow.nodes():
        yield from references_in(dict(node.arguments))
    for step in walk_steps(flow.steps):
        for declared in fields(step):
            if declared.name not in _INNER:
                yield from _in(getattr(step, declared.name))
    yield from _in(flow.result)


def _in(value: Any) -> Iterator[Ref]:
    if isinstance(value, Condition):
        yield from value.references()
    else:
        yield from references_in(value)

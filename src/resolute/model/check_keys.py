"""Keys: which are refused, and which may stand twice. Outputs, signals and journals are found by key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, assert_never

from resolute.model.activity import Node
from resolute.model.recipe import Flow
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
    with_helpers,
)

_KEY = re.compile(r"[^\W\d]\w*")
_DEFAULT_KEY = re.compile(r"[^\W\d]\w*(~when|~sleep|~advance)*")
_HAVE_DEFAULTS = (Branch, Sleep, Advance)


def key_problems(flow: Flow) -> Iterator[str]:
    """Bad and repeated keys; a key may stand in both arms of one `when` with one output type."""
    failure = () if not isinstance(flow.failure_node, Node) else (NodeStep(flow.failure_node),)
    seen: set[str] = set()
    for key, kind in _keys((*flow.steps, *failure)):
        pattern = _DEFAULT_KEY if kind in _HAVE_DEFAULTS else _KEY
        if not isinstance(key, str) or not pattern.fullmatch(key):
            yield no_identifier("key", key)
        elif key in seen:
            yield f'The key "{key}" stands twice. Give one of them another name with .as_("...") or key="...".'
        else:
            seen.add(key)


def no_identifier(what: str, name: object) -> str:
    return f"The {what} {name!r} is not an identifier. Use letters, digits and _, a letter first."


def is_identifier(name: object) -> bool:
    """Whether keys and cursors may be called so."""
    return isinstance(name, str) and _KEY.fullmatch(name) is not None


def _keys(block: Block) -> Iterator[tuple[Any, Any]]:
    """Every key with what bears it: for nodes one object per output type, else the class of the step."""
    for step in block:
        match step:
            case NodeStep():
                yield from _node_keys(step.node, "node")
            case Branch():
                yield step.key, Branch
                otherwise = list(_keys(step.otherwise))
                shared = {key: kind for key, kind in otherwise if isinstance(key, str)}
                for key, kind in _keys(step.then):
                    if isinstance(kind, _Output) and isinstance(key, str) and shared.get(key) is kind:
                        del shared[key]  # counted once, in the other arm
                    else:
                        yield key, kind
                yield from otherwise
            case Sleep() | Gate() | Children() | Advance():
                yield step.key, type(step)
            case Loop() | Each():
                yield step.key, type(step)
                yield from _keys(step.body)
            case Parallel():
                yield step.key, Parallel
                for branch in step.branches:
                    yield from _keys(branch)
            case _:
                assert_never(step)


def _node_keys(node: Node[Any], role: str) -> Iterator[tuple[Any, _Output]]:
    yield node.key, _Output.of(role, node)
    for undo in with_helpers(node.compensation):
        yield undo.key, _Output.of("undo", undo)
    if isinstance(node.fallback, Node):
        yield from _node_keys(node.fallback, role)


class _Output:
    """The output type of a node, one object per type and role so that two arms can be compared with `is`."""

    _known: dict[tuple[str, str], _Output] = {}  # noqa: RUF012

    @classmethod
    def of(cls, role: str, node: Node[Any]) -> _Output:
        return cls._known.setdefault((role, repr(node.activity.returns)), cls())

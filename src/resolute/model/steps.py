"""The steps of a flow: a closed union of frozen dataclasses. The interpreter says what each one means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from resolute.model.activity import Node
from resolute.model.reference import Condition
from resolute.model.state import FlowState

Predicate = Callable[[FlowState], bool]
Test = Condition | Predicate


@dataclass(frozen=True)
class NodeStep:
    """One node."""

    node: Node[Any]

    @property
    def key(self) -> str:
        return self.node.key


@dataclass(frozen=True)
class Branch:
    """Two ways, one of which is taken; the decision is recorded."""

    key: str
    test: Test
    then: Block
    otherwise: Block = ()


@dataclass(frozen=True)
class Sleep:
    """A pause that survives restarts."""

    key: str
    delay: Any  #: a timedelta, seconds, or a reference to either


@dataclass(frozen=True)
class Loop:
    """A body that is repeated until a test holds after it.

    Attributes:
        every: time between the starts of two rounds; a body that takes longer is followed at once.
        timeout: time for all rounds together.
        at_most: rounds at most.
        on_end: what a loop that ends without its test holding does to the run.
    """

    key: str
    body: Block
    until: Test
    every: timedelta = timedelta(0)
    timeout: timedelta | None = None
    at_most: int | None = None
    on_end: Literal["fail", "continue"] = "fail"


Step = NodeStep | Branch | Sleep | Loop
Block = tuple[Step, ...]


def walk_nodes(block: Block) -> Iterator[Node[Any]]:
    """Every node in source order, fallbacks right after the node they belong to."""
    for step in walk_steps(block):
        if isinstance(step, NodeStep):
            node: Node[Any] | None = step.node
            while isinstance(node, Node):
                yield node
                node = node.fallback


def walk_steps(block: Block) -> Iterator[Step]:
    """Every step in source order, each before what it holds."""
    for step in block:
        yield step
        match step:
            case Branch():
                yield from walk_steps(step.then)
                yield from walk_steps(step.otherwise)
            case Loop():
                yield from walk_steps(step.body)

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


@dataclass(frozen=True)
class Parallel:
    """Branches that go on side by side; what follows waits for all of them."""

    key: str
    branches: tuple[Block, ...]


@dataclass(frozen=True)
class Each:
    """A body that is done once for each item of a list, several at a time.

    Attributes:
        over: the list, or a reference to it; recorded when the step is reached.
        limit: items at the same time.
        keep_going: False begins no further item once one has failed; those under way go on to their end.
        on_error: what items that failed do to the run: "fail" it, or "continue" with results and errors.
    """

    key: str
    over: Any
    body: Block
    limit: int = 10
    keep_going: bool = True
    on_error: Literal["fail", "continue"] = "fail"


@dataclass(frozen=True)
class Gate:
    """A wait for an answer from outside, a signal.

    Attributes:
        timeout: how long to wait, None for ever.
        on_timeout, on_reject: what no answer, or a rejection, does to the run.
    """

    key: str
    timeout: timedelta | None = None
    on_timeout: Literal["fail", "continue"] = "fail"
    on_reject: Literal["fail", "continue"] = "fail"


@dataclass(frozen=True)
class Children:
    """One run of another flow for each input of a list; what follows waits for all of them.

    Attributes:
        flow: name of the other flow.
        recipe: that flow itself where the author gave it; it is known to the worker by that.
        inputs: the list of inputs, or a reference to it; recorded when the step is reached.
        limit: children at the same time.
        on_error: what children that failed do to the run: "fail" it, or "continue" with results and errors.
    """

    key: str
    flow: str
    inputs: Any
    limit: int = 10
    on_error: Literal["fail", "continue"] = "fail"
    recipe: Any = None


@dataclass(frozen=True)
class Advance:
    """A cursor of the flow is moved on, never back."""

    key: str
    cursor: str
    to: Any  #: a value or a reference to one, of the cursor's declared type


Step = NodeStep | Branch | Sleep | Loop | Parallel | Each | Gate | Children | Advance
Block = tuple[Step, ...]


def walk_nodes(block: Block) -> Iterator[Node[Any]]:
    """Every node in source order; right after each the one that undoes it, then its fallback."""
    for step in walk_steps(block):
        if isinstance(step, NodeStep):
            yield from with_helpers(step.node)


def with_helpers(node: object) -> Iterator[Node[Any]]:
    """The node, the one that undoes it, and its fallback with the same; what is no node is left out."""
    if isinstance(node, Node):
        yield node
        yield from with_helpers(node.compensation)
        yield from with_helpers(node.fallback)


def walk_steps(block: Block) -> Iterator[Step]:
    """Every step in source order, each before what it holds."""
    for step in block:
        yield step
        match step:
            case Branch():
                yield from walk_steps(step.then)
                yield from walk_steps(step.otherwise)
            case Loop() | Each():
                yield from walk_steps(step.body)
            case Parallel():
                for branch in step.branches:
                    yield from walk_steps(branch)

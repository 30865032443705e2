"""`Flow`: a finished recipe, immutable; what the builder makes and everything else reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, assert_never

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from resolute.model.activity import Activity, Node
from resolute.model.codec import describe
from resolute.model.declared import has_order, name_of
from resolute.model.reference import MISSING, holds_references
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
    walk_nodes,
    walk_steps,
    with_helpers,
)
from resolute.model.trigger import Schedule, Trigger


class FlowWarning(UserWarning):
    """A flow is well made but holds something that is mended when it runs."""


@dataclass(frozen=True)
class Cursor:
    """A value that a flow keeps from run to run and that is only ever moved on.

    Attributes:
        type: of its values; they are recorded as JSON.
        start: its value as long as no run has moved it, MISSING for none.
    """

    name: str
    type: Any
    start: Any = MISSING

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The validator of its values."""
        return TypeAdapter(self.type)

    def with_valid_start(self) -> Cursor:
        """The same with its start made into the declared type."""
        return self if self.start is MISSING else replace(self, start=self.adapter.validate_python(self.start))

    def problems(self) -> list[str]:
        """What is wrong with type and start, as sentences."""
        fault = self.type_fault()
        if fault is not None:
            return [f'with_cursor("{self.name}") {fault}']
        if holds_references(self.start):
            return [
                f'with_cursor("{self.name}", start=...) was given {self.start!r}, which has no value before a run. '
                f'Write cursor("{self.name}", default=...) where it is read.'
            ]
        fault = None if self.start is MISSING else self.value_fault(self.start)
        return [] if fault is None else [f'with_cursor("{self.name}", start=...) does not take this value: {fault}']

    def type_fault(self) -> str | None:
        """Why values of its type cannot be kept, None when they can."""
        fix = "Use one such as datetime, int or str."
        try:
            if not self.adapter.pydantic_complete:
                self.adapter.rebuild()
        except (PydanticUserError, NameError):
            return f"has the type {name_of(self.type)}, which cannot be recorded. {fix}"
        if not has_order(self.type):
            return f"has the type {name_of(self.type)}, whose values cannot be compared with <. {fix}"
        return None

    def value_fault(self, value: Any) -> str | None:
        """Why it does not take this value, None when it does."""
        if self.type_fault() is not None:
            return None  # told once, where the cursor is declared
        try:
            self.adapter.validate_python(value)
        except ValidationError as error:
            return f"{describe(error)}. It holds values of the type {name_of(self.type)}."
        return None


@dataclass(frozen=True, eq=False)
class Flow:
    """What a run does, step by step.

    Attributes:
        name: unique in a worker; part of the ids of scheduled runs.
        triggers: what starts runs.
        steps: the steps in order.
        input_model: the model that the run's input must fit, None for any input.
        result: what a run returns: a value with references, or None for all outputs by key.
        failure_node: a node that runs when a run fails.
        timeout: time for a whole run, None for any time.
        cursors: what the flow keeps from run to run, by name.
    """

    name: str
    triggers: tuple[Trigger, ...]
    steps: Block
    input_model: type[BaseModel] | None = None
    result: Any = None
    failure_node: Node[Any] | None = None
    timeout: timedelta | None = None
    cursors: Mapping[str, Cursor] = field(default_factory=dict)

    def nodes(self) -> Iterator[Node[Any]]:
        """Every node, in source order, with those that undo it, its fallbacks and the failure node."""
        yield from walk_nodes(self.steps)
        yield from with_helpers(self.failure_node)

    def activities(self) -> dict[str, Activity[Any, Any]]:
        """The activities that the flow uses, by name."""
        return {node.activity.name: node.activity for node in self.nodes()}

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        return tuple(trigger for trigger in self.triggers if isinstance(trigger, Schedule))

    @cached_property
    def input_adapter(self) -> TypeAdapter[Any] | None:
        return None if self.input_model is None else TypeAdapter(self.input_model)

    @property
    def gates(self) -> tuple[str, ...]:
        """The keys of all gates, in source order."""
        return tuple(step.key for step in walk_steps(self.steps) if isinstance(step, Gate))

    @cached_property
    def has_undo(self) -> bool:
        """Whether any node has another that takes it back."""
        return any(node.compensation is not None for node in self.nodes())

    @property
    def children(self) -> tuple[Flow, ...]:
        """The flows given to `then_children`, and those that these were given, each once, without the flow itself."""
        return with_children((self,))[1:]

    @cached_property
    def outline(self) -> str:
        """What a journal is read by, a line for each step in source order: its kind, key and activity.

        What a step holds stands below it, indented by two blanks. Two outlines can be compared line by line.
        """
        failure = () if self.failure_node is None else tuple(_node_lines("failure", self.failure_node))
        return "\n".join([*_lines(self.steps), *failure])

    @cached_property
    def fingerprint(self) -> str:
        """Changes when a key, an activity, a kind of step or their nesting changes."""
        import hashlib  # 5 ms that an import of Resolute would pay

        return hashlib.sha256(self.outline.encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return f'<flow "{self.name}">'


def with_children(flows: Iterable[Flow]) -> tuple[Flow, ...]:
    """These flows, then those that they start runs of and were given to `then_children`, each once."""
    found = dict.fromkeys(flows)
    waiting = list(found)
    while waiting:
        for step in walk_steps(waiting.pop(0).steps):
            if isinstance(step, Children) and isinstance(step.recipe, Flow) and step.recipe not in found:
                found[step.recipe] = None
                waiting.append(step.recipe)
    return tuple(found)


def _lines(block: Block) -> Iterator[str]:
    for step in block:
        match step:
            case NodeStep():
                yield from _node_lines("node", step.node)
            case Branch():
                yield f"when {step.key}"
                yield from _indented(_arm("then", step.then))
                if step.otherwise:
                    yield from _indented(_arm("otherwise", step.otherwise))
            case Sleep():
                yield f"sleep {step.key}"
            case Loop():
                yield from _arm(f"loop {step.key}", step.body)
            case Parallel():
                yield f"parallel {step.key}"
                for branch in step.branches:
                    yield from _indented(_arm("branch", branch))
            case Each():
                yield from _arm(f"each {step.key}", step.body)
            case Gate():
                yield f"gate {step.key}"
            case Children():
                yield f"children {step.key} {step.flow}"
            case Advance():
                yield f"advance {step.key} {step.cursor}"
            case _:
                assert_never(step)


def _arm(head: str, block: Block) -> Iterator[str]:
    yield head
    yield from _indented(_lines(block))


def _node_lines(kind: str, node: Node[Any]) -> Iterator[str]:
    yield f"{kind} {node.key} {node.activity.name}"
    for helper_kind, helper in (("undo", node.compensation), ("fallback", node.fallback)):
        if helper is not None:
            yield from _indented(_node_lines(helper_kind, helper))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)

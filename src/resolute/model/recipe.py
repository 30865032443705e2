"""`Flow`: a finished recipe, immutable; what the builder makes and everything else reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Any

from pydantic import BaseModel, TypeAdapter

from resolute.model.activity import Activity, Node
from resolute.model.steps import Block, Branch, Loop, NodeStep, Sleep, walk_nodes, walk_steps
from resolute.model.trigger import Schedule, Trigger


class FlowWarning(UserWarning):
    """A flow is well made but holds something that is mended when it runs."""


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
    """

    name: str
    triggers: tuple[Trigger, ...]
    steps: Block
    input_model: type[BaseModel] | None = None
    result: Any = None
    failure_node: Node[Any] | None = None

    def nodes(self) -> Iterator[Node[Any]]:
        """Every node, in source order, with fallbacks and the failure node."""
        yield from walk_nodes(self.steps)
        if self.failure_node is not None:
            yield from walk_nodes((NodeStep(self.failure_node),))

    def activities(self) -> dict[str, Activity[Any, Any]]:
        """The activities that the flow uses, by name."""
        return {node.activity.name: node.activity for node in self.nodes()}

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        return tuple(trigger for trigger in self.triggers if isinstance(trigger, Schedule))

    @cached_property
    def input_adapter(self) -> TypeAdapter[Any] | None:
        return None if self.input_model is None else TypeAdapter(self.input_model)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when a key, an activity, a kind of step or their nesting changes."""
        import hashlib  # 5 ms that an import of Resolute would pay

        lines = []
        for step in walk_steps(self.steps):
            match step:
                case NodeStep():
                    for kind, node in zip(chain(["node"], repeat("fallback")), walk_nodes((step,)), strict=False):
                        lines.append(f"{kind} {node.key} {node.activity.name}")
                case Branch():
                    lines.append(f"branch {step.key} {len(step.then)} {len(step.otherwise)}")
                case Sleep():
                    lines.append(f"sleep {step.key}")
                case Loop():
                    lines.append(f"loop {step.key} {len(step.body)}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return f'<flow "{self.name}">'

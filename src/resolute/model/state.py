"""`FlowState`: what a run knows, as predicates see it: recorded outputs and the input."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ValidationError

from resolute.errors import ActivityError
from resolute.model.activity import Node, adapter_for
from resolute.model.codec import describe, rebuild
from resolute.model.reference import MISSING

R = TypeVar("R")
D = TypeVar("D")


class StateError(ActivityError):
    """A predicate asked for something that the run does not know; it fails the run."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class FlowState:
    """The outputs so far by key, read-only. Inside and after a loop a key means its latest round.

    Under the key of a gate stands a `GateAnswer`, of an each an `EachResult`, of child runs a `ChildrenResult`:
    `state.get("approve", GateAnswer).approved`.
    """

    __slots__ = ("_flow", "_input", "_item", "_outputs", "_rounds", "_where", "run_id")

    def __init__(
        self,
        flow: str,
        run_id: str,
        input: Any,
        outputs: Mapping[str, Any],
        rounds: Mapping[str, Sequence[Any]],
        where: str,
        *,
        item: Any = MISSING,
    ) -> None:
        self._flow = flow
        self._where = where
        self._input = input
        self._outputs = outputs
        self._rounds = rounds
        self._item = item
        self.run_id = run_id

    @property
    def input(self) -> Any:
        """The run's input; the model given to `accepts(...)` where there is one."""
        return self._input

    @property
    def item(self) -> Any:
        """The item of the innermost `then_each`; raises StateError outside of one."""
        if self._item is MISSING:
            raise StateError(
                f'Flow "{self._flow}": step "{self._where}" reads state.item, but it stands in no then_each(...). '
                "Read it inside a body, or read the list itself by its key."
            )
        return self._item

    @overload
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: Node[R]) -> R: ...
    def __getitem__(self, key: str | Node[Any]) -> Any:
        name = key.key if isinstance(key, Node) else key
        if name not in self._outputs:
            near = difflib.get_close_matches(name, self._outputs, 1)
            known = ", ".join(f'"{known}"' for known in self._outputs) or "nothing yet"
            raise StateError(
                f'Flow "{self._flow}": step "{self._where}" reads state["{name}"], which this run does not have. '
                f"Known here: {known}."
                + (f' Did you mean "{near[0]}"?' if near else "")
                + f' Test with "{name}" in state, or use state.get("{name}", ..., default=...).'
            )
        return self._outputs[name]

    @overload
    def get(self, key: str, type: type[R]) -> R: ...
    @overload
    def get(self, key: str, type: type[R], *, default: D) -> R | D: ...
    def get(self, key: str, type: type[Any], *, default: Any = MISSING) -> Any:
        """The output under this key, checked to be of this type (and made into it where it is plain data)."""
        if default is not MISSING and key not in self:
            return default
        value = self[key]
        if inspect.isclass(type) and isinstance(value, type):
            return value
        try:
            plain = value.model_dump() if isinstance(value, BaseModel) else value
            return rebuild(plain, adapter_for(type))
        except ValidationError as error:
            raise StateError(
                f'Flow "{self._flow}": step "{self._where}" reads "{key}" as {getattr(type, "__name__", type)}, '
                f"but it does not fit: {describe(error)}."
            ) from error

    def all(self, key: str) -> list[Any]:
        """The outputs of all rounds of a loop so far, oldest first; empty when there was none."""
        return list(self._rounds.get(key, ()))

    def __contains__(self, key: object) -> bool:
        return (key.key if isinstance(key, Node) else key) in self._outputs

    def keys(self) -> list[str]:
        """The keys known so far, in the order in which they came."""
        return list(self._outputs)

    def __repr__(self) -> str:
        return f"<state of {self.run_id}: {', '.join(self._outputs) or 'empty'}>"

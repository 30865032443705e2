"""References: whether what they read exists where they stand, and has the fields they name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, assert_never

from pydantic import BaseModel

from resolute.model.activity import Node
from resolute.model.declared import declared_at, field_fault
from resolute.model.recipe import Flow
from resolute.model.reference import MISSING, Ref, references_in
from resolute.model.refs import (
    CONVERSIONS,
    CursorRef,
    EnvRef,
    InputRef,
    ItemRef,
    NowRef,
    OutputRef,
    RunIdRef,
    SecretRef,
    TextRef,
    TickRef,
)
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
    walk_steps,
    with_helpers,
)

#: Steps without an output, as a sentence names them.
_SILENT: Final[Mapping[type, str]] = {
    Branch: "a when",
    Sleep: "a pause",
    Loop: "a loop",
    Parallel: "a parallel",
    Advance: "an advance",
}

_NO_TICK: Final = (
    ", but the flow has no schedule, so no run of it has a scheduled time. "
    "Add one with .triggered_by(schedule(...)), or give a default: tick(default=now())."
)


@dataclass(frozen=True)
class View:
    """What is known at one place of a flow.

    Attributes:
        outputs: key → whether it certainly exists.
        beside: keys made in other branches of a parallel → the key of that parallel.
        repeated: keys made in the body of an each that is over → the key of that each.
        input: declared type of the input, Any when nobody knows.
        item: declared type of the item, MISSING outside of an each.
    """

    outputs: Mapping[str, bool] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    repeated: Mapping[str, str] = field(default_factory=dict)
    input: Any = Any
    item: Any = MISSING

    def knowing(self, outputs: Mapping[str, bool]) -> View:
        """The same with these outputs, too."""
        return replace(self, outputs={**self.outputs, **outputs})


def outputs_of(block: Block) -> Iterator[tuple[str, Any]]:
    """Every key that has an output, with its declared type, in source order; what undoes a node is left out."""
    for step in walk_steps(block):
        match step:
            case NodeStep():
                node: object = step.node
                while isinstance(node, Node):
                    yield node.key, node.activity.returns
                    node = node.fallback
            case Gate() | Each() | Children():
                yield step.key, _outcome_of(step)
            case Branch() | Sleep() | Loop() | Parallel() | Advance():
                pass
            case _:
                assert_never(step)


def _outcome_of(step: Gate | Each | Children) -> type[BaseModel]:
    from resolute.model import outcomes  # 20 ms that an import of Resolute would pay

    match step:
        case Gate():
            return outcomes.GateAnswer
        case Each():
            return outcomes.EachResult
        case Children():
            return outcomes.ChildrenResult


class References:
    """Looks at every reference of a flow and collects what is wrong."""

    def __init__(self, flow: Flow, found: list[str]) -> None:
        self.found = found
        self._cursors = flow.cursors
        self._has_schedule = bool(flow.schedules)
        self._types: dict[str, Any] = {}
        for key, declared in outputs_of(flow.steps):
            self._types.setdefault(key, declared)
        if isinstance(flow.failure_node, Node):
            for key, declared in outputs_of((NodeStep(flow.failure_node),)):
                self._types.setdefault(key, declared)
        self._undoing = {undo.key: node.key for node in flow.nodes() for undo in with_helpers(node.compensation)}
        self._silent = {step.key: _SILENT[type(step)] for step in walk_steps(flow.steps) if type(step) in _SILENT}

    def look(self, value: Any, where: str, view: View) -> None:
        """Look at every reference in a value."""
        for ref in references_in(value):
            self._reference(ref, where, view)

    def no_secrets(self, value: Any, where: str, why: str) -> None:
        """Refuse secrets in a value that is recorded or decided upon."""
        for ref in references_in(value):
            if isinstance(ref, SecretRef):
                self.found.append(f'"{where}" reads {ref!r}, but {why}')

    def type_of(self, ref: Ref, view: View) -> Any:
        """The declared type of what a reference leads to, Any where nobody knows."""
        match ref:
            case OutputRef():
                return declared_at(self._types.get(ref.key, Any), ref.steps)
            case InputRef():
                return declared_at(view.input, ref.steps)
            case ItemRef():
                return Any if view.item is MISSING else declared_at(view.item, ref.steps)
            case CursorRef():
                return self._cursors[ref.name].type if ref.name in self._cursors else Any
            case TextRef() | RunIdRef() | EnvRef() | SecretRef():
                return str
            case NowRef() | TickRef():
                return datetime
        return Any

    def cursor_fault(self, name: object) -> str | None:
        """Why a cursor cannot be read or moved, None when the flow has it."""
        if isinstance(name, str) and name in self._cursors:
            return None
        near = difflib.get_close_matches(name, self._cursors, 1) if isinstance(name, str) else []
        hint = f' Did you mean "{near[0]}"?' if near else ""
        known = ", ".join(f'"{known}"' for known in self._cursors) or "nothing"
        return (
            f"which the flow does not declare.{hint} Known here: {known}. "
            f'Rename it, or add .with_cursor("{name}", datetime, start=...).'
        )

    def _reference(self, ref: Ref, where: str, view: View) -> None:
        faults: Iterable[str | None] = ()
        match ref:
            case OutputRef(key=""):
                self.found.append(
                    f'"{where}" reads output(""), or has {{}} in a text: name the key of an earlier node.'
                )
            case OutputRef():
                faults = self._output_faults(ref, view)
            case InputRef() if ref.default is MISSING:
                faults = [_colon(field_fault(view.input, ref.steps, "input"))]
            case ItemRef() if view.item is MISSING:
                fix = 'Read it inside a body: then_each("...", over=output("..."), body=...).'
                faults = [f", but it stands in no then_each(...). {fix}"]
            case ItemRef() if ref.default is MISSING:
                faults = [_colon(field_fault(view.item, ref.steps, "item", as_recorded=True))]
            case CursorRef():
                fault = self.cursor_fault(ref.name)
                faults = [None if fault is None else f", {fault}"]
            case TickRef() if ref.default is MISSING and not self._has_schedule:
                faults = [_NO_TICK]
            case TextRef():
                self._text(ref, where)
        self.found.extend(f'"{where}" reads {ref!r}{fault}' for fault in faults if fault is not None)

    def _output_faults(self, ref: OutputRef, view: View) -> Iterator[str | None]:
        key, certain, has_default = ref.key, view.outputs.get(ref.key), ref.default is not MISSING
        if key in view.beside and not certain and not (certain is False and has_default):
            yield (
                f', but "{key}" is made at the same time, in another branch of "{view.beside[key]}". '
                "Read it after that step, or put both into one branch."
            )
        elif certain is None:
            yield self._unknown(key, view)
        elif not has_default:
            if not certain and key in view.repeated:
                each = view.repeated[key]
                yield (
                    f', which is made once for each item of "{each}", and not at all for an empty list. '
                    f'Read all of them with output("{each}.results"), or give a default: output(..., default=...).'
                )
            elif not certain:
                yield (
                    ", which may not exist by then (a branch not taken, a node that failed). "
                    "Read it where it surely exists, or give a default: output(..., default=...)."
                )
            yield _colon(field_fault(self._types[key], ref.steps, key))

    def _unknown(self, key: str, view: View) -> str:
        if key in self._undoing:
            return (
                f', but "{key}" undoes "{self._undoing[key]}": it runs when the run has failed or was cancelled, '
                "and nothing reads what it puts out. Take the reference away."
            )
        if key in self._silent:
            return (
                f', but "{key}" is the key of {self._silent[key]}, which puts out nothing. Read the output of a node.'
            )
        if key in self._types:
            return f', but "{key}" comes later. Move one of them.'
        names = list(view.outputs)
        near = difflib.get_close_matches(key, names, 1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        listed = ", ".join(f'"{name}"' for name in names) or "nothing"
        return (
            f", which no earlier step makes.{hint} Known here: {listed}. "
            f'Rename the reference, or add .as_("{key}") to the node that makes it.'
        )

    def _text(self, ref: TextRef, where: str) -> None:
        if not isinstance(ref.template, str):
            fix = 'Write the text itself: text("... {name}", name=...).'
            self.found.append(f'"{where}" has a text made of {ref.template!r}, not of a template. {fix}')
            return
        try:
            parts = list(ref.parts())
        except ValueError as error:
            self.found.append(f'"{where}" has a text with a fault: {error}. Write {{{{ and }}}} for plain braces.')
            return
        for _, part, _, conversion in parts:
            if conversion is not None and conversion not in CONVERSIONS:
                self.found.append(f'"{where}" has a text with !{conversion} in it. It may be !r, !s or !a.')
            if any(isinstance(inner, SecretRef) for inner in references_in(part)):
                self.found.append(f'"{where}" puts a secret into text(...). Pass secret("...") on its own.')


def _colon(fault: str | None) -> str | None:
    return None if fault is None else f": {fault}"

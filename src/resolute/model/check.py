"""What `build()` finds wrong with a flow, every fault as a sentence that tells how to mend it."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from resolute.model.activity import Activity, Node, misplaced_in
from resolute.model.recipe import Flow
from resolute.model.reference import MISSING, Condition, Ref, references_in
from resolute.model.refs import CONVERSIONS, InputRef, OutputRef, SecretRef, TextRef
from resolute.model.steps import Block, Branch, Loop, NodeStep, Sleep, walk_nodes
from resolute.model.trigger import Manual, Schedule

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KEY = re.compile(r"[^\W\d]\w*")
_STEP_KEY = re.compile(r"[^\W\d]\w*(~when|~sleep)*")
_TRIGGERS = (Schedule, Manual)


def find_problems(flow: Flow) -> list[str]:
    """Every fault of the flow, in source order."""
    found: list[str] = []
    if not isinstance(flow.name, str) or not _NAME.fullmatch(flow.name):
        found.append(
            f'The name {flow.name!r} needs 1 to 100 letters, digits, ".", "_" and "-", a letter or digit first.'
        )
    if not flow.triggers:
        found.append('Nothing starts it. Add .triggered_by(schedule("*/5 * * * *")) or .triggered_by(manual("name")).')
    for trigger in flow.triggers:
        if isinstance(trigger, _TRIGGERS):
            found.extend(trigger.problems())
        else:
            found.append(f"triggered_by() takes schedule(...) or manual(...), not {trigger!r}.")
    ids = [trigger.id for trigger in flow.triggers if isinstance(trigger, _TRIGGERS)]
    found.extend(f'The trigger "{id}" stands twice.' for id in sorted({id for id in ids if ids.count(id) > 1}))
    if not flow.steps:
        found.append("It has no steps. Add .then(...).")
    found.extend(_input_problems(flow))
    found.extend(_key_problems(flow))
    found.extend(_name_problems(flow))
    found.extend(_Walk(flow).problems())
    return found


def _input_problems(flow: Flow) -> Iterator[str]:
    model = flow.input_model
    if model is None or not (isinstance(model, type) and issubclass(model, BaseModel)):
        return  # what is no model is told elsewhere
    required = [name for name, info in model.model_fields.items() if info.is_required()]
    if required and any(isinstance(trigger, Schedule) for trigger in flow.triggers):
        needs = f"{model.__name__} requires {', '.join(required)}"
        yield (
            f"It is scheduled, and its scheduled runs have no input, but {needs}. "
            "Give these fields defaults, or take the schedule away."
        )


def find_warnings(flow: Flow) -> list[str]:
    """What will be mended when the flow runs."""
    return [warning for node in flow.nodes() for warning in node.activity.node_warnings(node)]


def _key_problems(flow: Flow) -> Iterator[str]:
    """Bad and repeated keys; a key may stand in both arms of one `when` with one output type."""

    def keys(block: Block) -> Iterator[tuple[str, Any]]:
        for step in block:
            match step:
                case NodeStep():
                    for node in walk_nodes((step,)):
                        yield node.key, _Returns.of(node)
                case Branch():
                    yield step.key, Branch
                    otherwise = list(keys(step.otherwise))
                    shared = dict(otherwise)
                    for key, kind in keys(step.then):
                        if isinstance(kind, _Returns) and shared.get(key) is kind:
                            del shared[key]  # counted once, in the other arm
                        else:
                            yield key, kind
                    yield from otherwise
                case Sleep():
                    yield step.key, Sleep
                case Loop():
                    yield step.key, Loop
                    yield from keys(step.body)

    failure = () if flow.failure_node is None else (NodeStep(flow.failure_node),)
    seen: set[str] = set()
    for key, kind in keys((*flow.steps, *failure)):
        pattern = _STEP_KEY if kind in (Branch, Sleep) else _KEY
        if not isinstance(key, str) or not pattern.fullmatch(key):
            yield f"The key {key!r} is not an identifier. Use letters, digits and _, a letter first."
        elif key in seen:
            yield f'The key "{key}" stands twice. Give one of them another name with .as_("...") or key="...".'
        else:
            seen.add(key)


def _name_problems(flow: Flow) -> Iterator[str]:
    """Two activities under one name: the journal could not tell them apart."""
    known: dict[str, Activity[Any, Any]] = {}
    for node in flow.nodes():
        if known.setdefault(node.activity.name, node.activity) is not node.activity:
            yield f'Two activities have the name "{node.activity.name}". Rename one: @activity(name="...").'


class _Returns:
    """The output type of a node, one object per type so that two arms can be compared with `is`."""

    _known: dict[str, _Returns] = {}  # noqa: RUF012

    @classmethod
    def of(cls, node: Node[Any]) -> _Returns:
        return cls._known.setdefault(repr(node.activity.returns), cls())


@dataclasses.dataclass
class FailureInput:
    """What `input_data(...)` reads in the node given to `on_failure()`."""

    error: str
    key: str | None
    run_id: str
    flow: str
    input: Any


class _Walk:
    """Goes through the steps in order and knows which outputs exist at each."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.input_model: type[Any] | None = flow.input_model
        self.found: list[str] = []
        self.every_key: dict[str, Node[Any]] = {}
        for node in flow.nodes():
            self.every_key.setdefault(node.key, node)

    def problems(self) -> list[str]:
        known = self._block(self.flow.steps, {})
        misplaced = misplaced_in(self.flow.result)
        if misplaced:
            self.found.append(f"returns() {misplaced}")
        self._references(self.flow.result, "returns()", known)
        self._no_secrets(self.flow.result, "returns()", "a run's result is recorded. Leave it out.")
        failure = self.flow.failure_node
        if isinstance(failure, Node):
            self.input_model = FailureInput
            self._with_fallbacks(failure, dict.fromkeys(known, False))
        elif failure is not None:
            self.found.append(f"on_failure() takes a node, not {failure!r}: call the activity.")
        model = self.flow.input_model
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            self.found.append(f"accepts() takes a pydantic model class, not {model!r}.")
        return self.found

    def _block(self, block: Block, known: Mapping[str, bool]) -> dict[str, bool]:
        """What is known after the block: key → whether it certainly exists."""
        here = dict(known)
        for step in block:
            match step:
                case NodeStep():
                    self._with_fallbacks(step.node, here)
                case Branch():
                    self._test(step.test, step.key, here)
                    if not step.then:
                        self.found.append(f'The when "{step.key}" does nothing. Add .then(...) before .end_when().')
                    arms = [self._block(step.then, here), self._block(step.otherwise, here)]
                    for key in {**arms[0], **arms[1]}:
                        here[key] = all(arm.get(key, False) for arm in arms)
                case Sleep():
                    self._sleep(step, here)
                case Loop():
                    self._loop(step)
                    earlier_rounds = dict.fromkeys((node.key for node in walk_nodes(step.body)), False)
                    here = self._block(step.body, here | {**earlier_rounds, **here})
                    self._test(step.until, step.key, here)
        return here

    def _with_fallbacks(self, node: Node[Any], known: dict[str, bool]) -> None:
        """Check a node and its fallbacks; the output of each is certain only if there is no other."""
        for tried in walk_nodes((NodeStep(node),)):
            self._node(tried, known)
            known[tried.key] = node.fallback is None

    def _sleep(self, step: Sleep, known: Mapping[str, bool]) -> None:
        if isinstance(step.delay, Ref):
            self._references(step.delay, step.key, known)
            self._no_secrets(step.delay, step.key, "a secret is no time. Give a timedelta.")
        elif not isinstance(step.delay, timedelta) or step.delay < timedelta(0):
            self.found.append(f"then_sleep() takes a timedelta, not {step.delay!r}: then_sleep(timedelta(minutes=5)).")

    def _loop(self, step: Loop) -> None:
        if not step.body:
            self.found.append(f'The loop "{step.key}" has no body.')
        if step.timeout is None and step.at_most is None:
            self.found.append(f'The loop "{step.key}" may never end. Give it timeout=timedelta(...) or at_most=N.')
        if step.at_most is not None and step.at_most < 1:
            self.found.append(f'The loop "{step.key}" has at_most={step.at_most}; it takes 1 or more.')
        for name, value in (("every", step.every), ("timeout", step.timeout)):
            if value is not None and (not isinstance(value, timedelta) or value < timedelta(0)):
                self.found.append(f'The loop "{step.key}" has {name}={value!r}; it takes a timedelta.')
        if step.on_end not in ("fail", "continue"):
            self.found.append(f'The loop "{step.key}" has on_end={step.on_end!r}; it takes "fail" or "continue".')

    def _node(self, node: Node[Any], known: Mapping[str, bool]) -> None:
        where = f'Node "{node.key}": '
        own = node.activity.node_problems(node, self.flow.triggers)
        self.found.extend(where + fault for fault in [*node.problems, *node.activity.type_problems(), *own])
        if node.fallback_after is not None and not node.activity.is_paging:
            self.found.append(f"{where}or_else(after=...) is for paging nodes; {node.activity.name} is not one.")
        for name, value in node.arguments.items():
            parameter = node.activity.parameters.get(name)
            if parameter is not None and parameter.is_secret:
                if not isinstance(value, SecretRef) and (isinstance(value, Ref) or value):
                    self.found.append(
                        f"{where}{name} is a secret, and secrets travel by name so that they are never journalled. "
                        f'Write {name}=secret("NAME_OF_THE_VARIABLE").'
                    )
                continue
            self._references(value, f"{node.key}({name}=...)", known)

    def _test(self, test: Any, key: str, known: Mapping[str, bool]) -> None:
        if isinstance(test, Condition):
            for ref in test.references():
                self._reference(ref, key, known)
                self._no_secrets(ref, key, "secrets are not known where tests are decided. Compare in an activity.")

    def _references(self, value: Any, where: str, known: Mapping[str, bool]) -> None:
        for ref in references_in(value):
            self._reference(ref, where, known)

    def _no_secrets(self, value: Any, where: str, why: str) -> None:
        for ref in references_in(value):
            if isinstance(ref, SecretRef):
                self.found.append(f'"{where}" reads {ref!r}, but {why}')

    def _reference(self, ref: Ref, where: str, known: Mapping[str, bool]) -> None:
        match ref:
            case OutputRef():
                self._output(ref, where, known)
            case InputRef() if self.input_model is not None and ref.default is MISSING:
                fault = field_fault(self.input_model, ref.steps, "input")
                if fault:
                    self.found.append(f'"{where}" reads {ref!r}: {fault}')
            case TextRef():
                self._text(ref, where)

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

    def _output(self, ref: OutputRef, where: str, known: Mapping[str, bool]) -> None:
        if not ref.key:
            self.found.append(f'"{where}" reads output(""), or has {{}} in a text: name the key of an earlier node.')
        elif ref.key not in known:
            if ref.key in self.every_key:
                self.found.append(f'"{where}" reads {ref!r}, but "{ref.key}" comes later. Move one of them.')
                return
            names = list(known)
            near = difflib.get_close_matches(ref.key, names, 1)
            listed = ", ".join(f'"{name}"' for name in names) or "nothing"
            hint = f' Did you mean "{near[0]}"?' if near else ""
            self.found.append(
                f'"{where}" reads {ref!r}, which no earlier step makes.{hint} Known here: {listed}. '
                f'Rename the reference, or add .as_("{ref.key}") to the node that makes it.'
            )
        else:
            if not known[ref.key] and ref.default is MISSING:
                self.found.append(
                    f'"{where}" reads {ref!r}, which may not exist by then (a branch not taken, a node that failed). '
                    "Read it where it surely exists, or give a default: output(..., default=...)."
                )
            fault = field_fault(self.every_key[ref.key].activity.returns, ref.steps, ref.key)
            if fault and ref.default is MISSING:
                self.found.append(f'"{where}" reads {ref!r}: {fault}')


def _is_attribute(kind: type, name: str) -> bool:
    """Whether instances of this class have such a value without declaring a field: a property or class variable."""
    return not name.startswith("_") and hasattr(kind, name) and not callable(getattr(kind, name))


def field_fault(annotation: Any, steps: tuple[str, ...], path: str) -> str | None:
    """Why a path cannot exist in a value of this declared type; None when it can, or nobody knows."""
    if not steps:
        return None
    step, rest = steps[0], steps[1:]
    origin = get_origin(annotation)
    if origin is Union or isinstance(annotation, types.UnionType):
        faults = [field_fault(part, steps, path) for part in get_args(annotation) if part is not types.NoneType]
        return faults[0] if faults and all(faults) else None
    if isinstance(annotation, type) and origin is None:
        fields: dict[str, Any] | None = None
        if issubclass(annotation, BaseModel):
            fields = {name: info.annotation for name, info in annotation.model_fields.items()}
            fields |= dict.fromkeys(annotation.model_computed_fields, Any)
            if annotation.model_config.get("extra") == "allow":
                return field_fault(fields[step], rest, f"{path}.{step}") if step in fields else None
        elif dataclasses.is_dataclass(annotation):
            fields = dict.fromkeys((field.name for field in dataclasses.fields(annotation)), Any)
        elif annotation in (str, int, float, bool, bytes, types.NoneType):
            return f'"{path}" is {annotation.__name__} and has no field "{step}".'
        if fields is not None:
            if step in fields or _is_attribute(annotation, step):
                return field_fault(fields.get(step, Any), rest, f"{path}.{step}")
            near = difflib.get_close_matches(step, fields, 1)
            hint = f' Did you mean "{near[0]}"?' if near else f" It has: {', '.join(fields)}."
            return f'{annotation.__name__} has no field "{step}".{hint}'
        return None
    if origin in (list, tuple) and not step.removeprefix("-").isdecimal():
        return f'"{path}" is a list; read an element by its index: {path}.0.{step}'
    if origin is list:
        return field_fault(get_args(annotation)[0], rest, f"{path}.{step}")
    if origin is dict and len(get_args(annotation)) == 2:
        return field_fault(get_args(annotation)[1], rest, f"{path}.{step}")
    return None

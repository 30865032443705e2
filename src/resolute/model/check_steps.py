"""The steps of a flow in order: whether each is well made, and what is known where it stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, assert_never

from pydantic import BaseModel, ValidationError

from resolute.model.activity import Node, misplaced_in
from resolute.model.check_references import References, View, outputs_of
from resolute.model.codec import describe
from resolute.model.declared import element_of, name_of
from resolute.model.recipe import Flow
from resolute.model.reference import MISSING, Condition, Ref, holds_references
from resolute.model.refs import SecretRef
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
    Test,
)

_UNDECIDABLE = "secrets are not known where tests are decided. Compare in an activity."
_RECORDED = "a secret must not be recorded. Read it with secret(...) in the node that needs it."


@dataclasses.dataclass
class FailureInput:
    """What `input_data(...)` reads in the node given to `on_failure()`."""

    error: str
    key: str | None
    errors: list[dict[str, Any]]
    run_id: str
    flow: str
    input: Any


def step_problems(flow: Flow) -> list[str]:
    """Every fault of the steps, the result and the failure node, in source order."""
    return _Walk(flow).problems()


class _Walk:
    """Goes through the steps in order and knows which outputs exist at each."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.found: list[str] = []
        self.references = References(flow, self.found)

    def problems(self) -> list[str]:
        model = self.flow.input_model
        is_model = isinstance(model, type) and issubclass(model, BaseModel)
        view = self._block(self.flow.steps, View(input=model if is_model else Any))
        misplaced = misplaced_in(self.flow.result)
        if misplaced:
            self.found.append(f"returns() {misplaced}")
        self.references.look(self.flow.result, "returns()", view)
        self.references.no_secrets(self.flow.result, "returns()", "a run's result is recorded. Leave it out.")
        self._failure_node(self.flow.failure_node, view)
        if model is not None and not is_model:
            self.found.append(f"accepts() takes a pydantic model class, not {model!r}: .accepts(MyModel).")
        return self.found

    def _failure_node(self, node: object, view: View) -> None:
        if isinstance(node, Node):
            self.found.extend(
                f'The failure node "{tried.key}" has an undo, which would never run: nothing is undone after it. '
                "Take .undo(...) away from it."
                for tried in _chain(node)
                if tried.compensation is not None
            )
            at_the_end = dict.fromkeys(view.outputs, False)
            self._attempted(node, View(at_the_end, repeated=view.repeated, input=FailureInput))
        elif node is not None:
            self.found.append(f"on_failure() takes a node, not {node!r}: call the activity.")

    def _block(self, block: Block, view: View) -> View:
        """What is known after the block."""
        for step in block:
            match step:
                case NodeStep():
                    view = self._attempted(step.node, view)
                case Branch():
                    view = self._branch(step, view)
                case Sleep():
                    self._sleep(step, view)
                case Loop():
                    view = self._loop(step, view)
                case Parallel():
                    view = self._parallel(step, view)
                case Each():
                    view = self._each(step, view)
                case Gate():
                    self._gate(step)
                    view = view.knowing({step.key: True})
                case Children():
                    self._children(step, view)
                    view = view.knowing({step.key: True})
                case Advance():
                    self._advance(step, view)
                case _:
                    assert_never(step)
        return view

    # Nodes

    def _attempted(self, node: Node[Any], view: View) -> View:
        """Check a node with its helpers; of it and its fallbacks each output is certain only if there is no other."""
        tried: object = node
        while isinstance(tried, Node):
            self._node(tried, view)
            for undo in _chain(tried.compensation):
                self._undo(undo, tried, view.knowing({tried.key: True}))
            view = view.knowing({tried.key: node.fallback is None})
            tried = tried.fallback
        return view

    def _undo(self, undo: Node[Any], undone: Node[Any], view: View) -> None:
        """Check a node that undoes another; nobody reads what it puts out."""
        self._node(undo, view)
        if undo.compensation is not None:
            self.found.append(
                f'Node "{undo.key}" undoes "{undone.key}" and has an undo itself, which would never run. '
                "Take .undo(...) away from it."
            )

    def _node(self, node: Node[Any], view: View) -> None:
        where = f'Node "{node.key}": '
        activity = node.activity
        own = activity.node_problems(node, self.flow.triggers)
        self.found.extend(where + fault for fault in [*node.problems, *activity.type_problems(), *own])
        if node.fallback_after is not None and not activity.is_paging:
            self.found.append(
                f"{where}or_else(after=...) is for paging nodes, and {activity.name} is none. Leave after=... away."
            )
        if node.rate_limit is not None and activity.is_paging:
            self.found.append(
                f"{where}with_rate_limit() is not for paging nodes: a page is never held back by a limit of our own, "
                "and those of the service are obeyed anyway. Take it away."
            )
        if node.heartbeat is not None and activity.is_paging:
            self.found.append(
                f"{where}with_heartbeat() is not for paging nodes: a send has the time limit of its request. "
                "Take it away."
            )
        if node.instance is not None and activity.provider is None:
            self.found.append(
                f"{where}via({node.instance!r}) chooses an account of a provider, and {activity.name} belongs to none. "
                "Take it away."
            )
        for name, value in node.arguments.items():
            parameter = activity.parameters.get(name)
            if parameter is not None and parameter.is_secret:
                if not isinstance(value, SecretRef) and (isinstance(value, Ref) or value):
                    self.found.append(
                        f"{where}{name} is a secret, and secrets travel by name so that they are never journalled. "
                        f'Write {name}=secret("NAME_OF_THE_VARIABLE").'
                    )
                continue
            self.references.look(value, f"{node.key}({name}=...)", view)

    # Decisions, pauses, loops

    def _branch(self, step: Branch, view: View) -> View:
        self._test(step.test, step.key, view)
        if not step.then:
            self.found.append(f'The when "{step.key}" does nothing. Add .then(...) before .end_when().')
        then, otherwise = self._block(step.then, view), self._block(step.otherwise, view)
        keys = {**then.outputs, **otherwise.outputs}
        known = {key: then.outputs.get(key, False) and otherwise.outputs.get(key, False) for key in keys}
        return dataclasses.replace(view, outputs=known, repeated={**then.repeated, **otherwise.repeated})

    def _test(self, test: Test, key: str, view: View) -> None:
        if isinstance(test, Condition):
            for ref in test.references():
                self.references.look(ref, key, view)
                self.references.no_secrets(ref, key, _UNDECIDABLE)

    def _sleep(self, step: Sleep, view: View) -> None:
        if isinstance(step.delay, Ref):
            self.references.look(step.delay, step.key, view)
            self.references.no_secrets(step.delay, step.key, "a secret is no time. Give a timedelta.")
        elif not isinstance(step.delay, timedelta) or step.delay < timedelta(0):
            self.found.append(f"then_sleep() takes a timedelta, not {step.delay!r}: then_sleep(timedelta(minutes=5)).")

    def _loop(self, step: Loop, view: View) -> View:
        if not step.body:
            self.found.append(f'The loop "{step.key}" has no body. Give it a node or steps(...).')
        if step.timeout is None and step.at_most is None:
            self.found.append(f'The loop "{step.key}" may never end. Give it timeout=timedelta(...) or at_most=N.')
        if step.at_most is not None and not _is_count(step.at_most):
            self.found.append(f'The loop "{step.key}" has at_most={step.at_most!r}; it takes a whole number from 1.')
        if not isinstance(step.every, timedelta) or step.every < timedelta(0):
            self.found.append(
                f'The loop "{step.key}" has every={step.every!r}; it takes a timedelta: timedelta(seconds=30).'
            )
        self._timeout(f'The loop "{step.key}"', step.timeout)
        self._choice(f'The loop "{step.key}"', on_end=step.on_end)
        earlier_rounds = {key: False for key, _ in outputs_of(step.body) if key not in view.outputs}
        view = self._block(step.body, view.knowing(earlier_rounds))
        self._test(step.until, step.key, view)
        return view

    # Many at a time

    def _parallel(self, step: Parallel, view: View) -> View:
        if not step.branches:
            fix = f'then_parallel("{step.key}", a(...), b(...))'
            self.found.append(f'The parallel "{step.key}" has no branches. Give it parts: {fix}.')
        ends = []
        for number, branch in enumerate(step.branches):
            if not branch:
                self.found.append(
                    f'Part {number + 1} of the parallel "{step.key}" does nothing. Take it away, or put a node into it.'
                )
            others = [other for place, other in enumerate(step.branches) if place != number]
            beside = {key: step.key for other in others for key, _ in outputs_of(other)}
            ends.append(self._block(branch, dataclasses.replace(view, beside={**view.beside, **beside})))
        for branch, end in zip(step.branches, ends, strict=True):
            view = view.knowing({key: end.outputs[key] for key, _ in outputs_of(branch)})
            view = dataclasses.replace(view, repeated={**view.repeated, **end.repeated})
        return view

    def _each(self, step: Each, view: View) -> View:
        who = f'The each "{step.key}"'
        if not step.body:
            self.found.append(f"{who} has no body. Give it a node or steps(...).")
        element = self._list(step.over, f"{step.key}(over=...)", view)
        self._limit(who, step.limit)
        if not isinstance(step.keep_going, bool):
            self.found.append(f"{who} has keep_going={step.keep_going!r}; it takes True or False.")
        self._choice(who, on_error=step.on_error)
        end = self._block(step.body, dataclasses.replace(view, item=element))
        made = [key for key, _ in outputs_of(step.body)]
        view = view.knowing({**dict.fromkeys(made, False), step.key: True})
        return dataclasses.replace(view, repeated={**end.repeated, **dict.fromkeys(made, step.key)})

    def _children(self, step: Children, view: View) -> None:
        who = f'The children "{step.key}"'
        self._list(step.inputs, f"{step.key}(inputs=...)", view)
        self._limit(who, step.limit, "have")
        self._choice(who, "have", on_error=step.on_error)
        recipe = step.recipe
        if isinstance(recipe, Flow) and recipe.input_adapter is not None and isinstance(step.inputs, list | tuple):
            for number, value in enumerate(step.inputs):
                if holds_references(value):
                    continue
                try:
                    recipe.input_adapter.validate_python(value)
                except ValidationError as error:
                    self.found.append(
                        f'inputs[{number}] of the children "{step.key}" is not what the flow "{recipe.name}" accepts: '
                        f"{describe(error)}. Make it fit {name_of(recipe.input_model)}."
                    )

    def _list(self, values: Any, where: str, view: View) -> Any:
        """Check the list that a step works through; returns the declared type of its elements."""
        misplaced = misplaced_in(values)
        if misplaced:
            self.found.append(f"{where} {misplaced}")
            return Any
        self.references.look(values, where, view)
        self.references.no_secrets(values, where, _RECORDED)
        if isinstance(values, list | tuple):
            return Any
        if not isinstance(values, Ref):
            self.found.append(f'{where} takes a list or a reference to one, not {values!r}: output("..."), or [...].')
            return Any
        declared = self.references.type_of(values, view)
        element = element_of(declared)
        if element is MISSING:
            self.found.append(
                f'"{where}" reads {values!r}, which is {name_of(declared)} and no list. '
                f"Refer to a list, or write [{values!r}] for a single one."
            )
            return Any
        return element

    # Gates and cursors

    def _gate(self, step: Gate) -> None:
        who = f'The gate "{step.key}"'
        self._timeout(who, step.timeout)
        self._choice(who, on_timeout=step.on_timeout, on_reject=step.on_reject)

    def _advance(self, step: Advance, view: View) -> None:
        where = f"{step.key}(to=...)"
        misplaced = misplaced_in(step.to)
        if misplaced:
            self.found.append(f"{where} {misplaced}")
            return
        self.references.look(step.to, where, view)
        self.references.no_secrets(step.to, where, _RECORDED)
        if not isinstance(step.cursor, str):
            self.found.append(
                f'then_advance() takes the name of a cursor, not {step.cursor!r}: then_advance("...", ...).'
            )
            return
        unknown = self.references.cursor_fault(step.cursor)
        if unknown is not None:
            self.found.append(f'then_advance("{step.cursor}", ...) moves a cursor {unknown}')
            return
        fault = None if holds_references(step.to) else self.flow.cursors[step.cursor].value_fault(step.to)
        if fault is not None:
            self.found.append(f'then_advance("{step.cursor}", ...) does not take this value: {fault}')

    # Settings

    def _limit(self, who: str, limit: object, has: str = "has") -> None:
        if not _is_count(limit):
            self.found.append(f"{who} {has} limit={limit!r}; it takes a whole number from 1.")

    def _timeout(self, who: str, timeout: object) -> None:
        if timeout is not None and (not isinstance(timeout, timedelta) or timeout <= timedelta(0)):
            self.found.append(
                f"{who} has timeout={timeout!r}; it takes a timedelta of more than nothing: timedelta(hours=1)."
            )

    def _choice(self, who: str, has: str = "has", **settings: object) -> None:
        for name, value in settings.items():
            if not isinstance(value, str) or value not in ("fail", "continue"):
                self.found.append(f'{who} {has} {name}={value!r}; it takes "fail" or "continue".')


def _chain(node: object) -> Iterable[Node[Any]]:
    """A node and its fallbacks."""
    while isinstance(node, Node):
        yield node
        node = node.fallback


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1

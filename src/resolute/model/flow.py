"""The builder: `flow("name").triggered_by(...).then(...).build()`.

Builders are immutable: every method returns a new one, so a beginning can be shared. Nothing is
refused before `build()`, which reports every fault at once.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from pydantic import BaseModel

from resolute.errors import FlowError
from resolute.model.activity import Activity, Node
from resolute.model.check import find_problems, find_warnings, is_flow_name
from resolute.model.default_keys import with_default_keys
from resolute.model.predicate import test_of
from resolute.model.recipe import Cursor, Flow, FlowWarning
from resolute.model.reference import MISSING, Condition
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
    Predicate,
    Sleep,
    Step,
)
from resolute.model.trigger import Trigger


class StepMethods:
    """The methods that add steps; the same on flows, branches and fragments."""

    def __init__(self, steps: Block = (), problems: tuple[str, ...] = ()) -> None:
        self._steps = steps
        self._problems = problems

    def _copy(self) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def _with(self, steps: Block = (), problems: tuple[str, ...] = ()) -> Self:
        copy = self._copy()
        copy._steps = (*self._steps, *steps)
        copy._problems = (*self._problems, *problems)
        return copy

    def then(self, *parts: Part) -> Self:
        """Add nodes or fragments, one after the other."""
        steps, problems = _block(parts, "then()")
        return self._with(steps, problems)

    @overload
    def when(self, test: bool | Condition | Predicate, *, key: str | None = None) -> When[Self]: ...
    @overload
    def when(
        self,
        test: bool | Condition | Predicate,
        *,
        then: Part,
        otherwise: Part | None = None,
        key: str | None = None,
    ) -> Self: ...
    def when(
        self,
        test: bool | Condition | Predicate,
        *,
        then: Part | None = None,
        otherwise: Part | None = None,
        key: str | None = None,
    ) -> When[Self] | Self:
        """Take one of two ways. `when(test)....otherwise()....end_when()`, or closed in itself with `then=`.

        Args:
            test: a comparison of references, or a function of the state; recorded once decided.
            key: the name of the decision; by default the key of the node before it plus `~when`.
        """
        if then is None:
            opened = When[Self](self, test_of(test), key)
            return opened if otherwise is None else opened._with((), (_LACKS_THEN,))
        steps, problems = _block((then,), "when(then=...)")
        other, more = _block(() if otherwise is None else (otherwise,), "when(otherwise=...)")
        test_, faults = test_of(test)
        return self._with((Branch(key or "", test_, steps, other),), (*problems, *more, *faults))

    def then_sleep(self, delay: timedelta, *, key: str | None = None) -> Self:
        """Wait this long; the wait survives restarts. A reference to a timedelta or to seconds works too."""
        return self._with((Sleep(key or "", delay),))

    def then_loop(
        self,
        key: str,
        body: Part,
        *,
        until: bool | Condition | Predicate,
        every: timedelta = timedelta(0),
        timeout: timedelta | None = None,
        at_most: int | None = None,
        on_end: Literal["fail", "continue"] = "fail",
    ) -> Self:
        """Repeat a part until a test holds after it.

        Args:
            until: looked at after each round; the state knows that round's outputs.
            every: time from the start of one round to the start of the next.
            timeout, at_most: when to stop although the test does not hold; one of them is needed.
            on_end: "fail" the run when stopped so, or "continue" after the loop.
        """
        steps, problems = _block((body,), "then_loop()")
        test, faults = test_of(until)
        return self._with((Loop(key, steps, test, every, timeout, at_most, on_end),), (*problems, *faults))

    def then_parallel(self, key: str, *parts: Part) -> Self:
        """Go on with all parts side by side; what follows waits for all of them, also when one fails."""
        branches: list[Block] = []
        problems: list[str] = []
        for part in parts:
            branch, faults = _block((part,), "then_parallel()")
            branches.append(branch)
            problems.extend(faults)
        return self._with((Parallel(key, tuple(branches)),), tuple(problems))

    def then_each(
        self,
        key: str,
        *,
        over: list[Any] | tuple[Any, ...],
        body: Part,
        limit: int = 10,
        keep_going: bool = True,
        on_error: OnError = "fail",
    ) -> Self:
        """Do a part once for each item of a list; inside, `item("user.id")` reads the item.

        Args:
            over: the list, mostly a reference to one.
            limit: items at the same time.
            keep_going: whether further items are begun once one has failed.
            on_error: "fail" the run when items failed, or "continue"; the `EachResult` tells which.
        """
        steps, problems = _block((body,), "then_each(body=...)")
        return self._with((Each(key, over, steps, limit, keep_going, on_error),), problems)

    def then_gate(
        self,
        key: str,
        *,
        timeout: timedelta | None = None,
        on_timeout: OnError = "fail",
        on_reject: OnError = "fail",
    ) -> Self:
        """Wait for an answer from outside, a signal; `output(key)` is then a `GateAnswer`.

        Args:
            timeout: how long to wait, None for ever.
            on_timeout, on_reject: "fail" the run without an answer, or when it is a rejection; or "continue".
        """
        return self._with((Gate(key, timeout, on_timeout, on_reject),))

    def then_children(
        self,
        key: str,
        flow: Flow | str,
        *,
        inputs: list[Any] | tuple[Any, ...],
        limit: int = 10,
        on_error: OnError = "fail",
    ) -> Self:
        """Start a run of another flow for each of these inputs and wait for all; `output(key)` is a `ChildrenResult`.

        Args:
            flow: the flow itself, or the name of one that the worker knows.
            inputs: the list of inputs, mostly a reference to one.
            limit: children at the same time.
            on_error: "fail" the run when children failed, or "continue"; the `ChildrenResult` tells which.
        """
        name, problems = _flow_name(flow)
        recipe = flow if isinstance(flow, Flow) else None
        return self._with((Children(key, name, inputs, limit, on_error, recipe),), problems)

    def then_advance(self, cursor: str, to: Any, *, key: str | None = None) -> Self:
        """Move a cursor of the flow on to this value, never back; `.with_cursor(...)` declares it."""
        return self._with((Advance(key or "", cursor, to),))

    if not TYPE_CHECKING:

        def otherwise(self):
            return self._with(problems=("otherwise() stands outside when(...). Put it before the when's .end_when().",))

        def end_when(self):
            return self._with(problems=("end_when() stands without its when(...). Take it away or add the when.",))


_LACKS_THEN = "when(otherwise=...) also needs then=...: when(test, then=a(...), otherwise=b(...))."
_INSIDE_WHEN = "stands inside when(...): put it before the first step."
_INSIDE_STEPS = "stands at steps(...): put it at the flow, before its first step."


def _only_on_a_flow(method: str, fault: str) -> Any:
    def misplaced(self: Any, *_: object, **__: object) -> Any:
        return self._with(problems=(f"{method}() {fault}",))

    return misplaced


class Fragment(StepMethods):
    """Steps that can be put into several flows with `.then(fragment)`."""

    if not TYPE_CHECKING:

        def build(self):
            fix = 'Put it into one: flow("...").triggered_by(...).then(steps(...)).build().'
            raise FlowError("steps", [*self._problems, f"steps(...) is a part of flows and no flow itself. {fix}"])

        triggered_by = _only_on_a_flow("triggered_by", _INSIDE_STEPS)
        accepts = _only_on_a_flow("accepts", _INSIDE_STEPS)
        returns = _only_on_a_flow("returns", _INSIDE_STEPS)
        on_failure = _only_on_a_flow("on_failure", _INSIDE_STEPS)
        with_timeout = _only_on_a_flow("with_timeout", _INSIDE_STEPS)
        with_cursor = _only_on_a_flow("with_cursor", _INSIDE_STEPS)


Part = Node[Any] | Fragment
OnError = Literal["fail", "continue"]
S = TypeVar("S", bound=StepMethods)


class When(StepMethods, Generic[S]):
    """The way that is taken when the test holds, until `otherwise()` or `end_when()`."""

    def __init__(
        self,
        parent: S,
        test: tuple[Condition | Predicate, tuple[str, ...]],
        key: str | None,
        then: Block | None = None,
    ) -> None:
        super().__init__(problems=test[1])
        self._parent = parent
        self._test = test[0]
        self._key = key
        self._then = then

    def otherwise(self) -> Otherwise[S]:
        """Begin the way that is taken when the test does not hold."""
        return Otherwise[S](self._parent, (self._test, self._problems), self._key, self._steps)

    def end_when(self) -> S:
        """Close this `when`; what follows is done either way."""
        then, other = (self._steps, ()) if self._then is None else (self._then, self._steps)
        return self._parent._with((Branch(self._key or "", self._test, then, other),), self._problems)

    if not TYPE_CHECKING:

        def build(self):
            problem = "when(...) is not closed: add .end_when() before .build()."
            return self._with(problems=(problem,)).end_when().build()

        triggered_by = _only_on_a_flow("triggered_by", _INSIDE_WHEN)
        accepts = _only_on_a_flow("accepts", _INSIDE_WHEN)
        returns = _only_on_a_flow("returns", _INSIDE_WHEN)
        on_failure = _only_on_a_flow("on_failure", _INSIDE_WHEN)
        with_timeout = _only_on_a_flow("with_timeout", _INSIDE_WHEN)
        with_cursor = _only_on_a_flow("with_cursor", _INSIDE_WHEN)


class Otherwise(When[S]):
    """The way that is taken when the test does not hold, until `end_when()`."""

    if not TYPE_CHECKING:

        def otherwise(self):
            return self._with(problems=("otherwise() stands twice in one when(...). Put .end_when() before it.",))


class FlowBuilder(StepMethods):
    """A flow in the making."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._triggers: tuple[Trigger, ...] = ()
        self._input_model: type[BaseModel] | None = None
        self._result: Any = None
        self._failure_node: Node[Any] | None = None
        self._timeout: timedelta | None = None
        self._cursors: tuple[Cursor, ...] = ()

    def triggered_by(self, *triggers: Trigger) -> Self:
        """Say what starts runs; may stand several times."""
        copy = self._copy()
        copy._triggers = (*self._triggers, *triggers)
        return copy

    def accepts(self, model: type[BaseModel]) -> Self:
        """Check the input of every run against this model when it is started."""
        copy = self._copy()
        copy._input_model = model
        return copy

    def returns(self, result: Any) -> Self:
        """Say what a run returns: a reference, or dicts and lists that hold some. Default: all outputs by key."""
        copy = self._copy()
        copy._result = result
        return copy

    def on_failure(self, node: Node[Any]) -> Self:
        """Run this node when a run fails; its `input_data()` holds `error`, `key`, `run_id`, `flow` and `input`."""
        copy = self._copy()
        copy._failure_node = node
        return copy

    def with_timeout(self, timeout: timedelta) -> Self:
        """Give every run this much time; one that takes longer is undone and fails."""
        copy = self._copy()
        copy._timeout = timeout
        return copy

    def with_cursor(self, name: str, type: Any, *, start: Any = MISSING) -> Self:
        """Declare a value that the flow keeps from run to run and only ever moves on: `cursor(name)` reads it.

        Args:
            type: of its values: datetime, int, str or whatever pydantic validates.
            start: its value as long as no run has moved it.
        """
        copy = self._copy()
        copy._cursors = (*self._cursors, Cursor(name, type, start))
        return copy

    def build(self) -> Flow:
        """The finished flow.

        Raises:
            FlowError: lists every fault that was found.
        """
        steps = with_default_keys(self._steps)
        cursors: dict[str, Cursor] = {}
        twice = []
        for cursor in self._cursors:
            name = cursor.name if isinstance(cursor.name, str) else repr(cursor.name)
            if cursors.setdefault(name, cursor) is not cursor:
                twice.append(name)
        made = Flow(
            self._name,
            self._triggers,
            steps,
            self._input_model,
            self._result,
            self._failure_node,
            self._timeout,
            cursors,
        )
        again = (f'with_cursor("{name}") stands twice. Take one away, or give it another name.' for name in twice)
        problems = [*self._problems, *again, *find_problems(made)]
        if problems:
            raise FlowError(self._name, list(dict.fromkeys(problems)))
        for warning in find_warnings(made):
            warnings.warn(f'Flow "{self._name}": {warning}', FlowWarning, stacklevel=2)
        return replace(made, cursors={name: cursor.with_valid_start() for name, cursor in cursors.items()})

    if not TYPE_CHECKING:

        def end_when(self):
            return self._with(problems=("end_when() stands without its when(...). Take it away or add the when.",))


def flow(name: str) -> FlowBuilder:
    """Begin a flow; `name` is unique among the flows of a worker."""
    return FlowBuilder(name)


def steps(*parts: Part) -> Fragment:
    """Steps to be put into flows: `steps(a, b).when(...)....end_when()`."""
    return Fragment().then(*parts)


def _block(parts: tuple[Any, ...], where: str) -> tuple[Block, tuple[str, ...]]:
    found: list[Step] = []
    problems: list[str] = []
    for part in parts:
        match part:
            case Node():
                found.append(NodeStep(part))
            case When():
                problems.append(f"{where} was given a when(...) that is not closed: add .end_when().")
            case Fragment():
                found.extend(part._steps)
                problems.extend(part._problems)
            case Activity():
                call = f"{part.default_key}(...)"
                problems.append(f'{where} was given the activity "{part.name}" itself. Call it: {call}.')
            case _ if inspect.iscoroutine(part):
                part.close()
                problems.append(
                    f"{where} was given what {part.__name__}(...) returned. Put @activity on {part.__name__}."
                )
            case _ if callable(part):
                name = getattr(part, "__name__", repr(part))
                call = f"{name}(...)"
                problems.append(f'{where} was given the function "{name}". Put @activity on it and call it: {call}.')
            case list() | tuple():
                problems.append(f"{where} was given a {type(part).__name__}. Make one part of it: steps(*parts).")
            case FlowBuilder() | Flow():
                fix = "Put what flows share into steps(...), or start runs of it with then_children(...)."
                problems.append(f"{where} was given a flow. {fix}")
            case _:
                problems.append(f"{where} takes nodes and steps(...), not {part!r}: call the activity.")
    return tuple(found), tuple(problems)


def _flow_name(flow: Any) -> tuple[str, tuple[str, ...]]:
    match flow:
        case Flow():
            return flow.name, ()
        case str() if is_flow_name(flow):
            return flow, ()
        case str():
            fault = f"was given {flow!r}, which cannot be the name of a flow. Give the flow itself, or its name."
        case FlowBuilder():
            fault = "was given a flow that is not finished: add .build()."
        case _:
            fault = f"takes a flow or the name of one, not {flow!r}."
    return "", (f"then_children() {fault}",)

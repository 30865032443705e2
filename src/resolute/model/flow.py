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
from resolute.model.check import find_problems, find_warnings
from resolute.model.recipe import Flow, FlowWarning
from resolute.model.reference import Condition, Ref
from resolute.model.steps import Block, Branch, Loop, NodeStep, Predicate, Sleep, Step
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
            opened = When[Self](self, _test(test), key)
            return opened if otherwise is None else opened._with((), ("when(otherwise=...) also needs then=...",))
        steps, problems = _block((then,), "when(then=...)")
        other, more = _block(() if otherwise is None else (otherwise,), "when(otherwise=...)")
        test_, faults = _test(test)
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
        test, faults = _test(until)
        return self._with((Loop(key, steps, test, every, timeout, at_most, on_end),), (*problems, *faults))

    if not TYPE_CHECKING:

        def otherwise(self):
            return self._with(problems=("otherwise() stands outside when(...).",))

        def end_when(self):
            return self._with(problems=("end_when() stands without its when(...). Take it away or add the when.",))


class Fragment(StepMethods):
    """Steps that can be put into several flows with `.then(fragment)`."""


Part = Node[Any] | Fragment
S = TypeVar("S", bound=StepMethods)


def _only_on_a_flow(method: str) -> Any:
    def misplaced(self: Any, *_: object) -> Any:
        return self._with(problems=(f"{method}() stands inside when(...): put it before the first step.",))

    return misplaced


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

        triggered_by = _only_on_a_flow("triggered_by")
        accepts = _only_on_a_flow("accepts")
        returns = _only_on_a_flow("returns")
        on_failure = _only_on_a_flow("on_failure")


class Otherwise(When[S]):
    """The way that is taken when the test does not hold, until `end_when()`."""

    if not TYPE_CHECKING:

        def otherwise(self):
            return self._with(problems=("otherwise() stands twice in one when(...).",))


class FlowBuilder(StepMethods):
    """A flow in the making."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._triggers: tuple[Trigger, ...] = ()
        self._input_model: type[BaseModel] | None = None
        self._result: Any = None
        self._failure_node: Node[Any] | None = None

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

    def build(self) -> Flow:
        """The finished flow.

        Raises:
            FlowError: lists every fault that was found.
        """
        steps = _with_keys(self._steps)
        made = Flow(self._name, self._triggers, steps, self._input_model, self._result, self._failure_node)
        problems = [*self._problems, *find_problems(made)]
        if problems:
            raise FlowError(self._name, list(dict.fromkeys(problems)))
        for warning in find_warnings(made):
            warnings.warn(f'Flow "{self._name}": {warning}', FlowWarning, stacklevel=2)
        return made

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
            case _:
                problems.append(f"{where} takes nodes and steps(...), not {type(part).__name__}.")
    return tuple(found), tuple(problems)


def _test(test: Any) -> tuple[Condition | Predicate, tuple[str, ...]]:
    if isinstance(test, Condition):
        return test, ()
    fix = 'Compare a reference (output("x") == 1) or give a function: lambda state: ...'
    if isinstance(test, Ref):
        fault = f"a test was given {test!r} alone. {fix}"
    elif not callable(test) or isinstance(test, Node | Activity):
        fault = f"a test was given {test!r}, which is decided before the run. {fix}"
    elif inspect.iscoroutinefunction(test):
        fault = (
            f'a test was given the async function "{test.__name__}". A test only reads the state: make it a plain def.'
        )
    elif not _takes_one_argument(test):
        fault = "a test was given a function that cannot be called with the state alone. Write lambda state: ..."
    else:
        return test, ()
    return (lambda state: False), (fault,)


def _takes_one_argument(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        return True  # a built-in that does not tell
    return True


def _with_keys(block: Block) -> Block:
    """Name the decisions and pauses that were given no key after what stands before them in the text."""
    last = "start"

    def name(block: Block) -> Block:
        nonlocal last
        named: list[Step] = []
        for step in block:
            match step:
                case NodeStep():
                    last = step.key
                    named.append(step)
                case Branch():
                    last = key = step.key or f"{last}~when"
                    then = name(step.then)
                    named.append(replace(step, key=key, then=then, otherwise=name(step.otherwise)))
                case Sleep():
                    last = key = step.key or f"{last}~sleep"
                    named.append(replace(step, key=key))
                case Loop():
                    body = name(step.body)
                    last = step.key
                    named.append(replace(step, body=body))
        return tuple(named)

    return name(block)

"""`Activity` and `Node`: a function that does I/O, and one named use of it inside a flow.

Calling an activity makes a node; nothing runs until an engine attempts the node.
"""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, update_wrapper
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Generic,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from resolute.errors import InputError, NodeMisuse
from resolute.model.codec import describe, rebuild
from resolute.model.limit import RateLimit
from resolute.model.reference import Condition, NoSuchField, Ref, holds_references, values_in
from resolute.model.retry import Retry

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_TIMEOUT: Final = timedelta(minutes=5)
_REQUIRED: Final = inspect.Parameter.empty
_KEYWORD_ONLY: Final = inspect.Parameter.KEYWORD_ONLY
_A_TIME: Final = "a timedelta of more than nothing"
#: What a type may raise that is not known when it is looked up: a name, its attribute, or no type at all.
_UNKNOWN_TYPE: Final = (NameError, AttributeError, TypeError, SyntaxError)
_BY_PLACE_ONLY: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)


class Secret:
    """Marks a parameter that takes a secret: `Annotated[str, Secret()]`. Only `secret("NAME")` may be given."""


SecretText = Annotated[str, Secret()]


@dataclass(frozen=True)
class Parameter:
    """One input of an activity."""

    name: str
    annotation: Any
    default: Any
    is_secret: bool

    @property
    def is_required(self) -> bool:
        return self.default is _REQUIRED

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return adapter_for(self.annotation)


def adapter_for(annotation: Any) -> TypeAdapter[Any]:
    """A validator for a declared type; classes that pydantic does not know are checked by instance."""
    try:
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))


class Activity(Generic[P, R]):
    """A function with typed inputs and output; the only place of a flow where I/O happens.

    Attributes:
        name: the name in journal, logs and errors; unique among the flows of a worker.
        fn: the plain function, for tests: `await check.fn(url=...)`.
        retry, timeout: used by nodes that name none of their own.
    """

    #: Inputs that are mended, never refused, because refusing would cost a page.
    content_fields: frozenset[str] = frozenset()
    #: The provider whose instance the activity is given, None for a user's function.
    provider: str | None = None

    def __init__(
        self,
        fn: Callable[P, Coroutine[Any, Any, R]] | Callable[P, R],
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
    ) -> None:
        if isinstance(fn, Activity):
            raise NodeMisuse(f'"{fn.name}" is an activity already. Put one decorator on the function, not two.')
        if not callable(fn) or not hasattr(fn, "__name__"):
            raise NodeMisuse(f"@activity was put on {fn!r}. It belongs on a function: async def or def.")
        self.fn = fn
        self.name: str = name or fn.__name__
        self.retry = retry or Retry()
        self.timeout = timeout or DEFAULT_TIMEOUT
        update_wrapper(self, fn)

    @property
    def default_key(self) -> str:
        """The key of a node that was given none: the last part of the activity's name."""
        return self.name.rpartition(".")[2]

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.fn)

    @property
    def plain_call(self) -> str:
        """How the plain function is called, for error texts."""
        return f"{'await ' if self.is_async else ''}{self.fn.__name__}.fn(...)"

    @cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.fn)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self.fn, include_extras=True)
        except _UNKNOWN_TYPE:  # type_problems() reports it
            return {}

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """The inputs by name, in the order of the signature."""
        found = {}
        for name, parameter in self.signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            annotation = self._hints.get(name, Any)
            found[name] = Parameter(name, annotation, parameter.default, _is_secret(annotation))
        return found

    @property
    def takes_any_keyword(self) -> bool:
        return any(p.kind is p.VAR_KEYWORD for p in self.signature.parameters.values())

    @cached_property
    def returns(self) -> Any:
        """The declared type of the output, Any where none is declared."""
        return self._hints.get("return", Any)

    @cached_property
    def output_adapter(self) -> TypeAdapter[Any] | None:
        """The validator of the output, None for an output of any type."""
        return None if self.returns is Any or self.returns is object else adapter_for(self.returns)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Node[R]:
        """One use of this activity, to be put into a flow; nothing runs."""
        reason = calling_is_misuse()
        if reason is not None:
            raise NodeMisuse(
                f'"{self.name}" was called {reason}, where it only makes a node. '
                f"Call the plain function instead: {self.plain_call}."
            )
        arguments, problems = self._bind(args, kwargs)
        return Node(self, arguments, problems=problems)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        names = list(self.parameters)
        positional = [name for name in names if self.signature.parameters[name].kind is not _KEYWORD_ONLY]
        arguments: dict[str, Any] = dict(zip(positional, args, strict=False))
        problems = []
        if len(args) > len(positional):
            taken = f"takes {len(positional)} arguments" if positional else "takes its arguments by name"
            given = f"{len(args)} were given{' without one' if not positional else ''}"
            problems.append(f"{self.name}() {taken}, {given}. It takes: {', '.join(names) or 'none'}.")
        for name, value in kwargs.items():
            if name not in self.parameters and not self.takes_any_keyword:
                near = difflib.get_close_matches(name, names, 1)
                hint = f' Did you mean "{near[0]}"?' if near else f" It takes: {', '.join(names) or 'none'}."
                problems.append(f'{self.name}() has no argument "{name}".{hint}')
            elif name in arguments:
                problems.append(f'{self.name}() was given "{name}" twice, by its place and by name. Take one away.')
            else:
                arguments[name] = value
        for name, parameter in self.parameters.items():
            if name not in arguments:
                if parameter.is_required:
                    problems.append(f'{self.name}() lacks the argument "{name}". Write {self.default_key}({name}=...).')
            elif name not in self.content_fields:
                problem = self._literal_problem(parameter, arguments[name])
                if problem:
                    problems.append(problem)
        return arguments, tuple(problems)

    def _literal_problem(self, parameter: Parameter, value: Any) -> str | None:
        misplaced = misplaced_in(value)
        if misplaced:
            return f"{self.name}({parameter.name}=...) {misplaced}"
        if parameter.is_secret or holds_references(value):
            return None
        try:
            parameter.adapter.validate_python(value)
        except ValidationError as error:
            return f"{self.name}({parameter.name}=...) does not take this value: {describe(error)}."
        except PydanticUserError:  # type_problems() reports it
            return None
        return None

    def validate_inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The resolved inputs in the types that the function declares; raises InputError."""
        valid: dict[str, Any] = {}
        faults = []
        for name, value in inputs.items():
            parameter = self.parameters.get(name)
            if parameter is None:
                valid[name] = value
                continue
            try:
                valid[name] = rebuild(value, parameter.adapter)
            except ValidationError as error:
                faults.append(f"{name}: {describe(error)}")
        if faults:
            raise InputError(
                f"The resolved inputs of {self.name} do not fit: {'; '.join(faults)}. "
                "Change the activity's type or the reference that fills it."
            )
        return valid

    def type_problems(self) -> list[str]:
        """Faults in the function's own declaration, as sentences."""
        found = []
        if not isinstance(self.name, str) or not self.name.isprintable():
            found.append(f'@activity(name={self.name!r}) takes a text on one line, such as name="chat.notify".')
        if not isinstance(self.retry, Retry):
            found.append(f"{self.name}: @activity(retry=...) takes a Retry(...), not {self.retry!r}.")
        else:
            found.extend(self.retry.problems())
        if not _is_time(self.timeout):
            found.append(f"{self.name}: @activity(timeout=...) takes {_A_TIME}, not {self.timeout!r}.")
        for name, parameter in self.signature.parameters.items():
            if parameter.kind in _BY_PLACE_ONLY:
                found.append(
                    f'{self.name}: inputs are given by name, and "{name}" has no place there. Drop its * or /.'
                )
        try:
            get_type_hints(self.fn)
            holds_secret = _holds_secret(self.returns)
            for adapter in (self.output_adapter, *(parameter.adapter for parameter in self.parameters.values())):
                if adapter is not None and not adapter.pydantic_complete:
                    adapter.rebuild()  # raises for a model that names a type nobody knows
        except _UNKNOWN_TYPE as error:
            reason = str(error).splitlines()[0]
            return [*found, f"{self.name}: a type in the signature is not known: {reason}. Define or import it before."]
        except PydanticUserError as error:
            return [*found, f"{self.name}: a type in the signature cannot be checked. {str(error).splitlines()[0]}"]
        if holds_secret:
            found.append(
                f"{self.name} returns a secret type. Outputs are journalled; return the name of the secret, "
                "or read it with secret(...) where it is used."
            )
        if inspect.isasyncgenfunction(self.fn) or inspect.isgeneratorfunction(self.fn):
            found.append(f"{self.name} is a generator. An activity returns one value: return a list.")
        return found

    @property
    def is_paging(self) -> bool:
        """Whether attempts of this activity are sends of the incident log."""
        return False

    def node_problems(self, node: Node[R], triggers: Sequence[object]) -> Sequence[str]:
        """Faults of one use of this activity in a flow with these triggers, as sentences."""
        return ()

    def node_warnings(self, node: Node[R]) -> Sequence[str]:
        """What will be mended when this use runs, as sentences."""
        return ()

    def __repr__(self) -> str:
        return f"<activity {self.name}>"

    if not TYPE_CHECKING:

        def __await__(self):
            raise NodeMisuse(f'"{self.name}" was awaited. Put {self.default_key}(...) into a flow with .then(...).')

        def __getattr__(self, name):
            if name in ("as_", "or_else", "undo", "via") or name.startswith("with_"):
                call = f"{self.default_key}(...).{name}(...)"
                raise NoSuchField(
                    f'"{self.name}" is an activity, and .{name}() is for its nodes. Call it first: {call}.'
                )
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


def misplaced_in(value: object) -> str | None:
    """What stands in an input though it is no value, as the rest of a sentence; None when all is well."""
    for held in values_in(value):
        if isinstance(held, Node | Activity):
            key = held.key if isinstance(held, Node) else held.default_key
            return f'was given a node. Nodes hand values on by reference: write output("{key}") in its place.'
        if isinstance(held, Condition):
            return (
                f"was given the comparison {held!r}, which is decided in the run. "
                "Hand over what is compared, and compare inside the activity."
            )
        if isinstance(held, Mapping) and any(isinstance(key, Ref) for key in held):
            return "has a reference as the key of a dict, but only values are filled in. Make the dict in an activity."
    return None


def _is_time(value: object) -> bool:
    return isinstance(value, timedelta) and value > timedelta(0)


def _no_node(where: str, given: object) -> str:
    return f"{where} takes a node, not {given!r}: call the activity."


def _is_secret(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return any(isinstance(mark, Secret) for mark in get_args(annotation)[1:])
    return get_origin(annotation) in (Union, types.UnionType) and any(map(_is_secret, get_args(annotation)))


def _holds_secret(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    from pydantic import SecretBytes, SecretStr  # 15 ms that an import of Resolute would pay

    if annotation in (SecretStr, SecretBytes):
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        inner = seen | {annotation}
        return any(_holds_secret(info.annotation, inner) for info in annotation.model_fields.values())
    if isinstance(annotation, types.GenericAlias | types.UnionType) or get_origin(annotation) is not None:
        return any(_holds_secret(part, seen) for part in get_args(annotation))
    return False


_misuse_probe: Callable[[], str | None] | None = None


def calling_is_misuse() -> str | None:
    """Where the caller is if making a node there is a mistake ("inside an activity"), else None."""
    return _misuse_probe() if _misuse_probe is not None else None


def set_misuse_probe(probe: Callable[[], str | None]) -> None:
    """Let the layer that runs activities tell when one is running."""
    global _misuse_probe
    _misuse_probe = probe


@dataclass(frozen=True, eq=False, repr=False)
class Node(Generic[R]):
    """One named use of an activity inside a flow; every method returns a new node."""

    activity: Activity[Any, R]
    arguments: Mapping[str, Any]
    name: str | None = None
    retry: Retry | None = None
    timeout: timedelta | None = None
    fallback: Node[Any] | None = None
    fallback_after: timedelta | None = None
    instance: str | None = None
    compensation: Node[Any] | None = None
    rate_limit: RateLimit | None = None
    heartbeat: timedelta | None = None
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name under which the flow knows this node and its output."""
        return self.name if self.name is not None else self.activity.default_key

    def as_(self, key: str) -> Node[R]:
        """This node under another key."""
        return replace(self, name=key)

    def with_retry(self, retry: Retry) -> Node[R]:
        """This node with its own retries."""
        is_retry = isinstance(retry, Retry)
        problems = retry.problems() if is_retry else [f"with_retry() takes a Retry(attempts=...), not {retry!r}."]
        return replace(self, retry=retry, problems=(*self.problems, *problems))

    def with_timeout(self, timeout: timedelta) -> Node[R]:
        """This node with its own time limit for each attempt."""
        problems = self.problems
        if not _is_time(timeout):
            problems = (*problems, f"with_timeout() takes {_A_TIME}, not {timeout!r}: timedelta(seconds=30).")
        return replace(self, timeout=timeout, problems=problems)

    def or_else(self, node: Node[Any], *, after: timedelta | None = None) -> Node[R]:
        """This node with another that runs when it fails.

        Args:
            node: the fallback; it has its own key.
            after: only for paging nodes: also run the fallback when the page is not accepted within
                this time; sending goes on all the same.
        """
        problems = self.problems
        if not isinstance(node, Node):
            problems = (*problems, _no_node("or_else()", node))
        if after is not None and not _is_time(after):
            problems = (*problems, f"or_else(after=...) takes {_A_TIME}, not {after!r}: timedelta(minutes=5).")
        return replace(self, fallback=node, fallback_after=after, problems=problems)

    def undo(self, node: Node[Any]) -> Node[R]:
        """This node with another that takes back what it did, should the run fail or be cancelled later.

        Args:
            node: it sees what was known right after this node, its output included; it has its own key.
        """
        problems = self.problems
        if not isinstance(node, Node):
            problems = (*problems, _no_node("undo()", node))
        return replace(self, compensation=node, problems=problems)

    def with_rate_limit(self, limit: RateLimit) -> Node[R]:
        """This node with a limit on how often it is attempted; one with a name is shared by all nodes that have it."""
        is_limit = isinstance(limit, RateLimit)
        problems = (
            limit.problems() if is_limit else [f"with_rate_limit() takes a RateLimit(5, per=...), not {limit!r}."]
        )
        return replace(self, rate_limit=limit, problems=(*self.problems, *problems))

    def with_heartbeat(self, timeout: timedelta) -> Node[R]:
        """This node with an attempt given up as soon as `current().heartbeat()` was not called for this long."""
        problems = self.problems
        if not _is_time(timeout):
            problems = (*problems, f"with_heartbeat() takes {_A_TIME}, not {timeout!r}: timedelta(seconds=30).")
        return replace(self, heartbeat=timeout, problems=problems)

    def via(self, instance: str) -> Node[R]:
        """This node through the provider instance of this name."""
        problems = self.problems
        if not isinstance(instance, str):
            problems = (*problems, f'via() takes the name of a provider instance, not {instance!r}: via("eu").')
        return replace(self, instance=instance, problems=problems)

    def __repr__(self) -> str:
        return f'<node "{self.key}" of {self.activity.name}>'

    if not TYPE_CHECKING:

        def __await__(self):
            raise NodeMisuse(
                f'Node "{self.key}" was awaited, but calling an activity only makes a node. '
                f"Put it into a flow with .then(...); in tests, write {self.activity.plain_call}."
            )


@overload
def activity(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
@overload
def activity(fn: Callable[P, R], /) -> Activity[P, R]: ...
@overload
def activity(
    *, name: str | None = None, retry: Retry | None = None, timeout: timedelta | None = None
) -> ActivityDecorator: ...
def activity(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: timedelta | None = None,
) -> Any:
    """Turn a function into an activity; plain functions run in a thread of their own.

    Args:
        name: the name in journal and logs; the function's own name by default.
        retry, timeout: defaults for the nodes made of it.
    """
    decorate = ActivityDecorator(name, retry, timeout)
    return decorate if fn is None else decorate(fn)


@dataclass(frozen=True)
class ActivityDecorator:
    """What `@activity(...)` with settings returns: it still waits for its function."""

    name: str | None
    retry: Retry | None
    timeout: timedelta | None

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Activity[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> Activity[Any, Any]:
        return Activity(fn, name=self.name, retry=self.retry, timeout=self.timeout)

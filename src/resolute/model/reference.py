"""`Ref`: what every reference is, how values that hold some are filled in, and comparisons of them.

A reference stands where a value will be. It can be compared (that makes a `Condition`), but it has
no text, no truth and no elements of its own until the run resolves it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, ClassVar, Final, Protocol

from resolute.errors import NodeMisuse


class Missing:
    """The mark for "no default was given"."""

    def __repr__(self) -> str:
        return "<missing>"

    def __reduce__(self) -> str:
        return "MISSING"  # a copy is the mark itself: pydantic copies the defaults of models


MISSING: Final = Missing()


class MissingValue(LookupError):
    """A reference leads nowhere in this run; `path` says where it broke off."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


#: Values that hold no references. A tuple, for a union of types would be made anew by each look at it.
_LEAVES: Final = (str, int, float)

#: What to put in place of a reference that leads nowhere.
OnMissing = Callable[["Ref", MissingValue], Any]


class NoSuchField(NodeMisuse, AttributeError):
    """Misuse that `hasattr()` and `getattr(..., default)` take for any missing attribute."""


class Scope(Protocol):
    """What a run offers to the references of one node: all answers are recorded values."""

    now: datetime
    run_id: str

    def output(self, key: str) -> Any:
        """The decoded output of the node with this key; raises MissingValue."""
        ...

    def input(self) -> Any:
        """The run's input."""
        ...

    def item(self) -> Any:
        """The item of the innermost each; raises MissingValue outside of one."""
        ...

    def cursor(self, name: str) -> Any:
        """The decoded value of a cursor; raises MissingValue when it was never moved and has no start."""
        ...

    def tick(self, back: int) -> datetime:
        """The scheduled time of the run, or one before it; raises MissingValue when no schedule started it."""
        ...

    def env(self, name: str) -> str | None:
        """The recorded value of an environment variable, None when it is not set."""
        ...


class Ref:
    """A value that the run fills in. Comparing two gives a `Condition`; using one as a value raises."""

    __slots__ = ()

    #: Whether an author wrote it, and not only a part of one that was written.
    is_whole: ClassVar[bool] = True

    def resolve(self, scope: Scope) -> Any:
        """The value in this run, in its native type; raises MissingValue."""
        raise NotImplementedError(f"{type(self).__name__} must say how it is resolved")

    def fill(self, scope: Scope, on_missing: OnMissing | None = None) -> Any:
        """The value in this run; `on_missing` says what stands in its place when it is not there."""
        try:
            return self.resolve(scope)
        except MissingValue as error:
            if on_missing is None:
                raise
            return on_missing(self, error)

    def held(self) -> Iterable[object]:
        """The values inside the reference, which may hold references themselves."""
        return (getattr(self, "default", None),)

    def _misuse(self, what: str) -> NodeMisuse:
        return NodeMisuse(self._misuse_text(what, self._fix(what)))

    def _misuse_text(self, what: str, fix: str) -> str:
        return f"{self!r} was {what}, but it has no value before the run. {fix}"

    def _fix(self, what: str) -> str:
        if "truth" in what:
            return "In when(...) compare it (output(...) == 1), or use a predicate: lambda state: ..."
        if "text" in what or "f-string" in what or "added" in what:
            return 'Build the text with text("... {health.message}"), or in an activity.'
        return "Hand it to an activity and work with the value there, or use a predicate: lambda state: ..."

    def _inside(self, step: str) -> str | None:
        """How a value inside this one is written, None when there is no way."""
        return None

    def __str__(self) -> str:
        raise self._misuse("turned into text")

    def __format__(self, spec: str) -> str:
        raise self._misuse("put into an f-string or format()")

    def __bool__(self) -> bool:
        raise self._misuse("used as a truth value")

    def __iter__(self) -> Iterator[Any]:
        raise self._misuse("iterated over")

    def __contains__(self, item: object) -> bool:
        raise self._misuse("searched with `in`")

    def __len__(self) -> int:
        raise self._misuse("iterated over with len()")

    def __int__(self) -> int:
        raise self._misuse("turned into a number")

    def __float__(self) -> float:
        raise self._misuse("turned into a number")

    def __add__(self, other: Any) -> Any:
        raise self._misuse("added to something")

    def __radd__(self, other: Any) -> Any:
        raise self._misuse("added to something")

    def __await__(self) -> Iterator[Any]:
        raise self._misuse("awaited")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        inside = self._inside(name)
        fix = f"Write {inside}." if inside else self._fix("asked for a field")
        raise NoSuchField(self._misuse_text(f"asked for its .{name}", fix))

    def __getitem__(self, key: Any) -> Any:
        inside = self._inside(str(key)) if isinstance(key, str | int) else None
        fix = f"Write {inside}." if inside else self._fix("asked for an element")
        raise NodeMisuse(self._misuse_text(f"asked for its [{key!r}]", fix))

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return Condition("==", self, other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return Condition("!=", self, other)

    def __lt__(self, other: object) -> Condition:
        return Condition("<", self, other)

    def __le__(self, other: object) -> Condition:
        return Condition("<=", self, other)

    def __gt__(self, other: object) -> Condition:
        return Condition(">", self, other)

    def __ge__(self, other: object) -> Condition:
        return Condition(">=", self, other)


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "and": lambda left, right: left and right,
    "or": lambda left, right: left or right,
}


class Condition:
    """A comparison of references, decided in the run. Combine with `&`, `|` and `~`."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: object, right: object) -> None:
        self.operator = operator
        self.left = left
        self.right = right

    def holds(self, scope: Scope) -> bool:
        """Whether the condition is true in this run; raises MissingValue where a reference leads nowhere."""

        def value(side: object) -> Any:
            if isinstance(side, Condition):
                return side.holds(scope)
            return resolve(side, scope)

        left = value(self.left)
        if self.operator == "not":
            return not left
        if self.operator == "and" and not left:
            return False
        if self.operator == "or" and left:
            return True
        return bool(_OPERATORS[self.operator](left, value(self.right)))

    def references(self) -> Iterator[Ref]:
        """Every reference in the condition."""
        for side in (self.left, self.right):
            if isinstance(side, Condition):
                yield from side.references()
            else:
                yield from references_in(side)

    def __and__(self, other: Condition) -> Condition:
        return Condition("and", self, other)

    def __or__(self, other: Condition) -> Condition:
        return Condition("or", self, other)

    def __invert__(self) -> Condition:
        return Condition("not", self, None)

    def __bool__(self) -> bool:
        raise NodeMisuse(
            f"{self!r} was used as a truth value, but it is decided in the run. "
            "Give it to when(...), combine it with &, | and ~ (not `and`, `or`, `not`), "
            "or use a predicate: lambda state: ..."
        )

    def __repr__(self) -> str:
        if self.operator == "not":
            return f"~({self.left!r})"
        sign = {"and": "&", "or": "|"}.get(self.operator, self.operator)
        return f"({self.left!r} {sign} {self.right!r})"


def walk(value: Any, steps: tuple[str, ...], path: str) -> Any:
    """Follow fields, dict keys and list indexes from a value; raises MissingValue at the first that is not there."""
    for done, step in enumerate(steps):
        where = ".".join([path, *steps[:done]])
        if isinstance(value, Mapping):
            if step not in value:
                raise MissingValue(where, f'"{where}" has no key "{step}". Known here: {_known(value)}.')
            value = value[step]
        elif isinstance(value, list | tuple):
            if step in getattr(value, "_fields", ()):
                value = getattr(value, step)
                continue
            if not step.removeprefix("-").isdecimal() or not -len(value) <= int(step) < len(value):
                raise MissingValue(where, f'"{where}" is a list of {len(value)} and has no index "{step}".')
            value = value[int(step)]
        else:
            value = _field(value, step, where)
    return value


def _field(value: Any, name: str, where: str) -> Any:
    try:
        found = len if value is None or name.startswith("_") else getattr(value, name, len)
    except Exception as error:  # a property is its author's code and may raise anything
        raise MissingValue(where, f'"{where}" cannot tell its "{name}": {type(error).__name__}: {error}') from error
    if callable(found):
        raise MissingValue(where, f'"{where}" is {kind_of(value)} and has no field "{name}".')
    return found


def _known(value: Mapping[Any, Any]) -> str:
    names = [str(name) for name in list(value)[:12]]
    return ", ".join(f'"{name}"' for name in names) if names else "none, it is empty"


def kind_of(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def split_path(path: str, literal: tuple[str, ...]) -> tuple[str, ...]:
    """The steps of a dotted path; `literal` keys follow unsplit."""
    return (*(part for part in path.split(".") if part), *literal)


def written(function: str, steps: Sequence[str]) -> str:
    """A reference as its author wrote it: dots up to the first step that holds one itself."""
    dotted = list(takewhile(lambda step: step and "." not in step, steps))
    rest = [f'"{step}"' for step in steps[len(dotted) :]]
    return f"{function}({', '.join([chr(34) + '.'.join(dotted) + chr(34), *rest])})"


def values_in(value: object) -> Iterator[object]:
    """The value and all it holds: elements, values of dicts, fields of models and dataclasses, parts of references."""
    yield value
    inner: Iterable[object] = ()
    match value:
        case None | str() | int() | float():
            return
        case Ref():
            inner = value.held()
        case Mapping():
            inner = value.values()
        case list() | tuple() | set() | frozenset():
            inner = value
        case _:
            inner = [held for _, held in _fields_of(value)]
    for held in inner:
        yield from values_in(held)


def _fields_of(value: object) -> Iterator[tuple[str, Any]]:
    """Names and values of the fields of a model or dataclass; nothing for any other value."""
    kind = type(value)
    if hasattr(kind, "model_fields"):
        yield from {**vars(value), **(getattr(value, "model_extra", None) or {})}.items()
    elif is_dataclass(kind):
        for declared in fields(kind):
            if declared.init and hasattr(value, declared.name):
                yield declared.name, getattr(value, declared.name)


def references_in(value: object) -> Iterator[Ref]:
    """Every reference at any depth of dicts, lists, sets, models, dataclasses and texts."""
    return (held for held in values_in(value) if isinstance(held, Ref) and held.is_whole)


def holds_references(value: object) -> bool:
    """Whether a reference stands anywhere in the value."""
    return any(True for _ in references_in(value))


def resolve(value: Any, scope: Scope, on_missing: OnMissing | None = None) -> Any:
    """The value with every reference filled in, as new data.

    Models and dataclasses that hold references become dicts, sets that hold some become lists; the
    activity's own types make of them again what they were.

    Args:
        on_missing: what to put in place of a reference that leads nowhere, in a text in place of that
            part alone; without it MissingValue is raised.
    """
    if value is None or isinstance(value, _LEAVES):
        return value
    if isinstance(value, Ref):
        return value.fill(scope, on_missing)
    if isinstance(value, dict):
        return {key: resolve(inner, scope, on_missing) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, scope, on_missing) for inner in value]
    if type(value) is tuple:
        return tuple(resolve(inner, scope, on_missing) for inner in value)
    return _resolve_object(value, scope, on_missing) if holds_references(value) else value


def _resolve_object(value: Any, scope: Scope, on_missing: OnMissing | None) -> Any:
    """New data of a model, dataclass, set, mapping or named tuple that holds references."""
    if isinstance(value, Mapping):
        return {key: resolve(inner, scope, on_missing) for key, inner in value.items()}
    if isinstance(value, tuple | set | frozenset):
        return [resolve(inner, scope, on_missing) for inner in value]
    declared = getattr(type(value), "model_fields", None)
    kept = dict(_fields_of(value))
    if declared is not None:  # a plain default is left out: validation puts it back
        kept = {
            name: inner
            for name, inner in kept.items()
            if name in value.model_fields_set or holds_references(inner) or _is_made(declared.get(name))
        }
    return {name: resolve(inner, scope, on_missing) for name, inner in kept.items()}


def _is_made(field: Any) -> bool:
    """Whether a model makes this default anew each time (an id, a time), so that it must be recorded."""
    return field is not None and field.default_factory is not None

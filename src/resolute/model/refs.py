"""The references that authors write: output, input_data, item, cursor, now, tick, secret, env, run_id and text."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, cast

from resolute.errors import NodeMisuse
from resolute.model.activity import Node
from resolute.model.reference import (
    MISSING,
    Missing,
    MissingValue,
    OnMissing,
    Ref,
    Scope,
    kind_of,
    resolve,
    split_path,
    walk,
    written,
)


@dataclass(frozen=True, eq=False, repr=False)
class OutputRef(Ref):
    """A value inside the output of an earlier node."""

    key: str
    steps: tuple[str, ...]
    default: Any = MISSING

    def resolve(self, scope: Scope) -> Any:
        try:
            return walk(scope.output(self.key), self.steps, self.key)
        except MissingValue:
            if self.default is MISSING:
                raise
            return resolve(self.default, scope)

    @property
    def path(self) -> str:
        return ".".join([self.key, *self.steps])

    def _inside(self, step: str) -> str:
        return written("output", [self.key, *self.steps, step])

    def __repr__(self) -> str:
        return written("output", [self.key, *self.steps])


@dataclass(frozen=True, eq=False, repr=False)
class InputRef(Ref):
    """A value inside the run's input."""

    steps: tuple[str, ...]
    default: Any = MISSING

    def resolve(self, scope: Scope) -> Any:
        try:
            return walk(scope.input(), self.steps, "input")
        except MissingValue:
            if self.default is MISSING:
                raise
            return resolve(self.default, scope)

    def _inside(self, step: str) -> str:
        return written("input_data", [*self.steps, step])

    def __repr__(self) -> str:
        return written("input_data", self.steps)


@dataclass(frozen=True, eq=False, repr=False)
class ItemRef(Ref):
    """A value inside the item of the innermost each."""

    steps: tuple[str, ...]
    default: Any = MISSING

    def resolve(self, scope: Scope) -> Any:
        try:
            return walk(scope.item(), self.steps, "item")
        except MissingValue:
            if self.default is MISSING:
                raise
            return resolve(self.default, scope)

    def _inside(self, step: str) -> str:
        return written("item", [*self.steps, step])

    def __repr__(self) -> str:
        return written("item", self.steps) if self.steps else "item()"


@dataclass(frozen=True, eq=False, repr=False)
class CursorRef(Ref):
    """The value of a cursor of the flow."""

    name: str
    default: Any = MISSING

    def resolve(self, scope: Scope) -> Any:
        try:
            return scope.cursor(self.name)
        except MissingValue:
            if self.default is MISSING:
                raise
            return resolve(self.default, scope)

    def __repr__(self) -> str:
        return f'cursor("{self.name}")'


@dataclass(frozen=True, eq=False, repr=False)
class NowRef(Ref):
    """The instant at which the node became ready, shifted by a fixed time."""

    offset: timedelta = timedelta(0)

    def resolve(self, scope: Scope) -> datetime:
        return scope.now + self.offset

    def _shift(self, other: object, sign: int) -> NowRef:
        if not isinstance(other, timedelta):
            raise NodeMisuse(
                f"now() was shifted by {other!r}; a time is shifted by a timedelta. Write now() + timedelta(hours=1)."
            )
        return replace(self, offset=self.offset + sign * other)

    def __add__(self, other: timedelta) -> NowRef:
        return self._shift(other, 1)

    __radd__ = __add__

    def __sub__(self, other: timedelta) -> NowRef:
        return self._shift(other, -1)

    def __repr__(self) -> str:
        return f"now() + {self.offset!r}" if self.offset else "now()"


@dataclass(frozen=True, eq=False, repr=False)
class TickRef(Ref):
    """The scheduled time of the run, or one before it, shifted by a fixed time.

    Attributes:
        back: how many places before it.
        default: used in a run that no schedule started; it is not shifted.
    """

    back: int = 0
    default: Any = MISSING
    offset: timedelta = timedelta(0)

    def resolve(self, scope: Scope) -> Any:
        try:
            return scope.tick(self.back) + self.offset
        except MissingValue:
            if self.default is MISSING:
                raise
            return resolve(self.default, scope)

    def _shift(self, other: object, sign: int) -> TickRef:
        if not isinstance(other, timedelta):
            raise NodeMisuse(
                f"{self!r} was shifted by {other!r}; a time is shifted by a timedelta. "
                "Write tick() + timedelta(hours=1)."
            )
        return replace(self, offset=self.offset + sign * other)

    def __add__(self, other: timedelta) -> TickRef:
        return self._shift(other, 1)

    __radd__ = __add__

    def __sub__(self, other: timedelta) -> TickRef:
        return self._shift(other, -1)

    def __repr__(self) -> str:
        name = f"tick(-{self.back})" if self.back else "tick()"
        return f"{name} + {self.offset!r}" if self.offset else name


@dataclass(frozen=True, eq=False, repr=False)
class SecretRef(Ref):
    """A secret, by name. It is read in the process that makes the attempt and never recorded."""

    name: str

    def resolve(self, scope: Scope) -> SecretName:
        return SecretName(self.name)

    def __repr__(self) -> str:
        return f'secret("{self.name}")'


@dataclass(frozen=True)
class SecretName:
    """What a resolved `secret(...)` is until the attempt: the name alone."""

    name: str


@dataclass(frozen=True, eq=False, repr=False)
class EnvRef(Ref):
    """An environment variable; its value is recorded and shown."""

    name: str
    default: Any = MISSING

    def resolve(self, scope: Scope) -> Any:
        value = scope.env(self.name)
        if value is not None:
            return value
        if self.default is MISSING:
            raise MissingValue(
                self.name, f"The environment variable {self.name} is not set. Set it, or give env(..., default=...)."
            )
        return resolve(self.default, scope)

    def __repr__(self) -> str:
        return f'env("{self.name}")'


@dataclass(frozen=True, eq=False, repr=False)
class RunIdRef(Ref):
    """The id of the run."""

    def resolve(self, scope: Scope) -> str:
        return scope.run_id

    def __repr__(self) -> str:
        return "run_id()"


CONVERSIONS: Final[Mapping[str, Callable[[Any], str]]] = {"r": repr, "s": str, "a": ascii}


@dataclass(frozen=True, eq=False, repr=False)
class TextRef(Ref):
    """A text with values filled in; the values themselves are never scanned again."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def parts(self) -> Iterator[tuple[str, Any | None, str, str | None]]:
        """Pieces in order: literal text, then value (or None at the end), format spec, conversion."""
        for literal, name, spec, conversion in string.Formatter().parse(self.template):
            value: Any = None
            if name is not None:
                head, *rest = split_path(name, ()) or ("",)
                if head not in self.values:
                    value = OutputRef(head, tuple(rest))
                else:
                    value = self.values[head] if not rest else _Within(self.values[head], tuple(rest), head)
            yield literal, value, spec or "", conversion

    def held(self) -> Iterable[object]:
        with suppress(ValueError, TypeError):  # a template with a fault is reported by build()
            return [part for _, part, _, _ in self.parts()]
        return ()

    def resolve(self, scope: Scope) -> str:
        return self.fill(scope)

    def fill(self, scope: Scope, on_missing: OnMissing | None = None) -> str:
        """The text; `on_missing` says what stands for a value that is not there, the rest of the text stays."""
        pieces = []
        names = (name for _, name, _, _ in string.Formatter().parse(self.template))
        for name, (literal, value, spec, conversion) in zip(names, self.parts(), strict=True):
            pieces.append(literal)
            if name is None:
                continue
            try:
                pieces.append(_formatted(resolve(value, scope), name, spec, conversion))
            except MissingValue as error:
                if on_missing is None:
                    raise
                pieces.append(str(on_missing(value if isinstance(value, Ref) else self, error)))
        return "".join(pieces)

    def __repr__(self) -> str:
        return f"text({self.template!r})"


def _formatted(value: Any, name: str, spec: str, conversion: str | None) -> str:
    if isinstance(value, SecretName):
        raise MissingValue(value.name, f'secret("{value.name}") cannot stand inside text(...).')
    try:
        return format(CONVERSIONS[conversion](value) if conversion else value, spec)
    except (ValueError, TypeError) as error:
        raise MissingValue(
            name, f'"{name}" is {kind_of(value)} and does not fit its format ":{spec}": {error}.'
        ) from None


@dataclass(frozen=True, eq=False, repr=False)
class _Within(Ref):
    """A field of a keyword given to `text(...)`."""

    is_whole: ClassVar[bool] = False

    value: Any
    steps: tuple[str, ...]
    name: str

    def held(self) -> Iterable[object]:
        return (self.value,)

    def resolve(self, scope: Scope) -> Any:
        return walk(resolve(self.value, scope), self.steps, self.name)

    def __repr__(self) -> str:
        return f"{self.value!r}.{'.'.join(self.steps)}"


def _path(function: str, path: object, keys: tuple[object, ...]) -> str:
    """The path as it was given; raises NodeMisuse for what is none."""
    if isinstance(path, Node):
        raise NodeMisuse(f'{function}() was given a node. An output is read by its key: output("{path.key}").')
    if not isinstance(path, str):
        raise NodeMisuse(f'{function}() takes a path, not {path!r}: {function}("health.status").')
    for key in keys:
        if not isinstance(key, str):
            raise NodeMisuse(f'{function}() takes texts as further keys, not {key!r}: {function}("{path}", "{key}").')
    return path


def _name(function: str, name: object, example: str) -> str:
    if not isinstance(name, str) or not name:
        raise NodeMisuse(f'{function}() takes a name, not {name!r}: {function}("{example}").')
    return name


def output(path: str, *keys: str, default: Any = MISSING) -> Any:
    """The output of an earlier node, or a value inside it.

    Args:
        path: the node's key, then fields, dict keys and list indexes behind dots: `"health.metrics"`.
        keys: further dict keys taken literally: `output("health.metrics", "cpu.load")`.
        default: used when the path leads nowhere, e.g. because the node's branch was not taken.
    """
    key, *steps = _path("output", path, keys).split(".")
    return OutputRef(key, (*(part for part in steps if part), *keys), default)


def input_data(path: str = "", *keys: str, default: Any = MISSING) -> Any:
    """The run's input, or a value inside it; `""` is the whole."""
    return InputRef(split_path(_path("input_data", path, keys), keys), default)


def item(path: str = "", *keys: str, default: Any = MISSING) -> Any:
    """The item of the innermost `then_each`, or a value inside it; `""` is the whole."""
    return ItemRef(split_path(_path("item", path, keys), keys), default)


def cursor(name: str, *, default: Any = MISSING) -> Any:
    """A cursor of the flow, of the type given to `with_cursor`; `default` is used when it has no value yet."""
    return CursorRef(_name("cursor", name, "since"), default)


def now() -> datetime:
    """The instant at which the node became ready (UTC), the same over all its attempts."""
    return cast(datetime, NowRef())


def tick(place: int = 0, /, *, default: datetime | Missing = MISSING) -> datetime:
    """The scheduled time of the run (UTC); `tick(-1)` is the one before it by the cron rule, run or not.

    Args:
        default: used in a run that no schedule started, e.g. `now()`; without it such a run fails here.
    """
    if not isinstance(place, int) or isinstance(place, bool) or place > 0:
        raise NodeMisuse(
            f"tick({place!r}) is not known. Write tick() for the run's own time, tick(-1) for the last one."
        )
    return cast(datetime, TickRef(-place, default))


def secret(name: str) -> str:
    """A secret, read from the environment variable `name` (or the file in `name_FILE`) at each attempt, unrecorded."""
    return cast(str, SecretRef(_name("secret", name, "SLACK_TOKEN")))


def env(name: str, *, default: str | Missing = MISSING) -> str:
    """An environment variable, read when the node becomes ready, recorded and shown."""
    return cast(str, EnvRef(_name("env", name, "REGION"), default))


def run_id() -> str:
    """The id of the run."""
    return cast(str, RunIdRef())


def text(template: str, /, **values: Any) -> str:
    """A text with values filled in: `text("Disk {h} at {health.component}", h=input_data("host"))`.

    Names are keywords first, then paths of outputs. Format specs work as in `str.format`.
    """
    return cast(str, TextRef(template, values))

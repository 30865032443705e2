"""Any Python value as JSON that an event may hold, without ever failing on it.

A page must go out whatever a flow put into its details. So nothing here calls code of the value's own
class (`__repr__`, `__str__`, serializers, properties): it cannot raise, and what a class hides stays
hidden. What had to be changed is counted in `Mends`, one sentence for each kind.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import MemberDescriptorType
from typing import Any, Final
from uuid import UUID

from pydantic import AnyUrl, BaseModel, RootModel, SecretBytes, SecretStr

from resolute.jsontypes import JsonObject, JsonValue

MAX_DEPTH: Final = 50
# Two bytes are the least that one value takes in JSON, so more values than this never fit into an event.
MAX_VALUES: Final = 256_000
# Python refuses to write longer integers (4,300 digits, 640 at the lowest setting), and no reader wants them.
_MAX_INTEGER_BITS: Final = 2_000

# Types with one obvious text; the text is made by the type named here, never by a subclass.
_TEXTS: Final[tuple[tuple[type, Callable[[Any], str]], ...]] = (
    (str, str.__str__),
    (datetime, datetime.isoformat),
    (date, date.isoformat),
    (time, time.isoformat),
    (timedelta, timedelta.__str__),
    (Decimal, Decimal.__str__),
    (Fraction, Fraction.__str__),
    (UUID, UUID.__str__),
    (PurePath, PurePath.__str__),
    (AnyUrl, AnyUrl.__str__),
    (ipaddress.IPv4Address, ipaddress.IPv4Address.__str__),
    (ipaddress.IPv6Address, ipaddress.IPv6Address.__str__),
    (bytes, lambda raw: bytes.decode(raw, "utf-8", "replace")),
    (bytearray, lambda raw: bytearray.decode(raw, "utf-8", "replace")),
    (SecretStr, lambda _: "**********"),
    (SecretBytes, lambda _: "**********"),
)
_LISTS: Final[tuple[tuple[type, Callable[[Any], Iterator[Any]]], ...]] = (
    (list, list.__iter__),
    (tuple, tuple.__iter__),
    (deque, deque.__iter__),
    (range, range.__iter__),
)
_SETS: Final[tuple[tuple[type, Callable[[Any], Iterator[Any]]], ...]] = (
    (set, set.__iter__),
    (frozenset, frozenset.__iter__),
)
_SENTENCES: Final = {
    "number": "{} that JSON cannot hold sent as text",
    "integer": "{} too long for JSON replaced by a note of the size",
    "text": "{} with half a character (a lone surrogate) mended",
    "type": "{} of a type that JSON does not know sent as text",
    "key": "{} made text",
    "loop": "{} in a circle replaced by a marker",
    "depth": f"{{}} nested deeper than {MAX_DEPTH} levels replaced by a marker",
}
_NOUNS: Final = {"number": "number", "integer": "integer", "text": "text", "key": "key"}


class TooManyValues(Exception):
    """The value has more parts than any event can hold."""


@dataclass
class Mends:
    """What was changed: how often for each kind, and where first."""

    seen: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    def note(self, kind: str, path: tuple[str, ...]) -> None:
        """Count one change of this kind; the path's first part is the field of the event."""
        count, first = self.seen.get((path[0], kind), (0, ".".join(path[1:])[:120]))
        self.seen[path[0], kind] = (count + 1, first)

    def sentences(self) -> list[str]:
        """One sentence for each field and kind: 'custom_details: 2 numbers that … (first at metrics.cpu)'."""
        return [
            f"{name}: {_SENTENCES[kind].format(_counted(count, _NOUNS.get(kind, 'value')))}"
            + (f" (first at {first})" if first else "")
            for (name, kind), (count, first) in self.seen.items()
        ]


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def mend_text(text: str) -> str:
    """The text as `str` itself, halves of a character joined, lone ones replaced by U+FFFD."""
    exact = str.__str__(text)
    try:
        exact.encode()
    except UnicodeEncodeError:
        return exact.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return exact


class PlainMaker:
    """Turns values into JSON, noting what it changed; one maker for one event."""

    def __init__(self, mends: Mends) -> None:
        self._mends = mends
        self._count = 0
        self._open: set[int] = set()  # ids of the containers around the value at hand

    def plain(self, value: object, where: str) -> JsonValue:
        """The value as JSON that `json.dumps(allow_nan=False)` takes; raises TooManyValues only."""
        self._count = 0
        self._open.clear()
        return self._plain(value, (where,))

    def text(self, value: object, where: str) -> str:
        """The value as one text: a text as it is, None as "", everything else as it would stand in JSON."""
        try:
            plain = self.plain(value, where)
        except TooManyValues:
            return f"({MAX_VALUES:,} values or more)"
        if plain is None:
            return ""
        return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, allow_nan=False)

    def _plain(self, value: Any, path: tuple[str, ...]) -> JsonValue:
        self._count += 1
        if self._count > MAX_VALUES:
            raise TooManyValues
        kind = type(value)  # never `isinstance`: that asks the value for its `__class__`
        if value is None or value is True or value is False:
            return value
        if issubclass(kind, Enum):
            return self._container(value, kind, path)
        if issubclass(kind, int):
            return self._integer(int.__int__(value), path)
        if issubclass(kind, float):
            return self._float(float.__float__(value), path)
        for known, make_text in _TEXTS:
            if issubclass(kind, known):
                return self._text(make_text(value), path)
        return self._container(value, kind, path)

    def _text(self, text: str, path: tuple[str, ...]) -> str:
        mended = mend_text(text)
        if mended != text:
            self._mends.note("text", path)
        return mended

    def _integer(self, number: int, path: tuple[str, ...]) -> JsonValue:
        if number.bit_length() <= _MAX_INTEGER_BITS:
            return number
        self._mends.note("integer", path)
        return f"(an integer of {number.bit_length():,} bits)"

    def _float(self, number: float, path: tuple[str, ...]) -> JsonValue:
        if math.isfinite(number):
            return number
        self._mends.note("number", path)
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"

    def _container(self, value: Any, kind: type, path: tuple[str, ...]) -> JsonValue:
        if id(value) in self._open:
            self._mends.note("loop", path)
            return "(a reference to itself)"
        if len(path) > MAX_DEPTH:
            self._mends.note("depth", path)
            return f"(nested deeper than {MAX_DEPTH} levels)"
        self._open.add(id(value))
        try:
            return self._open_container(value, kind, path)
        finally:
            self._open.discard(id(value))

    def _open_container(self, value: Any, kind: type, path: tuple[str, ...]) -> JsonValue:
        if issubclass(kind, dict):
            return self._object(dict.items(value), path)
        for known, iterate in _LISTS:
            if issubclass(kind, known):
                return [self._plain(item, (*path, str(index))) for index, item in enumerate(iterate(value))]
        for known, iterate in _SETS:
            if issubclass(kind, known):
                # A set has an order of its own in every process; the same event must always read the same.
                return sorted((self._plain(item, (*path, "item")) for item in iterate(value)), key=json.dumps)
        if issubclass(kind, Enum):
            return self._plain(object.__getattribute__(value, "_value_"), (*path, "value"))
        if issubclass(kind, RootModel):
            return self._plain(_stored(value).get("root"), (*path, "root"))
        if issubclass(kind, BaseModel):
            extra: dict[str, object] = object.__getattribute__(value, "__pydantic_extra__") or {}
            return self._object([*_shown_fields(value, kind.__pydantic_fields__), *extra.items()], path)
        if is_dataclass(kind):
            return self._object(_shown_fields(value, kind.__dataclass_fields__), path)
        name = mend_text(type.__dict__["__qualname__"].__get__(kind))
        if issubclass(kind, BaseException):
            reasons = [self._as_text(item, (*path, "args")) for item in BaseException.__dict__["args"].__get__(value)]
            return f"{name}: {', '.join(reasons)}" if reasons else name
        self._mends.note("type", path)
        return f"<{name} object>"

    def _as_text(self, value: object, path: tuple[str, ...]) -> str:
        plain = self._plain(value, path)
        return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, allow_nan=False)

    def _object(self, items: Iterable[tuple[object, object]], path: tuple[str, ...]) -> JsonObject:
        result: JsonObject = {}
        for key, item in items:
            if not issubclass(type(key), str | Enum):
                self._mends.note("key", path)
            name = self._as_text(key, path)
            # 1 and "1" are two keys in Python and would be one in JSON.
            unique, again = name, 1
            while unique in result:
                again += 1
                unique = f"{name} ({again})"
            result[unique] = self._plain(item, (*path, unique))
        return result


def _stored(value: object) -> dict[str, object]:
    """The attributes kept in an object itself, read past whatever its class does on access."""
    try:
        stored: dict[str, object] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return stored


def _shown_fields(value: object, declared: Mapping[str, Any]) -> Iterator[tuple[object, object]]:
    """Fields of a model or dataclass, without those that it keeps out of its own text or dump."""
    stored = _stored(value)
    for name, declaration in declared.items():
        if declaration.repr is False or getattr(declaration, "exclude", None) is True:
            continue
        if name in stored:
            yield name, stored[name]
            continue
        slot = getattr(type(value), name, None)
        if isinstance(slot, MemberDescriptorType):
            with suppress(AttributeError):  # a slot that was never filled
                yield name, slot.__get__(value)

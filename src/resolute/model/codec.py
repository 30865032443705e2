"""The one way a value enters and leaves the journal.

Out: pydantic's JSON-mode dump, then `json.dumps` in ASCII with NaN allowed. Back: `json.loads` and lax
validation. So NaN, infinities and lone surrogates survive (pydantic's own JSON text turns the first
two into null and refuses the last), and what a flow sees is what a restart would see.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from resolute.errors import InputError, OutputError

_encode: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=True, separators=(",", ":")).encode
_decode: Final = json.JSONDecoder().raw_decode

#: Of these types themselves, not of types made from them, JSON keeps every value as it is.
_LEAVES: Final = frozenset({str, int, bool, type(None), float})
#: Where these are declared as they are, without constraints or serializers, nothing else can come back.
_DECLARED: Final[Mapping[str, type]] = {"str": str, "int": int, "bool": bool, "none": type(None)}


@cache
def _anything() -> TypeAdapter[Any]:
    return TypeAdapter(Any)  # on first use: pydantic looks for its plugins then, which takes 20 ms


class NotJournalable(ValueError):
    """A value that JSON cannot hold."""


def to_text(plain: Any) -> str:
    """JSON text of plain data: ASCII, no blanks, NaN and Infinity allowed."""
    try:
        return str(plain) if type(plain) is int else _encode(plain)  # the encoder is slow to begin
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJournalable(str(error)) from error


def from_text(text: str) -> Any:
    """Plain data of JSON text written by `to_text`."""
    plain, end = _decode(text)
    return plain if end == len(text) else json.loads(text)  # which says what is wrong with the rest


def _is_plain(value: Any, depth: int = 4) -> bool:
    """Whether the value is made of JSON's own types alone, so that it is its own plain data; False when too deep."""
    kind = type(value)
    if kind in _LEAVES:
        return True
    if kind is dict:
        if not all(type(key) is str for key in value):
            return False
        held = value.values()
    elif kind is list:
        held = value
    else:
        return False
    return all(type(inner) in _LEAVES or (depth > 0 and _is_plain(inner, depth - 1)) for inner in held)


@lru_cache(maxsize=1024)
def _plain_type(adapter: TypeAdapter[Any]) -> type | None:
    """The type whose values come back from the journal as they are, where the adapter declares just that one."""
    schema = adapter.core_schema
    return _DECLARED.get(schema["type"]) if len(schema) == 1 else None


def to_plain(value: Any, adapter: TypeAdapter[Any] | None = None) -> Any:
    """The value as None, bool, int, float, str, list and dict, or itself where it is that; raises NotJournalable.

    Fields stand under their own names, not their aliases; computed fields are left out.

    Args:
        adapter: the declared type, whose serializers are used; None for a value without one.
    """
    if type(value) is _plain_type(adapter) if adapter is not None else _is_plain(value):
        return value
    known = adapter or _anything()
    try:
        plain = known.serializer.to_python(value, mode="json", by_alias=False, round_trip=True, warnings=False)
        if not _holds_none(plain):
            return plain
        raw = known.serializer.to_python(value, by_alias=False, round_trip=True, warnings=False)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise NotJournalable(str(error)) from error
    return _with_non_finite(plain, raw)


def _holds_none(plain: Any) -> bool:
    if isinstance(plain, dict):
        return any(map(_holds_none, plain.values()))
    return any(map(_holds_none, plain)) if isinstance(plain, list) else plain is None


def _with_non_finite(plain: Any, raw: Any) -> Any:
    """Put back the NaN and infinities that pydantic's JSON mode turned into None inside `Any`."""
    if plain is None:
        return raw if isinstance(raw, float) and not math.isfinite(raw) else None
    if isinstance(plain, dict):
        source = raw if isinstance(raw, Mapping) else getattr(raw, "__dict__", {})
        if len(source) == len(plain):
            return {
                key: _with_non_finite(inner, origin)
                for (key, inner), origin in zip(plain.items(), source.values(), strict=True)
            }
    if isinstance(plain, list) and isinstance(raw, list | tuple):
        return [_with_non_finite(inner, origin) for inner, origin in zip(plain, raw, strict=True)]
    return plain


def encode_output(value: Any, adapter: TypeAdapter[Any] | None, activity: str) -> tuple[str, Any]:
    """An activity's output as journal text, and the copy that the flow will see.

    Raises:
        OutputError: the value does not come back from the journal as it went in.
    """
    try:
        plain = to_plain(value, adapter)
        text = to_text(plain)
    except NotJournalable as error:
        raise OutputError(
            f"The output of {activity} (type {type(value).__name__}) cannot be written to the journal: {error}. "
            "Return a pydantic model, a dataclass or JSON values, and declare the type: -> MyModel."
        ) from error
    decoded = decode_output(text, adapter, activity)
    if plain is value and type(decoded) is type(value) and decoded == value:
        return text, decoded
    lost = _lost(value, decoded, "output")
    if lost is not None and _lost(_as_declared(value, adapter), decoded, "output") is not None:
        raise OutputError(
            f"The output of {activity} does not survive the journal: {lost}. "
            "Declare the return type of the activity (-> MyModel, -> list[datetime]) so that it can be rebuilt."
        )
    return text, decoded


def decode_output(text: str, adapter: TypeAdapter[Any] | None, activity: str) -> Any:
    """The output of an activity as the flow sees it.

    Raises:
        OutputError: the recorded text does not fit the activity's declared type.
    """
    plain = from_text(text)
    if adapter is None or type(plain) is _plain_type(adapter):
        return plain
    try:
        return rebuild(plain, adapter)
    except ValidationError as error:
        raise OutputError(f"The output of {activity} does not fit its declared type: {describe(error)}.") from error


def rebuild(plain: Any, adapter: TypeAdapter[Any]) -> Any:
    """The value of a declared type that `to_plain` took apart; raises ValidationError."""
    return adapter.validator.validate_python(plain, strict=False, by_alias=True, by_name=True)


def _as_declared(value: Any, adapter: TypeAdapter[Any] | None) -> Any:
    """What the declared type makes of a value of another type: a dict of texts becomes the model it describes."""
    if adapter is None:
        return value
    try:
        return rebuild(value, adapter)
    except ValidationError:
        return value


def _lost(value: Any, decoded: Any, where: str) -> str | None:
    """What the trip through the journal changed, None when nothing."""
    if isinstance(decoded, BaseModel):
        if type(value) is not type(decoded):
            return f"{where} was {type(value).__name__} and comes back as {type(decoded).__name__}"
        before, after = _held(value), _held(decoded)
        return _first_lost((name, before[name], after[name], where) for name in after if name in before)
    if dataclasses.is_dataclass(decoded) and type(value) is type(decoded):
        names = [field.name for field in dataclasses.fields(decoded) if field.compare]
        return _first_lost((name, getattr(value, name, None), getattr(decoded, name), where) for name in names)
    if isinstance(value, Mapping) and isinstance(decoded, Mapping):
        if len(value) != len(decoded) or any(key not in decoded for key in value):
            return f"the keys of {where} come back as {list(decoded)[:5]!r}"
        return _first_lost((key, value[key], decoded[key], where) for key in value)
    if isinstance(value, list | tuple) and isinstance(decoded, list | tuple):
        if type(value) is not type(decoded) or len(value) != len(decoded):
            return f"{where} was a {type(value).__name__} and comes back as a {type(decoded).__name__}"
        return _first_lost((i, a, b, where) for i, (a, b) in enumerate(zip(value, decoded, strict=True)))
    if isinstance(value, float) and isinstance(decoded, float) and math.isnan(value) and math.isnan(decoded):
        return None
    if _equal(value, decoded):
        return None
    return f"{where} was {_short(value)} and comes back as {_short(decoded)}"


def _held(model: BaseModel) -> dict[str, Any]:
    return {**vars(model), **(model.model_extra or {})}


def _first_lost(pairs: Any) -> str | None:
    for name, before, after, where in pairs:
        lost = _lost(before, after, f"{where}.{name}")
        if lost is not None:
            return lost
    return None


def _equal(value: Any, decoded: Any) -> bool:
    kind = type(value)
    if kind is type(decoded) and hasattr(value, "__dict__") and getattr(kind, "__eq__", None) is object.__eq__:
        return bool(vars(value) == vars(decoded))  # an object that is equal only to itself
    return bool(value == decoded)


def _short(value: Any) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= 80 else text[:77] + "..."


def encode_inputs(inputs: Mapping[str, Any], activity: str) -> Any:
    """A node's resolved inputs as plain data; raises InputError."""
    try:
        return to_plain(dict(inputs))
    except NotJournalable as error:
        raise InputError(
            f"The inputs of {activity} cannot be written to the journal: {error}. Give JSON values or pydantic models."
        ) from error


def describe(error: ValidationError) -> str:
    """A validation error on one line: field, reason, for at most five faults; never the value itself."""
    faults = [
        ".".join(str(part) for part in fault["loc"]) + (": " if fault["loc"] else "") + fault["msg"]
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    return "; ".join(faults[:5]) + more

"""What declared types say about the values that references will lead to, before there is any value."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import types
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from resolute.model.reference import MISSING

_SCALARS: Final = (str, int, float, bool, bytes, types.NoneType)


def field_fault(annotation: Any, steps: tuple[str, ...], path: str, *, as_recorded: bool = False) -> str | None:
    """Why a path cannot exist in a value of this declared type; None when it can, or nobody knows.

    Args:
        path: what the value is called in the sentence.
        as_recorded: whether the value is plain data, so that only what is recorded is there: no properties.
    """
    if not steps:
        return None
    step, rest = steps[0], steps[1:]
    annotation = _bare(annotation)
    origin = get_origin(annotation)
    if origin is Union or isinstance(annotation, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not types.NoneType]
        faults = [field_fault(part, steps, path, as_recorded=as_recorded) for part in parts]
        return faults[0] if faults and all(faults) else None
    if isinstance(annotation, type) and origin is None:
        if annotation in _SCALARS:
            return f'"{path}" is {annotation.__name__} and has no field "{step}". Read it whole, as "{path}".'
        fields = _fields(annotation)
        if fields is None:
            return None
        if not as_recorded:
            fields |= dict.fromkeys(getattr(annotation, "model_computed_fields", ()), Any)
        if step in fields:
            return field_fault(fields[step], rest, f"{path}.{step}", as_recorded=as_recorded)
        if _takes_any_field(annotation):
            return None
        if _is_attribute(annotation, step):
            if not as_recorded:
                return None
            return (
                f'"{path}" is recorded as plain data, and {annotation.__name__}.{step} is no field. {_listed(fields)}'
            )
        near = difflib.get_close_matches(step, fields, 1)
        hint = f'Did you mean "{near[0]}"?' if near else _listed(fields)
        return f'{annotation.__name__} has no field "{step}". {hint}'
    if origin in (list, tuple) and not step.removeprefix("-").isdecimal():
        return f'"{path}" is a list; read an element by its index: {path}.0.{step}'
    return field_fault(_inside(annotation, step), rest, f"{path}.{step}", as_recorded=as_recorded)


def declared_at(annotation: Any, steps: tuple[str, ...]) -> Any:
    """The declared type of what a path leads to; Any where nobody knows."""
    for step in steps:
        annotation = _inside(_bare(annotation), step)
    return annotation


def element_of(annotation: Any) -> Any:
    """The declared type of a list's elements, Any where nobody knows; MISSING for what is certainly no list."""
    annotation = _bare(annotation)
    origin = get_origin(annotation)
    if origin is Union or isinstance(annotation, types.UnionType):
        elements = [element_of(part) for part in get_args(annotation) if part is not types.NoneType]
        lists = [element for element in elements if element is not MISSING]
        if not lists:
            return MISSING
        return lists[0] if len(elements) == 1 else Any
    arguments = get_args(annotation)
    if origin is list or (origin is tuple and arguments[1:] == (...,)):
        return Any if isinstance(arguments[0], TypeVar) else arguments[0]
    kind = origin or annotation
    if (
        not isinstance(kind, type)
        or kind in (Any, object)
        or issubclass(kind, list | tuple)
        or inspect.isabstract(kind)
    ):
        return Any
    return MISSING


def name_of(annotation: Any) -> str:
    """A declared type as its author wrote it, near enough."""
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else repr(annotation)


def has_order(annotation: Any) -> bool:
    """Whether values of this type can be compared with `<`; True where nobody knows."""
    annotation = _bare(annotation)
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) or kind in (Any, object, types.UnionType):
        return True
    return not issubclass(kind, dict | set | frozenset) and kind.__lt__ is not object.__lt__  # type: ignore[operator]


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _inside(annotation: Any, step: str) -> Any:
    """The declared type one step further in; Any where nobody knows."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Union or isinstance(annotation, types.UnionType):
        parts = [part for part in arguments if part is not types.NoneType]
        return _inside(_bare(parts[0]), step) if len(parts) == 1 else Any
    if origin is list or (origin is tuple and arguments[1:] == (...,)):
        return arguments[0]
    if origin is dict and len(arguments) == 2:
        return arguments[1]
    return (_fields(annotation) or {}).get(step, Any) if isinstance(annotation, type) and origin is None else Any


def _fields(kind: type) -> dict[str, Any] | None:
    """The fields of a model or dataclass by name; None for any other class."""
    if issubclass(kind, BaseModel):
        return {name: info.annotation for name, info in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        try:
            hints = get_type_hints(kind, include_extras=True)
        except NameError:  # a type that only a type checker knows
            hints = {}
        return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(kind)}
    return None


def _takes_any_field(kind: type) -> bool:
    return issubclass(kind, BaseModel) and kind.model_config.get("extra") == "allow"


def _is_attribute(kind: type, name: str) -> bool:
    """Whether instances of this class have such a value without declaring a field: a property or class variable."""
    return not name.startswith("_") and hasattr(kind, name) and not callable(getattr(kind, name))


def _listed(fields: dict[str, Any]) -> str:
    return f"It has: {', '.join(fields)}."

"""What declared types say about paths, lists and order before there is any value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, Union

import pytest
from pydantic import BaseModel, ConfigDict, RootModel

from resolute.model.declared import declared_at, element_of, field_fault, has_order, name_of
from resolute.model.reference import MISSING
from tests.unit.model.mistakes import Disk, Health

if TYPE_CHECKING:
    from elsewhere import Unknown

T = TypeVar("T")


@dataclass
class Drive:
    mount: str
    disks: list[Disk] = field(default_factory=list)


@dataclass
class Hidden:
    disk: Unknown
    size: int = 0


class Spot(NamedTuple):
    x: int


class Free(BaseModel):
    model_config = ConfigDict(extra="allow")
    disk: Disk


@pytest.mark.parametrize(
    ("declared", "path", "fault"),
    [
        (Any, "a.b", None),
        (Disk, "", None),
        (Drive, "mount", None),
        (Drive, "mont", 'Drive has no field "mont". Did you mean "mount"?'),
        (Drive, "disks.0.mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (Hidden, "disk.anything", None),
        (Hidden, "dsk", 'Hidden has no field "dsk". Did you mean "disk"?'),
        (Annotated[Disk, "of a host"], "mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (list[Annotated[Disk, "of a host"]], "0.mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (Disk | None, "mount", None),
        (Disk | None, "mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (Union[Disk, Drive], "used", None),  # noqa: UP007
        (Disk | Drive, "size", 'Disk has no field "size". It has: mount, used.'),
        (Disk | dict[str, Any], "size", None),
        (None, "x", None),
        (type(None), "x", '"x" is NoneType and has no field "x". Read it whole, as "x".'),
        (int, "x", '"x" is int and has no field "x". Read it whole, as "x".'),
        (datetime, "year", None),
        (list[Disk], "0.mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (list[Disk], "--1", '"x" is a list; read an element by its index: x.0.--1'),
        (list, "0.x", None),
        (tuple[Disk, ...], "mount", '"x" is a list; read an element by its index: x.0.mount'),
        (tuple[Disk, int], "1", None),
        (dict[str, Disk], "any.mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (dict[str, Disk], "any.mount", None),
        (Spot, "x", None),
        (Free, "anything", None),
        (Free, "disk.mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (RootModel[list[int]], "root.0", None),
        (Disk, "model_dump", 'Disk has no field "model_dump". It has: mount, used.'),
        (Disk, "__class__", 'Disk has no field "__class__". It has: mount, used.'),
        (Sequence[Disk], "0.mount", None),
    ],
)
def test_a_path_is_compared_with_the_declared_type(declared: Any, path: str, fault: str | None) -> None:
    """A path is refused only where the declared type leaves no way for it."""
    assert field_fault(declared, tuple(step for step in path.split(".") if step), "x") == fault


def test_what_is_recorded_has_fields_alone() -> None:
    """Of a list's items only the recorded data is there: no properties, no computed fields."""
    assert field_fault(Health, ("failed",), "x") is None
    assert field_fault(Health, ("failed",), "x", as_recorded=True) == (
        '"x" is recorded as plain data, and Health.failed is no field. It has: status, disks, by_name, worst, metrics.'
    )
    assert field_fault(Health, ("disks", "0", "mount"), "x", as_recorded=True) is None


@pytest.mark.parametrize(
    ("declared", "path", "found"),
    [
        (Health, "", Health),
        (Health, "status", str),
        (Health, "disks", list[Disk]),
        (Health, "disks.0", Disk),
        (Health, "by_name.root.used", float),
        (Health, "worst.mount", str),
        (Health, "metrics.cpu.load", Any),
        (Health, "nope.nope", Any),
        (Drive, "disks.-1.used", float),
        (tuple[Disk, ...], "3.mount", str),
        (tuple[Disk, int], "0", Any),
        (list[Disk] | None, "0", Disk),
        (Disk | Drive, "mount", Any),
        (Annotated[list[Disk], "all"], "0", Disk),
        (int, "x", Any),
        (Any, "a.b", Any),
    ],
)
def test_the_type_at_the_end_of_a_path_is_found(declared: Any, path: str, found: Any) -> None:
    """Where nobody knows it is Any, which nothing is held against."""
    assert declared_at(declared, tuple(step for step in path.split(".") if step)) == found


@pytest.mark.parametrize(
    ("declared", "element"),
    [
        (list[Disk], Disk),
        (tuple[Disk, ...], Disk),
        (list[Disk] | None, Disk),
        (Annotated[list[Disk], "all"], Disk),
        (list[T], Any),
        (list, Any),
        (tuple[Disk, int], Any),
        (Spot, Any),
        (Sequence[Disk], Any),
        (Any, Any),
        (object, Any),
        (list[Disk] | dict[str, Disk], Any),
        (str, MISSING),
        (Disk, MISSING),
        (Drive, MISSING),
        (dict[str, Disk], MISSING),
        (set[str], MISSING),
        (RootModel[list[int]], MISSING),
        (int | None, MISSING),
        (None.__class__, MISSING),
    ],
)
def test_a_list_is_told_from_what_is_none(declared: Any, element: Any) -> None:
    """Only what certainly is no list is refused."""
    assert element_of(declared) == element


@pytest.mark.parametrize(
    ("declared", "ordered"),
    [
        (int, True),
        (datetime, True),
        (list[int], True),
        (int | None, True),
        (Any, True),
        (Annotated[str, "x"], True),
        (Disk, False),
        (dict[str, int], False),
        (set[int], False),
        (None.__class__, False),
    ],
)
def test_what_has_no_order_is_known(declared: Any, ordered: bool) -> None:
    """A cursor is moved on only where later and earlier can be told apart."""
    assert has_order(declared) is ordered


@pytest.mark.parametrize(
    ("declared", "name"), [(Disk, "Disk"), (list[int], "list[int]"), (int | None, "int | None"), (Any, "Any")]
)
def test_a_type_is_named_as_it_was_written(declared: Any, name: str) -> None:
    """Error texts quote the declaration."""
    assert name_of(declared) == name

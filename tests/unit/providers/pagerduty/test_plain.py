"""Any Python value becomes JSON, without running code of its own."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, RootModel, SecretStr

from resolute.providers.pagerduty.plain import MAX_DEPTH, Mends, PlainMaker, mend_text


def plain(value: object) -> Any:
    return PlainMaker(Mends()).plain(value, "details")


def sentences(value: object) -> list[str]:
    mends = Mends()
    PlainMaker(mends).plain(value, "details")
    return mends.sentences()


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Kind(StrEnum):
    DISK = "disk"


class Health(BaseModel):
    model_config = ConfigDict(extra="allow")

    status: str
    metrics: dict[str, float]
    token: str = Field(default="t", exclude=True)


class Tags(RootModel[list[str]]):
    pass


@dataclass
class Host:
    name: str
    password: str = field(default="p", repr=False)


@dataclass(slots=True)
class Slotted:
    size: int
    missing: int = 0


class Hostile:
    """Raises from whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")


class HostileText(str):
    def __str__(self) -> str:
        raise RuntimeError("str")

    encode = __str__  # type: ignore[assignment]


class HostileFloat(float):
    def __float__(self) -> float:
        raise RuntimeError("float")

    __repr__ = __float__  # type: ignore[assignment]


class HostileInt(int):
    def __index__(self) -> int:
        raise RuntimeError("index")

    __int__ = __index__
    __repr__ = __index__  # type: ignore[assignment]


class HostileDict(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("items")

    __iter__ = items


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        ("é", "é"),
        ((1, 2), [1, 2]),
        (deque([1]), [1]),
        (range(2), [0, 1]),
        ({3, 1, 2}, [1, 2, 3]),
        (OrderedDict(a=1), {"a": 1}),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Kind.DISK, "disk"),
        (Decimal("1.50"), "1.50"),
        (Fraction(1, 3), "1/3"),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00+00:00"),
        (date(2026, 3, 1), "2026-03-01"),
        (timedelta(minutes=5), "0:05:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/var/log"), "/var/log"),
        (ip_address("10.0.0.1"), "10.0.0.1"),
        (AnyUrl("https://host/x"), "https://host/x"),
        (b"caf\xc3\xa9 \xff", "café \ufffd"),
        (Host("db-1"), {"name": "db-1"}),
        (Slotted(3), {"size": 3, "missing": 0}),
        (Health(status="bad", metrics={"cpu": 0.9}, note="x"), {"status": "bad", "metrics": {"cpu": 0.9}, "note": "x"}),
        (Tags(["a"]), ["a"]),
        (ValueError("no disk", 3), "ValueError: no disk, 3"),
    ],
)
def test_known_types_become_what_a_reader_expects(value: object, expected: object) -> None:
    """None of these is a mend: they have one obvious form."""
    assert plain(value) == expected
    assert sentences(value) == []


@pytest.mark.parametrize(
    ("value", "expected", "said"),
    [
        (float("nan"), "NaN", "details: 1 number that JSON cannot hold sent as text"),
        (-float("inf"), "-Infinity", "details: 1 number that JSON cannot hold sent as text"),
        ("a\ud800", "a\ufffd", "details: 1 text with half a character (a lone surrogate) mended"),
        (object(), "<object object>", "details: 1 value of a type that JSON does not know sent as text"),
        pytest.param(
            10**5_000,
            "(an integer of 16,610 bits)",
            "details: 1 integer too long for JSON replaced by a note of the size",
            id="long integer",
        ),
        ({1: 2}, {"1": 2}, "details: 1 key made text"),
    ],
)
def test_what_json_cannot_hold_becomes_text_and_is_told(value: object, expected: object, said: str) -> None:
    """Every mend has one sentence."""
    assert plain(value) == expected
    assert sentences(value) == [said]


def test_mends_of_one_kind_are_counted_with_the_first_place() -> None:
    """A thousand NaN metrics are one remark."""
    values = {"metrics": {"cpu": float("nan"), "disk": [1, float("inf")]}}
    assert sentences(values) == ["details: 2 numbers that JSON cannot hold sent as text (first at metrics.cpu)"]


def test_a_secret_stays_hidden() -> None:
    """What a class keeps out of its text or its dump does not reach a pager either."""
    assert plain({"key": SecretStr("hunter2")}) == {"key": "**********"}
    assert "t" not in plain(Health(status="", metrics={})).values()
    assert "password" not in plain(Host("db-1"))


def test_code_of_the_value_never_runs() -> None:
    """A value whose every method raises still becomes JSON."""
    values = [Hostile(), HostileText("t"), HostileFloat(1.5), HostileInt(7), HostileDict(a=1), {Hostile(): 1}, Hostile]
    assert plain(values)[:5] == ["<Hostile object>", "t", 1.5, 7, {"a": 1}]
    json.dumps(plain(values), allow_nan=False)


def test_an_unset_slot_is_left_out() -> None:
    """A half-made object is shown as far as it goes."""
    half = Slotted.__new__(Slotted)
    half.size = 1
    assert plain(half) == {"size": 1}


def test_different_keys_stay_different() -> None:
    """1 and "1" are two keys in Python and would overwrite each other in JSON."""
    assert plain({1: "a", "1": "b", None: "c", (1, "x"): "d"}) == {"1": "a", "1 (2)": "b", "null": "c", '[1, "x"]': "d"}


def test_a_circle_ends_in_a_marker() -> None:
    """A structure may hold itself; the same part twice side by side is no circle."""
    circle: list[Any] = [1]
    circle.append({"again": circle})
    shared = [2]
    assert plain(circle) == [1, {"again": "(a reference to itself)"}]
    assert plain([shared, shared]) == [[2], [2]]


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"k": x}, lambda x: ValueError(x), lambda x: Host(x)])
def test_deep_nesting_ends_in_a_marker(wrap: Any) -> None:
    """The depth is bounded whatever the layers are made of."""
    deep: Any = 1
    for _ in range(3_000):
        deep = wrap(deep)
    assert f"nested deeper than {MAX_DEPTH} levels" in json.dumps(plain(deep))


def test_halves_of_a_character_are_joined() -> None:
    """Text cut out of UTF-16 may hold a character as two halves."""
    assert mend_text("\ud83d\ude00 \ude00 \ud83d") == "\U0001f600 \ufffd \ufffd"


@given(st.text(st.characters(codec=None)))
def test_mended_text_can_always_be_encoded(text: str) -> None:
    """And is left alone when it could be already."""
    mended = mend_text(text)
    mended.encode()
    assert mended == text or any("\ud800" <= character <= "\udfff" for character in text)

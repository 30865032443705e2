"""The trip through the journal: what comes back as it went in, and what is refused with which words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    RootModel,
    SecretStr,
    TypeAdapter,
    ValidationError,
    computed_field,
)

from resolute.errors import InputError, OutputError
from resolute.model.activity import adapter_for
from resolute.model.codec import (
    NotJournalable,
    decode_output,
    describe,
    encode_inputs,
    encode_output,
    from_text,
    to_plain,
    to_text,
)

Level = Enum("Level", {"HIGH": "high"})
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


class Color(StrEnum):
    RED = "red"


class Health(BaseModel):
    status: str
    load: float = 0.0
    at: datetime | None = None
    more: Any = None


class Sub(Health):
    extra: int = 1


class Aliased(BaseModel):
    id: str = Field(alias="user_id")
    kind: str = Field("x", validation_alias="type", serialization_alias="Type")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int

    @computed_field
    def double(self) -> int:
        return 2 * self.n


class Parsed(BaseModel):
    items: Json[list[int]]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    pair: tuple[int, int]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Hidden(BaseModel):
    token: str = Field("none", exclude=True)


@dataclass
class Disk:
    mount: str
    used: float = math.nan
    health: Health | None = None
    seen: int = field(default=0, compare=False)


@dataclass(eq=False, slots=True)
class Slot:
    n: float


class Point(NamedTuple):
    x: int
    y: int


def trip(value: object, declared: object = Any) -> Any:
    """What the flow sees of an output of this declared type."""
    adapter = None if declared is Any else adapter_for(declared)
    return encode_output(value, adapter, "check")[1]


def same(one: object, other: object) -> bool:
    """Equal in value and type, NaN and order of keys included."""
    return type(one) is type(other) and repr(one) == repr(other)


@given(JSON)
def test_every_json_value_comes_back_as_it_went_in(value: Any) -> None:
    """NaN, infinities, lone surrogates, big integers: the journal changes none of them."""
    text = to_text(to_plain(value))

    assert text.isascii()
    assert same(from_text(text), value)
    assert same(trip(value), value)


@given(JSON, st.floats())
def test_every_json_value_comes_back_inside_a_model(more: Any, load: float) -> None:
    """What a model holds in `Any` fields is as safe as what stands alone."""
    health = Health(status="ok", load=load, more={"nested": [more, Health(status="x").model_dump()]})

    assert same(trip(health, Health), health)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.0])
@pytest.mark.parametrize(
    ("wrap", "declared"),
    [
        (lambda n: n, Any),
        (lambda n: n, float),
        (lambda n: [n, {"a": n}], Any),
        (lambda n: [n], list[float]),
        (lambda n: {"a": n}, dict[str, float]),
        (lambda n: Health(status="ok", load=n, more=[n, {"b": (n,)[0]}]), Health),
        (lambda n: [Health(status="ok", more=Sub(status="x", load=n).model_dump())], list[Health]),
        (lambda n: Disk("/", n), Disk),
        (lambda n: {"d": Disk("/", n, Health(status="ok", load=n))}, dict[str, Disk]),
        (lambda n: RootModel[dict[str, float]]({"a": n}), RootModel[dict[str, float]]),
    ],
)
def test_numbers_that_json_does_not_know_survive(
    wrap: Callable[[float], object], declared: object, number: float
) -> None:
    """NaN and infinities come back wherever they stand; pydantic's own JSON would make null of them."""
    value = wrap(number)

    assert same(trip(value, declared), value)


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (NOON, datetime),
        (date(2026, 7, 1), date),
        (timedelta(days=1, microseconds=1), timedelta),
        (Decimal("1.10"), Decimal),
        (UUID(int=7), UUID),
        (Level.HIGH, Level),
        (Color.RED, Color),
        (b"text", bytes),
        (None, None),
        (None, Health | None),
        (Health(status="ok", at=NOON), Health | None),
        (Health(status="ok"), Health | str),
        ("ok", Health | str),
        ([NOON, None], list[datetime | None]),
        ({1: "a", 2: "b"}, dict[int, str]),
        ({NOON: 1}, dict[datetime, int]),
        ({1, 2}, set[int]),
        (frozenset({"a"}), frozenset[str]),
        ((1, "a"), tuple[int, str]),
        ((), tuple[int, ...]),
        (Point(1, 2), Point),
        (Disk("/", 0.5, Health(status="ok")), Disk),
        (Disk("/", 0.5, seen=3), Disk),
        (Slot(1.5), Slot),
        ([Sub(status="ok", extra=2)], list[Sub]),
        (Aliased(user_id="U1", type="t"), Aliased),
        (Computed(n=2), Computed),
        (Parsed(items="[1, 2]"), Parsed),
        (Strict(at=NOON, pair=(1, 2)), Strict),
        (Open(a=1, b={"c": [None]}), Open),
        (Hidden(), Hidden),
    ],
    ids=repr,
)
def test_a_typed_output_is_rebuilt_in_its_type(value: object, declared: object) -> None:
    """A declared type brings back what JSON has no word for."""
    rebuilt = trip(value, declared)

    assert type(rebuilt) is type(value)
    assert rebuilt == value or (isinstance(value, Slot) and rebuilt.n == value.n)


def test_the_order_of_keys_is_kept() -> None:
    """Details are shown in the order in which they were given."""
    assert list(trip({"z": 1, "a": 2, "m": 3})) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        ({"status": "ok", "at": "2026-07-01T12:00:00Z"}, Health, Health(status="ok", at=NOON)),
        ([{"status": "ok"}], list[Health], [Health(status="ok")]),
        ({"mount": "/", "used": 1}, Disk, Disk("/", 1.0)),
        ({"user_id": "U1"}, Aliased, Aliased(user_id="U1")),
        ((1, 2), list[int], [1, 2]),
        ("2026-07-01", date, date(2026, 7, 1)),
        (1, float, 1.0),
    ],
    ids=repr,
)
def test_an_output_of_another_type_becomes_what_is_declared(value: object, declared: object, expected: object) -> None:
    """`return response.json()` under `-> Health` gives the flow a Health, as it would after a restart."""
    seen = trip(value, declared)

    assert (type(seen), seen) == (type(expected), expected)


@pytest.mark.parametrize(
    ("value", "declared", "reason"),
    [
        (NOON, Any, f"output was datetime {NOON!r} and comes back as str '2026-07-01T12:00:00Z'"),
        ({"a": [NOON]}, Any, f"output.a.0 was datetime {NOON!r} and comes back as str '2026-07-01T12:00:00Z'"),
        ({1}, Any, "output was set {1} and comes back as list [1]"),
        ((1, 2), Any, "output was a tuple and comes back as a list"),
        ({"a": (1,)}, dict[str, Any], "output.a was a tuple and comes back as a list"),
        ({1: "a"}, Any, "the keys of output come back as ['1']"),
        ({1: "a", "1": "b"}, Any, "the keys of output come back as ['1']"),
        (Level.HIGH, Any, "output was Level <Level.HIGH: 'high'> and comes back as str 'high'"),
        (SecretStr("t0k3n"), Any, "output was SecretStr SecretStr('**********') and comes back as str '**********'"),
        (Decimal("1"), str, "output was Decimal Decimal('1') and comes back as str '1'"),
        (Decimal("1"), Any, "output was Decimal Decimal('1') and comes back as str '1'"),
        (Health(status="ok"), Any, "output was Health Health(status='ok', load=0.0, at=None, more=None) and comes..."),
        (Sub(status="ok"), Health, "output was Sub and comes back as Health"),
        ([Sub(status="ok")], list[Health], "output.0 was Sub and comes back as Health"),
        (Health(status="ok", more=NOON), Health, f"output.more was datetime {NOON!r} and comes back as str '2026..."),
        (Hidden(token="t0k3n"), Hidden, "output.token was str 't0k3n' and comes back as str 'none'"),
        (Open(at=NOON), Open, f"output.at was datetime {NOON!r} and comes back as str '2026-07-01T12:00:00Z'"),
        (Disk("/", health=Sub(status="x")), Disk, "output.health was Sub and comes back as Health"),
    ],
    ids=repr,
)
def test_an_output_that_would_change_on_the_way_is_refused(value: object, declared: object, reason: str) -> None:
    """A flow never sees a value that a restart would show differently; the error names the place."""
    with pytest.raises(OutputError) as caught:
        trip(value, declared)

    shown = str(caught.value)
    if reason.endswith("..."):
        assert shown.startswith(f"The output of check does not survive the journal: {reason[:-3]}")
    else:
        assert shown == (
            f"The output of check does not survive the journal: {reason}. "
            "Declare the return type of the activity (-> MyModel, -> list[datetime]) so that it can be rebuilt."
        )
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (object(), "object", "Unable to serialize unknown type: <class 'object'>"),
        ([lambda: 1], "list", "Unable to serialize unknown type: <class 'function'>"),
        (b"\xff", "bytes", "'utf-8' codec can't decode byte 0xff in position 0: invalid utf-8"),
        (SimpleNamespace(a=1), "SimpleNamespace", "Unable to serialize unknown type: <class 'types.SimpleNamespace'>"),
    ],
    ids=["object", "function", "bytes", "namespace"],
)
def test_an_output_that_json_cannot_hold_is_refused(value: object, kind: str, reason: str) -> None:
    """The error names the type and what to return instead."""
    with pytest.raises(OutputError) as caught:
        trip(value)

    assert str(caught.value) == (
        f"The output of check (type {kind}) cannot be written to the journal: {reason}. "
        "Return a pydantic model, a dataclass or JSON values, and declare the type: -> MyModel."
    )


def test_a_value_that_holds_itself_is_refused() -> None:
    """A cycle is an error of the activity, not an endless loop of the engine."""
    cycle: list[object] = []
    cycle.append(cycle)

    with pytest.raises(OutputError, match="Circular reference detected"):
        trip(cycle)


def test_an_integer_that_python_will_not_write_is_refused() -> None:
    """Python limits the digits it turns into text; the limit becomes an error of the output."""
    with pytest.raises(OutputError, match="Exceeds the limit"):
        trip(10**5000)


@pytest.mark.parametrize(
    ("value", "declared", "reason"),
    [
        ("bad", int, "Input should be a valid integer, unable to parse string as an integer"),
        (None, Health, "Input should be a valid dictionary or instance of Health"),
        ({"load": 1}, Health, "status: Field required"),
        ([{"status": 1}, {}], list[Health], "0.status: Input should be a valid string; 1.status: Field required"),
    ],
    ids=repr,
)
def test_an_output_that_does_not_fit_its_declared_type_is_refused(value: object, declared: object, reason: str) -> None:
    """The error says which field, and never the value, which may be a secret."""
    with pytest.raises(OutputError) as caught:
        trip(value, declared)

    assert str(caught.value) == f"The output of check does not fit its declared type: {reason}."


def test_a_recorded_output_that_no_longer_fits_says_so() -> None:
    """A model that gained a required field cannot read outputs recorded before."""
    with pytest.raises(OutputError, match=r"^The output of check does not fit its declared type: status: Field req"):
        decode_output('{"load":1}', TypeAdapter(Health), "check")


def test_many_faults_are_cut_to_five() -> None:
    """A list with a thousand wrong items does not fill the log."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python(["x"] * 8)

    assert describe(caught.value).count("valid integer") == 5
    assert describe(caught.value).endswith("; and 3 more")


def test_a_long_value_is_cut_in_the_error() -> None:
    """An error stays readable whatever the activity returned."""
    with pytest.raises(OutputError) as caught:
        trip({"a": frozenset(range(1000))})

    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("inputs", "plain"),
    [
        ({"n": math.nan, "at": NOON}, {"n": math.nan, "at": "2026-07-01T12:00:00Z"}),
        (
            {"h": Health(status="ok", load=math.inf)},
            {"h": {"status": "ok", "load": math.inf, "at": None, "more": None}},
        ),
        ({"o": Open(load=math.nan)}, {"o": {"load": math.nan}}),
        ({"c": Computed(n=1)}, {"c": {"n": 1}}),
        ({"a": Aliased(user_id="U1")}, {"a": {"id": "U1", "kind": "x"}}),
        ({"d": [Disk("/", math.nan)]}, {"d": [{"mount": "/", "used": math.nan, "health": None, "seen": 0}]}),
        ({"s": "\ud800"}, {"s": "\ud800"}),
    ],
    ids=repr,
)
def test_inputs_are_recorded_as_plain_data(inputs: dict[str, object], plain: dict[str, object]) -> None:
    """Inputs need no declared type: their parameters rebuild them at the attempt."""
    encoded = encode_inputs(inputs, "check")

    assert same(encoded, plain)
    assert same(json.loads(to_text(encoded)), plain)


def test_inputs_that_json_cannot_hold_are_refused() -> None:
    """The error names the activity and what may be given."""
    with pytest.raises(InputError) as caught:
        encode_inputs({"x": object()}, "check")

    assert str(caught.value) == (
        "The inputs of check cannot be written to the journal: Unable to serialize unknown type: <class 'object'>. "
        "Give JSON values or pydantic models."
    )


def test_text_of_what_is_not_plain_data_is_refused() -> None:
    """Only plain data has a journal text."""
    with pytest.raises(NotJournalable, match="not JSON serializable"):
        to_text({"a": {1}})


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    """SQLite and sockets see plain ASCII, whatever a monitoring system sent."""
    assert encode_output("disk \ud800", TypeAdapter(str), "check") == ('"disk \\ud800"', "disk \ud800")

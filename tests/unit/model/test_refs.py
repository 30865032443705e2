"""References: what each resolves to, where it may stand, and what it says when it leads nowhere."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from resolute.model.reference import MISSING, MissingValue, Ref, holds_references, references_in, resolve, values_in
from resolute.model.refs import OutputRef, SecretName, env, input_data, now, output, run_id, secret, text

Recorded = Callable[..., Any]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


class Disk(BaseModel):
    mount: str
    used: float

    @property
    def label(self) -> str:
        return f"disk {self.mount}"

    def describe(self) -> str:
        return self.label


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Link:
    href: str
    text: str = "open"
    shown: str = field(default="", init=False)


HEALTH = {
    "status": "critical",
    "metrics": {"cpu.load": 0.93, "disks": [Disk(mount="/", used=0.5), Disk(mount="/var", used=0.99)]},
    "at": Point(3, 4),
    "note": None,
}


@pytest.mark.parametrize(
    "value",
    [None, True, 7, 2.5, "text", b"raw", [1, [2]], {"a": {"b": 1}}, datetime(2026, 1, 1), Decimal("1.5"), Disk],
)
def test_a_reference_resolves_to_the_very_value_in_its_native_type(recorded: Recorded, value: object) -> None:
    """No reference turns its value into text on the way."""
    assert resolve(output("x"), recorded(outputs={"x": value})) is value


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (output("health.status"), "critical"),
        (output("health.metrics.disks.1.mount"), "/var"),
        (output("health.metrics.disks.-1.used"), 0.99),
        (output("health.metrics.disks.0.label"), "disk /"),
        (output("health.metrics", "cpu.load"), 0.93),
        (output("health", "metrics", "cpu.load"), 0.93),
        (output("health.at.1"), 4),
        (output("health.at.y"), 4),
        (output("health.note"), None),
        (output("health."), HEALTH),
        (input_data("event.incident.id"), "Q1"),
        (input_data("event", "a.b"), 2),
        (input_data(""), {"event": {"incident": {"id": "Q1"}, "a.b": 2}}),
        (input_data(), {"event": {"incident": {"id": "Q1"}, "a.b": 2}}),
    ],
    ids=repr,
)
def test_dots_walk_fields_keys_and_indexes(recorded: Recorded, reference: object, expected: object) -> None:
    """A dotted path reads fields, properties, dict keys and list indexes; further arguments are literal keys."""
    scope = recorded(outputs={"health": HEALTH}, given={"event": {"incident": {"id": "Q1"}, "a.b": 2}})

    assert resolve(reference, scope) == expected


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nope", 'There is no output "nope".'),
        ("health.stats", '"health" has no key "stats". Known here: "status", "metrics", "at", "note".'),
        ("health.metrics.disks.2", '"health.metrics.disks" is a list of 2 and has no index "2".'),
        ("health.metrics.disks.-3", '"health.metrics.disks" is a list of 2 and has no index "-3".'),
        ("health.metrics.disks.first", '"health.metrics.disks" is a list of 2 and has no index "first".'),
        ("health.metrics.disks.--1", '"health.metrics.disks" is a list of 2 and has no index "--1".'),
        ("health.metrics.disks.0.free", '"health.metrics.disks.0" is of type Disk and has no field "free".'),
        ("health.metrics.disks.0.describe", '"health.metrics.disks.0" is of type Disk and has no field "describe".'),
        ("health.metrics.disks.0.__dict__", '"health.metrics.disks.0" is of type Disk and has no field "__dict__".'),
        ("health.note.text", '"health.note" is None and has no field "text".'),
        ("health.status.upper", '"health.status" is of type str and has no field "upper".'),
        ("empty.x", '"empty" has no key "x". Known here: none, it is empty.'),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_broke_off(recorded: Recorded, path: str, reason: str) -> None:
    """The error names the last place that exists and what is there."""
    with pytest.raises(MissingValue) as caught:
        resolve(output(path), recorded(outputs={"health": HEALTH, "empty": {}}))

    assert caught.value.reason == reason


def test_a_path_through_the_input_says_where_it_broke_off(recorded: Recorded) -> None:
    """The run's input is called "input" in errors."""
    with pytest.raises(MissingValue) as caught:
        resolve(input_data("event.id"), recorded(given={"event": {}}))

    assert caught.value.reason == '"input.event" has no key "id". Known here: none, it is empty.'


def test_a_path_through_many_keys_lists_only_the_first_twelve(recorded: Recorded) -> None:
    """An output with thousands of keys does not flood the error."""
    with pytest.raises(MissingValue) as caught:
        resolve(output("x.nope"), recorded(outputs={"x": dict.fromkeys(range(5000))}))

    assert caught.value.reason.endswith('"10", "11".')


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (output("nope", default=0), 0),
        (output("health.nope.deep", default=None), None),
        (output("health.note", default="unused"), None),
        (output("nope", default=output("health.status")), "critical"),
        (output("nope", default=[output("health.status")]), ["critical"]),
        (input_data("nope", default="?"), "?"),
        (env("NOPE", default="fallback"), "fallback"),
        (env("NOPE", default=output("health.status")), "critical"),
        (env("HOST", default="fallback"), "web-1"),
    ],
    ids=repr,
)
def test_a_default_stands_in_only_where_the_path_leads_nowhere(
    recorded: Recorded, reference: object, expected: object
) -> None:
    """A default is not used for a value that is there and None; it may be a reference itself."""
    scope = recorded(outputs={"health": HEALTH}, given={}, environment={"HOST": "web-1"})

    assert resolve(reference, scope) == expected


def test_an_env_variable_that_is_not_set_says_what_to_do(recorded: Recorded) -> None:
    """The error names the variable and both ways out."""
    with pytest.raises(MissingValue) as caught:
        resolve(env("HOST"), recorded())

    assert caught.value.reason == "The environment variable HOST is not set. Set it, or give env(..., default=...)."


def test_the_run_id_is_the_one_of_the_run(recorded: Recorded) -> None:
    """`run_id()` makes a dedup key of its own for every run."""
    assert resolve({"dedup_key": run_id()}, recorded(run_id="run-7")) == {"dedup_key": "run-7"}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (now(), datetime(2026, 7, 1, 12, tzinfo=UTC)),
        (now() + timedelta(hours=1), datetime(2026, 7, 1, 13, tzinfo=UTC)),
        (timedelta(hours=1) + now(), datetime(2026, 7, 1, 13, tzinfo=UTC)),
        (now() - timedelta(days=1) + timedelta(minutes=30), datetime(2026, 6, 30, 12, 30, tzinfo=UTC)),
    ],
    ids=repr,
)
def test_now_is_shifted_by_timedeltas(recorded: Recorded, reference: object, expected: datetime) -> None:
    """`now()` is the recorded instant of the node, shifted by what was added."""
    assert resolve(reference, recorded()) == expected


def test_a_secret_resolves_to_its_name_only(recorded: Recorded) -> None:
    """The value of a secret never comes near the journal, even where the environment holds it."""
    scope = recorded(environment={"TOKEN": "s3cr3t-value"})

    assert resolve({"headers": [secret("TOKEN")]}, scope) == {"headers": [SecretName("TOKEN")]}


def test_references_are_filled_in_at_any_depth(recorded: Recorded) -> None:
    """Dicts, lists, tuples, mappings, sets, named tuples, models and dataclasses may hold references."""
    status = output("health.status")
    value = {
        "list": [1, [status]],
        "tuple": (status, 2),
        "mapping": MappingProxyType({"a": status}),
        "set": {status},
        "named": Point(status, 4),
        "dataclass": Link(status),
    }

    assert resolve(value, recorded(outputs={"health": HEALTH})) == {
        "list": [1, ["critical"]],
        "tuple": ("critical", 2),
        "mapping": {"a": "critical"},
        "set": ["critical"],
        "named": ["critical", 4],
        "dataclass": {"href": "critical", "text": "open"},
    }


@pytest.mark.parametrize("value", [Point(1, 2), {1, 2}, frozenset("a"), Link("x"), Disk(mount="/", used=1), b"x"])
def test_values_without_references_stay_what_they_are(recorded: Recorded, value: object) -> None:
    """Only what holds a reference is taken apart."""
    assert resolve([value], recorded())[0] is value


def test_resolution_never_changes_what_it_reads(recorded: Recorded) -> None:
    """A node is resolved for every run; the second run sees what the first saw."""
    arguments = {"a": [output("n"), {"b": output("n")}], "c": (output("n"),)}
    before = repr(arguments)

    first = resolve(arguments, recorded(outputs={"n": 1}))
    first["a"][1]["b"] = "changed by an activity"

    assert repr(arguments) == before
    assert resolve(arguments, recorded(outputs={"n": 2})) == {"a": [2, {"b": 2}], "c": (2,)}


@given(JSON)
def test_resolving_plain_data_gives_it_back_as_new_data(value: Any) -> None:
    """Data without a reference is untouched, and its containers are copies."""
    resolved = resolve(value, None)

    assert resolved == value
    assert type(resolved) is type(value)
    assert not holds_references(value)
    assert not isinstance(value, dict | list) or resolved is not value


@given(JSON, st.booleans())
def test_a_reference_beside_plain_data_changes_only_its_own_place(value: Any, first: bool) -> None:
    """Whatever stands around a reference comes through as it was."""
    around = [run_id(), value] if first else [value, run_id()]
    names = {"run_id": "run-9"}

    resolved = resolve(around, type("Scope", (), names)())

    assert resolved == (["run-9", value] if first else [value, "run-9"])


def test_what_is_missing_can_be_replaced_where_it_stands(recorded: Recorded) -> None:
    """A page goes out with `<missing ...>` in place of one value, in a text in place of that part alone."""
    seen: list[Ref] = []

    def mark(ref: Ref, error: MissingValue) -> str:
        seen.append(ref)
        return f"<missing {error.path}>"

    value = {"summary": text("Disk {h} at {nope.x}, {health.status}", h="/"), "link": output("health.nope")}

    assert resolve(value, recorded(outputs={"health": HEALTH}), mark) == {
        "summary": "Disk / at <missing nope>, critical",
        "link": "<missing health>",
    }
    assert [repr(ref) for ref in seen] == ['output("nope.x")', 'output("health.nope")']


def test_every_reference_in_a_value_is_found() -> None:
    """`build()` sees references in dicts, sets, models, dataclasses, texts, keywords of texts and defaults."""
    value = OrderedDict(
        a=[output("one", default=output("two"))],
        b={output("three")},
        c=Link(text("{four.x} {h.name}", h=output("five"))),
        d=Disk.model_construct(mount=env("six"), used=secret("seven")),
    )

    found = [repr(ref) for ref in references_in(value)]

    assert found == [
        'output("one")',
        'output("two")',
        'output("three")',
        "text('{four.x} {h.name}')",
        'output("four.x")',
        'output("five")',
        'env("six")',
        'secret("seven")',
    ]


def test_values_are_listed_from_outside_to_inside() -> None:
    """Every container comes before what it holds, so that a fault can name the outermost place."""
    assert list(values_in([1, {"a": (2,)}])) == [[1, {"a": (2,)}], 1, {"a": (2,)}, (2,), 2]


@pytest.mark.parametrize(
    ("reference", "written"),
    [
        (output("health"), 'output("health")'),
        (output("health.metrics", "cpu.load"), 'output("health.metrics", "cpu.load")'),
        (output("health", "a.b", "c"), 'output("health", "a.b", "c")'),
        (input_data(""), 'input_data("")'),
        (input_data("a.b"), 'input_data("a.b")'),
        (now(), "now()"),
        (now() - timedelta(hours=1), "now() + datetime.timedelta(days=-1, seconds=82800)"),
        (secret("TOKEN"), 'secret("TOKEN")'),
        (env("HOST", default="x"), 'env("HOST")'),
        (run_id(), "run_id()"),
        (text("{a}"), "text('{a}')"),
    ],
)
def test_a_reference_is_shown_as_it_was_written(reference: object, written: str) -> None:
    """Error texts show references in the words of the flow."""
    assert repr(reference) == written


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy, lambda ref: pickle.loads(pickle.dumps(ref))])
def test_a_copied_reference_still_has_no_default(make_copy: Callable[[OutputRef], OutputRef]) -> None:
    """pydantic copies the defaults of models; a copy must not gain a default of its own."""
    assert make_copy(OutputRef("health", ("status",))).default is MISSING

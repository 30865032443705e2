"""`Payload`: models that may hold references, and are validated once these are filled in."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from resolute.model.payload import Payload
from resolute.model.reference import references_in, resolve
from resolute.model.refs import env, output, text

Recorded = Callable[..., Any]
made = count(1)


class EventLink(Payload):
    href: str
    text: str | None = None


class Event(Payload):
    severity: Literal["critical", "info"] = "info"
    links: list[EventLink] = Field(default_factory=list)
    source: str = Field("unknown", alias="from")
    host: str = env("HOST", default="nowhere")
    details: dict[str, Any] = Field(default_factory=dict)


class Open(Payload):
    model_config = ConfigDict(extra="allow")


class Numbered(Payload):
    number: int = Field(default_factory=lambda: next(made))
    title: str


def test_a_payload_with_references_becomes_a_dict_of_what_was_given(recorded: Recorded) -> None:
    """Resolved payloads are plain data; fields left at their default stay away."""
    event = Event(severity=output("health.severity"), links=[EventLink(href=text("https://{h}/x", h=output("host")))])

    assert resolve(event, recorded(outputs={"health": {"severity": "critical"}, "host": "web-1"})) == {
        "severity": "critical",
        "links": [{"href": "https://web-1/x"}],
        "host": "nowhere",
        "details": {},
    }


def test_a_payload_without_references_is_validated_at_once() -> None:
    """A wrong literal is told where it is written."""
    with pytest.raises(ValidationError, match="Input should be 'critical' or 'info'"):
        Event(severity="bad")


def test_a_field_beside_a_reference_is_validated_at_once() -> None:
    """One reference does not let faults in other fields pass."""
    with pytest.raises(ValidationError, match="valid string"):
        EventLink(href=5, text=output("x"))


def test_a_resolved_payload_is_validated_as_a_whole(recorded: Recorded) -> None:
    """A reference that leads to a wrong value is found before the attempt."""
    resolved = resolve(Event(severity=output("x")), recorded(outputs={"x": "bad"}))

    with pytest.raises(ValidationError, match="Input should be 'critical' or 'info'"):
        TypeAdapter(Event).validate_python(resolved, by_name=True, by_alias=True)


def test_the_default_of_a_field_may_be_a_reference(recorded: Recorded) -> None:
    """A reference as default is filled in like one that was given, run by run."""
    assert [repr(ref) for ref in references_in(Event())] == ['env("HOST")']
    assert resolve(Event(), recorded(environment={"HOST": "web-7"}))["host"] == "web-7"


def test_aliased_fields_are_resolved_under_their_own_names(recorded: Recorded) -> None:
    """`from` is no Python name; what comes back from resolution fits the model again."""
    resolved = resolve(Event(**{"from": output("x")}), recorded(outputs={"x": "db"}))

    assert resolved["source"] == "db"
    assert TypeAdapter(Event).validate_python(resolved, by_name=True, by_alias=True).source == "db"


def test_undeclared_fields_may_hold_references(recorded: Recorded) -> None:
    """A payload that allows more fields resolves those too."""
    assert resolve(Open(note=output("x")), recorded(outputs={"x": 1})) == {"note": 1}


def test_a_default_made_anew_each_time_is_recorded(recorded: Recorded) -> None:
    """An id that the model makes up is the same for every attempt, since inputs are recorded after resolution."""
    payload = Numbered(title=output("x"))

    assert resolve(payload, recorded(outputs={"x": "t"})) == {"number": payload.number, "title": "t"}


def test_a_payload_without_references_is_handed_on_as_it_is(recorded: Recorded) -> None:
    """Nothing is taken apart that needs no filling."""
    link = EventLink(href="https://status.internal")

    assert resolve(link, recorded()) is link


def test_a_plain_model_may_hold_references_where_it_takes_anything(recorded: Recorded) -> None:
    """A field typed `Any` of any pydantic model is resolved as well."""

    class Loose(BaseModel):
        value: Any

    assert resolve(Loose(value=[output("x")]), recorded(outputs={"x": 1})) == {"value": [1]}


def test_resolution_leaves_the_payload_as_it_was(recorded: Recorded) -> None:
    """The same payload object serves every run."""
    event = Event(details={"metrics": output("x")})

    first = resolve(event, recorded(outputs={"x": 1}))
    second = resolve(event, recorded(outputs={"x": 2}))

    assert (first["details"], second["details"]) == ({"metrics": 1}, {"metrics": 2})
    assert repr(event.details) == "{'metrics': output(\"x\")}"

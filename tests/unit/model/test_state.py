"""`FlowState`: what a predicate may ask, and what it is told when the run does not know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, Field

from resolute.errors import ActivityError
from resolute.model.activity import activity
from resolute.model.outcomes import GateAnswer
from resolute.model.state import FlowState, StateError


class Health(BaseModel):
    status: str = Field(alias="state")
    code: int = 0


class Brief(BaseModel):
    status: str


@activity
def check() -> Health: ...


HEALTH = Health(state="critical", code=7)


def state(
    outputs: dict[str, Any] | None = None, rounds: dict[str, list[Any]] | None = None, **settings: Any
) -> FlowState:
    known = {"health": HEALTH, "count": 3, "raw": {"status": "ok"}, "none": None} if outputs is None else outputs
    return FlowState("disk-full", "run-1", {"host": "web-1"}, known, rounds or {}, "worse", **settings)


def test_an_output_is_read_by_its_key_or_its_node() -> None:
    """The node itself stands for its key, and gives its type to editors."""
    node = check().as_("health")

    assert state()["health"] is HEALTH
    assert state()[node] is HEALTH
    assert state().get("health", Health) is HEALTH


def test_the_input_and_the_run_id_are_at_hand() -> None:
    """A predicate may look at what started the run."""
    assert (state().input, state().run_id) == ({"host": "web-1"}, "run-1")


@pytest.mark.parametrize("item", [None, 0, {"name": "Ada"}])
def test_the_item_of_an_each_is_at_hand(item: object) -> None:
    """A predicate in its body decides for one item."""
    assert state(item=item).item is item


def test_an_item_outside_of_an_each_is_told() -> None:
    """There is nothing that it could mean."""
    with pytest.raises(StateError) as caught:
        _ = state().item

    assert str(caught.value) == (
        'Flow "disk-full": step "worse" reads state.item, but it stands in no then_each(...). '
        "Read it inside a body, or read the list itself by its key."
    )


def test_the_answer_of_a_gate_is_read_like_an_output() -> None:
    """The models of gates, each and children stand under the keys of their steps."""
    answer = GateAnswer(outcome="approved", by="ada", at=datetime(2026, 7, 1, tzinfo=UTC))

    assert state({"ok": answer})["ok"] is answer
    assert state({"ok": answer}).get("ok", GateAnswer).approved


def test_a_key_can_be_asked_for() -> None:
    """`in` and `keys()` tell what the run knows so far, in order."""
    assert "health" in state()
    assert check().as_("health") in state()
    assert "page" not in state()
    assert state().keys() == ["health", "count", "raw", "none"]


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ("count", int, 3),
        ("count", float, 3.0),
        ("count", int | None, 3),
        ("none", int | None, None),
        ("raw", dict[str, str], {"status": "ok"}),
        ("raw", Brief, Brief(status="ok")),
        ("raw", Health, Health(state="ok")),
        ("health", Brief, Brief(status="critical")),
        ("health", object, HEALTH),
        ("health", dict[str, Any], {"status": "critical", "code": 7}),
    ],
)
def test_a_typed_read_gives_that_type(key: str, kind: Any, value: object) -> None:
    """Plain data and models are made into the type that was asked for."""
    assert state().get(key, kind) == value


@pytest.mark.parametrize("default", [None, 5, HEALTH])
def test_a_default_stands_in_for_a_key_that_is_missing(default: object) -> None:
    """It is handed back as it is, and only where nothing is known."""
    assert state().get("page", int, default=default) is default
    assert state().get("count", int, default=default) == 3
    assert state().get(check().as_("health"), Health, default=default) is HEALTH


def test_the_rounds_of_a_loop_are_listed_oldest_first() -> None:
    """Outside of loops there is no list, and the list that is given is a copy."""
    looped = state({"count": 3}, {"count": [1, 2, 3]})

    looped.all("count").clear()

    assert looped.all("count") == [1, 2, 3]
    assert looped["count"] == 3
    assert looped.all("nope") == []


@pytest.mark.parametrize(
    ("read", "key", "hint"),
    [
        (lambda s: s["helth"], "helth", ' Did you mean "health"?'),
        (lambda s: s.get("helth", Health), "helth", ' Did you mean "health"?'),
        (lambda s: s["page"], "page", ""),
        (lambda s: s[check().as_("page")], "page", ""),
    ],
)
def test_a_missing_key_names_flow_step_and_key(read: Callable[[FlowState], object], key: str, hint: str) -> None:
    """The error tells what is known there and both ways out."""
    with pytest.raises(StateError) as caught:
        read(state())

    assert str(caught.value) == (
        f'Flow "disk-full": step "worse" reads state["{key}"], which this run does not have. '
        f'Known here: "health", "count", "raw", "none".{hint} '
        f'Test with "{key}" in state, or use state.get("{key}", ..., default=...).'
    )


def test_a_missing_key_in_an_empty_state_says_so() -> None:
    """The first step of a flow can know nothing."""
    with pytest.raises(StateError, match=r"Known here: nothing yet\. Test with"):
        state({})["health"]


def test_an_output_of_another_type_names_the_field() -> None:
    """The error tells which field does not fit, and never the value."""
    with pytest.raises(StateError) as caught:
        state().get("count", Health)

    assert str(caught.value) == (
        'Flow "disk-full": step "worse" reads "count" as Health, but it does not fit: '
        "Input should be a valid dictionary or instance of Health."
    )


def test_what_the_state_does_not_know_fails_the_run() -> None:
    """A decision without its facts is not tried again: the facts will not come."""
    error = StateError("x")

    assert isinstance(error, ActivityError)
    assert error.permanent


def test_the_state_shows_keys_and_no_values() -> None:
    """Logs of a state hold no data of incidents."""
    assert repr(state()) == "<state of run-1: health, count, raw, none>"
    assert repr(state({})) == "<state of run-1: empty>"

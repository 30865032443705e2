"""Nothing that is sent makes the simulator fail: bodies with one wrong part, made-up paths, queries and headers."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolute.simulator import SimRequest
from resolute.simulator.pagerduty.operations import LINKED, OPERATIONS
from tests.contract.simulator.tour import Tour
from tests.unit.simulator.account import ACCEPT, PAYLOAD

TOUR = Tour()
REFERENCE = {"type": "incident_reference"}
POLICY = {"id": TOUR.service.policy_id, "type": "escalation_policy_reference"}
SERVICE = {"name": "New", "escalation_policy": POLICY, "acknowledgement_timeout": 60, "description": "d"}
USER = {"assignee": {"id": next(iter(TOUR.world.users)), "type": "user_reference"}}
CHANGE: dict[str, Any] = {
    **REFERENCE,
    "status": "acknowledged",
    "title": "t",
    "urgency": "low",
    "priority": {"id": TOUR.priority, "type": "priority_reference"},
    "assignments": [USER],
    "escalation_level": 2,
    "incident_type": {"name": "n"},
    "conference_bridge": {"conference_url": "https://example.com"},
}
EVENT = {
    "routing_key": TOUR.account.sim.routing_key,
    "event_action": "trigger",
    "dedup_key": "k",
    "payload": PAYLOAD | {"timestamp": "2026-03-31T12:00:00Z", "custom_details": {"a": 1}, "component": "c"},
    "links": [{"href": "https://example.com", "text": "t"}],
    "images": [{"src": "https://example.com/i.png"}],
    "client": "c",
}
GOOD: list[tuple[str, str, Any]] = [
    ("POST", "/incidents", {"incident": TOUR.wanted("new") | {"body": TOUR.body, "assignments": [USER]}}),
    ("PUT", "/incidents", {"incidents": [{"id": "1", **CHANGE}]}),
    ("PUT", "/incidents/1", {"incident": CHANGE}),
    ("POST", "/incidents/1/notes", {"note": {"content": "c"}}),
    ("POST", "/incidents/1/snooze", {"duration": 60}),
    ("POST", "/services", {"service": SERVICE}),
    (
        "POST",
        f"/services/{TOUR.service.id}/integrations",
        {"integration": {"type": "events_api_v2_inbound_integration"}},
    ),
    ("POST", "/webhook_subscriptions", TOUR.subscription_body()),
    ("PUT", f"/webhook_subscriptions/{TOUR.subscription}", TOUR.subscription_body()),
    ("POST", "/v2/enqueue", EVENT),
    ("POST", "/v2/change/enqueue", EVENT),
]
NAMES = [
    *("limit", "offset", "total", "since", "until", "time_zone", "sort_by", "query", "include[]", "statuses[]"),
    *("earliest", "filter_type", "include_next_oncall_for_user", "is_overview"),
]
ANSWERS = {200, 201, 202, 204, 400, 402, 403, 404, 405, 413}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a body something stands."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, each in inner for place in places_in(each, (*path, key)))]


def replaced(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The same body with another value at one place."""
    if not place:
        return value
    changed = copy.deepcopy(body)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    return changed


@pytest.mark.parametrize(("method", "path", "body"), GOOD, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_part_is_refused_or_taken(method: str, path: str, body: Any) -> None:
    """Never a failure, wherever it stands and whatever it is; and everything can be read afterwards."""
    tour = Tour()
    tour.account.sim.rules.rest_per_minute = tour.account.sim.rules.events_per_minute = None

    @settings(max_examples=60, deadline=None, database=None)
    @given(place=st.sampled_from(places_in(body)), value=json_values)
    def send(place: tuple[Any, ...], value: Any) -> None:
        answer = tour.send(method, path, replaced(body, place, value))
        assert answer.status in ANSWERS

    send()
    tour.account.wait(hours=72)
    assert {each.status for answers in tour.reads_of_all() for each in answers} <= {200}


@settings(max_examples=150, deadline=None, database=None)
@given(
    operation=st.sampled_from([*OPERATIONS, *LINKED]),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    id_=st.sampled_from(["1", TOUR.service.id, TOUR.subscription, next(iter(TOUR.world.users))]) | st.text(max_size=5),
    query=st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from(["", "1", "9" * 20, "9" * 5000, "true", "9000-01-01T00:00:00Z", "1000-01-01", "users"])
            | st.text(max_size=6),
        ),
        max_size=4,
    ),
    body=st.binary(max_size=20),
    kind=st.sampled_from(["application/json", "text/plain", ""]),
)
def test_made_up_requests_are_answered(
    operation: Any, method: str, id_: str, query: list[tuple[str, str]], body: bytes, kind: str
) -> None:
    """Any method on any path, with whatever parameters."""
    tour = Tour()
    path = operation.path.replace("{id}", quote(id_, errors="replace")).replace("{integration_id}", "x")
    sent = "&".join(f"{name}={quote(value, safe='', errors='replace')}" for name, value in query)
    headers = {"Authorization": f"Token token={tour.account.sim.api_key}", "Accept": ACCEPT, "Content-Type": kind}
    answer = tour.account.sim.handle(SimRequest(method, f"{path}?{sent}", headers, body))
    assert answer.status in ANSWERS
    assert not answer.body or json.loads(answer.body) is not None

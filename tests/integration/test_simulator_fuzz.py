"""Requests made up from the simulator's own document: whatever is asked, the answer is one that the document names."""

from __future__ import annotations

import importlib
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from resolute.simulator import SimAnswer, SimRequest
from resolute.simulator.pagerduty.openapi import openapi_document
from tests.contract.simulator.document import mend_nullable
from tests.contract.simulator.tour import Tour
from tests.unit.simulator.account import ACCEPT

pytestmark = pytest.mark.ci_only  # schemathesis is one of the tools of `make check`, not of `make test`

DOCUMENT = openapi_document("http://simulator.invalid")
OPERATIONS = [(method, path) for path, item in DOCUMENT["paths"].items() for method in item]
TOUR = Tour()
KNOWN_IDS = {
    "incidents": "1",
    "services": TOUR.service.id,
    "users": next(iter(TOUR.world.users)),
    "schedules": next(iter(TOUR.world.schedules)),
    "webhook_subscriptions": TOUR.subscription,
    "escalation_policies": TOUR.service.policy_id,
    "teams": next(iter(TOUR.world.teams)),
    "log_entries": TOUR.account.sim.incidents[0].log[0].id,
    "abilities": "teams",
}
KNOWN_PARTS: dict[str, Any] = {
    "service": {"id": TOUR.service.id, "type": "service_reference"},
    "escalation_policy": {"id": TOUR.service.policy_id, "type": "escalation_policy_reference"},
    "assignee": {"id": KNOWN_IDS["users"], "type": "user_reference"},
    "priority": {"id": TOUR.priority, "type": "priority_reference"},
    "filter": {"type": "service_reference", "id": TOUR.service.id},
    "routing_key": TOUR.account.sim.routing_key,
}


def with_known_parts(body: Any) -> Any:
    """The same body with references to what exists, wherever it has references."""
    if isinstance(body, dict):
        return {key: KNOWN_PARTS.get(key) or with_known_parts(value) for key, value in body.items()}
    return [with_known_parts(each) for each in body] if isinstance(body, list) else body


def strategy_of(method: str, path: str) -> Any:
    """schemathesis's own idea of requests for an operation; without the package this fails."""
    schema = importlib.import_module("schemathesis").openapi.from_dict(DOCUMENT)
    return schema[path][method.upper()].as_strategy()


def ask(tour: Tour, method: str, path: str, case: Any, *, is_known: bool) -> SimAnswer:
    """Send a made-up request, with a good key; `is_known` puts in what exists: ids, references, the sender."""
    ids, body = dict(case.path_parameters or {}), case.body
    headers = {name: str(value) for name, value in (case.headers or {}).items()}
    if is_known:
        body, headers = with_known_parts(body), {"From": "ada@example.com"}
        if "id" in ids:
            ids["id"] = KNOWN_IDS[path.split("/")[1]]
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    query = urlencode(dict(case.query or {}), doseq=True, errors="replace")
    sent = headers | {"Authorization": f"Token token={tour.account.sim.api_key}", "Accept": ACCEPT}
    encoded = b""
    if isinstance(body, dict | list | str | int | float | bool) or body is None:
        encoded = json.dumps(body).encode()
        sent["Content-Type"] = "application/json"
    target = path + (f"?{query}" if query else "")
    return tour.account.sim.handle(SimRequest(method.upper(), target, sent, encoded))


def faults_of(method: str, path: str, answer: SimAnswer) -> list[str]:
    """What is wrong with an answer, by the document."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    if str(answer.status) not in responses:
        return [f"{answer.status} is not among {sorted(responses)}: {answer.body[:200]!r}"]
    content = responses[str(answer.status)].get("content", {})
    if "application/json" not in content or not (answer.header("content-type") or "").startswith("application/json"):
        return []
    schema = {**content["application/json"]["schema"], "components": DOCUMENT["components"]}
    mended = json.loads(json.dumps(schema))
    mend_nullable(mended)
    return [f"{error.json_path}: {error.message[:200]}" for error in Draft7Validator(mended).iter_errors(answer.json())]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda value: value)
def test_whatever_is_asked_is_answered_as_the_document_says(method: str, path: str) -> None:
    """No failure, no other status, no other shape; and nothing is asked that never ends."""
    tour = Tour()
    tour.account.sim.rules.rest_per_minute = tour.account.sim.rules.events_per_minute = None

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=strategy_of(method, path), is_known=st.booleans())
    def check(case: Any, is_known: bool) -> None:
        assert faults_of(method, path, ask(tour, method, path, case, is_known=is_known)) == []

    check()
    assert tour.account.sim.export()

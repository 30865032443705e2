"""Every answer compared with PagerDuty's published OpenAPI documents.

RESOLUTE_PAGERDUTY_SCHEMA names the folder that holds `rest.json` and `events-v2.json`, as published in the repository
PagerDuty/api-schema (a subset will do). Without it these tests skip.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, FormatChecker

from resolute.simulator import SimAnswer
from tests.unit.simulator.account import PAYLOAD, Account

FOLDER = os.environ.get("RESOLUTE_PAGERDUTY_SCHEMA")
pytestmark = pytest.mark.skipif(not FOLDER, reason="RESOLUTE_PAGERDUTY_SCHEMA names no folder with PagerDuty's schemas")

# Defects of the documents: fields that are null in the service's own examples or by the field's own description, though
# the schema does not say nullable. They are left out before an answer is compared.
NULL_ALTHOUGH_NOT_NULLABLE = {
    "resolved_at": "null while the incident is not resolved, says its description",
    "resolve_reason": "null in the example of an incident",
    "priority": "null for an incident without one",
    "incident_key": "incidents made from alerts have none, says the parameter of that name",
    "schedule": "null for a user placed directly on a policy",
    "start": "null for a permanent on-call, says its description",
    "end": "null for a user who does not go off call, says its description",
    "acknowledgement_timeout": "null when disabled, says its description",
    "auto_resolve_timeout": "null when disabled, says its description",
    "last_incident_timestamp": "nothing to name before the first incident",
}
# Statuses that the service answers though the operation does not list them.
UNLISTED = {("put", "/incidents/{id}", "400"): "bad From headers and repeated states answer 400"}
# `include[]` of on-calls and services: their schemas know references only. Full objects are compared with their own.
FULL_OBJECTS = {"user": "User", "schedule": "Schedule", "escalation_policy": "EscalationPolicy"}

checker = FormatChecker(formats=())


@checker.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    """An ISO 8601 moment with an offset."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def load(name: str) -> dict[str, Any]:
    """A document, with OpenAPI's `nullable` said in JSON Schema's words."""
    assert FOLDER
    document: dict[str, Any] = json.loads((Path(FOLDER) / name).read_text(encoding="utf-8"))
    mend_nullable(document)
    return document


def mend_nullable(value: object) -> None:
    """`nullable: true` becomes one more type, everywhere below."""
    if isinstance(value, dict):
        if value.get("nullable") is True and isinstance(value.get("type"), str):
            value["type"] = [value["type"], "null"]
        for each in value.values():
            mend_nullable(each)
    elif isinstance(value, list):
        for each in value:
            mend_nullable(each)


def without_known_defects(value: Any) -> Any:
    """The same data without the fields of NULL_ALTHOUGH_NOT_NULLABLE that are null."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v is not None or k not in NULL_ALTHOUGH_NOT_NULLABLE}
        return {k: without_known_defects(v) for k, v in kept.items()}
    return [without_known_defects(each) for each in value] if isinstance(value, list) else value


def compare(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Fail with every difference between the value and the schema at `pointer`."""
    validator = Draft7Validator({"$ref": f"#{pointer}", **document}, format_checker=checker)
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(without_known_defects(value))]
    assert not errors, "\n".join(errors)


def compare_answer(document: dict[str, Any], method: str, path: str, answer: SimAnswer) -> None:
    """Compare an answer with what the operation says about its status."""
    status = str(answer.status)
    operation = f"/paths/{path.replace('~', '~0').replace('/', '~1')}/{method}"
    responses = document["paths"][path][method]["responses"]
    if (method, path, status) in UNLISTED:
        pointer = "/components/responses/ArgumentError"
    else:
        assert status in responses, f"{method} {path} is not documented to answer {status}"
        reference = responses[status].get("$ref")
        pointer = reference.removeprefix("#") if reference else f"{operation}/responses/{status}"
    compare(document, f"{pointer}/content/application~1json/schema", answer.json())


def incident_of(account: Account, actions: list[str]) -> None:
    """An incident that went through these events."""
    for action in actions:
        account.send(action)


@pytest.mark.parametrize(
    "actions", [["trigger"], ["trigger", "acknowledge"], ["trigger", "resolve"], ["trigger", "resolve", "trigger"]]
)
@pytest.mark.parametrize("include", [[], ["services", "assignees", "acknowledgers", "agents", "escalation_policies"]])
def test_incidents(account: Account, actions: list[str], include: list[str]) -> None:
    """In every state, with references and with full objects."""
    document = load("rest.json")
    incident_of(account, actions)
    query: dict[str, object] = {"include[]": include, "total": "true"}
    compare_answer(document, "get", "/incidents", account.request("GET", "/incidents", query))
    compare_answer(document, "get", "/incidents/{id}", account.request("GET", "/incidents/1", query))


@pytest.mark.parametrize("status", ["triggered", "acknowledged", "resolved"])
def test_updated_incidents(account: Account, status: str) -> None:
    """As a person leaves them."""
    incident_of(account, ["trigger"])
    compare_answer(load("rest.json"), "put", "/incidents/{id}", account.update("1", status=status))


def test_oncalls(account: Account) -> None:
    """Over a range, of a rotation and of a direct entry."""
    document = load("rest.json")
    compare_answer(document, "get", "/oncalls", account.request("GET", "/oncalls", {"until": "2026-05-01T00:00:00Z"}))
    full = account.get("/oncalls", include=["users", "schedules", "escalation_policies"])
    for entry in full["oncalls"]:
        for field, schema in FULL_OBJECTS.items():
            if entry[field]:
                compare(document, f"/components/schemas/{schema}", entry[field])
    [service] = account.get("/services", include=["escalation_policies"])["services"]
    compare(document, "/components/schemas/EscalationPolicy", service["escalation_policy"])


@pytest.mark.parametrize("path", ["/services", "/users"])
def test_directory(account: Account, path: str) -> None:
    """Before and after the first incident."""
    document = load("rest.json")
    compare_answer(document, "get", path, account.request("GET", path))
    incident_of(account, ["trigger"])
    compare_answer(document, "get", path, account.request("GET", path))


@pytest.mark.parametrize("path", ["/incidents", "/incidents/{id}", "/oncalls", "/services", "/users"])
def test_refusals(account: Account, path: str) -> None:
    """Bad arguments, no credentials, unknown id, too many requests."""
    document = load("rest.json")
    target = path.replace("{id}", "PNONE")
    compare_answer(document, "get", path, account.request("GET", target, headers={"Authorization": "none"}))
    if path == "/incidents/{id}":
        compare_answer(document, "get", path, account.request("GET", target))
        compare_answer(document, "put", path, account.update("PNONE", None))
    else:
        compare_answer(document, "get", path, account.request("GET", target, {"limit": "ten"}))
    account.sim.faults.script("rest", ["429"])
    throttled = account.request("GET", target)
    pointer = "/components/responses/TooManyRequests/content/application~1json/schema"
    compare(document, pointer, throttled.json())


@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve"])
def test_accepted_events(account: Account, action: str) -> None:
    """202 for all three actions."""
    compare_answer(load("events-v2.json"), "post", "/enqueue", account.enqueue(action))


def test_refused_events(account: Account) -> None:
    """400, 429 and 5xx; the document shows one body for errors."""
    pointer = "/components/responses/Error/content/application~1json/schema"
    account.sim.faults.script("events", ["ok", "ok", "429", "500", "503"])
    answers = [account.post({"payload": PAYLOAD}), account.post(b"{"), *(account.enqueue() for _ in range(3))]
    assert [answer.status for answer in answers] == [400, 400, 429, 500, 503]
    for answer in answers:
        compare(load("events-v2.json"), pointer, answer.json())


def test_exceptions_are_still_needed(account: Account) -> None:
    """A defect that is mended upstream, or that we no longer meet, leaves the list."""
    document = load("rest.json")
    incident_of(account, ["trigger"])
    answers = [
        account.get("/incidents/1"),
        account.get("/oncalls", include=["schedules"]),
        account.get("/services"),
        account.get("/users"),
    ]
    seen = {name for answer in answers for name in null_fields(answer)}
    account.sim.world.add_service("New")
    seen |= null_fields(account.get("/services"))
    solo = account.sim.world.add_schedule("Solo", [account.sim.first_user])
    account.sim.world.add_policy("Solo", [[solo]])
    seen |= null_fields(account.get("/oncalls"))
    assert set(NULL_ALTHOUGH_NOT_NULLABLE) <= seen
    assert not {key for key in UNLISTED if key[2] in document["paths"][key[1]][key[0]]["responses"]}


def null_fields(value: Any) -> set[str]:
    """Names of the fields that are null, at any depth."""
    if isinstance(value, dict):
        own = {name for name, each in value.items() if each is None}
        return own.union(*(null_fields(each) for each in value.values()))
    return set().union(*(null_fields(each) for each in value)) if isinstance(value, list) else set()

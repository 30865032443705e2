"""Every request that the provider makes compared with PagerDuty's published OpenAPI documents.

RESOLUTE_PAGERDUTY_SCHEMA names the folder that holds `rest.json` and `events-v2.json`, as published in the repository
PagerDuty/api-schema (a subset will do). Without it these tests skip.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest
from jsonschema import Draft7Validator

from resolute.clock import SystemClock
from resolute.providers.pagerduty import PagerDutyClient
from resolute.providers.pagerduty.change_event import mend_change
from resolute.providers.pagerduty.config import PagerDutySettings
from resolute.providers.pagerduty.incident_place import IncidentPlace
from resolute.providers.pagerduty.mend import mend_event

FOLDER = os.environ.get("RESOLUTE_PAGERDUTY_SCHEMA")
pytestmark = pytest.mark.skipif(not FOLDER, reason="RESOLUTE_PAGERDUTY_SCHEMA names no folder with PagerDuty's schemas")

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
KEY = "0123456789abcdef0123456789abcdef"
FULL = {
    "summary": "x" * 2_000, "source": "db-1", "severity": "critical", "component": "disk", "group": "eu", "class_": "c",
    "custom_details": {"usage": 97, "nan": float("nan")}, "timestamp": SINCE, "client": "Resolute",
    "client_url": "https://example.com", "links": [{"href": "https://example.com", "text": "graph"}],
    "images": [{"src": "https://example.com/a.png", "href": "https://example.com", "alt": "graph"}],
}  # fmt: skip

# Operations that PagerDuty documents with another body than it takes: pointer below the body → why it is not compared.
BODY_DEFECTS = {
    "$.incident.body.details": "typed as an object, though its example and every client send a text",
}

Ask = Callable[[PagerDutyClient], Any]
CALLS: dict[str, list[Ask]] = {
    "enqueue": [
        lambda c: c.enqueue(mend_event("trigger", FULL, dedup_key="k", flow="f").event, KEY),
        lambda c: c.enqueue(mend_event("trigger", {}, dedup_key="k", flow="f").event, KEY),
        lambda c: c.enqueue(mend_event("acknowledge", {}, dedup_key="k", flow="f").event, KEY),
        lambda c: c.enqueue(mend_event("resolve", {}, dedup_key="k", flow="f").event, KEY),
    ],
    "enqueue_change": [
        lambda c: c.enqueue_change(mend_change(FULL, flow="f").event, KEY),
        lambda c: c.enqueue_change(mend_change({"summary": "Deployed"}, flow="f").event, KEY),
    ],
    "get_incident": [lambda c: c.get_incident("Q1")],
    "find_incidents": [lambda c: c.find_incidents("disk", since=SINCE, until=UNTIL)],
    "list_incidents": [
        lambda c: c.list_incidents(),
        lambda c: c.list_incidents(
            statuses=["triggered", "resolved"], service_ids=["P1", "P2"], team_ids=["P3"], user_ids=["P4"],
            urgencies=["high", "low"], incident_key="k", since=SINCE, until=UNTIL, sort_by="created_at:desc", limit=100,
            offset=200, with_total=True,
        ),
    ],
    "iter_incidents": [lambda c: every(c.iter_incidents(since=SINCE, until=UNTIL, statuses=["triggered"]))],
    "incidents_from": [
        lambda c: c.incidents_from(IncidentPlace(begin=SINCE, end=UNTIL, offset=100), statuses=["triggered"])
    ],
    "latest_incidents": [
        lambda c: c.latest_incidents(since=SINCE, statuses=["triggered"], service_ids=["P1"], urgencies=["high"])
    ],
    "list_notes": [lambda c: c.list_notes("Q1")],
    "list_alerts": [lambda c: c.list_alerts("Q1", statuses=["triggered"], alert_key="disk")],
    "list_log_entries": [
        lambda c: c.list_log_entries("Q1"),
        lambda c: c.list_log_entries("Q1", since=SINCE, until=UNTIL, is_overview=True),
    ],
    "update_incident": [
        lambda c: c.update_incident("Q1", status="resolved", resolution="done"),
        lambda c: c.update_incident("Q1", title="t", urgency="low", priority_id="P1", escalation_level=2),
        lambda c: c.update_incident("Q1", escalation_policy_id="P1"),
        lambda c: c.update_incident("Q1", assignee_ids=["P1", "P2"], from_email="ada@example.com"),
    ],
    "create_incident": [
        lambda c: c.create_incident(title="t", service_id="P1", incident_key="k"),
        lambda c: c.create_incident(
            title="t", service_id="P1", incident_key="k", urgency="high", body="b", priority_id="P2", assignee_id="P3"
        ),
        lambda c: c.create_incident(title="t", service_id="P1", incident_key="k", escalation_policy_id="P4"),
    ],
    "snooze_incident": [lambda c: c.snooze_incident("Q1", duration=timedelta(hours=1))],
    "add_note": [lambda c: c.add_note("Q1", content="text")],
    "get_on_calls": [
        lambda c: c.get_on_calls(),
        lambda c: c.get_on_calls(
            schedule_ids=["P1"], escalation_policy_ids=["P2"], user_ids=["P3"], since=SINCE, until=UNTIL, earliest=True
        ),
    ],
    "list_services": [
        lambda c: c.list_services(),
        lambda c: c.list_services(query="shop", name="Shop", team_ids=["P1"], limit=5, offset=5, with_total=True),
    ],
    "iter_services": [lambda c: every(c.iter_services(query="shop"))],
    "list_priorities": [lambda c: c.list_priorities()],
    "iter_users": [lambda c: every(c.iter_users(query="ada", team_ids=["P1"]))],
    "find_user": [lambda c: c.find_user("ada@example.com")],
    "list_webhook_subscriptions": [lambda c: c.list_webhook_subscriptions()],
    "create_webhook_subscription": [
        lambda c: c.create_webhook_subscription("https://example.com/hook", events=["incident.triggered"]),
        lambda c: c.create_webhook_subscription(
            "https://example.com/hook", events=["incident.resolved"], scope="team", scope_id="P1", description="d"
        ),
    ],
    "enable_webhook_subscription": [lambda c: c.enable_webhook_subscription("P1")],
    "ping_webhook_subscription": [lambda c: c.ping_webhook_subscription("P1")],
    "delete_webhook_subscription": [lambda c: c.delete_webhook_subscription("P1")],
}  # fmt: skip
#: Methods that make no request of their own.
NO_REQUESTS = {"aclose", "now", "sender"}
#: Enough of an answer for any of the requests.
ANSWER = {
    "status": "success", "more": False, "incident": {"id": "Q1"}, "note": {"id": "N1"}, "webhook_subscription": {},
    **{name: [] for name in ("incidents", "notes", "alerts", "log_entries", "oncalls", "services", "priorities",
                             "users", "webhook_subscriptions")},
}  # fmt: skip


async def every(found: AsyncIterator[Any]) -> None:
    """Read to the end."""
    async for _ in found:
        pass


def document(name: str) -> dict[str, Any]:
    """A document, with OpenAPI's `nullable` said in JSON Schema's words."""
    assert FOLDER
    text = (Path(FOLDER) / name).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def followed(whole: dict[str, Any], part: Any) -> Any:
    """What a reference leads to."""
    while isinstance(part, dict) and "$ref" in part:
        target: Any = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        part = target
    return part


def operation_of(whole: dict[str, Any], request: httpx2.Request) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The documented operation that a request is for, and its parameters."""
    path = request.url.path.removeprefix("/v2") if "events" in request.url.host else request.url.path
    for template, methods in whole["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and request.method.lower() in methods:
            operation = methods[request.method.lower()]
            listed = [*methods.get("parameters", []), *operation.get("parameters", [])]
            return operation, [followed(whole, each) for each in listed]
    raise AssertionError(f"{request.method} {path} is not documented")


def faults_of(whole: dict[str, Any], request: httpx2.Request) -> list[str]:
    """What of a request does not fit the document."""
    operation, parameters = operation_of(whole, request)
    found = []
    known = {each["name"]: each for each in parameters if each["in"] == "query"}
    for name, value in parse_qsl(request.url.query.decode(), keep_blank_values=True):
        schema = followed(whole, known[name]["schema"]) if name in known else None
        if schema is None:
            found.append(f"parameter {name} is not documented")
        elif not fits(whole, schema, value):
            found.append(f"{name}={value!r} does not fit {schema}")
    for each in parameters:
        needed = each["in"] == "header" and each.get("required") and each["name"] != "Content-Type"
        if needed and not request.headers.get(each["name"]):
            found.append(f"header {each['name']} is missing")
    body = followed(whole, operation.get("requestBody"))
    if body is None:
        return [*found, *(["a body that is not documented"] if request.content else [])]
    if request.headers.get("content-type") != "application/json":
        found.append("a body without its content type")
    schema = body["content"]["application/json"]["schema"]
    for error in Draft7Validator({**schema, "components": whole["components"]}).iter_errors(
        json.loads(request.content)
    ):
        if error.json_path not in BODY_DEFECTS:
            found.append(f"{error.json_path}: {error.message}")
    return found


def fits(whole: dict[str, Any], schema: dict[str, Any], text: str) -> bool:
    """Whether a text in a query is a value of this schema."""
    if schema.get("type") == "array":
        schema = followed(whole, schema["items"])
    if schema.get("format") == "date-time":
        return datetime.fromisoformat(text).tzinfo is not None
    value: Any = text
    if schema.get("type") in ("integer", "boolean"):
        value = json.loads(text)
    return Draft7Validator({**schema, "components": whole["components"]}).is_valid(value)


def requests_of(ask: Ask) -> tuple[httpx2.MockTransport, list[httpx2.Request]]:
    """A transport that takes down what is asked."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        is_event = "events" in request.url.host
        return httpx2.Response(202 if is_event else 200, json=ANSWER)

    return httpx2.MockTransport(answer), seen


CASES = [pytest.param(name, ask, id=f"{name}-{n}") for name, asks in CALLS.items() for n, ask in enumerate(asks, 1)]


@pytest.mark.parametrize(("name", "ask"), CASES)
async def test_each_request_fits_the_published_document(name: str, ask: Ask) -> None:
    """Path, parameters with their values, headers and body."""
    transport, seen = requests_of(ask)
    settings = PagerDutySettings(api_key="RestKeyRestKey123456", default_from="ada@example.com")
    client = PagerDutyClient(settings, clock=SystemClock(), transport=transport)
    work: Coroutine[Any, Any, Any] = ask(client)
    await work
    assert seen, f"{name} asked nothing"
    for request in seen:
        whole = document("events-v2.json" if "events" in request.url.host else "rest.json")
        assert faults_of(whole, request) == []


def test_no_request_of_the_client_is_forgotten() -> None:
    """A new method fails this test until its requests are compared."""
    methods = {name for name, _ in inspect.getmembers(PagerDutyClient, inspect.isfunction) if not name.startswith("_")}
    assert methods - NO_REQUESTS == set(CALLS)


def test_this_comparison_finds_faults() -> None:
    """Each kind of it once, so that its silence means something."""
    whole = document("rest.json")
    headers = {"Accept": "application/vnd.pagerduty+json;version=2", "Content-Type": "application/json"}
    url = "https://api.pagerduty.com/incidents"
    wrong = httpx2.Request("GET", url, params={"statuses[]": "open", "colour": "red"}, headers=headers)
    assert len(faults_of(whole, wrong)) == 2
    body = {"incident": {"type": "incident", "urgency": "medium"}}
    assert (
        len(faults_of(whole, httpx2.Request("POST", url, json=body, headers=headers))) == 4
    )  # and From, title, service
    with pytest.raises(AssertionError, match="not documented"):
        operation_of(whole, httpx2.Request("PATCH", url))

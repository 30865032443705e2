"""PagerDuty's published OpenAPI documents, and how an answer is compared with them.

RESOLUTE_PAGERDUTY_SCHEMA names the folder that holds `rest.json` and `events-v2.json`, as published in the repository
PagerDuty/api-schema (a subset will do). Without it the tests that need them skip.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, FormatChecker

from resolute.simulator import SimAnswer

FOLDER = os.environ.get("RESOLUTE_PAGERDUTY_SCHEMA")
needs_documents = pytest.mark.skipif(
    not FOLDER, reason="RESOLUTE_PAGERDUTY_SCHEMA names no folder with PagerDuty's schemas"
)
Document = dict[str, Any]

# Defects of the documents: fields that are null in the service's own examples or by the field's own description, though
# the schema does not say nullable. They are left out before an answer is compared.
NULL_ALTHOUGH_NOT_NULLABLE = {
    "resolved_at": "null while the incident is not resolved, says its description",
    "resolve_reason": "null in the example of an incident",
    "priority": "null for an incident without one",
    "incident_key": "incidents made from alerts have none, says the parameter of that name",
    "schedule": "null for a user placed directly on a policy",
    "start": "null for a permanent on-call, says its description",
    "end": "null for a user who does not go off call, says its description; a layer without end has none",
    "acknowledgement_timeout": "null when disabled, says its description",
    "auto_resolve_timeout": "null when disabled, says its description",
    "last_incident_timestamp": "nothing to name before the first incident",
    "conference_bridge": "nothing to show for an incident without one",
    "details": "nothing to show for an incident that was made without a body",
}

# Statuses that the service answers though the operation does not list them.
UNLISTED = {
    ("updateIncident", 400): "bad From headers, bad fields and repeated states answer 400",
    ("listIncidentAlerts", 404): "an incident that there is not",
    ("createServiceIntegration", 404): "a service that there is not",
}


def _mend_channel(document: Document) -> None:
    """`oneOf` over kinds of channel that share all their fields: every channel is several of them."""
    channel = document["components"]["schemas"]["Channel"]
    channel["anyOf"] = channel.pop("oneOf")


def _mend_acknowledge(document: Document) -> None:
    """The kind of an acknowledgement is misspelt in its own schema, so no kind fits it."""
    own = document["components"]["schemas"]["AcknowledgeLogEntry"]["allOf"][1]["properties"]["type"]
    own["enum"] = ["acknowledge_log_entry"]


def _mend_body(document: Document) -> None:
    """Details are a text in every example, and an object by the schema."""
    properties = document["components"]["schemas"]["IncidentBody"]["properties"]
    properties["details"] = {"type": "string"}


def _mend_includes(document: Document) -> None:
    """`include[]` swaps references for full objects, which the schemas of these fields do not know."""
    schemas = document["components"]["schemas"]

    def widen(owner: str, name: str, full: str) -> None:
        own = schemas[owner]["allOf"][1] if "allOf" in schemas[owner] else schemas[owner]
        field = own["properties"][name]
        holder, key = (field, "items") if field.get("type") == "array" else (own["properties"], name)
        holder[key] = {"anyOf": [holder[key], {"$ref": f"#/components/schemas/{full}"}]}

    for owner in ("User", "Service", "EscalationPolicy", "LogEntry"):
        widen(owner, "teams", "Team")
    for owner, name in (("User", "contact_methods"), ("User", "notification_rules"), ("LogEntry", "incident")):
        widen(owner, name, "Reference")
    for owner in ("Alert", "LogEntry", "Integration"):
        widen(owner, "service", "Service")
    for owner in ("Service", "Oncall"):
        widen(owner, "escalation_policy", "EscalationPolicy")
    widen("Service", "integrations", "Integration")
    widen("Alert", "incident", "Incident")
    widen("Alert", "first_trigger_log_entry", "TriggerLogEntry")
    widen("Oncall", "user", "User")
    widen("Oncall", "schedule", "Schedule")


DEFECTS: dict[str, Callable[[Document], None]] = {
    "channel": _mend_channel,
    "acknowledge": _mend_acknowledge,
    "body": _mend_body,
    "includes": _mend_includes,
}

checker = FormatChecker(formats=())


@checker.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    """An ISO 8601 moment with an offset."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def load(name: str, *, unmended: Iterable[str] = ()) -> Document:
    """A document with its defects mended, save those named, and OpenAPI's `nullable` said in JSON Schema's words."""
    assert FOLDER
    document: Document = json.loads((Path(FOLDER) / name).read_text(encoding="utf-8"))
    if name == "rest.json":
        for defect, mend in DEFECTS.items():
            if defect not in unmended:
                mend(document)
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


def without_known_nulls(value: Any) -> Any:
    """The same data without the fields of NULL_ALTHOUGH_NOT_NULLABLE that are null."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v is not None or k not in NULL_ALTHOUGH_NOT_NULLABLE}
        return {k: without_known_nulls(v) for k, v in kept.items()}
    return [without_known_nulls(each) for each in value] if isinstance(value, list) else value


def null_fields(value: Any) -> set[str]:
    """Names of the fields that are null, at any depth."""
    if isinstance(value, dict):
        own = {name for name, each in value.items() if each is None}
        return own.union(*(null_fields(each) for each in value.values()))
    return set().union(*(null_fields(each) for each in value)) if isinstance(value, list) else set()


def differences(document: Document, pointer: str, value: Any) -> list[str]:
    """Every difference between the value and the schema at `pointer`."""
    validator = Draft7Validator({"$ref": f"#{pointer}", **document}, format_checker=checker)
    return [f"{error.json_path}: {error.message[:400]}" for error in validator.iter_errors(without_known_nulls(value))]


def operations_of(document: Document) -> dict[str, tuple[str, str]]:
    """`operationId` → method and path of every operation."""
    return {
        operation["operationId"]: (method, path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("get", "post", "put", "delete")
    }


def answer_differences(document: Document, operation: str, answer: SimAnswer) -> list[str]:
    """What is wrong with an answer, by what its operation says about its status."""
    method, path = operations_of(document)[operation]
    responses = document["paths"][path][method]["responses"]
    status = str(answer.status)
    response = responses.get(status)
    if (operation, answer.status) in UNLISTED:
        response = document["components"]["responses"]["ArgumentError"]
    if response is None:
        return [f"{operation} is not documented to answer {status}"]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    content = response.get("content")
    if content is None:  # errors of webhook operations have no schema
        return [] if answer.status >= 400 or not answer.body else [f"{operation} answers {status} without a body"]
    schema = content["application/json"]["schema"]
    return differences({"own": schema, **document}, "/own", answer.json())

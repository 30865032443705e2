"""The simulator's own OpenAPI document: what it answers, made from the same table that it routes by."""

from __future__ import annotations

from typing import Any

from resolute.simulator.pagerduty.bodies import Schema
from resolute.simulator.pagerduty.event_rules import ACTIONS, MAX_DEDUP_KEY, MAX_SUMMARY, SEVERITIES
from resolute.simulator.pagerduty.operation import Operation
from resolute.simulator.pagerduty.operations import LINKED, OPERATIONS

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_PARAMETERS: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 25},
    "offset": {"type": "integer", "minimum": 0, "default": 0},
    "total": _FLAG,
    "earliest": _FLAG,
    "is_overview": _FLAG,
    "overflow": _FLAG,
    "since": _MOMENT,
    "until": _MOMENT,
    "date_range": {"type": "string", "enum": ["all"]},
    "filter_type": {"type": "string", "enum": ["account", "service", "team"]},
    "statuses[]": {"type": "array", "items": {"type": "string", "enum": ["triggered", "acknowledged", "resolved"]}},
    "urgencies[]": {"type": "array", "items": {"type": "string", "enum": ["high", "low"]}},
}
_ERRORS = {
    "400": "Something in the request is not valid; repeating it will not help.",
    "401": "No credential, or a wrong one.",
    "402": "The account's plan lacks an ability.",
    "403": "The credential does not permit this.",
    "404": "There is no such thing.",
    "429": "Too many requests.",
}
_WITH_LINKS = ("incident", "alert", "log_entry", "service", "integration", "priority", "user", "schedule")


def openapi_document(url: str) -> dict[str, Any]:
    """The document of both APIs at one address, as OpenAPI 3.0."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in (*OPERATIONS, *LINKED):
        paths.setdefault(operation.path, {})[operation.method.lower()] = _rest_operation(operation)
    paths["/v2/enqueue"] = {"post": _event_operation("createV2Event", "Send an event", _event())}
    paths["/v2/change/enqueue"] = {
        "post": _event_operation("createChangeEvent", "Send a change event", _change_event())
    }
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Local PagerDuty",
            "version": "1",
            "description": "A simulated account for development and tests. Nobody is paged.",
        },
        "servers": [{"url": url}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Token token=<API key>`, or `Bearer <OAuth token>`",
                }
            },
            "schemas": {"Error": _error(), "Object": _object(), "EventAnswer": _event_answer()},
        },
    }


def _rest_operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "description": f"Scoped OAuth requires: `{operation.scope}`",
        "parameters": _parameters(operation),
        "responses": {str(operation.status): _good(operation)}
        | {code: _refusal(text) for code, text in _ERRORS.items()},
    }
    if operation.name == "updateIncidents":
        described["responses"]["413"] = _refusal("More than 250 incidents.")
    if operation.body:
        schema = {"type": "object", "required": list(operation.body), "properties": dict(operation.body)}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parts = [part.strip("{}") for part in operation.path.split("/") if part.startswith("{")]
    found = [{"name": part, "in": "path", "required": True, "schema": _TEXT} for part in parts]
    names = [*operation.query, *(("limit", "offset", "total") if operation.is_paged else ())]
    for name in names:
        default = {"type": "array", "items": _TEXT} if name.endswith("[]") else _TEXT
        found.append({"name": name, "in": "query", "schema": _PARAMETERS.get(name, default)})
    if operation.include:
        items = {"type": "string", "enum": list(operation.include)}
        found.append({"name": "include[]", "in": "query", "schema": {"type": "array", "items": items}})
    if operation.needs_from:
        found.append(
            {"name": "From", "in": "header", "required": True, "schema": {"type": "string", "format": "email"}}
        )
    return found


def _good(operation: Operation) -> dict[str, Any]:
    if not operation.wraps:
        return {"description": "Done."}
    is_list = operation.is_paged or operation.wraps in ("notes", "abilities")
    one: Schema = {"type": "object"}
    if operation.wraps.removesuffix("s") in _WITH_LINKS or operation.wraps in ("log_entries", "priorities"):
        one = {"$ref": "#/components/schemas/Object"}
    if operation.wraps == "abilities":
        one = _TEXT
    properties: dict[str, Schema] = {operation.wraps: {"type": "array", "items": one} if is_list else one}
    required = [operation.wraps]
    if operation.is_paged:
        number = {"type": "integer"}
        properties |= {"limit": number, "offset": number, "more": _FLAG, "total": number | {"nullable": True}}
        required += ["limit", "offset", "more"]
    schema = {"type": "object", "required": required, "properties": properties}
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _refusal(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _error() -> Schema:
    """An object with code and texts; the current user's refusal is a text alone."""
    detailed: Schema = {
        "type": "object",
        "required": ["message", "code"],
        "properties": {
            "message": _TEXT,
            "code": {"type": "integer"},
            "errors": {"type": "array", "items": _TEXT},
        },
    }
    return {"type": "object", "required": ["error"], "properties": {"error": {"anyOf": [detailed, _TEXT]}}}


def _object() -> Schema:
    fields = ("id", "type", "summary", "self")
    properties: Schema = dict.fromkeys(fields, _TEXT)
    properties["html_url"] = {"type": "string", "nullable": True}
    return {"type": "object", "required": list(fields), "properties": properties}


def _event_operation(name: str, summary: str, body: Schema) -> dict[str, Any]:
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/EventAnswer"}}}
    refused = {"application/json": {"schema": {"type": "object"}}, "text/plain": {"schema": _TEXT}}
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "202": {"description": "Accepted; it takes effect a little later.", "content": answer},
            "400": {"description": "The event is not valid, or nobody has this routing key.", "content": refused},
            "429": {"description": "Too many events.", "content": answer},
        },
    }


def _event_answer() -> Schema:
    properties = {"status": _TEXT, "message": _TEXT, "dedup_key": _TEXT}
    return {"type": "object", "required": ["status", "message"], "properties": properties}


def _links() -> Schema:
    return {
        "type": "array",
        "items": {"type": "object", "required": ["href"], "properties": {"href": _TEXT, "text": _TEXT}},
    }


def _event() -> Schema:
    payload = {
        "type": "object",
        "required": ["summary", "source", "severity"],
        "properties": {
            "summary": {"type": "string", "minLength": 1, "maxLength": MAX_SUMMARY},
            "source": {"type": "string", "minLength": 1},
            "severity": {"type": "string", "enum": list(SEVERITIES)},
            "timestamp": _MOMENT,
            "component": _TEXT,
            "group": _TEXT,
            "class": _TEXT,
            "custom_details": {"type": "object"},
        },
    }
    return {
        "type": "object",
        "required": ["routing_key", "event_action"],
        "properties": {
            "routing_key": {"type": "string", "pattern": "^[0-9A-Za-z]{32}$"},
            "event_action": {"type": "string", "enum": list(ACTIONS)},
            "dedup_key": {"type": "string", "maxLength": MAX_DEDUP_KEY},
            "payload": payload,
            "links": _links(),
            "images": {
                "type": "array",
                "items": {"type": "object", "required": ["src"], "properties": {"src": _TEXT, "href": _TEXT}},
            },
            "client": _TEXT,
            "client_url": _TEXT,
        },
    }


def _change_event() -> Schema:
    payload = {
        "type": "object",
        "required": ["summary"],
        "properties": {
            "summary": {"type": "string", "minLength": 1, "maxLength": MAX_SUMMARY},
            "source": _TEXT,
            "timestamp": _MOMENT,
            "custom_details": {"type": "object"},
        },
    }
    return {
        "type": "object",
        "required": ["routing_key", "payload"],
        "properties": {
            "routing_key": {"type": "string", "pattern": "^[0-9A-Za-z]{32}$"},
            "payload": payload,
            "links": _links(),
        },
    }

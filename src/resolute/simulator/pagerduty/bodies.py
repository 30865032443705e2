"""The JSON bodies that writes of the REST API take, as JSON Schema in the words of OpenAPI 3.0.

They describe what is asked for; what is wrong with a body is said by its handler.
"""

from __future__ import annotations

from typing import Any

from resolute.simulator.pagerduty.rest_incident_writes import SNOOZE_SECONDS
from resolute.simulator.pagerduty.subscriptions import EVENT_TYPES, FILTER_TYPES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_REFERENCE: Schema = {
    "type": "object",
    "required": ["id", "type"],
    "properties": {"id": _TEXT, "type": _TEXT},
}
_ASSIGNMENTS: Schema = {"type": "array", "items": {"type": "object", "properties": {"assignee": _REFERENCE}}}
_URGENCY: Schema = {"type": "string", "enum": ["high", "low"]}
_BRIDGE: Schema = {"type": "object", "properties": {"conference_number": _TEXT, "conference_url": _TEXT}}
_COMMON: Schema = {
    "title": _TEXT,
    "urgency": _URGENCY,
    "priority": _REFERENCE,
    "assignments": _ASSIGNMENTS,
    "escalation_policy": _REFERENCE,
    "incident_type": {"type": "object", "properties": {"name": _TEXT}},
    "conference_bridge": _BRIDGE,
}
INCIDENT: Schema = {
    "type": "object",
    "required": ["type", "title", "service"],
    "properties": {
        "type": {"type": "string", "enum": ["incident"]},
        "service": _REFERENCE,
        "incident_key": _TEXT,
        "body": {"type": "object", "properties": {"type": _TEXT, "details": _TEXT}},
        **_COMMON,
    },
}
INCIDENT_UPDATE: Schema = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "enum": ["incident", "incident_reference"]},
        "status": {"type": "string", "enum": ["triggered", "acknowledged", "resolved"]},
        "resolution": _TEXT,
        "escalation_level": {"type": "integer", "minimum": 1},
        "service": _REFERENCE,
        **_COMMON,
    },
}
INCIDENT_OF_MANY: Schema = {
    **INCIDENT_UPDATE,
    "required": ["id", "type"],
    "properties": {"id": _TEXT, **INCIDENT_UPDATE["properties"]},
}
SERVICE: Schema = {
    "type": "object",
    "required": ["name", "escalation_policy"],
    "properties": {
        "name": _TEXT,
        "description": _TEXT,
        "escalation_policy": _REFERENCE,
        "acknowledgement_timeout": {"type": "integer", "nullable": True},
        "auto_resolve_timeout": {"type": "integer", "nullable": True},
        "alert_creation": {"type": "string", "enum": ["create_incidents", "create_alerts_and_incidents"]},
        "incident_urgency_rule": {"type": "object", "properties": {"type": _TEXT, "urgency": _TEXT}},
    },
}
INTEGRATION: Schema = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"type": "string", "enum": ["events_api_v2_inbound_integration"]}, "name": _TEXT},
}
SUBSCRIPTION_UPDATE: Schema = {
    "type": "object",
    "properties": {
        "description": _TEXT,
        "active": {"type": "boolean"},
        "events": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": sorted(EVENT_TYPES)}},
        "filter": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string", "enum": list(FILTER_TYPES)}, "id": _TEXT},
        },
    },
}
SUBSCRIPTION: Schema = {
    "type": "object",
    "required": ["type", "delivery_method", "events", "filter"],
    "properties": {
        **SUBSCRIPTION_UPDATE["properties"],
        "type": {"type": "string", "enum": ["webhook_subscription"]},
        "delivery_method": {
            "type": "object",
            "required": ["type", "url"],
            "properties": {
                "type": {"type": "string", "enum": ["http_delivery_method"]},
                "url": {"type": "string", "format": "uri"},
                "custom_headers": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": _TEXT, "value": _TEXT}},
                },
            },
        },
    },
}
NOTE: Schema = {"type": "object", "required": ["content"], "properties": {"content": _TEXT}}
SNOOZE: Schema = {"type": "integer", "minimum": 1, "maximum": SNOOZE_SECONDS}

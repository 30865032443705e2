"""What a well-formed event is: the rules of `/v2/enqueue`, with PagerDuty's own error texts.

The texts come from answers that users of the service have published; those marked "ours" cover rules that are
documented while no answer is. Source: PagerDuty Events API v2, "Send an event" and "PD-CEF".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from resolute.simulator.pagerduty.moments import parse_moment

SEVERITIES = ("critical", "warning", "error", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")
MAX_SUMMARY = 1024
MAX_DEDUP_KEY = 255


@dataclass(frozen=True, slots=True)
class Event:
    """A valid event; summary, source and severity are "" and `payload` empty when it has no payload."""

    routing_key: str
    action: str
    dedup_key: str | None
    summary: str
    source: str
    severity: str
    payload: dict[str, Any]
    links: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    client: str | None = None
    client_url: str | None = None


def find_event_faults(event: dict[str, Any]) -> list[str]:
    """Every rule the event breaks, as PagerDuty words it; empty when there is none.

    A payload is needed on a trigger alone, but checked wherever it is present.
    """
    faults = [*find_routing_key_faults(event.get("routing_key"))]
    action = event.get("event_action")
    if _blank(action):
        faults.append("'event_action' is missing or blank")
    elif action not in ACTIONS:  # ours
        faults.append("'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')")
    faults += _dedup_key_faults(event.get("dedup_key"), required=action in ("acknowledge", "resolve"))
    payload = event.get("payload")
    if payload is None:
        payload = {} if action == "trigger" else None
    if isinstance(payload, dict):
        faults += _payload_faults(payload)
    elif payload is not None:
        faults.append("'payload' is invalid (must be an object)")  # ours
    for name in ("client", "client_url"):
        faults += _text_faults(name, event.get(name))
    faults += find_attachment_faults(event.get("links"), "links", "link href", "href")
    faults += find_attachment_faults(event.get("images"), "images", "image src", "src")
    return faults


def to_event(event: dict[str, Any]) -> Event:
    """The event as data; call it only when `find_event_faults` found none."""
    payload = event.get("payload") or {}
    return Event(
        routing_key=event["routing_key"],
        action=event["event_action"],
        dedup_key=None if _blank(event.get("dedup_key")) else event["dedup_key"],
        summary=payload.get("summary", ""),
        source=payload.get("source", ""),
        severity=payload.get("severity", ""),
        payload=payload,
        links=event.get("links") or [],
        images=event.get("images") or [],
        client=event.get("client"),
        client_url=event.get("client_url"),
    )


def find_routing_key_faults(key: object) -> list[str]:
    """What is wrong with a routing key."""
    if _blank(key):
        return ["'routing_key' cannot be blank"]
    faults = []
    if not (isinstance(key, str) and key.isascii() and key.isalnum()):
        faults.append("'routing_key' cannot contain non-alphanumeric characters.")
    if not isinstance(key, str) or len(key) != 32:
        faults.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    return faults


def _dedup_key_faults(key: object, *, required: bool) -> list[str]:
    if _blank(key):
        return ["'dedup_key' is missing or blank"] if required else []  # ours
    if not isinstance(key, str):
        return ["'dedup_key' is invalid (must be a string)"]  # ours
    if len(key) > MAX_DEDUP_KEY:
        return [f"'dedup_key' is too long (maximum is {MAX_DEDUP_KEY} characters)"]  # ours
    return []


def _payload_faults(payload: dict[str, Any]) -> list[str]:
    source, severity = payload.get("source"), payload.get("severity")
    faults = _summary_faults(payload.get("summary"))
    if _blank(source):
        faults.append("'payload.source' is missing or blank")
    else:
        faults += _text_faults("payload.source", source)
    if _blank(severity):
        faults.append("'payload.severity' is missing or blank")
    elif severity not in SEVERITIES:
        faults.append(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
        )
    faults += _timestamp_faults(payload.get("timestamp"))
    for name in ("component", "group", "class"):
        faults += _text_faults(f"payload.{name}", payload.get(name))
    return faults + _details_faults(payload)


def find_change_payload_faults(payload: dict[str, Any]) -> list[str]:
    """What is wrong with the payload of a change event: it needs a summary alone."""
    faults = _summary_faults(payload.get("summary")) + _text_faults("payload.source", payload.get("source"))
    return faults + _timestamp_faults(payload.get("timestamp")) + _details_faults(payload)


def _summary_faults(summary: object) -> list[str]:
    if _blank(summary):
        return ["'payload.summary' is missing or blank"]
    faults = _text_faults("payload.summary", summary)
    if isinstance(summary, str) and len(summary) > MAX_SUMMARY:
        faults.append(f"'summary' is too long (maiximum is {MAX_SUMMARY} characters)")  # PagerDuty's own spelling
    return faults


def _details_faults(payload: dict[str, Any]) -> list[str]:
    if isinstance(payload.get("custom_details", {}), dict | None):
        return []
    return ["'payload.custom_details' is invalid (must be an object)"]  # ours


def _timestamp_faults(timestamp: object) -> list[str]:
    if timestamp is None:
        return []
    if isinstance(timestamp, str):
        try:
            parse_moment(timestamp, UTC)
        except ValueError:
            pass
        else:
            return []
    return ["'payload.timestamp' is invalid (must be ISO 8601, as in 2015-07-17T08:42:58Z)"]  # ours


def find_attachment_faults(items: object, name: str, label: str, required: str) -> list[str]:
    """What is wrong with `links` or `images`; each of them has to have `required`."""
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return [f"'{name}' is invalid (must be a list of objects)"]  # ours
    faults = []
    for item in items:
        if _blank(item.get(required)):
            faults.append(f"'{label}' is missing or blank")
        elif name == "images" and not str(item["src"]).startswith("https://"):
            faults.append("'image src' is invalid (must be served over HTTPS)")  # ours
    return faults


def _text_faults(name: str, value: object) -> list[str]:
    return [] if value is None or isinstance(value, str) else [f"'{name}' is invalid (must be a string)"]  # ours


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())

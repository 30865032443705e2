"""A line of an incident's log as JSON.

Source: PagerDuty REST API v2, schema `LogEntry` and its kinds.
"""

from __future__ import annotations

from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incidents import Incident, LogEntry
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.service_shape import full_service
from resolute.simulator.pagerduty.shapes import links, service_shape, team_shapes, user_shape

_VERBS = {
    "trigger_log_entry": "Triggered",
    "acknowledge_log_entry": "Acknowledged",
    "unacknowledge_log_entry": "Unacknowledged",
    "resolve_log_entry": "Resolved",
    "assign_log_entry": "Assigned",
    "delegate_log_entry": "Delegated",
    "escalate_log_entry": "Escalated",
    "repeat_escalation_path_log_entry": "Escalation path repeated",
    "exhaust_escalation_path_log_entry": "Escalation path exhausted",
    "notify_log_entry": "Notified",
    "snooze_log_entry": "Snoozed",
    "annotate_log_entry": "Annotated",
    "urgency_change_log_entry": "Urgency changed",
    "field_value_change_log_entry": "Field changed",
    "reach_trigger_limit_log_entry": "Trigger limit reached",
}
_CHANNELS = {"events_api": "api", "api": "api", "website": "website", "timeout": "timeout", "auto": "auto"}
_WAYS = {"api": "through the API", "website": "through the website", "timeout": "due to timeout", "auto": "by email"}
_WITH_ASSIGNEES = ("assign_log_entry", "delegate_log_entry", "escalate_log_entry")


def entry_reference(call: RestCall, incident: Incident, entry: LogEntry) -> dict[str, Any]:
    """The entry as a reference."""
    return links(call.world, f"{entry.type}_reference", "log_entries", entry.id, _summary(entry)) | {
        "html_url": f"{call.world.base_url}/#{incident.id}"
    }


def log_entry_shape(call: RestCall, book: IncidentBook, incident: Incident, entry: LogEntry) -> dict[str, Any]:
    """The entry; `include[]` widens incidents, services, channels and teams."""
    world, include = call.world, call.include
    service = world.services[incident.service_id]
    agent = (
        user_shape(call, world.users[entry.agent.id])
        if entry.agent.kind == "user"
        else service_shape(call, world.services[entry.agent.id])
    )
    shape = entry_reference(call, incident, entry) | {
        "type": entry.type,
        "created_at": call.stamp(entry.created_at),
        "agent": agent,
        "channel": _channel(call, incident, entry, full="channels" in include),
        "service": full_service(call, book, service) if "services" in include else service_shape(call, service),
        "incident": _incident(call, incident, full="incidents" in include),
        "teams": team_shapes(call, service.team_ids, full="teams" in include),
        "contexts": [],
    }
    if entry.note is not None:
        shape["note"] = entry.note
    if entry.type == "trigger_log_entry":
        shape["event_details"] = {"description": incident.title}
    elif entry.type == "acknowledge_log_entry" and entry.duration:
        shape["acknowledgement_timeout"] = int(entry.duration.total_seconds())
    elif entry.type in _WITH_ASSIGNEES:
        shape["assignees"] = [user_shape(call, world.users[user_id]) for user_id in entry.user_ids]
    elif entry.type == "notify_log_entry":
        shape["user"] = user_shape(call, world.users[entry.user_ids[0]])
    elif entry.type == "snooze_log_entry" and entry.duration:
        shape["changed_actions"] = [{"type": "unacknowledge", "at": call.stamp(entry.created_at + entry.duration)}]
    elif entry.changed:
        shape["changeset"] = [f"{name}: {value}" for name, value in entry.changed]
    return shape


def _channel(call: RestCall, incident: Incident, entry: LogEntry, *, full: bool) -> dict[str, Any]:
    if entry.type == "annotate_log_entry":
        return {"type": "note", "summary": entry.note}
    kind = _CHANNELS[entry.channel]
    if entry.type == "notify_log_entry":
        user = call.world.users[entry.user_ids[0]]
        sent = {"type": "email_notification", "address": user.email, "status": "success"}
        return {"type": kind, "notification": sent}
    if full and entry.type == "trigger_log_entry":
        alert = incident.alerts[0] if incident.alerts else None
        return {
            "type": kind,
            "summary": incident.title,
            "subject": incident.title,
            "body": incident.body,
            "details": (alert.payload.get("custom_details") or {}) if alert else {},
            "incident_key": alert.alert_key if alert else incident.incident_key,
        }
    return {"type": kind}


def _incident(call: RestCall, incident: Incident, *, full: bool) -> dict[str, Any]:
    summary = f"[#{incident.number}] {incident.title}"
    shape = links(call.world, "incident_reference", "incidents", incident.id, summary)
    if full:
        shape |= {"type": "incident", "incident_number": incident.number, "title": incident.title}
        shape |= {"status": incident.status, "urgency": incident.urgency}
    return shape


def _summary(entry: LogEntry) -> str:
    return f"{_VERBS[entry.type]} {_WAYS[_CHANNELS[entry.channel]]}"

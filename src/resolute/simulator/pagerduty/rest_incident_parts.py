"""What belongs to one incident: its notes, alerts and log entries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.alert_shape import alert_shape
from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incidents import Alert, Note
from resolute.simulator.pagerduty.log_shape import log_entry_shape
from resolute.simulator.pagerduty.refusals import invalid_input
from resolute.simulator.pagerduty.rest_incidents import find_incident
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.shapes import user_shape
from resolute.simulator.pagerduty.wire import SimAnswer, json_answer

NOTES = 2_000
NOTE_CHARACTERS = 65_535
_OVERVIEW = frozenset(
    f"{kind}_log_entry" for kind in ("trigger", "acknowledge", "unacknowledge", "resolve", "escalate", "assign")
)


def list_notes(call: RestCall, book: IncidentBook) -> SimAnswer:
    """All notes of an incident, oldest first; not paged. Source: PagerDuty REST API v2, "List notes"."""
    return json_answer(200, {"notes": [_note(call, note) for note in find_incident(call, book).notes]})


def create_note(call: RestCall, book: IncidentBook) -> SimAnswer:
    """A new note by the requester; also a resolved incident takes one.

    Source: PagerDuty REST API v2, "Create a note on an incident".
    """
    user, incident = call.requester(), find_incident(call, book)
    content = call.body("note").get("content")
    if not isinstance(content, str) or not content.strip():
        raise invalid_input("Content can't be blank")
    if len(content) > NOTE_CHARACTERS:
        raise invalid_input(f"Content is too long (maximum is {NOTE_CHARACTERS} characters)")
    if len(incident.notes) >= NOTES:
        raise invalid_input(f"An incident takes at most {NOTES} notes")
    note = book.life.annotate(incident, user.id, content, call.now, "api")
    return json_answer(200, {"note": _note(call, note)})


def list_alerts(call: RestCall, book: IncidentBook) -> SimAnswer:
    """The alerts of an incident. Source: PagerDuty REST API v2, "List alerts for an incident"."""
    incident = find_incident(call, book)
    alerts = list(incident.alerts)
    if key := call.value("alert_key"):
        alerts = [alert for alert in alerts if alert.alert_key == key]
    if statuses := call.values("statuses"):
        if not set(statuses) <= {"triggered", "resolved"}:
            raise invalid_input("Status must be a list of triggered or resolved.")
        alerts = [alert for alert in alerts if alert.status in statuses]
    _sort_alerts(alerts, call.value("sort_by") or "created_at:asc")
    return call.page("alerts", alerts, lambda alert: alert_shape(call, book, incident, alert))


def list_log_entries(call: RestCall, book: IncidentBook) -> SimAnswer:
    """The log of an incident, newest first; `is_overview` leaves only what changed its state.

    Source: PagerDuty REST API v2, "List log entries for an incident".
    """
    incident = find_incident(call, book)
    since, until = call.moment("since"), call.moment("until")
    entries = [
        entry
        for entry in reversed(incident.log)
        if (since is None or since <= entry.created_at) and (until is None or entry.created_at <= until)
    ]
    if call.flag("is_overview"):
        entries = [entry for entry in entries if entry.type in _OVERVIEW]
    return call.page("log_entries", entries, lambda entry: log_entry_shape(call, book, incident, entry))


def _note(call: RestCall, note: Note) -> dict[str, Any]:
    return {
        "id": note.id,
        "user": user_shape(call, call.world.users[note.user_id]),
        "channel": {"summary": "The PagerDuty website or APIs"},
        "content": note.content,
        "created_at": call.stamp(note.created_at),
        "updated_at": call.stamp(note.created_at),
    }


def _sort_alerts(alerts: list[Alert], order: str) -> None:
    parsed = [field.partition(":") for field in order.split(",")]
    fields = ("created_at", "resolved_at")
    if len(parsed) > 2 or any(name not in fields or way not in ("", "asc", "desc") for name, _, way in parsed):
        raise invalid_input("Sort by is invalid.")
    for name, _, way in reversed(parsed):  # the sort is stable: the last field first
        alerts.sort(key=lambda alert: _moment(alert, name), reverse=way == "desc")


def _moment(alert: Alert, name: str) -> tuple[bool, float]:
    at: datetime | None = getattr(alert, name)
    return at is None, at.timestamp() if at else 0.0

"""`GET /incidents`, `GET /incidents/{id}` and `PUT /incidents/{id}`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incident_shape import incident_shape
from resolute.simulator.pagerduty.incidents import Agent, Incident
from resolute.simulator.pagerduty.moments import months_later
from resolute.simulator.pagerduty.restcall import Refused, RestCall, invalid_input, not_found
from resolute.simulator.pagerduty.wire import SimAnswer, json_answer

STATUSES = ("triggered", "acknowledged", "resolved")
URGENCIES = ("high", "low")
SORT_FIELDS = ("incident_number", "created_at", "resolved_at", "urgency")
_UPDATABLE = frozenset({"id", "type", "status", "resolution", "title", "urgency", "priority"})


def list_incidents(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Incidents created in the range (both ends included) that pass every filter sent.

    Source: PagerDuty REST API v2, "List incidents"; one-sided ranges as its client's maintainer explains them.
    """
    incidents = list(book.incidents.values())
    if call.value("date_range") != "all":
        since, until = _range(call)
        incidents = [incident for incident in incidents if since <= incident.created_at <= until]
    if key := call.value("incident_key"):
        incidents = [incident for incident in incidents if _has_key(incident, key)]
    if statuses := call.values("statuses"):
        if not set(statuses) <= set(STATUSES):
            raise invalid_input("Status must be a list of triggered, acknowledged, or resolved.")
        incidents = [incident for incident in incidents if incident.status in statuses]
    if urgencies := call.values("urgencies"):
        if not set(urgencies) <= set(URGENCIES):
            raise invalid_input("Urgencies must be a list of high or low.")
        incidents = [incident for incident in incidents if incident.urgency in urgencies]
    if service_ids := call.values("service_ids"):
        incidents = [incident for incident in incidents if incident.service_id in service_ids]
    if user_ids := set(call.values("user_ids")):  # nobody is assigned to a resolved incident
        incidents = [incident for incident in incidents if user_ids & {each for each, _ in incident.assignments}]
    if call.values("team_ids"):
        incidents = []  # the account has no teams
    _sort(incidents, call.value("sort_by"))
    return call.page("incidents", incidents, lambda incident: incident_shape(call, book, incident))


def get_incident(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One incident by id or number. Source: PagerDuty REST API v2, "Get an incident"."""
    return json_answer(200, {"incident": incident_shape(call, book, _find(call, book))})


def update_incident(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Status, resolution, title and urgency of one incident, as the user in the `From` header.

    Source: PagerDuty REST API v2, "Update an incident"; codes 1001 and 1002 from its list of errors.
    """
    user, incident, change = call.requester(), _find(call, book), call.body("incident")
    status = change.get("status", incident.status)
    _check(change, status)
    agent = Agent("user", user.id)
    if "title" in change:
        incident.title, incident.updated_at = change["title"], call.now
    if "urgency" in change:
        incident.urgency, incident.updated_at = change["urgency"], call.now
    if "status" in change:
        changed = book.set_status(incident, status, agent, call.now, channel="api", note=change.get("resolution"))
        if not changed and call.rules.repeats_are_errors and status == "resolved":
            raise Refused(400, 1001, "Incident Already Resolved")
        if not changed and call.rules.repeats_are_errors and status == "acknowledged":
            raise Refused(400, 1002, "Incident Already Acknowledged")
    return json_answer(200, {"incident": incident_shape(call, book, incident)})


def _check(change: dict[str, Any], status: object) -> None:
    if change.get("type") not in ("incident", "incident_reference"):
        raise invalid_input("Type must be incident or incident_reference.")
    if status not in STATUSES:
        raise Refused(400, 1003, "Invalid Status Provided")
    if "title" in change and not (isinstance(change["title"], str) and change["title"].strip()):
        raise invalid_input("Title cannot be empty.")
    if "priority" in change and not (isinstance(change["priority"], dict) and change["priority"].get("id")):
        raise invalid_input("Priority id cannot be empty.")
    if "urgency" in change and change["urgency"] not in URGENCIES:
        raise invalid_input("Urgency must be high or low.")
    if "resolution" in change and status != "resolved":
        raise invalid_input("Resolution can only be given with status resolved.")
    unknown = sorted(set(change) - (_UPDATABLE - {"priority"}))
    if unknown:  # better loud than pretending to have changed them
        raise invalid_input(f"This simulator cannot update: {', '.join(unknown)}.")


def _find(call: RestCall, book: IncidentBook) -> Incident:
    incident = book.find(call.ids[0])
    if incident is None:
        raise not_found()
    return incident


def _range(call: RestCall) -> tuple[datetime, datetime]:
    since, until = call.moment("since"), call.moment("until")
    if since is None:
        until = until or call.now
        since = months_later(until, -1)
    elif until is None:
        until = months_later(since, 1)
        call.remark("since without until: one month from since, not until now")
    if until < since or until > months_later(since, 6):
        raise invalid_input(" is invalid.")
    return since, until


def _has_key(incident: Incident, key: str) -> bool:
    return incident.incident_key == key or any(alert.alert_key == key for alert in incident.alerts)


def _sort(incidents: list[Incident], order: str | None) -> None:
    fields = (order or "incident_number:asc").split(",")
    parsed = [field.partition(":") for field in fields]
    if len(fields) > 2 or any(name not in SORT_FIELDS or way not in ("", "asc", "desc") for name, _, way in parsed):
        raise invalid_input("Sort by is invalid.")
    for name, _, way in reversed(parsed):  # the sort is stable: the last field first
        incidents.sort(key=lambda incident: _sort_value(incident, name), reverse=way == "desc")


def _sort_value(incident: Incident, name: str) -> tuple[bool, float]:
    if name == "urgency":
        return False, float(incident.urgency == "high")
    value = incident.number if name == "incident_number" else getattr(incident, name)
    if isinstance(value, datetime):
        return False, value.timestamp()
    return value is None, float(value or 0)

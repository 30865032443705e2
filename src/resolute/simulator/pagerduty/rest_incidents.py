"""`GET /incidents` and `GET /incidents/{id}`, with their filters and orders."""

from __future__ import annotations

from datetime import datetime

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incident_change import STATUSES, URGENCIES
from resolute.simulator.pagerduty.incident_shape import incident_shape
from resolute.simulator.pagerduty.incidents import Incident
from resolute.simulator.pagerduty.refusals import invalid_input, not_found
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.wire import SimAnswer, json_answer

SORT_FIELDS = ("incident_number", "created_at", "resolved_at", "urgency")


def list_incidents(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Incidents created in the range (both ends included) that pass every filter sent.

    Source: PagerDuty REST API v2, "List incidents".
    """
    incidents = list(book.incidents.values())
    if call.value("date_range") != "all":
        since, until = call.moments()
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
    if team_ids := set(call.values("team_ids")):
        services = call.world.services
        incidents = [each for each in incidents if team_ids & set(services[each.service_id].team_ids)]
    sort_rows(incidents, call.value("sort_by") or "incident_number:asc", SORT_FIELDS)
    return call.page("incidents", incidents, lambda incident: incident_shape(call, book, incident))


def get_incident(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One incident by id or number. Source: PagerDuty REST API v2, "Get an incident"."""
    return json_answer(200, {"incident": incident_shape(call, book, find_incident(call, book))})


def find_incident(call: RestCall, book: IncidentBook) -> Incident:
    """The incident that the path names, by id or number; 404 when there is none."""
    incident = book.find(call.ids[0])
    if incident is None:
        raise not_found()
    return incident


def sort_rows(rows: list[Incident], order: str, fields: tuple[str, ...]) -> None:
    """Sort in place by up to two fields, as in "urgency:desc,created_at"; ascending unless it says otherwise."""
    parsed = [field.partition(":") for field in order.split(",")]
    if len(parsed) > 2 or any(name not in fields or way not in ("", "asc", "desc") for name, _, way in parsed):
        raise invalid_input("Sort by is invalid.")
    for name, _, way in reversed(parsed):  # the sort is stable: the last field first
        rows.sort(key=lambda row: _sort_value(row, name), reverse=way == "desc")


def _has_key(incident: Incident, key: str) -> bool:
    return incident.incident_key == key or any(alert.alert_key == key for alert in incident.alerts)


def _sort_value(incident: Incident, name: str) -> tuple[bool, float]:
    if name == "urgency":
        return False, float(incident.urgency == "high")
    value = incident.number if name == "incident_number" else getattr(incident, name)
    if isinstance(value, datetime):
        return False, value.timestamp()
    return value is None, float(value or 0)

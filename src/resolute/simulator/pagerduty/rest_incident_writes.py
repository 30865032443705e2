"""Writes on incidents: create, update one or many, snooze."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incident_change import (
    URGENCIES,
    IncidentChange,
    read_assignees,
    read_bridge,
    read_change,
    read_priority,
    read_reference,
    read_title,
    read_type,
)
from resolute.simulator.pagerduty.incident_shape import incident_shape
from resolute.simulator.pagerduty.incidents import Agent
from resolute.simulator.pagerduty.refusals import Refused, invalid_input, not_found
from resolute.simulator.pagerduty.rest_incidents import find_incident
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.urgency import service_urgency
from resolute.simulator.pagerduty.wire import SimAnswer, json_answer

UPDATED_AT_ONCE = 250
SNOOZE_SECONDS = 604_800


def create_incident(call: RestCall, book: IncidentBook) -> SimAnswer:
    """A new incident without an alert; the key may not be that of an open incident of the service.

    Source: PagerDuty REST API v2, "Create an Incident"; error texts from users' reports.
    """
    user, wanted = call.requester(), call.body("incident")
    if wanted.get("type") != "incident":
        raise invalid_input("Type must be incident.")
    title = read_title(wanted)
    service_id = read_reference(wanted, "service", call.world.services)
    if service_id is None:
        raise invalid_input("Service not found", code=2002)
    service = call.world.services[service_id]
    urgency = wanted.get("urgency")
    if urgency is not None and urgency not in URGENCIES:
        raise invalid_input("Urgency must be high or low.")
    policy_id = read_reference(wanted, "escalation_policy", call.world.policies)
    user_ids = read_assignees(call.world, wanted)
    if policy_id and user_ids:
        raise invalid_input("Give assignments or an escalation policy, not both.")
    if user_ids and len(user_ids) > 1:
        raise invalid_input("Only one assignee can be specified.")
    key = wanted.get("incident_key")
    if key is not None and not isinstance(key, str):
        raise invalid_input("Incident key must be a string.")
    if key and book.open_with_key(service.id, key):
        raise invalid_input("Open incident with matching dedup key already exists on this service", code=2002)
    incident = book.create(
        service,
        title,
        urgency or service_urgency(service, "", call.now),
        Agent("user", user.id),
        call.now,
        policy_id=policy_id,
        user_ids=user_ids or (),
        incident_key=key or None,
        body=_details(wanted),
        priority_id=read_priority(call.world, wanted),
        conference_bridge=read_bridge(wanted),
        incident_type=read_type(wanted) or "incident_default",
    )
    return json_answer(201, {"incident": incident_shape(call, book, incident)})


def update_incident(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One incident changed on behalf of the requester.

    Source: PagerDuty REST API v2, "Update an incident"; codes 1001 and 1002 from its list of errors.
    """
    user, incident = call.requester(), find_incident(call, book)
    change = read_change(call, incident, call.body("incident"))
    change.apply(call, book, Agent("user", user.id))
    return json_answer(200, {"incident": incident_shape(call, book, incident)})


def update_incidents(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Up to 250 incidents changed, all or none of them.

    Source: PagerDuty REST API v2, "Manage Incidents".
    """
    user, wanted = call.requester(), call.json_object().get("incidents")
    if not isinstance(wanted, list) or not wanted or not all(isinstance(each, dict) for each in wanted):
        raise invalid_input("incidents must be an Array")
    if len(wanted) > UPDATED_AT_ONCE:
        raise Refused(413, 2001, "Request Entity Too Large", f"At most {UPDATED_AT_ONCE} incidents can be updated.")
    changes = [_read_one(call, book, each) for each in wanted]
    for change in changes:
        change.apply(call, book, Agent("user", user.id))
    incidents = [change.incident for change in changes]
    return call.page("incidents", incidents, lambda incident: incident_shape(call, book, incident))


def snooze_incident(call: RestCall, book: IncidentBook) -> SimAnswer:
    """An acknowledged incident stays so for `duration` seconds and then triggers again.

    Source: PagerDuty REST API v2, "Snooze an incident"; codes 1012 and 1013 from its list of errors.
    """
    user, incident = call.requester(), find_incident(call, book)
    duration = call.json_object().get("duration")
    if isinstance(duration, bool) or not isinstance(duration, int) or not 1 <= duration <= SNOOZE_SECONDS:
        raise Refused(400, 1013, "Invalid Snooze Duration", f"Duration must be between 1 and {SNOOZE_SECONDS} seconds.")
    if incident.status != "acknowledged":
        raise Refused(400, 1012, "Incident Not Acknowledged")
    book.life.snooze(incident, Agent("user", user.id), call.now, timedelta(seconds=duration))
    return json_answer(201, {"incident": incident_shape(call, book, incident)})


def _read_one(call: RestCall, book: IncidentBook, wanted: dict[str, Any]) -> IncidentChange:
    id_ = wanted.get("id")
    if not isinstance(id_, str) or not id_:
        raise invalid_input("Incident id cannot be empty.")
    incident = book.find(id_)
    if incident is None:
        raise not_found()
    return read_change(call, incident, wanted)


def _details(wanted: dict[str, Any]) -> str | None:
    body = wanted.get("body")
    if body is None:
        return None
    details = body.get("details") if isinstance(body, dict) and body.get("type") == "incident_body" else None
    if not isinstance(details, str):
        raise invalid_input("Body must be an object of type incident_body with details as a string.")
    return details

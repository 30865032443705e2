"""`GET /services` and `GET /users`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.restcall import RestCall, invalid_input
from resolute.simulator.pagerduty.shapes import integration_shape, links, policy_shape, user_shape
from resolute.simulator.pagerduty.wire import SimAnswer
from resolute.simulator.pagerduty.world import Service


def list_services(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Services by name, `query` (part of the name) and `name` (all of it).

    Source: PagerDuty REST API v2, "List services".
    """
    services = list(call.world.services.values())
    if query := call.value("query"):
        services = [service for service in services if query.lower() in service.name.lower()]
    if name := call.value("name"):
        services = [service for service in services if service.name == name]
    if call.values("team_ids"):
        services = []  # the account has no teams
    order = call.value("sort_by") or "name:asc"
    if order not in ("name", "name:asc", "name:desc"):
        raise invalid_input("Sort by is invalid.")
    services.sort(key=lambda service: service.name.lower(), reverse=order == "name:desc")
    return call.page("services", services, lambda service: _listed(call, book, service))


def list_users(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Users in the order they joined; `query` matches part of the name or the address.

    Source: PagerDuty REST API v2, "List users".
    """
    users = list(call.world.users.values())
    if query := call.value("query"):
        users = [user for user in users if query.lower() in f"{user.name}\n{user.email}".lower()]
    if call.values("team_ids"):
        users = []  # the account has no teams
    return call.page("users", users, lambda user: user_shape(call, user, full=True))


def full_service(call: RestCall, book: IncidentBook, service: Service) -> dict[str, Any]:
    """A service with its state, as `GET /services` and `include[]=services` show it."""
    incidents = [incident for incident in book.incidents.values() if incident.service_id == service.id]
    latest: datetime | None = incidents[-1].created_at if incidents else None
    policy = call.world.policies[service.policy_id]
    return links(call.world, "service", "services", service.id, service.name) | {
        "name": service.name,
        "description": "",
        "created_at": call.stamp(service.created_at),
        "status": _status(service, {incident.status for incident in incidents}),
        "last_incident_timestamp": call.stamp(latest),
        "acknowledgement_timeout": None,
        "auto_resolve_timeout": None,
        "alert_creation": "create_alerts_and_incidents",
        "incident_urgency_rule": {"type": "constant", "urgency": service.urgency},
        "escalation_policy": policy_shape(call, policy),
        "teams": [],
        "scheduled_actions": [],
        "addons": [],
        "integrations": [integration_shape(call, service, integration) for integration in service.integrations],
    }


def _listed(call: RestCall, book: IncidentBook, service: Service) -> dict[str, Any]:
    shape = full_service(call, book, service)
    if "escalation_policies" in call.include:
        shape["escalation_policy"] = policy_shape(call, call.world.policies[service.policy_id], full=True)
    return shape


def _status(service: Service, statuses: set[str]) -> str:
    if service.disabled:
        return "disabled"
    if service.maintenance:
        return "maintenance"
    return "critical" if "triggered" in statuses else "warning" if "acknowledged" in statuses else "active"

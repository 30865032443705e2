"""A service as JSON, with its state.

Source: PagerDuty REST API v2, schema `Service`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.resources import Grouping, Service, SupportHours
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.shapes import integration_shape, links, policy_shape, team_shapes


def full_service(call: RestCall, book: IncidentBook, service: Service) -> dict[str, Any]:
    """A service with its state, as `GET /services` and `include[]=services` show it."""
    incidents = [incident for incident in book.incidents.values() if incident.service_id == service.id]
    latest: datetime | None = incidents[-1].created_at if incidents else None
    policy = call.world.policies[service.policy_id]
    return links(call.world, "service", "services", service.id, service.name) | {
        "name": service.name,
        "description": service.description,
        "created_at": call.stamp(service.created_at),
        "status": book.status_of(service, call.now),
        "last_incident_timestamp": call.stamp(latest),
        "acknowledgement_timeout": _seconds(service.acknowledgement_timeout),
        "auto_resolve_timeout": _seconds(service.auto_resolve_timeout),
        "alert_creation": "create_alerts_and_incidents" if service.creates_alerts else "create_incidents",
        "escalation_policy": policy_shape(call, policy),
        "teams": team_shapes(call, service.team_ids),
        "scheduled_actions": [],
        "addons": [],
        "integrations": [integration_shape(call, service, integration) for integration in service.integrations],
        **_urgency_rule(service),
        **_grouping(service.grouping),
    }


def requested_service(call: RestCall, book: IncidentBook, service: Service) -> dict[str, Any]:
    """The same, widened by `include[]`: escalation_policies, teams, integrations, and pausing of notifications."""
    shape = full_service(call, book, service)
    if "escalation_policies" in call.include:
        shape["escalation_policy"] = policy_shape(call, call.world.policies[service.policy_id], full=True)
    if "teams" in call.include:
        shape["teams"] = team_shapes(call, service.team_ids, full=True)
    if "integrations" in call.include:
        shape["integrations"] = [integration_shape(call, service, each, full=True) for each in service.integrations]
    if "auto_pause_notifications_parameters" in call.include:
        shape["auto_pause_notifications_parameters"] = {"enabled": False, "timeout": 0}
    return shape


def _urgency_rule(service: Service) -> dict[str, Any]:
    if service.support_hours is None:
        return {"incident_urgency_rule": {"type": "constant", "urgency": service.urgency}}
    hours = service.support_hours
    rule = {
        "type": "use_support_hours",
        "during_support_hours": {"type": "constant", "urgency": hours.during},
        "outside_support_hours": {"type": "constant", "urgency": hours.outside},
    }
    return {"incident_urgency_rule": rule, "support_hours": _hours(hours)}


def _hours(hours: SupportHours) -> dict[str, Any]:
    return {
        "type": "fixed_time_per_day",
        "time_zone": str(hours.time_zone),
        "days_of_week": list(hours.days),
        "start_time": hours.start.isoformat(),
        "end_time": hours.end.isoformat(),
    }


def _grouping(grouping: Grouping | None) -> dict[str, Any]:
    if grouping is None:
        return {}
    config: dict[str, Any] = {"timeout": int(grouping.window.total_seconds() // 60)}
    if grouping.kind == "content_based":
        config = {"aggregate": "all" if grouping.needs_all else "any", "fields": list(grouping.fields)}
        config |= {"time_window": int(grouping.window.total_seconds())} if grouping.window else {}
    return {"alert_grouping_parameters": {"type": grouping.kind, "config": config}}


def _seconds(timeout: timedelta | None) -> int | None:
    return None if timeout is None else int(timeout.total_seconds())

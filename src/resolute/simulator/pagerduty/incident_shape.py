"""An incident as JSON.

Source: PagerDuty REST API v2, schema `Incident`. Null, though the schema does not say nullable: `incident_key`,
`resolved_at`, `resolve_reason` and `priority`, as in the service's own examples.
"""

from __future__ import annotations

from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incidents import Agent, Incident
from resolute.simulator.pagerduty.log_shape import entry_reference, log_entry_shape
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.service_shape import full_service
from resolute.simulator.pagerduty.shapes import (
    links,
    policy_shape,
    priority_shape,
    service_shape,
    team_shapes,
    user_shape,
)

INCLUDES = (
    "acknowledgers",
    "agents",
    "assignees",
    "conference_bridge",
    "escalation_policies",
    "first_trigger_log_entries",
    "priorities",
    "services",
    "teams",
    "users",
)


def incident_shape(call: RestCall, book: IncidentBook, incident: Incident) -> dict[str, Any]:
    """The incident; `include[]` widens the references named in `INCLUDES`, and adds `body` and `custom_fields`."""
    world, include = call.world, call.include
    if "users" in include:
        include |= {"assignees", "acknowledgers", "agents"}
    service = world.services[incident.service_id]
    resolved = sum(alert.status == "resolved" for alert in incident.alerts)
    priority = world.priorities.get(incident.priority_id or "")
    shape = links(world, "incident", "incidents", incident.id, f"[#{incident.number}] {incident.title}") | {
        "incident_number": incident.number,
        "title": incident.title,
        "created_at": call.stamp(incident.created_at),
        "updated_at": call.stamp(incident.updated_at),
        "status": incident.status,
        "incident_key": incident.incident_key,
        "service": full_service(call, book, service) if "services" in include else service_shape(call, service),
        "assignments": [
            {"at": call.stamp(at), "assignee": user_shape(call, world.users[user_id], full="assignees" in include)}
            for user_id, at in incident.assignments
        ],
        "assigned_via": "direct_assignment" if incident.is_direct else "escalation_policy",
        "last_status_change_at": call.stamp(incident.last_status_change_at),
        "last_status_change_by": _agent(call, book, incident.last_status_change_by, full="agents" in include),
        "resolved_at": call.stamp(incident.resolved_at),
        "first_trigger_log_entry": _first_entry(call, book, incident),
        "alert_counts": {
            "all": len(incident.alerts),
            "triggered": len(incident.alerts) - resolved,
            "resolved": resolved,
        },
        "is_mergeable": True,
        "incident_type": {"name": incident.incident_type},
        "escalation_policy": policy_shape(
            call, world.policies[incident.policy_id], full="escalation_policies" in include
        ),
        "teams": team_shapes(call, service.team_ids, full="teams" in include),
        "pending_actions": pending_actions(call, book, incident),
        "acknowledgements": [
            {"at": call.stamp(at), "acknowledger": _agent(call, book, agent, full="acknowledgers" in include)}
            for agent, at in incident.acknowledgements
        ],
        "priority": priority_shape(call, priority, full="priorities" in include) if priority else None,
        "resolve_reason": None,
        "urgency": incident.urgency,
    }
    if incident.conference_bridge or "conference_bridge" in include:
        shape["conference_bridge"] = incident.conference_bridge
    if "custom_fields" in include:
        shape["custom_fields"] = []
    if "body" in include:
        shape["body"] = {"type": "incident_body", "details": incident.body}
    return shape


def pending_actions(call: RestCall, book: IncidentBook, incident: Incident) -> list[dict[str, Any]]:
    """What will happen to the incident by itself, soonest first."""
    return [{"type": kind, "at": call.stamp(at)} for kind, at in book.life.pending(incident)]


def _agent(call: RestCall, book: IncidentBook, agent: Agent, *, full: bool) -> dict[str, Any]:
    if agent.kind == "user":
        return user_shape(call, call.world.users[agent.id], full=full)
    service = call.world.services[agent.id]
    return full_service(call, book, service) if full else service_shape(call, service)


def _first_entry(call: RestCall, book: IncidentBook, incident: Incident) -> dict[str, Any]:
    if "first_trigger_log_entries" in call.include:
        return log_entry_shape(call, book, incident, incident.log[0])
    return entry_reference(call, incident, incident.log[0])

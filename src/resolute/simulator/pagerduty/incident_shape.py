"""An incident as JSON.

Source: PagerDuty REST API v2, schema `Incident`. Null, though the schema does not say nullable: `incident_key`,
`resolved_at`, `resolve_reason` and `priority`, as in the service's own examples.
"""

from __future__ import annotations

from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incidents import Agent, Incident
from resolute.simulator.pagerduty.rest_directory import full_service
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.shapes import links, policy_shape, service_shape, user_shape


def incident_shape(call: RestCall, book: IncidentBook, incident: Incident) -> dict[str, Any]:
    """The incident; `include[]` widens services, escalation_policies, assignees, acknowledgers, agents and users."""
    world, include = call.world, call.include
    if "users" in include:
        include |= {"assignees", "acknowledgers", "agents"}
    service = world.services[incident.service_id]
    resolved = sum(alert.status == "resolved" for alert in incident.alerts)
    summary = f"[#{incident.number}] {incident.title}"
    return links(world, "incident", "incidents", incident.id, summary) | {
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
        "assigned_via": "escalation_policy",
        "last_status_change_at": call.stamp(incident.last_status_change_at),
        "last_status_change_by": _agent(call, book, incident.last_status_change_by, full="agents" in include),
        "resolved_at": call.stamp(incident.resolved_at),
        "first_trigger_log_entry": _first_entry(call, incident),
        "alert_counts": {
            "all": len(incident.alerts),
            "triggered": len(incident.alerts) - resolved,
            "resolved": resolved,
        },
        "is_mergeable": True,
        "incident_type": {"name": "incident_default"},
        "escalation_policy": policy_shape(
            call, world.policies[incident.policy_id], full="escalation_policies" in include
        ),
        "teams": [],
        "pending_actions": [],
        "acknowledgements": [
            {"at": call.stamp(at), "acknowledger": _agent(call, book, agent, full="acknowledgers" in include)}
            for agent, at in incident.acknowledgements
        ],
        "priority": None,
        "resolve_reason": None,
        "urgency": incident.urgency,
    }


def _agent(call: RestCall, book: IncidentBook, agent: Agent, *, full: bool) -> dict[str, Any]:
    if agent.kind == "user":
        return user_shape(call, call.world.users[agent.id], full=full)
    service = call.world.services[agent.id]
    return full_service(call, book, service) if full else service_shape(call, service)


def _first_entry(call: RestCall, incident: Incident) -> dict[str, Any]:
    entry = incident.log[0]
    summary = "Triggered through the API"
    reference = links(call.world, f"{entry.type}_reference", "log_entries", entry.id, summary)
    return reference | {"html_url": f"{call.world.base_url}/#{incident.id}"}

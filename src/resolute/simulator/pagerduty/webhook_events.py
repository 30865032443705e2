"""The event of a webhook as JSON: what happened, who did it, and the incident as webhooks show it.

Source: PagerDuty Webhooks V3, "Event Data Types".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.incidents import Agent, Incident, Note
from resolute.simulator.pagerduty.lifecycle import Announcement
from resolute.simulator.pagerduty.moments import format_moment
from resolute.simulator.pagerduty.resources import Service
from resolute.simulator.pagerduty.world import World

PING = {"message": "Hello from your friend Pagey!", "type": "ping"}


def envelope(
    event_id: str,
    event_type: str,
    at: datetime,
    *,
    agent: dict[str, Any] | None,
    client: dict[str, Any] | None,
    data: dict[str, Any],
) -> dict[str, Any]:
    """The whole body of a delivery."""
    event = {
        "id": event_id,
        "event_type": event_type,
        "resource_type": event_type.partition(".")[0],
        "occurred_at": precise(at),
        "agent": agent,
        "client": client,
        "data": data,
    }
    return {"event": event}


def announced(world: World, announcement: Announcement, event_id: str) -> dict[str, Any]:
    """The body that tells of a change of an incident."""
    incident, event_type = announcement.incident, announcement.event_type
    if announcement.note is not None:
        data = note_data(world, incident, announcement.note)
    elif event_type == "incident.conference_bridge.updated":
        bridge = incident.conference_bridge or {}
        data = {"type": "incident_conference_bridge", "incident": incident_reference(world, incident), **bridge}
    else:
        data = incident_data(world, incident)
    return envelope(
        event_id,
        event_type,
        announcement.at,
        agent=agent_reference(world, announcement.agent, announcement.channel),
        client=_client(incident, announcement.channel),
        data=data,
    )


def incident_data(world: World, incident: Incident) -> dict[str, Any]:
    """The incident; unlike REST with `number` and `assignees`, without alerts and `summary`."""
    service, policy = world.services[incident.service_id], world.policies[incident.policy_id]
    priority = world.priorities.get(incident.priority_id or "")
    reference = incident_reference(world, incident)
    return {
        "id": incident.id,
        "type": "incident",
        "self": reference["self"],
        "html_url": reference["html_url"],
        "number": incident.number,
        "status": incident.status,
        "incident_key": incident.incident_key,
        "created_at": format_moment(incident.created_at),
        "title": incident.title,
        "service": service_reference(world, service),
        "assignees": [
            _reference(world, "user_reference", "users", user_id, world.users[user_id].name)
            for user_id, _ in incident.assignments
        ],
        "escalation_policy": _reference(
            world, "escalation_policy_reference", "escalation_policies", policy.id, policy.name
        ),
        "teams": [
            _reference(world, "team_reference", "teams", team_id, world.teams[team_id].name)
            for team_id in service.team_ids
        ],
        "priority": _reference(world, "priority_reference", "priorities", priority.id, priority.name)
        if priority
        else None,
        "urgency": incident.urgency,
        "conference_bridge": incident.conference_bridge,
        "resolve_reason": None,
        "incident_type": {"name": incident.incident_type},
        "reopened_at": format_moment(incident.reopened_at) if incident.reopened_at else None,
    }


def note_data(world: World, incident: Incident, note: Note) -> dict[str, Any]:
    """A note, with its incident as a reference."""
    return {
        "incident": incident_reference(world, incident),
        "id": note.id,
        "type": "incident_note",
        "content": note.content,
        "trimmed": False,
    }


def service_data(world: World, service: Service) -> dict[str, Any]:
    """A service."""
    policy = world.policies[service.policy_id]
    return service_reference(world, service) | {
        "type": "service",
        "name": service.name,
        "description": service.description,
        "created_at": format_moment(service.created_at),
        "status": "disabled" if service.disabled else "active",
        "escalation_policy": _reference(
            world, "escalation_policy_reference", "escalation_policies", policy.id, policy.name
        ),
        "alert_creation": "create_alerts_and_incidents" if service.creates_alerts else "create_incidents",
    }


def incident_reference(world: World, incident: Incident) -> dict[str, Any]:
    """The incident as a reference."""
    return _reference(world, "incident_reference", "incidents", incident.id, f"[#{incident.number}] {incident.title}")


def service_reference(world: World, service: Service) -> dict[str, Any]:
    """The service as a reference."""
    return _reference(world, "service_reference", "services", service.id, service.name)


def agent_reference(world: World, agent: Agent, channel: str) -> dict[str, Any] | None:
    """Who did it; nobody when it came about by a timer."""
    if channel == "timeout":
        return None
    if agent.kind == "user":
        return _reference(world, "user_reference", "users", agent.id, world.users[agent.id].name)
    return service_reference(world, world.services[agent.id])


def precise(at: datetime) -> str:
    """An instant with milliseconds, as webhooks write it."""
    return f"{format_moment(at).removesuffix('Z')}.{at.microsecond // 1000:03d}Z"


def _client(incident: Incident, channel: str) -> dict[str, Any] | None:
    if channel != "events_api" or not incident.alerts or not incident.alerts[-1].client:
        return None
    return {"name": incident.alerts[-1].client, "url": incident.alerts[-1].client_url}


def _reference(world: World, kind: str, plural: str, id_: str, summary: str) -> dict[str, Any]:
    return {
        "html_url": f"{world.base_url}/#{id_}",
        "id": id_,
        "self": f"{world.base_url}/{plural}/{id_}",
        "summary": summary,
        "type": kind,
    }

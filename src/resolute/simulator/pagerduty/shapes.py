"""Users, schedules, policies and services as JSON: references, and full objects for `include[]`.

Source: PagerDuty REST API v2, "Resource references" and the schemas of the resources.
"""

from __future__ import annotations

from typing import Any

from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.world import Integration, Policy, Schedule, Service, User, World

Shape = dict[str, Any]


def links(world: World, kind: str, plural: str, id_: str, summary: str) -> Shape:
    """The five fields that every object has; `kind` is its type."""
    return {
        "id": id_,
        "type": kind,
        "summary": summary,
        "self": f"{world.base_url}/{plural}/{id_}",
        "html_url": f"{world.base_url}/#{id_}",
    }


def user_shape(call: RestCall, user: User, *, full: bool = False) -> Shape:
    """A user; the address stands in the full object alone."""
    if not full:
        return links(call.world, "user_reference", "users", user.id, user.name)
    return links(call.world, "user", "users", user.id, user.name) | {
        "name": user.name,
        "email": user.email,
        "time_zone": str(call.rules.time_zone),
        "color": "purple",
        "role": "user",
        "avatar_url": f"{call.world.base_url}/avatars/{user.id}.png",
        "description": None,
        "invitation_sent": False,
        "job_title": "Engineer",
        "created_via_sso": False,
        "teams": [],
        "contact_methods": [],
        "notification_rules": [],
    }


def schedule_shape(call: RestCall, schedule: Schedule, *, full: bool = False) -> Shape:
    """A schedule, without its layers."""
    if not full:
        return links(call.world, "schedule_reference", "schedules", schedule.id, schedule.name)
    policies = [
        policy
        for policy in call.world.policies.values()
        if any(schedule.id in level.schedule_ids for level in policy.levels)
    ]
    return links(call.world, "schedule", "schedules", schedule.id, schedule.name) | {
        "name": schedule.name,
        "time_zone": str(call.rules.time_zone),
        "description": "",
        "users": [user_shape(call, call.world.users[user_id]) for user_id in schedule.user_ids],
        "escalation_policies": [policy_shape(call, policy) for policy in policies],
        "teams": [],
    }


def policy_shape(call: RestCall, policy: Policy, *, full: bool = False) -> Shape:
    """An escalation policy; the full one lists its levels as rules."""
    world = call.world
    if not full:
        return links(world, "escalation_policy_reference", "escalation_policies", policy.id, policy.name)
    rules = []
    for number, level in enumerate(policy.levels, start=1):
        targets = [user_shape(call, world.users[user_id]) for user_id in level.user_ids]
        targets += [schedule_shape(call, world.schedules[schedule_id]) for schedule_id in level.schedule_ids]
        minutes = int(level.delay.total_seconds() // 60)
        rules.append({"id": f"{policy.id}L{number}", "escalation_delay_in_minutes": minutes, "targets": targets})
    return links(world, "escalation_policy", "escalation_policies", policy.id, policy.name) | {
        "name": policy.name,
        "escalation_rules": rules,
        "services": [service_shape(call, each) for each in world.services.values() if each.policy_id == policy.id],
        "num_loops": 0,
        "teams": [],
        "description": "",
    }


def service_shape(call: RestCall, service: Service) -> Shape:
    """A service as a reference; the full one needs its incidents too, see `rest_directory`."""
    return links(call.world, "service_reference", "services", service.id, service.name)


def integration_shape(call: RestCall, service: Service, integration: Integration) -> Shape:
    """An integration as a reference; the routing key is not in it."""
    kind, plural = "events_api_v2_inbound_integration_reference", f"services/{service.id}/integrations"
    return links(call.world, kind, plural, integration.id, "Events API V2")

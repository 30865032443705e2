"""Users, teams, priorities, policies and services as JSON: references, and full objects for `include[]`.

Source: PagerDuty REST API v2, "Resource references" and the schemas of the resources.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from resolute.simulator.pagerduty.resources import Integration, Policy, Priority, Schedule, Service, Team, User
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.world import World

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
        "role": user.role,
        "avatar_url": f"{call.world.base_url}/avatars/{user.id}.png",
        "description": None,
        "invitation_sent": False,
        "job_title": "Engineer",
        "created_via_sso": False,
        "teams": team_shapes(call, user.team_ids, full="teams" in call.include),
        "contact_methods": [contact_method(call, user, full="contact_methods" in call.include)],
        "notification_rules": [notification_rule(call, user, full="notification_rules" in call.include)],
    }


def team_shapes(call: RestCall, team_ids: Iterable[str], *, full: bool = False) -> list[Shape]:
    """Several teams."""
    return [team_shape(call, call.world.teams[team_id], full=full) for team_id in team_ids]


def team_shape(call: RestCall, team: Team, *, full: bool = False) -> Shape:
    """A team."""
    if not full:
        return links(call.world, "team_reference", "teams", team.id, team.name)
    more = {"name": team.name, "description": "", "default_role": "manager"}
    return links(call.world, "team", "teams", team.id, team.name) | more


def priority_shape(call: RestCall, priority: Priority, *, full: bool = False) -> Shape:
    """A priority; it has no page of its own and no field that tells its place in the order."""
    kind = "priority" if full else "priority_reference"
    shape = links(call.world, kind, "priorities", priority.id, priority.name) | {"html_url": None}
    return shape | {"name": priority.name, "description": priority.description} if full else shape


def schedule_reference(call: RestCall, schedule: Schedule) -> Shape:
    """A schedule as a reference; `schedule_shape` knows the full one."""
    return links(call.world, "schedule_reference", "schedules", schedule.id, schedule.name)


def policy_shape(call: RestCall, policy: Policy, *, full: bool = False) -> Shape:
    """An escalation policy; the full one lists its levels as rules."""
    world = call.world
    if not full:
        return links(world, "escalation_policy_reference", "escalation_policies", policy.id, policy.name)
    rules = []
    for number, level in enumerate(policy.levels, start=1):
        targets = [user_shape(call, world.users[user_id]) for user_id in level.user_ids]
        targets += [schedule_reference(call, world.schedules[schedule_id]) for schedule_id in level.schedule_ids]
        minutes = int(level.delay.total_seconds() // 60)
        rules.append({"id": f"{policy.id}L{number}", "escalation_delay_in_minutes": minutes, "targets": targets})
    return links(world, "escalation_policy", "escalation_policies", policy.id, policy.name) | {
        "name": policy.name,
        "escalation_rules": rules,
        "services": [service_shape(call, each) for each in world.services.values() if each.policy_id == policy.id],
        "num_loops": policy.num_loops,
        "on_call_handoff_notifications": "if_has_services",
        "teams": team_shapes(call, policy.team_ids, full="teams" in call.include),
        "description": "",
    }


def service_shape(call: RestCall, service: Service) -> Shape:
    """A service as a reference; the full one needs its incidents too, see `full_service`."""
    return links(call.world, "service_reference", "services", service.id, service.name)


def integration_shape(call: RestCall, service: Service, integration: Integration, *, full: bool = False) -> Shape:
    """An integration; the routing key stands in the full object alone, as the official clients read it."""
    kind, plural = "events_api_v2_inbound_integration", f"services/{service.id}/integrations"
    if not full:
        return links(call.world, f"{kind}_reference", plural, integration.id, integration.name)
    return links(call.world, kind, plural, integration.id, integration.name) | {
        "name": integration.name,
        "service": service_shape(call, service),
        "created_at": call.stamp(integration.created_at or service.created_at),
        "integration_key": integration.routing_key,
    }


def contact_method(call: RestCall, user: User, *, full: bool = False) -> Shape:
    """The user's one contact method, an e-mail address."""
    kind, id_ = "email_contact_method", f"C{user.id[1:]}"
    plural = f"users/{user.id}/contact_methods"
    shape = links(call.world, kind if full else f"{kind}_reference", plural, id_, "Default") | {"html_url": None}
    more = {"label": "Default", "address": user.email, "send_short_email": False, "send_html_email": False}
    return shape | more if full else shape


def notification_rule(call: RestCall, user: User, *, full: bool = False) -> Shape:
    """The user's one notification rule: at once, by e-mail."""
    kind, id_ = "assignment_notification_rule", f"N{user.id[1:]}"
    plural = f"users/{user.id}/notification_rules"
    shape = links(call.world, kind if full else f"{kind}_reference", plural, id_, "0 minutes: email") | {
        "html_url": None
    }
    if not full:
        return shape
    method = contact_method(call, user)
    return shape | {"start_delay_in_minutes": 0, "urgency": "high", "contact_method": method}

"""The simulator's pages: incidents with their alerts, services with who is on call, webhooks and their deliveries.

Plain HTML without scripts. Rendering reads the simulator and changes nothing.
"""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.incidents import Incident
from resolute.simulator.pagerduty.resources import Service
from resolute.simulator.pagerduty.rota import responders_of

SHOWN = 100
"""Incidents or deliveries on a page; older ones are counted."""

PAGES = (("/", "Incidents"), ("/services-page", "Services"), ("/webhooks-page", "Webhooks"))
"""Address and name of each page."""

_ORDER = {"triggered": 0, "acknowledged": 1, "resolved": 2}
_templates = Environment(
    loader=PackageLoader("resolute.simulator.pagerduty"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(simulator: PagerDutySimulator, url: str, *, refresh: bool) -> bytes:
    """The page of incidents as UTF-8: open incidents first, newest first among equals.

    Args:
        url: the simulator's own address, for both APIs.
        refresh: let the browser load the page again every 5 seconds.
    """
    incidents = sorted(simulator.incidents, key=lambda incident: -incident.number)
    incidents.sort(key=lambda incident: _ORDER[incident.status] == 2)
    shown = incidents[:SHOWN]
    return _render(
        simulator,
        "incidents.html",
        "/",
        refresh=refresh,
        incidents=shown,
        hidden=len(incidents) - len(shown),
        counts={status: sum(each.status == status for each in incidents) for status in _ORDER},
        pending=simulator.pending,
        services=simulator.world.services,
        users=simulator.world.users,
        actor=simulator.first_user if simulator.world.users else None,
        environment=environment_lines(simulator, url),
        api_keys=list(simulator.world.api_keys.values()),
        people=lambda incident: _people(simulator, incident),
        pending_of=simulator.pending_of,
    )


def render_services(simulator: PagerDutySimulator, *, refresh: bool) -> bytes:
    """The page of services by name: their status, their routing keys, and who is on call for them."""
    services = sorted(simulator.world.services.values(), key=lambda service: service.name.lower())
    rows = [_service_row(simulator, service) for service in services]
    users = list(simulator.world.users.values())
    return _render(simulator, "services.html", "/services-page", refresh=refresh, rows=rows, users=users)


def render_webhooks(simulator: PagerDutySimulator, *, refresh: bool) -> bytes:
    """The page of webhook subscriptions and their deliveries, newest first."""
    deliveries, subscriptions = simulator.deliveries[::-1], simulator.webhooks.subscriptions.all
    return _render(
        simulator,
        "deliveries.html",
        "/webhooks-page",
        refresh=refresh,
        subscriptions=list(subscriptions.values()),
        addresses={id: subscription.url for id, subscription in subscriptions.items()},
        deliveries=deliveries[:SHOWN],
        hidden=max(0, len(deliveries) - SHOWN),
    )


def environment_lines(simulator: PagerDutySimulator, url: str) -> list[str]:
    """Shell lines that point a client of the provider at this simulator and its first service."""
    values = {"PAGERDUTY_EVENTS_URL": url, "PAGERDUTY_API_URL": url}
    if any(service.integrations for service in simulator.world.services.values()):
        values["PAGERDUTY_SERVICE_KEY"] = simulator.routing_key
    if any(key.kind == "account" and not key.read_only for key in simulator.world.api_keys.values()):
        values["PAGERDUTY_API_KEY"] = simulator.api_key
    if simulator.world.users:
        values["PAGERDUTY_FROM"] = simulator.first_user.email
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def _render(simulator: PagerDutySimulator, template: str, path: str, *, refresh: bool, **values: Any) -> bytes:
    now = simulator.now()
    text = _templates.get_template(template).render(
        path=path,
        pages=PAGES,
        refresh=refresh,
        now=now,
        age=lambda at: f"{_span(now - at)} ago",
        span=lambda at: _span(at - now),
        **values,
    )
    return text.encode("utf-8", errors="replace")  # a lone surrogate of an event's text cannot be shown


def _service_row(simulator: PagerDutySimulator, service: Service) -> dict[str, Any]:
    world, now = simulator.world, simulator.now()
    policy = world.policies[service.policy_id]
    mine = [incident for incident in simulator.incidents if incident.service_id == service.id]
    levels = range(1, len(policy.levels) + 1)
    return {
        "service": service,
        "policy": policy,
        "status": simulator.status_of(service),
        "urgency": "urgency by support hours" if service.support_hours else _urgency(service),
        "open": sum(incident.status != "resolved" for incident in mine),
        "levels": [
            (level, [world.users[user_id].name for user_id in responders_of(world, policy, level, now)])
            for level in levels
        ],
    }


def _urgency(service: Service) -> str:
    return "urgency by severity" if service.urgency == "severity_based" else f"{service.urgency} urgency"


def _people(simulator: PagerDutySimulator, incident: Incident) -> list[str]:
    """Names of the users an incident is assigned to."""
    return [simulator.world.users[user_id].name for user_id, _ in incident.assignments]


def _span(passed: timedelta) -> str:
    seconds = max(0, int(passed.total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

"""The simulator's one page: incidents with their alerts, and what to put into a client's environment.

Plain HTML without scripts. `render_page` reads the simulator and changes nothing.
"""

from __future__ import annotations

import shlex
from datetime import timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined

from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.incidents import Incident

SHOWN = 100
"""Incidents on the page; older ones are counted."""

_ORDER = {"triggered": 0, "acknowledged": 1, "resolved": 2}
_templates = Environment(
    loader=PackageLoader("resolute.simulator.pagerduty"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(simulator: PagerDutySimulator, url: str, *, refresh: bool) -> bytes:
    """The page as UTF-8: open incidents first, newest first among equals.

    Args:
        url: the simulator's own address, for both APIs.
        refresh: let the browser load the page again every 5 seconds.
    """
    incidents = sorted(simulator.incidents, key=lambda incident: -incident.number)
    incidents.sort(key=lambda incident: _ORDER[incident.status] == 2)
    shown = incidents[:SHOWN]
    text = _templates.get_template("incidents.html").render(
        incidents=shown,
        hidden=len(incidents) - len(shown),
        counts={status: sum(each.status == status for each in incidents) for status in _ORDER},
        pending=simulator.pending,
        services=simulator.world.services,
        users=simulator.world.users,
        actor=simulator.first_user if simulator.world.users else None,
        environment=environment_lines(simulator, url) if simulator.world.services else [],
        api_keys=list(simulator.world.api_keys.values()),
        refresh=refresh,
        age=lambda at: _age(simulator.now() - at),
        people=lambda incident: _people(simulator, incident),
    )
    return text.encode("utf-8", errors="replace")  # a lone surrogate of an event's text cannot be shown


def environment_lines(simulator: PagerDutySimulator, url: str) -> list[str]:
    """Shell lines that point a client of the provider at this simulator and its first service."""
    values = {"PAGERDUTY_EVENTS_URL": url, "PAGERDUTY_API_URL": url, "PAGERDUTY_SERVICE_KEY": simulator.routing_key}
    if any(not key.read_only for key in simulator.world.api_keys.values()):
        values["PAGERDUTY_API_KEY"] = simulator.api_key
    if simulator.world.users:
        values["PAGERDUTY_FROM"] = simulator.first_user.email
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def _people(simulator: PagerDutySimulator, incident: Incident) -> list[str]:
    """Names of the users an incident is assigned to."""
    return [simulator.world.users[user_id].name for user_id, _ in incident.assignments]


def _age(passed: timedelta) -> str:
    seconds = max(0, int(passed.total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"

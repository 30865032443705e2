"""Alert grouping: which open incident a new alert joins, when its service is set to group.

Without a setting each dedup key opens an incident of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.event_rules import Event
from resolute.simulator.pagerduty.incidents import Incident
from resolute.simulator.pagerduty.resources import Grouping, Service

ALERTS_PER_INCIDENT = 1_000
"""Source: PagerDuty support, "Limits"."""


def find_group(service: Service, event: Event, incidents: Iterable[Incident], at: datetime) -> Incident | None:
    """The newest open incident of the service that the event's alert joins; None opens a new one.

    Source: PagerDuty support, "Time-Based Alert Grouping" and "Content-Based Alert Grouping".
    """
    if service.grouping is None:
        return None
    joined = None
    for incident in incidents:
        if incident.service_id == service.id and _takes(incident, service.grouping, event, at):
            joined = incident
    return joined


def _takes(incident: Incident, grouping: Grouping, event: Event, at: datetime) -> bool:
    if incident.status == "resolved" or not 0 < len(incident.alerts) < ALERTS_PER_INCIDENT:
        return False
    first = incident.alerts[0]
    if grouping.window and at - first.created_at > grouping.window:
        return False
    if grouping.kind == "time":
        return True
    agreed = [_same(_field(first.payload, name), _field(event.payload, name)) for name in grouping.fields]
    return bool(agreed) and (all(agreed) if grouping.needs_all else any(agreed))


def _same(first: object, second: object) -> bool:
    return first is not None and first == second


def _field(payload: dict[str, Any], dotted: str) -> Any:
    value: Any = payload
    for name in dotted.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value

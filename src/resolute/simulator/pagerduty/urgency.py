"""How urgent an incident of a service is: constant, by severity, or by the hours of support."""

from __future__ import annotations

from datetime import datetime

from resolute.simulator.pagerduty.resources import Service, Urgency


def service_urgency(service: Service, severity: str, at: datetime) -> Urgency:
    """The urgency of an incident that begins now; `severity` is "" when no event tells it.

    Source: PagerDuty support, "Configurable Service Settings" and "Dynamic notifications".
    """
    rule = service.urgency
    if service.support_hours:
        hours = service.support_hours
        local = at.astimezone(hours.time_zone)
        is_during = local.isoweekday() in hours.days and hours.start <= local.time() < hours.end
        rule = hours.during if is_during else hours.outside
    if rule == "severity_based":
        return "low" if severity in ("warning", "info") else "high"
    return rule

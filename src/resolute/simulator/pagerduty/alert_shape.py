"""An alert as JSON.

Source: PagerDuty REST API v2, schema `Alert`, and PD-CEF for `cef_details`.
"""

from __future__ import annotations

from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incident_shape import incident_shape
from resolute.simulator.pagerduty.incidents import Alert, Incident
from resolute.simulator.pagerduty.log_shape import entry_reference, log_entry_shape
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.service_shape import full_service
from resolute.simulator.pagerduty.shapes import integration_shape, links, service_shape


def alert_shape(call: RestCall, book: IncidentBook, incident: Incident, alert: Alert) -> dict[str, Any]:
    """The alert; `include[]` widens services, first_trigger_log_entries and incidents."""
    include = call.include
    service = call.world.services[alert.service_id]
    integration = next(each for each in service.integrations if each.routing_key == alert.routing_key)
    reference = links(
        call.world, "incident_reference", "incidents", incident.id, f"[#{incident.number}] {incident.title}"
    )
    first = entry_reference if "first_trigger_log_entries" not in include else None
    return links(call.world, "alert", f"incidents/{incident.id}/alerts", alert.id, alert.summary) | {
        "created_at": call.stamp(alert.created_at),
        "resolved_at": call.stamp(alert.resolved_at),
        "status": alert.status,
        "alert_key": alert.alert_key,
        "service": full_service(call, book, service) if "services" in include else service_shape(call, service),
        "first_trigger_log_entry": first(call, incident, incident.log[0])
        if first
        else log_entry_shape(call, book, incident, incident.log[0]),
        "incident": incident_shape(call, book, incident) if "incidents" in include else reference,
        "suppressed": False,
        "severity": alert.severity,
        "integration": integration_shape(call, service, integration),
        "body": _body(alert),
    }


def _body(alert: Alert) -> dict[str, Any]:
    payload = alert.payload
    contexts = [{"type": "link", "href": each.get("href"), "text": each.get("text")} for each in alert.links]
    contexts += [
        {"type": "image", "src": each.get("src"), "href": each.get("href"), "text": each.get("alt")}
        for each in alert.images
    ]
    cef = {
        "severity": alert.severity,
        "dedup_key": alert.alert_key,
        "source_origin": alert.source,
        "description": alert.summary,
        "event_class": payload.get("class"),
        "source_component": payload.get("component"),
        "service_group": payload.get("group"),
        "creation_time": payload.get("timestamp"),
        "details": payload.get("custom_details"),
        "client": alert.client,
        "client_url": alert.client_url,
        "contexts": contexts,
    }
    cef = {name: value for name, value in cef.items() if value is not None}
    contexts = [{name: value for name, value in each.items() if value is not None} for each in contexts]
    return {
        "type": "alert_body",
        "contexts": contexts,
        "details": payload.get("custom_details") or {},
        "cef_details": cef | {"contexts": contexts},
    }

"""`/services` and the integrations of a service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.refusals import invalid_input, not_found
from resolute.simulator.pagerduty.resources import Service, UrgencyRule
from resolute.simulator.pagerduty.rest_directory import of_teams
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.service_shape import requested_service
from resolute.simulator.pagerduty.shapes import integration_shape, user_shape
from resolute.simulator.pagerduty.wire import SimAnswer, json_answer

URGENCY_RULES = ("high", "low", "severity_based")
LONGEST_TIMEOUT_S = 30 * 86_400


def list_services(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Services by name, `query` (part of the name) and `name` (all of it).

    Source: PagerDuty REST API v2, "List services".
    """
    services = of_teams(call, call.world.services.values())
    if query := call.value("query"):
        services = [service for service in services if query.lower() in service.name.lower()]
    if name := call.value("name"):
        services = [service for service in services if service.name == name]
    order = call.value("sort_by") or "name:asc"
    if order not in ("name", "name:asc", "name:desc"):
        raise invalid_input("Sort by is invalid.")
    services.sort(key=lambda service: service.name.lower(), reverse=order == "name:desc")
    return call.page("services", services, lambda service: requested_service(call, book, service))


def get_service(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One service. Source: PagerDuty REST API v2, "Get a service"."""
    return json_answer(200, {"service": requested_service(call, book, _find(call))})


def create_service(call: RestCall, book: IncidentBook) -> SimAnswer:
    """A new service without integrations; it needs a name that is not taken, and a policy.

    Timeouts that are left out are disabled. Source: PagerDuty REST API v2, "Create a service".
    """
    wanted = call.body("service")
    name, world = wanted.get("name"), call.world
    if not isinstance(name, str) or not name.strip():
        raise invalid_input("Name can't be blank")
    if world.find_service(name):
        raise invalid_input("Name has already been taken")
    policy = world.policies.get(str(_id_of(wanted.get("escalation_policy"))))
    if policy is None:
        raise invalid_input("Escalation policy can't be blank")
    urgency = _urgency(wanted.get("incident_urgency_rule"))
    acknowledgement, auto_resolve = (
        _timeout(wanted, "acknowledgement_timeout"),
        _timeout(wanted, "auto_resolve_timeout"),
    )
    creation = wanted.get("alert_creation", "create_alerts_and_incidents")
    if creation not in ("create_incidents", "create_alerts_and_incidents"):
        raise invalid_input("Alert creation is not included in the list")
    service = world.add_service(name, policy, urgency=urgency, with_integration=False)
    service.acknowledgement_timeout, service.auto_resolve_timeout = acknowledgement, auto_resolve
    service.creates_alerts = creation == "create_alerts_and_incidents"
    description = wanted.get("description")
    service.description = description if isinstance(description, str) else ""
    maker = world.users.get(call.key.user_id or "")
    call.webhooks.tell_service("service.created", service, call.now, user_shape(call, maker) if maker else None)
    return json_answer(201, {"service": requested_service(call, book, service)})


def create_integration(call: RestCall, book: IncidentBook) -> SimAnswer:
    """A new Events API v2 integration; the answer holds its routing key as `integration_key`.

    Source: PagerDuty REST API v2, "Create a new integration"; the field stands in the official Go client.
    """
    service, wanted = _find(call), call.body("integration")
    kind = wanted.get("type")
    if kind not in ("events_api_v2_inbound_integration", "events_api_v2_inbound_integration_reference"):
        raise invalid_input("This simulator knows integrations of type events_api_v2_inbound_integration only.")
    name = wanted.get("name") or wanted.get("summary") or "Events API V2"
    if not isinstance(name, str):
        raise invalid_input("Name is invalid")
    integration = call.world.add_integration(service, name=name)
    return json_answer(201, {"integration": integration_shape(call, service, integration, full=True)})


def get_integration(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One integration of a service. Source: PagerDuty REST API v2, "View an integration"."""
    service = _find(call)
    integration = next((each for each in service.integrations if each.id == call.ids[1]), None)
    if integration is None:
        raise not_found()
    shape = integration_shape(call, service, integration, full=True)
    if "services" in call.include:
        shape["service"] = requested_service(call, book, service)
    if "vendors" in call.include:
        shape["vendor"] = None
    return json_answer(200, {"integration": shape})


def _find(call: RestCall) -> Service:
    service = call.world.services.get(call.ids[0])
    if service is None:
        raise not_found()
    return service


def _id_of(reference: object) -> object:
    return reference.get("id") if isinstance(reference, dict) else None


def _urgency(rule: object) -> UrgencyRule:
    if rule is None:
        return "high"
    urgency = rule.get("urgency") if isinstance(rule, dict) and rule.get("type") == "constant" else None
    if urgency not in URGENCY_RULES:
        raise invalid_input("Incident urgency rule must be of type constant, with urgency high, low or severity_based.")
    return cast(UrgencyRule, urgency)


def _timeout(wanted: dict[str, Any], name: str) -> timedelta | None:
    seconds = wanted.get(name)
    if seconds is None or seconds == 0:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds <= LONGEST_TIMEOUT_S:
        raise invalid_input(f"{name.replace('_', ' ').capitalize()} is invalid")
    return timedelta(seconds=seconds)

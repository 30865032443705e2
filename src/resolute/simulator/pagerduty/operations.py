"""Every operation of the REST API in one table: what it needs, what it takes and who answers it.

`RestApi` routes by it, `openapi` describes it, the contract test counts it.
"""

from __future__ import annotations

from collections.abc import Iterator

from resolute.simulator.pagerduty import (
    bodies,
    rest_directory,
    rest_incident_parts,
    rest_incident_writes,
    rest_incidents,
    rest_links,
    rest_oncalls,
    rest_services,
    rest_webhooks,
)
from resolute.simulator.pagerduty.incident_shape import INCLUDES
from resolute.simulator.pagerduty.operation import Operation
from resolute.simulator.pagerduty.schedule_shape import PARTS

RANGE = ("since", "until", "time_zone")
POLICY_INCLUDES = ("services", "teams", "targets", "escalation_rule_assignment_strategies")
SERVICE_INCLUDES = ("escalation_policies", "teams", "integrations", "auto_pause_notifications_parameters")
USER_INCLUDES = ("contact_methods", "notification_rules", "teams", "subdomains")


def _incidents() -> Iterator[Operation]:
    read, write, one = "incidents.read", "incidents.write", "/incidents/{id}"
    yield Operation(
        "listIncidents",
        "GET",
        "/incidents",
        rest_incidents.list_incidents,
        read,
        "incidents",
        is_paged=True,
        query=(
            *("statuses[]", "urgencies[]", "service_ids[]", "team_ids[]", "user_ids[]"),
            *("incident_key", "date_range", "sort_by", *RANGE),
        ),
        include=INCLUDES,
    )
    yield Operation(
        "createIncident",
        "POST",
        "/incidents",
        rest_incident_writes.create_incident,
        write,
        "incident",
        201,
        needs_from=True,
        is_scarce=True,
        body={"incident": bodies.INCIDENT},
    )
    yield Operation(
        "updateIncidents",
        "PUT",
        "/incidents",
        rest_incident_writes.update_incidents,
        write,
        "incidents",
        is_paged=True,
        needs_from=True,
        is_scarce=True,
        body={"incidents": {"type": "array", "maxItems": 250, "items": bodies.INCIDENT_OF_MANY}},
    )
    yield Operation(
        "getIncident",
        "GET",
        one,
        rest_incidents.get_incident,
        read,
        "incident",
        include=(*INCLUDES, "custom_fields", "body"),
    )
    yield Operation(
        "updateIncident",
        "PUT",
        one,
        rest_incident_writes.update_incident,
        write,
        "incident",
        needs_from=True,
        body={"incident": bodies.INCIDENT_UPDATE},
    )
    yield Operation("listIncidentNotes", "GET", f"{one}/notes", rest_incident_parts.list_notes, read, "notes")
    yield Operation(
        "createIncidentNote",
        "POST",
        f"{one}/notes",
        rest_incident_parts.create_note,
        write,
        "note",
        needs_from=True,
        body={"note": bodies.NOTE},
    )
    yield Operation(
        "createIncidentSnooze",
        "POST",
        f"{one}/snooze",
        rest_incident_writes.snooze_incident,
        write,
        "incident",
        201,
        needs_from=True,
        body={"duration": bodies.SNOOZE},
    )
    yield Operation(
        "listIncidentAlerts",
        "GET",
        f"{one}/alerts",
        rest_incident_parts.list_alerts,
        read,
        "alerts",
        is_paged=True,
        query=("alert_key", "statuses[]", "sort_by"),
        include=("services", "first_trigger_log_entries", "incidents"),
    )
    yield Operation(
        "listIncidentLogEntries",
        "GET",
        f"{one}/log_entries",
        rest_incident_parts.list_log_entries,
        read,
        "log_entries",
        is_paged=True,
        query=(*RANGE, "is_overview"),
        include=("incidents", "services", "channels", "teams"),
    )


def _services() -> Iterator[Operation]:
    read, write = "services.read", "services.write"
    yield Operation(
        "listServices",
        "GET",
        "/services",
        rest_services.list_services,
        read,
        "services",
        is_paged=True,
        query=("query", "name", "team_ids[]", "sort_by", "time_zone"),
        include=SERVICE_INCLUDES,
    )
    yield Operation(
        "createService",
        "POST",
        "/services",
        rest_services.create_service,
        write,
        "service",
        201,
        body={"service": bodies.SERVICE},
    )
    yield Operation(
        "getService", "GET", "/services/{id}", rest_services.get_service, read, "service", include=SERVICE_INCLUDES
    )
    yield Operation(
        "createServiceIntegration",
        "POST",
        "/services/{id}/integrations",
        rest_services.create_integration,
        write,
        "integration",
        201,
        body={"integration": bodies.INTEGRATION},
    )
    yield Operation(
        "getServiceIntegration",
        "GET",
        "/services/{id}/integrations/{integration_id}",
        rest_services.get_integration,
        read,
        "integration",
        include=("services", "vendors"),
    )


def _directory() -> Iterator[Operation]:
    yield Operation(
        "listOnCalls",
        "GET",
        "/oncalls",
        rest_oncalls.list_oncalls,
        "oncalls.read",
        "oncalls",
        is_paged=True,
        is_scarce=True,
        query=("schedule_ids[]", "escalation_policy_ids[]", "user_ids[]", "earliest", *RANGE),
        include=("escalation_policies", "users", "schedules"),
    )
    yield Operation(
        "listPriorities",
        "GET",
        "/priorities",
        rest_directory.list_priorities,
        "priorities.read",
        "priorities",
        is_paged=True,
    )
    yield Operation(
        "listUsers",
        "GET",
        "/users",
        rest_directory.list_users,
        "users.read",
        "users",
        is_paged=True,
        query=("query", "team_ids[]"),
        include=USER_INCLUDES,
    )
    user = "users.read", "user"
    yield Operation("getCurrentUser", "GET", "/users/me", rest_directory.get_current_user, *user, include=USER_INCLUDES)
    yield Operation("getUser", "GET", "/users/{id}", rest_directory.get_user, *user, include=USER_INCLUDES)
    yield Operation(
        "listEscalationPolicies",
        "GET",
        "/escalation_policies",
        rest_directory.list_policies,
        "escalation_policies.read",
        "escalation_policies",
        is_paged=True,
        query=("query", "user_ids[]", "team_ids[]", "sort_by"),
        include=POLICY_INCLUDES,
    )
    yield Operation(
        "listSchedules",
        "GET",
        "/schedules",
        rest_directory.list_schedules,
        "schedules.read",
        "schedules",
        is_paged=True,
        query=("query", "team_ids[]", "include_next_oncall_for_user", *RANGE),
        include=PARTS,
    )
    yield Operation(
        "getSchedule",
        "GET",
        "/schedules/{id}",
        rest_directory.get_schedule,
        "schedules.read",
        "schedule",
        query=("include_next_oncall_for_user", "overflow", *RANGE),
    )
    yield Operation("listAbilities", "GET", "/abilities", rest_directory.list_abilities, "abilities.read", "abilities")


def _webhooks() -> Iterator[Operation]:
    read, write = "webhook_subscriptions.read", "webhook_subscriptions.write"
    path, one, wrapper = "/webhook_subscriptions", "/webhook_subscriptions/{id}", "webhook_subscription"
    yield Operation(
        "listWebhookSubscriptions",
        "GET",
        path,
        rest_webhooks.list_subscriptions,
        read,
        "webhook_subscriptions",
        is_paged=True,
        query=("filter_type", "filter_id"),
    )
    yield Operation(
        "createWebhookSubscription",
        "POST",
        path,
        rest_webhooks.create_subscription,
        write,
        wrapper,
        body={wrapper: bodies.SUBSCRIPTION},
    )
    yield Operation("getWebhookSubscription", "GET", one, rest_webhooks.get_subscription, read, wrapper)
    yield Operation(
        "updateWebhookSubscription",
        "PUT",
        one,
        rest_webhooks.update_subscription,
        write,
        wrapper,
        body={wrapper: bodies.SUBSCRIPTION_UPDATE},
    )
    yield Operation("deleteWebhookSubscription", "DELETE", one, rest_webhooks.delete_subscription, write, "", 204)
    yield Operation(
        "enableWebhookSubscription", "POST", f"{one}/enable", rest_webhooks.enable_subscription, write, wrapper
    )
    yield Operation("testWebhookSubscription", "POST", f"{one}/ping", rest_webhooks.ping_subscription, write, "", 202)


OPERATIONS: tuple[Operation, ...] = (*_incidents(), *_services(), *_directory(), *_webhooks())
"""In the order in which paths are matched: "/users/me" before "/users/{id}"."""


def _linked() -> Iterator[Operation]:
    users, user = "users.read", "/users/{id}"
    yield Operation(
        "getEscalationPolicy",
        "GET",
        "/escalation_policies/{id}",
        rest_links.get_policy,
        "escalation_policies.read",
        "escalation_policy",
        include=POLICY_INCLUDES,
    )
    yield Operation(
        "listTeams", "GET", "/teams", rest_links.list_teams, "teams.read", "teams", is_paged=True, query=("query",)
    )
    yield Operation("getTeam", "GET", "/teams/{id}", rest_links.get_team, "teams.read", "team")
    yield Operation("getLogEntry", "GET", "/log_entries/{id}", rest_links.get_log_entry, "incidents.read", "log_entry")
    yield Operation(
        "getIncidentAlert",
        "GET",
        "/incidents/{id}/alerts/{alert_id}",
        rest_links.get_alert,
        "incidents.read",
        "alert",
    )
    yield Operation(
        "getUserContactMethod",
        "GET",
        f"{user}/contact_methods/{{contact_method_id}}",
        rest_links.get_contact_method,
        users,
        "contact_method",
    )
    yield Operation(
        "getUserNotificationRule",
        "GET",
        f"{user}/notification_rules/{{notification_rule_id}}",
        rest_links.get_notification_rule,
        users,
        "notification_rule",
    )
    yield Operation("getAbility", "GET", "/abilities/{id}", rest_links.get_ability, "abilities.read", "", 204)


LINKED: tuple[Operation, ...] = tuple(_linked())
"""Look-ups that only links and other clients lead to."""

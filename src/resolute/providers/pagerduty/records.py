"""What REST tells about incidents and services beside the incident itself: notes, alerts, log entries, users."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from resolute.providers.pagerduty.payloads import EscalationRef, Instant, Named, ServiceRef, UserRef, VendorObject


class Note(VendorObject):
    """A note on an incident.

    Attributes:
        user: who wrote it, by reference: no e-mail address.
        channel: the means by which it was written, in PagerDuty's words.

    Source: PagerDuty REST API v2, schema "IncidentNote".
    """

    id: str = ""
    content: str = ""
    user: UserRef | None = None
    channel: str = ""
    created_at: Instant = None

    @model_validator(mode="before")
    @classmethod
    def _channel_as_text(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("channel"), dict):
            return {**data, "channel": data["channel"].get("summary")}
        return data


class IncidentRef(Named):
    """An incident by reference: `id`, and its title with number as `name`."""


class Alert(VendorObject):
    """An alert: what an event opens, and what its incident is made of.

    Attributes:
        alert_key: the dedup key of its events.
        status: "triggered" or "resolved"; an acknowledge concerns the incident only.
        suppressed: nobody was notified and there is no incident for it.
        details: the `custom_details` of its first event, or whatever else its body holds.

    Source: PagerDuty REST API v2, schema "Alert".
    """

    id: str = ""
    summary: str = ""
    alert_key: str | None = None
    status: str = ""
    severity: str | None = None
    suppressed: bool = False
    created_at: Instant = None
    service: ServiceRef | None = None
    incident: IncidentRef | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    html_url: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _details_from_body(cls, data: Any) -> Any:
        """`body.cef_details.details` of events, else `body.details`; a bare text stands under "details"."""
        body = data.get("body") if isinstance(data, dict) else None
        if not isinstance(body, dict) or "details" in data:
            return data
        cef = body.get("cef_details")
        found = cef.get("details") if isinstance(cef, dict) else None
        found = body.get("details") if found is None else found
        return {**data, "details": found if isinstance(found, dict | None) else {"details": found}}


class LogEntry(VendorObject):
    """One line of an incident's history.

    Attributes:
        type: "trigger_log_entry", "acknowledge_log_entry", "notify_log_entry", ...
        agent: who did it; a service where an event or a timer did.
        channel: how, e.g. "api", "auto", "website_login"; "" where PagerDuty does not say.
        note: the text given with it, such as the resolution.

    Source: PagerDuty REST API v2, schema "LogEntry".
    """

    id: str = ""
    type: str = ""
    summary: str = ""
    created_at: Instant = None
    agent: UserRef | None = None
    channel: str = ""
    note: str | None = None
    incident: IncidentRef | None = None

    @model_validator(mode="before")
    @classmethod
    def _channel_as_text(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("channel"), dict):
            return {**data, "channel": data["channel"].get("type")}
        return data


class Service(ServiceRef):
    """A service as it stands in a list of services.

    Attributes:
        status: "active", "warning", "critical", "maintenance" or "disabled"; the last two page nobody.
        acknowledgement_timeout, auto_resolve_timeout: seconds, None where it is off.

    Source: PagerDuty REST API v2, schema "Service".
    """

    description: str = ""
    status: str = ""
    escalation_policy: EscalationRef | None = None
    acknowledgement_timeout: int | None = None
    auto_resolve_timeout: int | None = None
    last_incident_timestamp: Instant = None
    html_url: str | None = None


class WebhookSubscription(VendorObject):
    """A subscription to webhooks.

    Attributes:
        events: the event types it delivers.
        scope: "account", "service" or "team", and `scope_id` which of them.
        temporarily_disabled: its receiver refused three deliveries in a row; enabling it goes on.
        secret: what its deliveries are signed with. PagerDuty tells it once, in the answer to its creation.

    Source: PagerDuty REST API v2, schema "WebhookSubscription".
    """

    id: str = ""
    url: str = ""
    description: str = ""
    active: bool = True
    temporarily_disabled: bool = False
    events: list[str] = Field(default_factory=list)
    scope: str = "account"
    scope_id: str = ""
    secret: str | None = Field(default=None, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("delivery_method"), dict):
            return data
        method, scope = data["delivery_method"], data.get("filter")
        scope = scope if isinstance(scope, dict) else {}
        return {
            **data,
            "url": method.get("url"),
            "secret": method.get("secret"),
            "temporarily_disabled": method.get("temporarily_disabled"),
            "scope": str(scope.get("type") or "account").removesuffix("_reference"),
            "scope_id": scope.get("id"),
        }

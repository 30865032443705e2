"""PagerDuty's own objects as models: what REST answers, what an event holds, what the activities return.

Read leniently: PagerDuty may send null for whatever it does not promise, shortens nested objects to
references and adds fields at any time. Names follow the provider's specification in snake_case.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SkipValidation,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from resolute.model.payload import Payload

Severity = Literal["critical", "error", "warning", "info"]
EventAction = Literal["trigger", "acknowledge", "resolve"]
EventStatus = Literal["success", "superseded", "expired"]

_instant: TypeAdapter[datetime] = TypeAdapter(datetime)


def _read_instant(value: object) -> datetime | None:
    """An aware instant; None for what is no time. REST answers carry an offset, a text without one is read as UTC."""
    try:
        instant = _instant.validate_python(value)
    except ValidationError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _as_it_is(value: Any) -> Any:
    return value


Instant = Annotated[datetime | None, BeforeValidator(_read_instant)]
# Text for whoever writes a flow, anything at run time: what does not fit is mended when it is sent.
AnyText = Annotated[str | None, SkipValidation, PlainSerializer(_as_it_is, return_type=Any)]


class VendorObject(BaseModel):
    """An object out of a REST answer.

    Null means "absent", so the field's default is used, also for lists; unknown fields are ignored.
    Source: PagerDuty REST API v2, "Types" ("properties may be null unless required"), and its example
    of an incident with `"acknowledgements": null`.
    """

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _read_null_as_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            key: [item for item in value if item is not None] if isinstance(value, list) else value
            for key, value in data.items()
            if value is not None
        }


class Named(VendorObject):
    """An object or a reference to one.

    References carry `summary` and no `name`. Source: PagerDuty REST API v2, "Resource References".
    """

    id: str = ""
    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _name_from_summary(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("name") and data.get("summary"):
            return {**data, "name": data["summary"]}
        return data


class ServiceRef(Named):
    """A service: `id` ("P…" or "Q…") and `name`."""


class EscalationRef(Named):
    """An escalation policy: `id` and `name`."""


class ScheduleRef(Named):
    """An on-call schedule: `id` and `name`."""


class UserRef(Named):
    """A user, or a service where an event did what a user can do.

    Attributes:
        email: only where PagerDuty sent the whole user (`include[]=users`), else None.
    """

    email: str | None = None


class Priority(Named):
    """A priority of the account.

    Attributes:
        order: position in GET /priorities, 0 is the most severe; None where it was not looked up.
            PagerDuty has no such field (REST API v2, "List priorities").
    """

    description: str = ""
    order: int | None = None


class Assignment(VendorObject):
    """Who an incident is assigned to, and since when."""

    at: Instant = None
    assignee: UserRef | None = None


class Acknowledgement(VendorObject):
    """Who has acknowledged an incident, and when; a service where an event did."""

    at: Instant = None
    acknowledger: UserRef | None = None


class Incident(VendorObject):
    """An incident as REST shows it.

    Attributes:
        id: PagerDuty's id ("Q1ABC…"); `incident_number` is the number its web page shows.
        description: the title where PagerDuty sends none; it is an older name of the title.
        status: "triggered", "acknowledged" or "resolved".
        urgency: "high" or "low".
        priority: None without one.
        assignments: empty once resolved.
        acknowledgements: empty while triggered and once resolved.
        resolved_at: None while open. All times are aware.
        incident_key: None for incidents made from alerts, so not always an event's dedup key.
        html_url: the incident's page.

    Source: PagerDuty REST API v2, schema "Incident".
    """

    id: str
    incident_number: int | None = None
    title: str = ""
    description: str = ""
    status: str = ""
    urgency: str = ""
    priority: Priority | None = None
    service: ServiceRef | None = None
    assignments: list[Assignment] = Field(default_factory=list)
    acknowledgements: list[Acknowledgement] = Field(default_factory=list)
    escalation_policy: EscalationRef | None = None
    created_at: Instant = None
    last_status_change_at: Instant = None
    resolved_at: Instant = None
    incident_key: str | None = None
    html_url: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _description_from_title(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("description"):
            return {**data, "description": data.get("title")}
        return data


class OnCall(VendorObject):
    """One person on call at one level of one policy.

    Attributes:
        schedule: None when the user stands on the policy itself.
        escalation_level: 1 is paged first.
        start: None together with `end` for a permanent on-call.

    Source: PagerDuty REST API v2, schema "Oncall".
    """

    user: UserRef
    schedule: ScheduleRef | None = None
    escalation_policy: EscalationRef | None = None
    escalation_level: int = 1
    start: Instant = None
    end: Instant = None


class GetOnCallsOutput(BaseModel):
    """Who is on call.

    Attributes:
        oncalls: one entry per policy, level, user and shift, as PagerDuty lists them.
        more: whether there are further entries that were left out.
    """

    oncalls: list[OnCall] = Field(default_factory=list)
    more: bool = False


class EventLink(Payload):
    """A link shown with an alert. One without `href` is left out of the event, never refused."""

    href: AnyText = None
    text: AnyText = None


class EventImage(Payload):
    """A picture shown with an alert. PagerDuty takes https only; others are left out, never refused."""

    src: AnyText = None
    href: AnyText = None
    alt: AnyText = None


class EventPayload(BaseModel):
    """The content of a trigger event.

    Attributes:
        summary: 1 to 1,024 characters.
        severity: exactly "critical", "error", "warning" or "info".
        timestamp: ISO 8601 with offset.
        class_: kind of the event; "class" in JSON.

    Source: PagerDuty Events API v2, "Send an Alert Event".
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    summary: str
    source: str
    severity: Literal["critical", "error", "warning", "info"]
    timestamp: str | None = None
    component: str | None = None
    group: str | None = None
    class_: str | None = Field(default=None, alias="class")
    custom_details: dict[str, Any] = Field(default_factory=dict)


class Event(BaseModel):
    """The body of one request to the Events API: what `mend_event` makes, with the routing key.

    `payload`, `links` and `images` belong to a trigger only: a payload sent along with a resolve is
    checked all the same and can get the resolve refused.
    Source: PagerDuty Events API v2, "Send an Alert Event".
    """

    routing_key: str = Field(repr=False)
    event_action: EventAction
    dedup_key: str = ""
    payload: EventPayload | None = None
    links: list[EventLink] = Field(default_factory=list)
    images: list[EventImage] = Field(default_factory=list)
    client: str | None = None
    client_url: str | None = None


class EventOutput(BaseModel):
    """What became of an event.

    Attributes:
        status: "success": PagerDuty accepted it, which does not say that an incident exists (a
            maintenance window, for one, swallows it). "superseded": a newer event of the same alert
            took its place. "expired": decided too long ago to be sent.
        message: PagerDuty's own words, or ours where nothing was sent.
        dedup_key: name of the alert; acknowledge and resolve take it.
        ledger_status: the incident log's word for its row.
        ledger: "deferred" when a page was sent while the shared incident log could not be asked: its row is in the
            worker's own journal, and written there later. "written" otherwise.
        log_id: id of that row, None while it is still to be written.
        remarks: what was mended or is worth knowing, a sentence each.
    """

    status: EventStatus = "success"
    message: str = ""
    dedup_key: str = ""
    ledger_status: str = "accepted"
    ledger: Literal["written", "deferred"] = "written"
    log_id: int | None = None
    remarks: list[str] = Field(default_factory=list)


class TriggerEventOutput(EventOutput):
    """What became of a trigger. "success" means accepted: it may open an alert or fold into an open one."""


class AcknowledgeEventOutput(EventOutput):
    """What became of an acknowledge. PagerDuty also accepts one for an unknown or closed alert, and drops it."""


class ResolveEventOutput(EventOutput):
    """What became of a resolve. PagerDuty also accepts one for an unknown or closed alert, and drops it."""

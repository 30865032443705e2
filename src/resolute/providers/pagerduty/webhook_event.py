"""`WebhookEvent`: one event out of a webhook's envelope, and `parse_webhook`, the activity that reads it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, ParamSpec, TypeVar

from pydantic import BaseModel, Field, ValidationError

from resolute.errors import InputError
from resolute.model.activity import Activity
from resolute.model.codec import describe
from resolute.model.retry import Retry
from resolute.providers.pagerduty.payloads import Instant, Named, UserRef
from resolute.providers.pagerduty.webhook_types import AnyEventData, IncidentData, OtherData, ServiceData

P = ParamSpec("P")
T = TypeVar("T")


class WebhookEvent(BaseModel):
    """What happened at PagerDuty.

    Attributes:
        id: of the event; a delivery that is repeated has the same.
        type: what happened, e.g. "incident.triggered"; `event_type` is the same under PagerDuty's own name.
        resource_type: "incident", "service" or "pagey".
        agent: who did it; None where nobody is named.
        client: the tool that reported it.
        incident_id: of the incident it belongs to, "" where there is none.
        incident_title: as far as PagerDuty tells it with this type.
        service_id: of the incident's service, or of the service itself.
        data: what it happened to, in the model of its type; unknown types and fields are kept whole.

    Source: PagerDuty developer docs, "Webhooks Overview".
    """

    id: str = ""
    type: str = ""
    event_type: str = ""
    resource_type: str = ""
    occurred_at: Instant = None
    agent: UserRef | None = None
    client: Named | None = None
    incident_id: str = ""
    incident_title: str = ""
    service_id: str = ""
    data: AnyEventData = Field(default_factory=OtherData)


def read_webhook(envelope: object) -> WebhookEvent:
    """The event in an envelope, the input of a run that `pagerduty.webhook(...)` has started.

    Args:
        envelope: `{"event": {...}}`, also inside `{"body": ..., "headers": ...}`.

    Raises:
        InputError: it is no such envelope.
    """
    whole = envelope
    if isinstance(whole, Mapping) and "event" not in whole and isinstance(whole.get("body"), Mapping):
        whole = whole["body"]
    event = whole.get("event") if isinstance(whole, Mapping) else None
    kind = event.get("event_type") if isinstance(event, Mapping) else None
    if not isinstance(event, Mapping) or not isinstance(kind, str) or not kind:
        raise InputError(
            'This is no webhook of PagerDuty, expected {"event": {"event_type": ...}}. '
            'Give the whole input: parse_webhook(event=input_data("")).'
        )
    known = {name: event[name] for name in _FIELDS if event.get(name) is not None}
    data = event.get("data")
    try:
        read = WebhookEvent.model_validate(
            {**known, "type": kind, "data": data if isinstance(data, Mapping) else {"value": data}}
        )
    except ValidationError as error:
        raise InputError(f"The webhook of type {kind} cannot be read: {describe(error)}.") from None
    return read.model_copy(update=_named_in(read))


def _named_in(event: WebhookEvent) -> dict[str, str]:
    """Incident and service of the event."""
    match event.data:
        case IncidentData() as incident:
            service = incident.service.id if incident.service is not None else ""
            return {"incident_id": incident.id, "incident_title": incident.title, "service_id": service}
        case ServiceData() as service_data:
            return {"service_id": service_data.id}
        case other if other.incident is not None:
            return {"incident_id": other.incident.id, "incident_title": other.incident.name}
    return {}


_FIELDS: Final = ("id", "event_type", "resource_type", "occurred_at", "agent", "client")


def _at_once(fn: Callable[P, Coroutine[Any, Any, T]]) -> Activity[P, T]:
    """An activity without I/O: what cannot be read does not become readable by trying again."""
    return Activity(fn, name=f"pagerduty.{fn.__name__}", retry=Retry(attempts=1))


@_at_once
async def parse_webhook(*, event: Any) -> WebhookEvent:
    """The event of a webhook, typed: `pagerduty.parse_webhook(event=input_data("")).as_("event")`.

    Args:
        event: the envelope, which is the whole input of the run.
    """
    return read_webhook(event)

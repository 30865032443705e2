"""`send_change_event`: tells PagerDuty of a deploy or another change; it notifies nobody and opens nothing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, ParamSpec, TypeVar

from resolute.context import current
from resolute.errors import ConfigError
from resolute.model.activity import Activity, SecretText
from resolute.providers.pagerduty.mend import MendedEvent, mend_event
from resolute.providers.pagerduty.outputs import ChangeEventOutput
from resolute.providers.pagerduty.payloads import EventLink
from resolute.providers.pagerduty.rest_activity import REST_RETRY

P = ParamSpec("P")
T = TypeVar("T")

# Source: PagerDuty Events API v2, "Send a Change Event"; more links are refused with a 400.
LINKS_AT_MOST: Final = 50
_PAYLOAD: Final = ("summary", "source", "timestamp", "custom_details")


class ChangeActivity(Activity[P, T]):
    """An activity that sends an event with a routing key past the incident log, since nobody waits for it."""

    provider = "pagerduty"
    content_fields = frozenset({"summary", "source", "timestamp", "custom_details", "links"})

    def __init__(self, fn: Callable[P, Coroutine[Any, Any, T]]) -> None:
        super().__init__(fn, name=f"pagerduty.{fn.__name__}", retry=REST_RETRY)


def mend_change(fields: Mapping[str, object], *, flow: str) -> MendedEvent:
    """The change event for these fields, mended as those of alerts are; it has no severity and no dedup key."""
    mended = mend_event("trigger", {"severity": "info", "source": flow, **fields}, dedup_key="", flow=flow)
    payload = mended.event.get("payload")
    kept = payload if isinstance(payload, dict) else {}
    event: dict[str, Any] = {"payload": {name: kept[name] for name in _PAYLOAD if name in kept}}
    remarks = list(mended.remarks)
    links = mended.event.get("links")
    if isinstance(links, list) and links:
        event["links"] = links[:LINKS_AT_MOST]
        if len(links) > LINKS_AT_MOST:
            remarks.append(f"{len(links) - LINKS_AT_MOST} links left out, a change event holds {LINKS_AT_MOST}")
    return MendedEvent(event, "", mended.title, tuple(remarks))


@ChangeActivity
async def send_change_event(
    *,
    routing_key: SecretText = "",
    summary: str,
    source: str = "",
    timestamp: datetime | str | None = None,
    custom_details: dict[str, Any] | None = None,
    links: Sequence[EventLink] = (),
) -> ChangeEventOutput:
    """Tell of a change, such as a deploy; PagerDuty shows it beside the incidents of the service for 90 days.

    An attempt whose answer was lost is repeated, so a change may stand there twice; it opens no alert.

    Args:
        routing_key: `secret("NAME")` of an Events API v2 integration key; without it the provider's service_key.
        summary: at most 1,024 characters are shown; the whole goes into the details.
        source: what has changed; the flow's name by default.
        timestamp: when it happened, aware; by default when PagerDuty receives it.
        links: 50 at most.

    Source: PagerDuty Events API v2, "Send a Change Event".
    """
    attempt = current()
    provider = attempt.provider("pagerduty")
    key = routing_key or provider.paging.routing_key()
    if not key:
        raise ConfigError(
            "send_change_event has no routing key. Give it routing_key=secret(...), or set PAGERDUTY_SERVICE_KEY."
        )
    given = {"summary": summary, "timestamp": timestamp, "custom_details": custom_details, "links": list(links)}
    mended = mend_change({**given, **({"source": source} if source else {})}, flow=attempt.flow)
    answer = await provider.client.enqueue_change(mended.event, key)
    return ChangeEventOutput(message=answer.message, remarks=list(mended.remarks))

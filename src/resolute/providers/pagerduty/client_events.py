"""`EventRequests`: what is sent to the Events API of an account: events of alerts, and change events."""

from __future__ import annotations

from dataclasses import dataclass

from resolute.errors import ProviderRejected
from resolute.jsontypes import JsonObject
from resolute.providers.pagerduty.config import ROUTING_KEY, describe_bad_routing_key
from resolute.providers.pagerduty.mend import encode_event
from resolute.providers.pagerduty.requests import Requests
from resolute.secrets import mask


@dataclass(frozen=True)
class EventAnswer:
    """PagerDuty's acceptance of an event.

    Attributes:
        status: always "success".
        message: its own words, "Event processed".
        dedup_key: name of the alert, as PagerDuty repeats it; "" for a change event.
    """

    status: str
    message: str
    dedup_key: str


class EventRequests(Requests):
    """The requests to the Events API; they need a routing key and no REST key."""

    async def enqueue(self, event: JsonObject, routing_key: str) -> EventAnswer:
        """Send an event as `mend_event` makes it and return PagerDuty's acceptance.

        Accepted is not yet "an incident exists": PagerDuty works on events later, and drops an
        acknowledge or resolve for an alert that is not open.

        Raises:
            ProviderRejected: PagerDuty refused it, or the routing key is none and nothing was sent.
            ProviderUnavailable: nothing happened.
            ProviderOutcomeUnknown: sent, but no answer that can be trusted.

        Source: PagerDuty Events API v2, "Send an Alert Event".
        """
        return await self._send_event("/v2/enqueue", event, routing_key)

    async def enqueue_change(self, event: JsonObject, routing_key: str) -> EventAnswer:
        """Send a change event as `mend_change` makes it; errors as in `enqueue`.

        It notifies nobody and has no dedup key: sent twice, it stands there twice.

        Source: PagerDuty Events API v2, "Send a Change Event".
        """
        return await self._send_event("/v2/change/enqueue", event, routing_key)

    async def _send_event(self, path: str, event: JsonObject, routing_key: str) -> EventAnswer:
        key = routing_key.strip()
        if not ROUTING_KEY.fullmatch(key):
            raise ProviderRejected(
                f"Nothing was sent: the routing key ({mask(key)}) {describe_bad_routing_key(key)}",
                errors=("routing_key is not 32 letters and digits",),
            )
        data = await self._request("events", "POST", path, content=encode_event(event, key), secrets=(key,))
        answered = data.get("dedup_key")
        message = data.get("message")
        return EventAnswer(
            status="success",
            message=message[:2_000] if isinstance(message, str) else "",
            dedup_key=answered if isinstance(answered, str) and answered else str(event.get("dedup_key", "")),
        )

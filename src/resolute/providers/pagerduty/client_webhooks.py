"""`WebhookRequests`: the webhook subscriptions of an account, over REST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from resolute.errors import InputError
from resolute.jsontypes import JsonObject, JsonValue
from resolute.providers.pagerduty.params import id_in_path, read_row
from resolute.providers.pagerduty.records import WebhookSubscription
from resolute.providers.pagerduty.requests import Requests, object_in

Scope = Literal["account", "service", "team"]

_SUBSCRIPTIONS_AT_MOST: Final = 1_000


class WebhookRequests(Requests):
    """Requests for webhook subscriptions; errors as those of changes, but none needs `From`."""

    async def list_webhook_subscriptions(self) -> list[WebhookSubscription]:
        """Every subscription of the account. Source: PagerDuty REST API v2, "List webhook subscriptions"."""
        rows, _ = await self._rows("/webhook_subscriptions", [], "webhook_subscriptions", _SUBSCRIPTIONS_AT_MOST)
        return [read_row(WebhookSubscription, row, "GET /webhook_subscriptions") for row in rows]

    async def create_webhook_subscription(
        self, url: str, *, events: Sequence[str], scope: Scope = "account", scope_id: str = "", description: str = ""
    ) -> WebhookSubscription:
        """Subscribe to events; `secret` of what is returned is told this once and never again.

        Args:
            url: https, where `pagerduty.webhook(...)` listens.
            events: types such as "incident.triggered".
            scope_id: of the service or team.

        Source: PagerDuty REST API v2, "Create a webhook subscription".
        """
        if not events:
            raise InputError("events is empty, expected event types such as incident.triggered. Give one or more.")
        if (scope == "account") == bool(scope_id.strip()):
            raise InputError(
                f'scope is "{scope}" and scope_id is "{scope_id}": a service or team has an id, the account none.'
            )
        wanted: JsonObject = {"type": f"{scope}_reference"}
        if scope_id.strip():
            wanted["id"] = scope_id.strip()
        types: list[JsonValue] = list(dict.fromkeys(events))
        subscription: JsonObject = {
            "type": "webhook_subscription",
            "delivery_method": {"type": "http_delivery_method", "url": url},
            "events": types,
            "filter": wanted,
        }
        if description.strip():
            subscription["description"] = description.strip()
        body: JsonObject = {"webhook_subscription": subscription}
        return _subscription(await self._write("POST", "/webhook_subscriptions", body), "POST /webhook_subscriptions")

    async def enable_webhook_subscription(self, id: str) -> WebhookSubscription:
        """Let a subscription deliver again that PagerDuty had disabled."""
        path = f"/webhook_subscriptions/{id_in_path(id)}/enable"
        return _subscription(await self._write("POST", path), f"POST {path}")

    async def ping_webhook_subscription(self, id: str) -> None:
        """Have PagerDuty send a test event (`pagey.ping`), which starts no run."""
        await self._write("POST", f"/webhook_subscriptions/{id_in_path(id)}/ping")

    async def delete_webhook_subscription(self, id: str) -> None:
        """End a subscription."""
        await self._write("DELETE", f"/webhook_subscriptions/{id_in_path(id)}")


def _subscription(data: JsonObject, request: str) -> WebhookSubscription:
    return read_row(WebhookSubscription, object_in(data, "webhook_subscription", request), request)

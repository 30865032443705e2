"""`/webhook_subscriptions`: make, read, change, delete, enable, ping."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.refusals import invalid_input, not_found
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.subscriptions import (
    EVENT_TYPES,
    FILTER_TYPES,
    PER_SCOPE,
    FilterType,
    Subscription,
)
from resolute.simulator.pagerduty.wire import SimAnswer, json_answer

Filter = tuple[FilterType, str | None]


def list_subscriptions(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Subscriptions, oldest first; `filter_type` is account, service or team, `filter_id` one of these.

    Source: PagerDuty REST API v2, "List webhook subscriptions".
    """
    found = list(call.webhooks.subscriptions.all.values())
    if kind := call.value("filter_type"):
        if f"{kind}_reference" not in FILTER_TYPES:
            raise invalid_input("Filter type must be account, service or team.")
        found = [each for each in found if each.filter_type == f"{kind}_reference"]
    if filter_id := call.value("filter_id"):
        found = [each for each in found if each.filter_id == filter_id]
    return call.page("webhook_subscriptions", found, lambda each: _shape(call, each))


def get_subscription(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One subscription, without its secret. Source: PagerDuty REST API v2, "Get a webhook subscription"."""
    return _answer(call, _find(call))


def create_subscription(call: RestCall, book: IncidentBook) -> SimAnswer:
    """A new subscription; this answer alone shows its secret.

    Source: PagerDuty REST API v2, "Create a webhook subscription"; error texts are ours.
    """
    wanted = call.body("webhook_subscription")
    if wanted.get("type") != "webhook_subscription":
        raise invalid_input("Type must be webhook_subscription.")
    method = wanted.get("delivery_method")
    if not isinstance(method, dict) or method.get("type") != "http_delivery_method":
        raise invalid_input("Delivery method must be of type http_delivery_method.")
    url, headers, events = _url(method), _headers(method), _events(wanted)
    filter_type, filter_id = _filter(call, wanted)
    if len(call.webhooks.subscriptions.in_scope(filter_type, filter_id)) >= PER_SCOPE:
        raise invalid_input(f"At most {PER_SCOPE} subscriptions can be created per scope.")
    description = wanted.get("description")
    subscription = call.webhooks.subscriptions.add(
        url,
        events,
        filter_type=filter_type,
        filter_id=filter_id,
        description=description if isinstance(description, str) else "",
        custom_headers=headers,
    )
    shape = _shape(call, subscription)
    shape["delivery_method"]["secret"] = subscription.secrets[0]
    return json_answer(200, {"webhook_subscription": shape})


def update_subscription(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Description, events, filter and whether it is active; never the address.

    Source: PagerDuty REST API v2, "Update a webhook subscription".
    """
    subscription, wanted = _find(call), call.body("webhook_subscription")
    if "delivery_method" in wanted:
        call.remark("delivery_method cannot be updated: ignored")
    events = _events(wanted) if "events" in wanted else subscription.events
    scope: Filter = (subscription.filter_type, subscription.filter_id)
    scope = _filter(call, wanted) if "filter" in wanted else scope
    active, description = wanted.get("active", subscription.active), wanted.get("description", subscription.description)
    if not isinstance(active, bool) or not isinstance(description, str):
        raise invalid_input("Active must be true or false, description a string.")
    subscription.events, subscription.active, subscription.description = events, active, description
    subscription.filter_type, subscription.filter_id = scope
    return _answer(call, subscription)


def delete_subscription(call: RestCall, book: IncidentBook) -> SimAnswer:
    """The subscription and all that waits for it are gone. Source: as above, "Delete a webhook subscription"."""
    call.webhooks.remove(_find(call))
    return SimAnswer(204)


def enable_subscription(call: RestCall, book: IncidentBook) -> SimAnswer:
    """A subscription that was switched off for refusing too much is told again.

    Source: PagerDuty REST API v2, "Enable a webhook subscription".
    """
    subscription = _find(call)
    subscription.disabled_until, subscription.drops = None, 0
    return _answer(call, subscription)


def ping_subscription(call: RestCall, book: IncidentBook) -> SimAnswer:
    """A `pagey.ping` event is on its way. Source: PagerDuty REST API v2, "Test a webhook subscription"."""
    call.webhooks.ping(_find(call), call.now)
    return SimAnswer(202)


def _find(call: RestCall) -> Subscription:
    subscription = call.webhooks.subscriptions.all.get(call.ids[0])
    if subscription is None:
        raise not_found()
    return subscription


def _answer(call: RestCall, subscription: Subscription) -> SimAnswer:
    return json_answer(200, {"webhook_subscription": _shape(call, subscription)})


def _shape(call: RestCall, subscription: Subscription) -> dict[str, Any]:
    scope: dict[str, Any] = {"type": subscription.filter_type}
    if subscription.filter_id is not None:
        scope["id"] = subscription.filter_id
    return {
        "id": subscription.id,
        "type": "webhook_subscription",
        "active": subscription.active,
        "delivery_method": {
            "id": subscription.method_id,
            "type": "http_delivery_method",
            "secret": None,
            "temporarily_disabled": subscription.is_disabled(call.now),
            "url": subscription.url,
            "custom_headers": [{"name": name, "value": "-- redacted --"} for name, _ in subscription.custom_headers],
        },
        "description": subscription.description,
        "events": list(subscription.events),
        "filter": scope,
    }


def _url(method: dict[str, Any]) -> str:
    url = method.get("url")
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        is_address = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # a bracket or a port that is none
        is_address = False
    if not is_address:
        raise invalid_input("Url must be an http or https address.")
    return cast(str, url)


def _headers(method: dict[str, Any]) -> list[tuple[str, str]]:
    headers = method.get("custom_headers") or []
    if not isinstance(headers, list):
        raise invalid_input("Custom headers must be a list of objects with name and value.")
    found = []
    for each in headers:
        name, value = (each.get("name"), each.get("value")) if isinstance(each, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, str) or not _is_header(name, value):
            raise invalid_input("Custom headers must be a list of objects with name and value.")
        found.append((name, value))
    return found


def _is_header(name: str, value: str) -> bool:
    token = name.isascii() and all(each.isalnum() or each in "!#$%&'*+-.^_`|~" for each in name)
    return bool(name) and token and value.isascii() and value.isprintable()


def _events(wanted: dict[str, Any]) -> list[str]:
    events = wanted.get("events")
    if not isinstance(events, list) or not events:
        raise invalid_input("Events must not be empty.")
    unknown = [str(each) for each in events if not isinstance(each, str) or each not in EVENT_TYPES]
    if unknown:
        raise invalid_input(f"Events are invalid: {', '.join(unknown)}.")
    return list(dict.fromkeys(events))


def _filter(call: RestCall, wanted: dict[str, Any]) -> Filter:
    scope = wanted.get("filter")
    kind = scope.get("type") if isinstance(scope, dict) else None
    if not isinstance(scope, dict) or kind not in FILTER_TYPES:
        raise invalid_input(f"Filter must be of type {', '.join(FILTER_TYPES)}.")
    if kind == "account_reference":
        return "account_reference", None
    known: dict[str, Any] = dict(call.world.services if kind == "service_reference" else call.world.teams)
    id_ = scope.get("id")
    if not isinstance(id_, str) or id_ not in known:
        raise invalid_input("Filter names nothing that is known.")
    return kind, id_

"""`/webhook_subscriptions`."""

from __future__ import annotations

from typing import Any

import pytest

from resolute.simulator import SimAnswer
from resolute.simulator.pagerduty.deliveries import WebhookReply
from tests.unit.simulator.account import Account

PATH = "/webhook_subscriptions"
WANTED: dict[str, Any] = {
    "type": "webhook_subscription",
    "delivery_method": {
        "type": "http_delivery_method",
        "url": "https://receiver.invalid/hook",
        "custom_headers": [{"name": "X-Own", "value": "hush"}],
    },
    "description": "Mine",
    "events": ["incident.triggered"],
    "filter": {"type": "account_reference"},
}


def create(account: Account, **change: object) -> SimAnswer:
    """A new subscription."""
    return account.write("POST", PATH, {"webhook_subscription": WANTED | change})


def test_secret_is_shown_once_and_headers_never(account: Account) -> None:
    """Later reads redact both."""
    made = create(account).json()["webhook_subscription"]
    assert len(made["delivery_method"]["secret"]) == 64
    shown = account.get(f"{PATH}/{made['id']}")["webhook_subscription"]
    assert shown["delivery_method"]["secret"] is None
    assert shown["delivery_method"]["custom_headers"] == [{"name": "X-Own", "value": "-- redacted --"}]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "webhook"},
        {"delivery_method": None},
        {"delivery_method": {"type": "http_delivery_method", "url": "ftp://receiver.invalid"}},
        {"delivery_method": {"type": "http_delivery_method", "url": "http://[receiver"}},
        {"delivery_method": WANTED["delivery_method"] | {"custom_headers": [{"name": "X\nY", "value": ""}]}},
        {"events": []},
        {"events": ["incident.exploded"]},
        {"filter": {"type": "planet_reference"}},
        {"filter": {"type": "service_reference", "id": "PNONE"}},
        {"filter": {"type": "team_reference"}},
    ],
)
def test_bad_subscription_is_refused(account: Account, change: dict[str, Any]) -> None:
    """And nothing is made."""
    assert create(account, **change).status == 400
    assert account.get(PATH)["webhook_subscriptions"] == []


def test_ten_of_one_scope_are_the_most(account: Account) -> None:
    """Another scope has ten of its own."""
    assert [create(account).status for _ in range(11)] == [200] * 10 + [400]
    service = {"type": "service_reference", "id": next(iter(account.sim.world.services))}
    assert create(account, filter=service).status == 200


def test_list_is_filtered(account: Account) -> None:
    """By kind of scope and by its id."""
    service = next(iter(account.sim.world.services))
    create(account)
    create(account, filter={"type": "service_reference", "id": service})
    found = account.get(PATH, filter_type="service", filter_id=service)["webhook_subscriptions"]
    assert [each["filter"] for each in found] == [{"type": "service_reference", "id": service}]
    assert account.request("GET", PATH, {"filter_type": "planet"}).status == 400


def test_update_changes_all_but_the_address(account: Account) -> None:
    """The address is ignored with a remark."""
    made = create(account).json()["webhook_subscription"]
    change = {"description": "Ours", "active": False, "events": ["incident.resolved"], "delivery_method": {"url": "x"}}
    shown = account.write("PUT", f"{PATH}/{made['id']}", {"webhook_subscription": change}).json()
    shown = shown["webhook_subscription"]
    assert (shown["description"], shown["active"], shown["events"]) == ("Ours", False, ["incident.resolved"])
    assert shown["delivery_method"]["url"] == "https://receiver.invalid/hook"
    assert account.sim.requests[-1].remarks == ("delivery_method cannot be updated: ignored",)
    account.send()
    assert account.sim.deliveries == []


def test_deleted_subscription_is_told_no_more(account: Account) -> None:
    """What waits for it is dropped."""
    made = create(account).json()["webhook_subscription"]
    account.send()
    assert account.write("DELETE", f"{PATH}/{made['id']}").status == 204
    assert account.sim.deliveries[0].why_dropped == "the subscription was deleted"
    assert account.request("GET", f"{PATH}/{made['id']}").status == 404


def test_enable_revives(account: Account) -> None:
    """One that was switched off for refusing too much."""
    made = create(account).json()["webhook_subscription"]
    account.sim.receiver = lambda request: WebhookReply(410)
    for key in "abc":
        account.send(key=key)
    path = f"{PATH}/{made['id']}"
    assert account.get(path)["webhook_subscription"]["delivery_method"]["temporarily_disabled"]
    shown = account.write("POST", f"{path}/enable").json()["webhook_subscription"]
    assert not shown["delivery_method"]["temporarily_disabled"]


def test_ping_is_delivered_whatever_is_wanted(account: Account) -> None:
    """It names no incident."""
    made = create(account).json()["webhook_subscription"]
    bodies: list[bytes] = []
    account.sim.receiver = lambda request: WebhookReply(202 if not bodies.append(request.body) else 500)
    assert account.write("POST", f"{PATH}/{made['id']}/ping").status == 202
    account.sim.settle()
    assert b'"event_type": "pagey.ping", "resource_type": "pagey"' in bodies[0]
    assert b'"data": {"message": "Hello from your friend Pagey!", "type": "ping"}' in bodies[0]

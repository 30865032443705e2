"""Webhooks: what is told, how it is signed, and what becomes of a delivery that fails."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from resolute.simulator.pagerduty.deliveries import WebhookReply, WebhookRequest
from resolute.simulator.pagerduty.subscriptions import Subscription
from tests.unit.simulator.account import Account

URL = "https://receiver.invalid/hook"
DOWN = WebhookReply(503)


class Receiver:
    """Keeps what it gets; answers with the given replies in turn, then with 202."""

    def __init__(self, account: Account, replies: Iterable[WebhookReply] = ()) -> None:
        self.account = account
        self.replies = list(replies)
        self.got: list[WebhookRequest] = []
        account.sim.receiver = self

    def __call__(self, request: WebhookRequest) -> WebhookReply:
        self.got.append(request)
        return self.replies.pop(0) if self.replies else WebhookReply(202)

    @property
    def types(self) -> list[str]:
        """Types of the events it got, each attempt."""
        return [event(request)["event_type"] for request in self.got]


def event(request: WebhookRequest) -> dict[str, Any]:
    """The event in a delivery."""
    found: dict[str, Any] = json.loads(request.body)["event"]
    return found


def subscribe(account: Account, **settings: Any) -> Subscription:
    """A subscription of the whole account."""
    return account.sim.webhooks.subscriptions.add(URL, **settings)


def test_the_life_of_an_incident_is_told_in_order(account: Account) -> None:
    """With who did it, and the incident as webhooks show it."""
    subscribe(account)
    receiver = Receiver(account)
    account.send()
    account.update("1", status="acknowledged")
    account.update("1", status="resolved", resolution="Fixed")
    account.update("1", status="triggered")
    account.sim.settle()
    assert receiver.types == [f"incident.{each}" for each in ("triggered", "acknowledged", "resolved")] + [
        "incident.annotated",
        "incident.reopened",
    ]
    first, second = event(receiver.got[0]), event(receiver.got[1])
    assert (first["agent"]["type"], second["agent"]["summary"]) == ("service_reference", "Ada Moreno")
    assert (first["data"]["number"], first["data"]["assignees"][0]["summary"]) == (1, "Ada Moreno")
    assert "incident_number" not in first["data"]
    note = event(receiver.got[3])["data"]
    assert (note["type"], note["content"], note["incident"]["type"]) == ("incident_note", "Fixed", "incident_reference")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"priority": "P1"}, "incident.priority_updated"),
        ({"escalation_level": 2}, "incident.escalated"),
        ({"incident_type": {"name": "major"}}, "incident.incident_type.changed"),
        ({"conference_bridge": {"conference_number": "1"}}, "incident.conference_bridge.updated"),
    ],
)
def test_changes_are_told(account: Account, change: dict[str, Any], told: str) -> None:
    """Each by its own type."""
    account.send()
    subscribe(account)
    receiver = Receiver(account)
    account.update("1", **change)
    account.sim.settle()
    assert receiver.types == [told]


def test_timers_are_told_without_an_agent(account: Account) -> None:
    """Nobody escalated it."""
    account.send()
    subscribe(account)
    receiver = Receiver(account)
    account.wait(minutes=31)
    assert [(each["event_type"], each["agent"]) for each in map(event, receiver.got)] == [("incident.escalated", None)]


def test_headers_carry_ids_and_one_signature_per_secret(account: Account) -> None:
    """Two while a secret is being replaced; both are over the raw bytes."""
    subscription = subscribe(account, secret="old", custom_headers=[("X-Own", "mine")])
    subscription.rotate("new")
    receiver = Receiver(account)
    account.send(summary="Café")
    [request] = receiver.got
    headers = dict(request.headers)
    expected = [hmac.new(secret, request.body, hashlib.sha256).hexdigest() for secret in (b"new", b"old")]
    assert headers["X-PagerDuty-Signature"] == ",".join(f"v1={digest}" for digest in expected)
    assert (headers["X-Webhook-Subscription"], headers["X-Own"]) == (subscription.id, "mine")
    assert headers["User-Agent"] == "PagerDuty-Webhook/V3.0"
    subscription.rotate("newest", keep_old=False)
    assert subscription.signature(b"x").count("v1=") == 1


def test_published_vector(account: Account) -> None:
    """A signature computed elsewhere."""
    body = '{"event":{"id":"EVT1","event_type":"pagey.ping","data":{"message":"café","type":"ping"}}}'.encode()
    signature = subscribe(account, secret="facts-sheet-secret").signature(body)
    assert signature == "v1=930eb0994d67a6f29b510662cc693767f5274ec498db9a6307fde1d3334fb0c3"


@pytest.mark.parametrize(("scope", "count"), [("own", 1), ("other", 0), ("team", 1), ("no_team", 0)])
def test_only_those_in_scope_are_told(account: Account, scope: str, count: int) -> None:
    """A service, or the team that a service belongs to."""
    world = account.sim.world
    service, other = next(iter(world.services.values())), world.add_service("Mail")
    team, no_team = world.add_team("Shop"), world.add_team("Other")
    service.team_ids.append(team.id)
    kind = "team_reference" if "team" in scope else "service_reference"
    ids = {"own": service.id, "other": other.id, "team": team.id, "no_team": no_team.id}
    subscribe(account, filter_type=kind, filter_id=ids[scope])
    receiver = Receiver(account)
    account.send()
    assert len(receiver.got) == count


def test_only_wanted_types_are_told(account: Account) -> None:
    """The others are not even queued."""
    subscribe(account, events=["incident.resolved"])
    receiver = Receiver(account)
    account.send()
    account.send("resolve")
    assert receiver.types == ["incident.resolved"]


def test_failed_delivery_is_repeated_with_the_same_id(account: Account) -> None:
    """Later ones of the same incident wait behind it; those of others do not."""
    subscribe(account)
    receiver = Receiver(account, [DOWN, WebhookReply(error="timeout")])
    account.send(key="a")
    account.send("acknowledge", "a")
    account.send(key="b")
    assert receiver.types == ["incident.triggered", "incident.triggered"]
    account.wait(minutes=2)
    ids = [dict(request.headers)["X-Webhook-Id"] for request in receiver.got]
    told = [(each["data"]["number"], each["event_type"].removeprefix("incident.")) for each in map(event, receiver.got)]
    assert told == [(1, "triggered"), (2, "triggered"), (1, "triggered"), (1, "acknowledged"), (2, "triggered")]
    assert len(set(ids)) == 3
    assert [delivery.state for delivery in account.sim.deliveries] == ["delivered"] * 3


def test_slow_receiver_counts_as_none(account: Account) -> None:
    """Five seconds are still in time."""
    subscribe(account)
    Receiver(account, [WebhookReply(200, took_s=5.1), WebhookReply(200, took_s=5)])
    account.send()
    account.wait(minutes=2)
    [delivery] = account.sim.deliveries
    assert [attempt.outcome for attempt in delivery.attempts] == ["timeout", "200"]


def test_delivery_is_given_up_after_two_days(account: Account) -> None:
    """And not before."""
    subscribe(account, events=["incident.triggered"])
    receiver = Receiver(account, [DOWN] * 1000)
    account.send()
    account.wait(hours=47)
    assert account.sim.deliveries[0].state == "waiting"
    account.wait(hours=3)
    assert account.sim.deliveries[0].state == "dropped"
    assert len(receiver.got) > 48


@pytest.mark.parametrize("reply", [WebhookReply(400), WebhookReply(404), WebhookReply(error="tls")])
def test_three_drops_in_a_row_switch_a_subscription_off(account: Account, reply: WebhookReply) -> None:
    """For a day, with all that waits for it; then it is told again."""
    subscription = subscribe(account, events=["incident.triggered"])
    receiver = Receiver(account, [reply] * 3)
    for key in "abcd":
        account.send(key=key)
    assert len(receiver.got) == 3
    assert subscription.is_disabled(account.clock.now())
    account.wait(hours=24)
    account.send(key="e")
    assert len(receiver.got) == 4


def test_a_delivery_that_arrives_forgives_drops(account: Account) -> None:
    """Three have to come one after the other."""
    subscription = subscribe(account, events=["incident.triggered"])
    Receiver(account, [WebhookReply(400), WebhookReply(400), WebhookReply(200), WebhookReply(400)])
    for key in "abcd":
        account.send(key=key)
    assert not subscription.is_disabled(account.clock.now())


def test_queue_is_thrown_away_when_switched_off(account: Account) -> None:
    """What waits behind a delivery that fails is lost with it."""
    subscribe(account)
    Receiver(account, [DOWN, WebhookReply(400), WebhookReply(400), WebhookReply(400)])
    account.send(key="a")
    account.send("acknowledge", "a")
    for key in "bcd":
        account.send(key=key)
    why = "the subscription was disabled"
    assert [delivery.why_dropped for delivery in account.sim.deliveries[:2]] == [why, why]


def test_delivery_can_be_made_twice(account: Account) -> None:
    """With the same id, as at-least-once allows."""
    subscribe(account)
    receiver = Receiver(account)
    account.sim.faults.webhook_duplicates = 1
    account.send(key="a")
    account.send(key="b")
    ids = [dict(request.headers)["X-Webhook-Id"] for request in receiver.got]
    assert (len(ids), len(set(ids))) == (3, 2)


def test_too_large_an_event_is_never_sent(account: Account) -> None:
    """Notes of REST can be as large as that, taken together with their escapes."""
    account.send()
    subscribe(account)
    receiver = Receiver(account)
    account.write("POST", "/incidents/1/notes", {"note": {"content": "\U0001f600" * 65_535}})
    account.sim.settle()
    assert receiver.got == []
    assert account.sim.deliveries[0].why_dropped == "larger than 262144 bytes"


def test_receiver_may_ask_while_it_answers(account: Account) -> None:
    """As an automation does that adds a note to the incident it is told of."""
    subscribe(account, events=["incident.triggered", "incident.annotated"])
    receiver = Receiver(account)

    def answer(request: WebhookRequest) -> WebhookReply:
        if event(request)["event_type"] == "incident.triggered":
            account.write("POST", "/incidents/1/notes", {"note": {"content": "Seen."}})
        return receiver(request)

    account.sim.receiver = answer
    account.send()
    assert receiver.types == ["incident.triggered", "incident.annotated"]


def test_receiver_is_not_asked_while_it_answers(account: Account) -> None:
    """One delivery after the other, also when an answer asks the simulator something."""
    for _ in range(2):
        subscribe(account, events=["incident.triggered"])
    answering: list[bool] = []

    def answer(request: WebhookRequest) -> WebhookReply:
        answering.append(True)
        account.get("/incidents/1")
        assert answering.count(True) == 1
        answering[-1] = False
        return WebhookReply(202)

    account.sim.receiver = answer
    account.send()
    assert answering == [False, False]


def test_new_service_is_told(account: Account) -> None:
    """Its resource type is another."""
    subscribe(account)
    receiver = Receiver(account)
    policy = {"id": next(iter(account.sim.world.policies)), "type": "escalation_policy_reference"}
    account.write("POST", "/services", {"service": {"name": "Mail", "escalation_policy": policy}})
    account.sim.settle()
    assert [(each["event_type"], each["resource_type"]) for each in map(event, receiver.got)] == [
        ("service.created", "service")
    ]


def test_without_a_receiver_deliveries_wait(account: Account) -> None:
    """For a courier, or for one that is set later."""
    subscribe(account)
    account.send()
    assert [delivery.state for delivery in account.sim.deliveries] == ["waiting"]
    receiver = Receiver(account)
    account.clock.advance(timedelta(seconds=1))
    account.sim.settle()
    assert len(receiver.got) == 1

"""How `/v2/enqueue` accepts events, and when they take effect."""

from __future__ import annotations

import json
from datetime import timedelta

from resolute.simulator import SimRequest
from tests.unit.simulator.account import PAYLOAD, Account


def test_accepted_event_is_invisible_until_it_is_processed(account: Account) -> None:
    """202 promises nothing yet; who reads at once finds no incident."""
    answer = account.enqueue(key="disk")
    assert answer.json() == {"status": "success", "message": "Event processed", "dedup_key": "disk"}
    assert account.keys() == []
    assert account.sim.pending == 1
    account.clock.advance(timedelta(milliseconds=199))
    assert account.keys() == []
    account.clock.advance(timedelta(milliseconds=1))
    assert account.keys() == ["disk"]
    assert account.sim.pending == 0


def test_effect_has_the_time_it_was_due_not_the_time_of_reading(account: Account) -> None:
    """When somebody looks changes nothing about what happened."""
    account.enqueue()
    account.clock.advance(timedelta(hours=1))
    [incident] = account.sim.incidents
    assert account.clock.now() - incident.created_at == timedelta(hours=1) - timedelta(milliseconds=200)


def test_events_of_a_key_keep_their_order_when_the_delay_shrinks(account: Account) -> None:
    """A resolve never overtakes the trigger it was sent after."""
    account.sim.rules.processing_delay = timedelta(seconds=10)
    account.enqueue("trigger")
    account.sim.rules.processing_delay = timedelta(0)
    account.enqueue("resolve")
    account.clock.advance(timedelta(seconds=10))
    assert [event.effect for event in account.sim.processed] == ["opened", "resolved"]


def test_trigger_without_key_gets_one(account: Account) -> None:
    """The answer names the key that a later resolve needs, and the record of the request too."""
    body = {"routing_key": account.sim.routing_key, "event_action": "trigger", "payload": PAYLOAD}
    first, second = account.post(body).json(), account.post(body).json()
    assert len(first["dedup_key"]) == 32
    assert first["dedup_key"] != second["dedup_key"]
    assert account.sim.requests[0].dedup_key == first["dedup_key"]


def test_unknown_routing_key_is_refused_in_plain_text(account: Account) -> None:
    """The one 400 whose body is not JSON."""
    body = {"routing_key": "a" * 32, "event_action": "trigger", "payload": PAYLOAD}
    answer = account.post(body)
    assert (answer.status, answer.body) == (400, b"Invalid routing key")


def test_unknown_routing_key_can_be_dropped_silently(account: Account) -> None:
    """Some users have seen a 202 after which nothing happens."""
    account.sim.rules.unknown_key = "drop"
    body = {"routing_key": "a" * 32, "event_action": "trigger", "payload": PAYLOAD}
    assert account.post(body).status == 202
    account.clock.advance(timedelta(seconds=1))
    assert [event.effect for event in account.sim.processed] == ["unknown_key"]


def test_oversize_event_is_refused(account: Account) -> None:
    """The limit counts the encoded request."""
    body = {"routing_key": account.sim.routing_key, "event_action": "trigger", "payload": PAYLOAD}
    room = account.sim.rules.max_event_bytes - len(json.dumps(body | {"client": ""}))
    assert account.post(body | {"client": "x" * room}).status == 202
    answer = account.post(body | {"client": "x" * (room + 1)})
    assert (answer.status, answer.json()["status"]) == (400, "invalid event")


def test_event_121_within_a_minute_is_throttled(account: Account) -> None:
    """The limit is per routing key and rolls: the first second's room returns a minute later."""
    other = account.sim.world.add_service("Search").routing_key
    for number in range(120):
        assert account.enqueue(key=f"k{number}").status == 202
        account.clock.advance(timedelta(milliseconds=100))
    answer = account.enqueue()
    assert answer.status == 429
    assert answer.json()["status"] == "throttle exceeded"
    assert account.post({"routing_key": other, "event_action": "trigger", "payload": PAYLOAD}).status == 202
    account.clock.advance(timedelta(seconds=48))
    assert account.enqueue().status == 202


def test_rate_limit_can_be_switched_off(account: Account) -> None:
    """An alert storm can be rehearsed without it."""
    account.sim.rules.events_per_minute = None
    assert {account.enqueue().status for _ in range(300)} == {202}


def test_other_paths_and_methods_of_the_events_host(account: Account) -> None:
    """Only POST on the documented path is known."""
    assert account.post({}, path="/v2/nowhere").status == 404
    assert account.sim.handle(SimRequest("GET", "/v2/enqueue")).status == 405

"""Events and people move alerts and incidents through their states."""

from __future__ import annotations

from datetime import timedelta

import pytest

from resolute.errors import ConfigError
from resolute.simulator import Incident, SimRequest
from tests.unit.simulator.account import PAYLOAD, Account


def only(account: Account) -> Incident:
    """The account's one incident."""
    [incident] = account.sim.incidents
    return incident


def test_trigger_opens_an_alert_and_an_incident(account: Account) -> None:
    """The incident is assigned to who is on call, and does not carry the dedup key itself."""
    account.send(summary="Disk full")
    incident, [alert] = only(account), account.sim.alerts
    assert (incident.number, incident.title, incident.status, incident.incident_key) == (
        1,
        "Disk full",
        "triggered",
        None,
    )
    assert (alert.alert_key, alert.status, alert.incident_id) == ("disk", "triggered", incident.id)
    assert [account.sim.world.users[user_id].name for user_id, _ in incident.assignments] == ["Ada Moreno"]
    kinds = [entry.type.removesuffix("_log_entry") for entry in incident.log]
    assert kinds == ["trigger", "assign", "notify"]


def test_trigger_on_an_open_alert_is_folded_into_it(account: Account) -> None:
    """No second incident: the alert counts and takes the new summary, the title stays."""
    account.send(summary="Disk at 90 %")
    account.send(summary="Disk at 95 %")
    incident, [alert] = only(account), account.sim.alerts
    assert (alert.event_count, alert.summary, incident.title) == (2, "Disk at 95 %", "Disk at 90 %")
    assert [entry.type for entry in incident.log].count("trigger_log_entry") == 2


def test_trigger_after_resolve_opens_a_new_incident(account: Account) -> None:
    """Events never reopen what is resolved."""
    for action in ("trigger", "resolve", "trigger"):
        account.send(action)
    assert [(incident.number, incident.status) for incident in account.sim.incidents] == [
        (1, "resolved"),
        (2, "triggered"),
    ]
    assert [alert.status for alert in account.sim.alerts] == ["resolved", "triggered"]


def test_acknowledge_touches_the_incident_only(account: Account) -> None:
    """Alerts know no acknowledged state; the acknowledger is the service."""
    account.send("trigger")
    account.send("acknowledge")
    incident, [alert] = only(account), account.sim.alerts
    assert (incident.status, alert.status) == ("acknowledged", "triggered")
    assert [agent.kind for agent, _ in incident.acknowledgements] == ["service"]
    account.send("trigger")
    assert only(account).status == "acknowledged"


def test_resolve_closes_alert_and_incident(account: Account) -> None:
    """A resolved incident has nobody assigned and no acknowledgement."""
    for action in ("trigger", "acknowledge", "resolve"):
        account.send(action)
    incident, [alert] = only(account), account.sim.alerts
    assert (incident.status, alert.status) == ("resolved", "resolved")
    assert (incident.assignments, incident.acknowledgements) == ([], [])
    assert incident.resolved_at == alert.resolved_at


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_event_for_a_key_that_is_not_open_is_dropped(account: Account, action: str) -> None:
    """Unknown, already resolved or another routing key's: 202 and nothing happens."""
    account.send(action, "never-seen")
    account.send("trigger")
    account.send("resolve")
    account.send(action)
    assert [event.effect for event in account.sim.processed] == ["no_open_alert", "opened", "resolved", "no_open_alert"]


def test_dedup_keys_of_two_routing_keys_are_strangers(account: Account) -> None:
    """The same key through another integration is another alert, even on the same service."""
    [service] = account.sim.world.services.values()
    other = account.sim.world.add_integration(service)
    account.send(key="disk")
    account.post({"routing_key": other.routing_key, "event_action": "trigger", "dedup_key": "disk", "payload": PAYLOAD})
    account.post({"routing_key": other.routing_key, "event_action": "resolve", "dedup_key": "disk"})
    account.clock.advance(timedelta(seconds=1))
    assert [incident.status for incident in account.sim.incidents] == ["triggered", "resolved"]


@pytest.mark.parametrize("obstacle", ["disabled", "maintenance", "suppressed"])
def test_service_that_is_off_swallows_events(account: Account, obstacle: str) -> None:
    """All are answered 202; a maintenance window swallows resolves too."""
    account.send()
    setattr(account.sim.world.find_service("Checkout"), obstacle, True)
    account.send("resolve")
    account.send("trigger", "other")
    assert [event.effect for event in account.sim.processed] == ["opened", obstacle, obstacle]
    assert only(account).status == "triggered"


def test_nobody_on_call_means_no_incident(account: Account) -> None:
    """A policy without anybody accepts events and pages no one."""
    world = account.sim.world
    service = world.add_service("Night shift", world.add_policy("Empty", [[world.add_schedule("Nobody", [])]]))
    account.post({"routing_key": service.routing_key, "event_action": "trigger", "payload": PAYLOAD})
    account.clock.advance(timedelta(seconds=1))
    assert [event.effect for event in account.sim.processed] == ["nobody_on_call"]


@pytest.mark.parametrize(
    ("severities", "urgencies"),
    [(["critical"], "high"), (["warning"], "low"), (["info", "error"], "high"), (["error", "info"], "high")],
)
def test_severity_decides_urgency_where_the_service_says_so(
    account: Account, severities: list[str], urgencies: str
) -> None:
    """A later event raises the urgency but never lowers it."""
    account.sim.world.find_service("Checkout").urgency = "severity_based"  # type: ignore[union-attr]
    for severity in severities:
        account.send(severity=severity)
    assert only(account).urgency == urgencies


def test_constant_urgency_ignores_severity(account: Account) -> None:
    """On a default service even info pages with high urgency."""
    account.send(severity="info")
    assert only(account).urgency == "high"


def test_log_stops_after_a_hundred_triggers(account: Account) -> None:
    """Later triggers are counted and not logged."""
    account.sim.rules.events_per_minute = None
    for _ in range(105):
        account.send()
    types = [entry.type for entry in only(account).log]
    assert types.count("trigger_log_entry") == 100
    assert types.count("reach_trigger_limit_log_entry") == 1
    assert account.sim.alerts[0].event_count == 105


def test_person_acknowledges_and_resolves(account: Account) -> None:
    """As the buttons of the page do; resolving takes the alert along, so the key is free again."""
    account.send()
    account.sim.acknowledge(only(account).id, by="ben@example.com")
    assert [account.sim.world.users[user_id].name for user_id, _ in only(account).assignments] == ["Ben Okafor"]
    account.sim.resolve("1")
    assert account.sim.alerts[0].status == "resolved"
    account.send("acknowledge")
    assert account.sim.processed[-1].effect == "no_open_alert"


def test_unknown_incident_or_person_is_named(account: Account) -> None:
    """A mistake in a test says what exists."""
    account.send()
    with pytest.raises(ConfigError, match=only(account).id):
        account.sim.resolve("PNOTHING")
    with pytest.raises(ConfigError, match="No user with the address"):
        account.sim.resolve("1", by="nobody@example.com")


def test_same_requests_give_the_same_answers_byte_for_byte() -> None:
    """Ids, keys and times come from the seed and the clock alone."""

    def story() -> str:
        account = Account()
        account.sim.faults.mix({"503": 0.3, "apply_then_cut": 0.3})
        for number in range(20):
            account.enqueue(key=f"k{number % 3}")
            account.clock.advance(timedelta(seconds=1))
        account.sim.handle(SimRequest("GET", "/users"))
        return account.sim.export()

    assert story() == story()

"""What happens to incidents by themselves: escalation, timeouts, snoozes; and what people hand on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from resolute.simulator import Incident
from tests.unit.simulator.account import Account


def only(account: Account) -> Incident:
    """The one incident."""
    [incident] = account.sim.incidents
    return incident


def names(account: Account) -> list[str]:
    """Who it is assigned to."""
    return [account.sim.world.users[user_id].name for user_id, _ in only(account).assignments]


def test_escalates_to_the_next_level_and_ends_there(account: Account) -> None:
    """Ada has half an hour, then it is Chris's; after the last level it stays."""
    account.send()
    account.wait(minutes=29)
    assert names(account) == ["Ada Moreno"]
    account.wait(minutes=2)
    assert names(account) == ["Chris Lindqvist"]
    account.wait(hours=9)
    assert names(account) == ["Chris Lindqvist"]
    assert account.log() == ["trigger", "assign", "notify", "escalate", "notify", "exhaust_escalation_path"]


def test_begins_anew_as_often_as_the_policy_says(account: Account) -> None:
    """Two levels gone through twice are four assignments, with one repeat between them."""
    next(iter(account.sim.world.policies.values())).num_loops = 1
    account.send()
    account.wait(hours=9)
    kinds = [kind for kind in account.log() if kind != "notify"]
    assert kinds == [
        *("trigger", "assign", "escalate"),
        *("repeat_escalation_path", "escalate", "escalate", "exhaust_escalation_path"),
    ]


def test_low_urgency_does_not_escalate(account: Account) -> None:
    """Until somebody makes it urgent."""
    next(iter(account.sim.world.services.values())).urgency = "low"
    account.send()
    account.wait(hours=5)
    assert names(account) == ["Ada Moreno"]
    account.update("1", urgency="high")
    account.wait(minutes=31)
    assert names(account) == ["Chris Lindqvist"]


@pytest.mark.parametrize("status", ["acknowledged", "resolved"])
def test_somebody_who_takes_it_ends_escalation(account: Account, status: str) -> None:
    """Nobody else is notified."""
    account.send()
    account.update("1", status=status)
    before = account.log()
    account.wait(hours=5)
    assert account.log() == before


def test_acknowledgement_runs_out(account: Account) -> None:
    """It triggers again by itself, and then escalates."""
    next(iter(account.sim.world.services.values())).acknowledgement_timeout = timedelta(hours=1)
    account.send()
    account.update("1", status="acknowledged", sender="ben@example.com")
    account.wait(minutes=61)
    assert (only(account).status, names(account)) == ("triggered", ["Ben Okafor"])
    account.wait(minutes=30)
    assert names(account) == ["Chris Lindqvist"]


def test_resolves_by_itself_with_its_alerts(account: Account) -> None:
    """As a service can be set to do; reopening starts the time anew."""
    service = next(iter(account.sim.world.services.values()))
    service.auto_resolve_timeout = timedelta(hours=4)
    account.send()
    account.wait(hours=4)
    assert [only(account).status, account.sim.alerts[0].status] == ["resolved", "resolved"]
    account.update("1", status="triggered")
    account.wait(hours=3)
    assert only(account).status == "triggered"
    account.wait(hours=1)
    assert only(account).status == "resolved"


def test_snooze_ends_in_a_trigger(account: Account) -> None:
    """And shows as a pending action until then."""
    account.send()
    account.update("1", status="acknowledged")
    answer = account.write("POST", "/incidents/1/snooze", {"duration": 3600})
    assert [each["type"] for each in answer.json()["incident"]["pending_actions"]] == ["unacknowledge"]
    account.wait(minutes=59)
    assert only(account).status == "acknowledged"
    account.wait(minutes=1)
    assert only(account).status == "triggered"


def test_reopened_incident_is_assigned_by_the_policy(account: Account) -> None:
    """To whoever is on call now, not to who had it."""
    account.send()
    account.update("1", status="resolved")
    account.wait(days=7)
    account.update("1", status="triggered")
    assert names(account) == ["Ben Okafor"]
    assert only(account).reopened_at == account.clock.now()


def test_reopened_as_acknowledged_is_the_callers(account: Account) -> None:
    """And resolves by itself anew, if its service does that."""
    next(iter(account.sim.world.services.values())).auto_resolve_timeout = timedelta(hours=4)
    account.send()
    account.update("1", status="resolved")
    account.update("1", status="acknowledged", sender="ben@example.com")
    assert (names(account), only(account).reopened_at) == (["Ben Okafor"], account.clock.now())
    account.wait(hours=4)
    assert only(account).status == "resolved"


def test_assigned_by_hand_does_not_escalate(account: Account) -> None:
    """Whoever was named keeps it."""
    account.send()
    ben = account.sim.world.find_user("ben@example.com")
    assert ben
    account.update("1", assignments=[{"assignee": {"id": ben.id, "type": "user_reference"}}])
    account.wait(hours=5)
    assert names(account) == ["Ben Okafor"]


def test_handed_to_another_policy_begins_at_its_first_level(account: Account) -> None:
    """And escalates by that one from then on."""
    world = account.sim.world
    _, ben, chris = world.users.values()
    policy = world.add_policy("Other", [[chris], [ben]], delay=timedelta(minutes=5))
    account.send()
    account.update("1", escalation_policy={"id": policy.id, "type": "escalation_policy_reference"})
    assert names(account) == ["Chris Lindqvist"]
    account.wait(minutes=6)
    assert names(account) == ["Ben Okafor"]


def test_things_happen_at_their_own_time(account: Account) -> None:
    """However late anybody looks, the log names the moment."""
    account.send()
    account.clock.advance(timedelta(days=2))
    entry = next(each for each in only(account).log if each.type == "escalate_log_entry")
    assert entry.created_at == only(account).created_at + timedelta(minutes=30)

"""`GET /incidents`, `GET` and `PUT /incidents/{id}`."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest

from tests.unit.simulator.account import Account

MONTHS = ["2025-09-30", "2025-12-15", "2026-02-27", "2026-02-28", "2026-03-20"]  # 31 March 2026 is now


@pytest.fixture
def old(account: Account) -> Account:
    """An account with one incident on each day of MONTHS at noon, its day as dedup key."""
    now = account.clock.now()
    for day in MONTHS:
        account.clock.advance(now.fromisoformat(f"{day}T12:00:00+00:00") - account.clock.now())
        account.send(key=day)
    account.clock.advance(now - account.clock.now())
    return account


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ({}, MONTHS[3:]),
        ({"date_range": "all"}, MONTHS),
        ({"date_range": "all", "since": "2026-03-01T00:00:00Z"}, MONTHS),
        ({"since": "2025-12-01T00:00:00Z"}, MONTHS[1:2]),
        ({"until": "2026-02-28T00:00:00Z"}, MONTHS[2:3]),
        ({"since": "2025-10-01T00:00:00Z", "until": "2026-03-31T12:00:00Z"}, MONTHS[1:]),
        ({"since": "2026-02-28T13:00:01+01:00"}, MONTHS[4:]),
    ],
)
def test_range(old: Account, query: dict[str, object], days: list[str]) -> None:
    """One month back from now; a single end gives the month next to it, not all until now."""
    assert old.keys(**query) == days


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"since": "2025-09-29T00:00:00Z", "until": "2026-03-31T00:00:00Z"}, " is invalid."),
        ({"since": "2026-03-31T00:00:00Z", "until": "2026-03-30T00:00:00Z"}, " is invalid."),
        ({"since": "yesterday"}, "Since is not a valid date."),
        ({"since": "0001-01-01T00:00:00Z"}, "Since is not a valid date."),
        ({"statuses[]": ["open"]}, "Status must be a list of triggered, acknowledged, or resolved."),
        ({"urgencies[]": "critical"}, "Urgencies must be a list of high or low."),
        ({"sort_by": "title"}, "Sort by is invalid."),
        ({"sort_by": "urgency,created_at,resolved_at"}, "Sort by is invalid."),
        ({"time_zone": "Mars/Olympus"}, "Time zone is invalid."),
        ({"time_zone": "Europe"}, "Time zone is invalid."),
        ({"time_zone": "x" * 5000}, "Time zone is invalid."),
        ({"time_zone": "../../etc/passwd"}, "Time zone is invalid."),
    ],
)
def test_bad_filter_is_refused(old: Account, query: dict[str, object], error: str) -> None:
    """More than six months, or words that mean nothing."""
    answer = old.request("GET", "/incidents", query)
    assert (answer.status, answer.json()["error"]["errors"]) == (400, [error])


def test_since_without_offset_is_account_time(old: Account) -> None:
    """The same text means another moment in another account."""
    assert old.keys(since="2026-02-28T12:30:00") == MONTHS[4:]
    old.sim.rules.time_zone = timezone(timedelta(hours=2))
    assert old.keys(since="2026-02-28T12:30:00") == MONTHS[3:]


def test_incident_is_found_by_the_key_of_its_alert(account: Account) -> None:
    """The way from a dedup key to its incidents, resolved ones included."""
    for action in ("trigger", "resolve", "trigger"):
        account.send(action, "disk")
    account.send("trigger", "queue")
    found = account.get("/incidents", incident_key="disk")["incidents"]
    assert [(each["incident_number"], each["status"]) for each in found] == [(1, "resolved"), (2, "triggered")]
    assert account.keys(incident_key="nothing") == []
    assert len(account.keys(incident_key="")) == 3


def test_filters_narrow_together(account: Account) -> None:
    """Status, urgency, service and assignee."""
    world = account.sim.world
    low = world.add_service("Search", urgency="low")
    for key in ("a", "b", "c"):
        account.send(key=key)
    account.post(
        {
            "routing_key": low.routing_key,
            "event_action": "trigger",
            "dedup_key": "d",
            "payload": {"summary": "s", "source": "s", "severity": "info"},
        }
    )
    account.clock.advance(timedelta(seconds=1))
    account.send("acknowledge", "b")
    account.send("resolve", "c")
    assert account.keys(statuses=["triggered"]) == ["a", "d"]
    assert account.keys(statuses=["acknowledged", "resolved"]) == ["b", "c"]
    assert account.keys(urgencies=["low"]) == ["d"]
    assert account.keys(service_ids=[low.id, "PX"]) == ["d"]
    assert account.keys(user_ids=[account.sim.first_user.id], statuses=["triggered"], urgencies=["high"]) == ["a"]
    assert account.keys(team_ids=["PTEAM"]) == []


def test_sorting(account: Account) -> None:
    """Two fields at most, ascending unless told; unresolved ones come last by `resolved_at`."""
    for key in ("a", "b", "c"):
        account.send(key=key)
    account.send("resolve", "c")
    account.send("resolve", "b")
    assert account.keys(sort_by="incident_number:desc") == ["c", "b", "a"]
    assert account.keys(sort_by="resolved_at") == ["c", "b", "a"]
    assert account.keys(sort_by="urgency:desc,created_at:desc") == ["c", "b", "a"]


def test_incident_by_id_and_by_number(account: Account) -> None:
    """Both lead to the same; anything else is 404."""
    account.send()
    [incident] = account.sim.incidents
    assert account.get(f"/incidents/{incident.id}") == account.get("/incidents/1")
    assert account.request("GET", "/incidents/2").status == 404


def test_dates_follow_the_wanted_zone(account: Account) -> None:
    """UTC ends in Z, other zones in their offset."""
    account.send()
    assert account.get("/incidents/1")["incident"]["created_at"] == "2026-03-31T12:00:00Z"
    berlin = account.get("/incidents/1", time_zone="Europe/Berlin")
    assert berlin["incident"]["created_at"] == "2026-03-31T14:00:00+02:00"


def test_include_shows_full_objects(account: Account) -> None:
    """References hold no address; full users do."""
    account.send()
    account.send("acknowledge")
    plain = account.get("/incidents/1")["incident"]
    names = ["assignees", "services", "escalation_policies", "acknowledgers"]
    full = account.get("/incidents/1", include=names)["incident"]
    assert "email" not in plain["assignments"][0]["assignee"]
    assert full["assignments"][0]["assignee"]["email"] == "ada@example.com"
    assert full["service"]["name"] == "Checkout"
    assert len(full["escalation_policy"]["escalation_rules"]) == 2
    assert full["acknowledgements"][0]["acknowledger"]["type"] == "service"


def test_person_acknowledges_then_resolves_by_rest(account: Account) -> None:
    """The sender becomes the one assigned; the resolution stands in the log."""
    account.send()
    acknowledged = account.update("1", "ben@example.com", status="acknowledged").json()["incident"]
    assert acknowledged["acknowledgements"][0]["acknowledger"]["summary"] == "Ben Okafor"
    resolved = account.update("1", status="resolved", resolution="Volume grown").json()["incident"]
    assert (resolved["status"], resolved["assignments"], resolved["acknowledgements"]) == ("resolved", [], [])
    assert resolved["alert_counts"] == {"all": 1, "triggered": 0, "resolved": 1}
    assert account.sim.incidents[0].log[-1].note == "Volume grown"


@pytest.mark.parametrize(
    ("first", "then"), [("resolved", "triggered"), ("resolved", "acknowledged"), ("acknowledged", "triggered")]
)
def test_status_goes_back_by_rest(account: Account, first: str, then: str) -> None:
    """A resolved incident can be reopened, an acknowledged one set back; somebody is assigned again."""
    account.send()
    account.update("1", status=first)
    incident = account.update("1", status=then).json()["incident"]
    assert (incident["status"], incident["resolved_at"], len(incident["assignments"])) == (then, None, 1)
    assert len(incident["acknowledgements"]) == (then == "acknowledged")


@pytest.mark.parametrize(("status", "code"), [("resolved", 1001), ("acknowledged", 1002)])
def test_repeated_status_is_fine_or_an_error(account: Account, status: str, code: int) -> None:
    """Users have seen both, so it is a switch."""
    account.send()
    account.update("1", status=status)
    assert account.update("1", status=status).status == 200
    account.sim.rules.repeats_are_errors = True
    answer = account.update("1", status=status)
    assert (answer.status, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "problem"}, "Type must be incident or incident_reference."),
        ({"title": " "}, "Title cannot be empty."),
        ({"priority": None}, "Priority id cannot be empty."),
        ({"urgency": "critical"}, "Urgency must be high or low."),
        ({"resolution": "done"}, "Resolution can only be given with status resolved."),
        ({"escalation_level": 3}, "Escalation level is not one of the escalation policy."),
    ],
)
def test_bad_update_changes_nothing(account: Account, change: dict[str, Any], words: str) -> None:
    """It is refused as a whole, and says why."""
    account.send()
    answer = account.update("1", **({"title": "New"} | change))
    assert (answer.status, answer.json()["error"]["errors"]) == (400, [words])
    assert account.sim.incidents[0].title == "Disk full"


def test_title_and_urgency_can_be_changed(account: Account) -> None:
    """Over REST the urgency may also fall."""
    account.send()
    incident = account.update("1", title="Volume full", urgency="low").json()["incident"]
    assert (incident["title"], incident["summary"], incident["urgency"]) == ("Volume full", "[#1] Volume full", "low")
    assert account.update("1", status="closed").json()["error"]["code"] == 1003

"""`GET /oncalls`: rotations, direct entries, ranges and filters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.simulator.account import Account


def names(answer: Any) -> list[tuple[str, int]]:
    """Who and on which level, in the answer's order."""
    return [(each["user"]["summary"].split()[0], each["escalation_level"]) for each in answer["oncalls"]]


def test_who_is_on_call_now(account: Account) -> None:
    """Every level is listed; a user directly on the policy has no schedule and no end."""
    answer = account.get("/oncalls")
    assert names(answer) == [("Ada", 1), ("Chris", 2)]
    rotation, direct = answer["oncalls"]
    assert (rotation["start"], rotation["end"]) == ("2026-03-31T00:00:00Z", "2026-04-07T00:00:00Z")
    assert (direct["schedule"], direct["start"], direct["end"]) == (None, None, None)
    assert "email" not in rotation["user"]


def test_shift_changes_at_its_end(account: Account) -> None:
    """The instant of the hand-over belongs to the next one."""
    account.clock.advance(timedelta(days=6, hours=11, minutes=59, seconds=59))
    assert names(account.get("/oncalls"))[0] == ("Ada", 1)
    account.clock.advance(timedelta(seconds=1))
    assert names(account.get("/oncalls"))[0] == ("Ben", 1)


def test_range_lists_every_overlapping_shift(account: Account) -> None:
    """One user shows up once per shift, unless only the earliest is wanted."""
    ends = {"since": "2026-04-01T00:00:00Z", "until": "2026-04-20T00:00:00Z"}
    assert names(account.get("/oncalls", **ends)) == [("Ada", 1), ("Ben", 1), ("Ada", 1), ("Chris", 2)]
    assert names(account.get("/oncalls", **ends, earliest="true")) == [("Ada", 1), ("Ben", 1), ("Chris", 2)]


def test_shifts_more_than_90_days_ahead_are_not_listed(account: Account) -> None:
    """The service computes no further."""
    answer = account.get("/oncalls", until="2027-03-31T00:00:00Z", limit=100)
    assert answer["oncalls"][-2]["start"] == "2026-06-23T00:00:00Z"
    assert names(account.get("/oncalls", since="2027-01-01T00:00:00Z", until="2027-03-31T00:00:00Z")) == [("Chris", 2)]


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-04-02T00:00:00Z", "until": "2026-04-01T00:00:00Z"},
        {"since": "2026-04-02T00:00:00Z"},
        {"until": "2026-03-30T00:00:00Z"},
        {"until": "soon"},
    ],
)
def test_until_must_not_lie_before_since(account: Account, query: dict[str, object]) -> None:
    """A missing end is now, so one end alone can be wrong too."""
    assert account.request("GET", "/oncalls", query).status == 400


def test_filters(account: Account) -> None:
    """By policy, user and schedule; the word null adds those who are on no schedule."""
    world = account.sim.world
    policy = world.add_policy("Search escalation", [[world.add_schedule("Solo", [account.sim.first_user])]])
    [rotation, solo] = world.schedules.values()
    assert names(account.get("/oncalls", escalation_policy_ids=[policy.id])) == [("Ada", 1)]
    assert names(account.get("/oncalls", user_ids=[account.sim.first_user.id])) == [("Ada", 1), ("Ada", 1)]
    assert names(account.get("/oncalls", schedule_ids=[rotation.id])) == [("Ada", 1)]
    assert names(account.get("/oncalls", schedule_ids=[rotation.id, "null"])) == [("Ada", 1), ("Chris", 2)]
    [entry] = account.get("/oncalls", schedule_ids=[solo.id])["oncalls"]
    assert (entry["start"], entry["end"]) == ("2026-03-31T00:00:00Z", None)


def test_include_shows_addresses(account: Account) -> None:
    """References hold none; full users, schedules and policies come on request."""
    answer = account.get("/oncalls", include=["users", "schedules", "escalation_policies"])
    [entry, _] = answer["oncalls"]
    assert entry["user"]["email"] == "ada@example.com"
    assert entry["schedule"]["name"] == "Checkout on call"
    assert [rule["targets"][0]["type"] for rule in entry["escalation_policy"]["escalation_rules"]] == [
        "schedule_reference",
        "user_reference",
    ]


def test_oncalls_are_paged(account: Account) -> None:
    """Large accounts lose people without it."""
    account.sim.world.add_policy(
        "All hands", [[account.sim.world.add_user(f"U{n}", f"u{n}@x.invalid") for n in range(30)]]
    )
    first, second = account.get("/oncalls"), account.get("/oncalls", offset=25)
    assert (len(first["oncalls"]), first["more"], len(second["oncalls"]), second["more"]) == (25, True, 7, False)

"""Who is on call: the shifts of schedules and the entries of policies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from resolute.simulator.pagerduty.world import Level, Policy, Schedule, World


@dataclass(frozen=True, slots=True)
class OnCallEntry:
    """One user on call at one level of one policy.

    `schedule_id` is None for a user placed directly on the policy, who is on call permanently:
    `start` and `end` are None then. `end` alone is None for a rotation of one.
    """

    user_id: str
    policy_id: str
    level: int
    schedule_id: str | None
    start: datetime | None
    end: datetime | None


def on_call_entries(world: World, policy: Policy, since: datetime, until: datetime) -> Iterator[OnCallEntry]:
    """Every entry of the policy that overlaps the range, by level; `since` = `until` asks for one instant.

    Source: PagerDuty REST API v2, "List all of the on-calls".
    """
    for number, level in enumerate(policy.levels, start=1):
        yield from _level_entries(world, policy, number, level, since, until)


def first_responders(world: World, policy: Policy, at: datetime) -> list[str]:
    """Ids of the users that a new incident is assigned to: the first level with anybody on call; maybe nobody."""
    for number, level in enumerate(policy.levels, start=1):
        entries = _level_entries(world, policy, number, level, at, at)
        users = list(dict.fromkeys(entry.user_id for entry in entries))
        if users:
            return users
    return []


def _level_entries(
    world: World, policy: Policy, number: int, level: Level, since: datetime, until: datetime
) -> Iterator[OnCallEntry]:
    for user_id in level.user_ids:
        yield OnCallEntry(user_id, policy.id, number, None, None, None)
    for schedule_id in level.schedule_ids:
        for user_id, start, end in _shifts(world.schedules[schedule_id], since, until):
            yield OnCallEntry(user_id, policy.id, number, schedule_id, start, end)


def _shifts(schedule: Schedule, since: datetime, until: datetime) -> Iterator[tuple[str, datetime, datetime | None]]:
    users = schedule.user_ids
    if len(users) == 1 and (schedule.start < until or schedule.start <= since):
        yield users[0], schedule.start, None
    if len(users) < 2:
        return
    index = max(0, (since - schedule.start) // schedule.turn)
    while True:
        start = schedule.start + index * schedule.turn
        if not (start <= since or start < until):
            return
        yield users[index % len(users)], start, start + schedule.turn
        index += 1

"""Who is on call: the shifts of schedules and the entries of policies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from resolute.simulator.pagerduty.resources import Level, Override, Policy, Schedule
from resolute.simulator.pagerduty.world import World


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


@dataclass(frozen=True, slots=True)
class Shift:
    """One user on call in one schedule; `end` is None in a rotation of one."""

    user_id: str
    start: datetime
    end: datetime | None

    def meets(self, since: datetime, until: datetime) -> bool:
        """Whether it overlaps the range; `since` = `until` asks for one instant."""
        return (self.start < until or self.start <= since) and (self.end is None or self.end > since)


def on_call_entries(world: World, policy: Policy, since: datetime, until: datetime) -> Iterator[OnCallEntry]:
    """Every entry of the policy that overlaps the range, by level; `since` = `until` asks for one instant.

    Source: PagerDuty REST API v2, "List all of the on-calls".
    """
    for number, level in enumerate(policy.levels, start=1):
        yield from _level_entries(world, policy, number, level, since, until)


def responders_of(world: World, policy: Policy, level: int, at: datetime) -> list[str]:
    """Ids of the users on call at this level (1 is the first), each once; maybe nobody."""
    entries = _level_entries(world, policy, level, policy.levels[level - 1], at, at)
    return list(dict.fromkeys(entry.user_id for entry in entries))


def first_level(world: World, policy: Policy, at: datetime) -> tuple[int, list[str]]:
    """The first level with anybody on call, and who that is; level 1 and nobody when there is none."""
    for number in range(1, len(policy.levels) + 1):
        users = responders_of(world, policy, number, at)
        if users:
            return number, users
    return 1, []


def rotation_shifts(schedule: Schedule, since: datetime, until: datetime) -> Iterator[Shift]:
    """The shifts of the rotation that overlap the range, oldest first, overrides left out."""
    users = schedule.user_ids
    if len(users) == 1 and (schedule.start < until or schedule.start <= since):
        yield Shift(users[0], schedule.start, None)
    if len(users) < 2:
        return
    index = max(0, (since - schedule.start) // schedule.turn)
    while True:
        start = schedule.start + index * schedule.turn
        if not (start <= since or start < until):
            return
        yield Shift(users[index % len(users)], start, start + schedule.turn)
        index += 1


def final_shifts(schedule: Schedule, since: datetime, until: datetime) -> list[Shift]:
    """The shifts that overlap the range once overrides are laid over the rotation; of two overrides the later wins."""
    shifts = list(rotation_shifts(schedule, since, until))
    for override in schedule.overrides:
        if override.start < until or override.start <= since:
            shifts = [part for shift in shifts for part in _without(shift, override)]
            shifts.append(Shift(override.user_id, override.start, override.end))
    return sorted((shift for shift in shifts if shift.meets(since, until)), key=lambda shift: shift.start)


def _without(shift: Shift, override: Override) -> Iterator[Shift]:
    """What is left of a shift outside an override."""
    if shift.start < override.start:
        end = override.start if shift.end is None else min(shift.end, override.start)
        yield Shift(shift.user_id, shift.start, end)
    if shift.end is None or shift.end > override.end:
        yield Shift(shift.user_id, max(shift.start, override.end), shift.end)


def _level_entries(
    world: World, policy: Policy, number: int, level: Level, since: datetime, until: datetime
) -> Iterator[OnCallEntry]:
    for user_id in level.user_ids:
        yield OnCallEntry(user_id, policy.id, number, None, None, None)
    for schedule_id in level.schedule_ids:
        for shift in final_shifts(world.schedules[schedule_id], since, until):
            yield OnCallEntry(shift.user_id, policy.id, number, schedule_id, shift.start, shift.end)

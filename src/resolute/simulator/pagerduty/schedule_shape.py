"""A schedule as JSON: its rotation, its overrides, and who is on call in the end.

Source: PagerDuty REST API v2, schemas `Schedule`, `ScheduleLayer` and `SubSchedule`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.resources import Schedule
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.rota import Shift, final_shifts, rotation_shifts
from resolute.simulator.pagerduty.shapes import links, policy_shape, schedule_reference, team_shapes, user_shape

PARTS = ("schedule_layers", "overrides_subschedule", "final_schedule")


def schedule_shape(call: RestCall, schedule: Schedule, *, full: bool = False) -> dict[str, Any]:
    """A schedule; the full one names its users and policies, `rendered` adds its layers."""
    if not full:
        return schedule_reference(call, schedule)
    policies = [
        policy
        for policy in call.world.policies.values()
        if any(schedule.id in level.schedule_ids for level in policy.levels)
    ]
    return links(call.world, "schedule", "schedules", schedule.id, schedule.name) | {
        "name": schedule.name,
        "time_zone": str(call.rules.time_zone),
        "description": "",
        "users": [user_shape(call, call.world.users[user_id]) for user_id in schedule.user_ids],
        "escalation_policies": [policy_shape(call, policy) for policy in policies],
        "teams": team_shapes(call, schedule.team_ids),
    }


def rendered(call: RestCall, schedule: Schedule, since: datetime, until: datetime) -> dict[str, Any]:
    """The parts of `PARTS` over a range: the one layer, the overrides, and the outcome of both."""
    overrides = [Shift(each.user_id, each.start, each.end) for each in schedule.overrides]
    layer = {
        "id": f"L{schedule.id[1:]}",
        "name": "Layer 1",
        "start": call.stamp(schedule.start),
        "end": None,
        "rotation_virtual_start": call.stamp(schedule.start),
        "rotation_turn_length_seconds": int(schedule.turn.total_seconds()),
        "users": [{"user": user_shape(call, call.world.users[user_id])} for user_id in schedule.user_ids],
        "restrictions": [],
    }
    meeting = [shift for shift in overrides if shift.meets(since, until)]
    return {
        "schedule_layers": [layer | _entries(call, list(rotation_shifts(schedule, since, until)), since, until)],
        "overrides_subschedule": {"name": "Overrides"} | _entries(call, meeting, since, until),
        "final_schedule": {"name": "Final Schedule"}
        | _entries(call, final_shifts(schedule, since, until), since, until),
    }


def _entries(call: RestCall, shifts: Sequence[Shift], since: datetime, until: datetime) -> dict[str, Any]:
    """Shifts cut to the range, and how much of it they cover."""
    cut = [(shift.user_id, max(shift.start, since), min(shift.end or until, until)) for shift in shifts]
    covered = sum((end - start).total_seconds() for _, start, end in cut)
    span = (until - since).total_seconds()
    return {
        "rendered_schedule_entries": [
            {
                "id": f"Q{int(start.timestamp()):X}",
                "user": user_shape(call, call.world.users[user_id]),
                "start": call.stamp(start),
                "end": call.stamp(end),
            }
            for user_id, start, end in cut
        ],
        "rendered_coverage_percentage": round(min(100.0, 100 * covered / span), 1) if span else 0.0,
    }

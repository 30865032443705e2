"""`GET /oncalls`: who is on call, now or over a range."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.refusals import invalid_input
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.rota import OnCallEntry, on_call_entries
from resolute.simulator.pagerduty.schedule_shape import schedule_shape
from resolute.simulator.pagerduty.shapes import policy_shape, user_shape
from resolute.simulator.pagerduty.wire import SimAnswer

HORIZON = timedelta(days=90)
_ALWAYS = datetime.min.replace(tzinfo=UTC)


def list_oncalls(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Entries overlapping the range, by policy, level and start; every level is listed.

    Both ends default to now; shifts that begin more than 90 days ahead are not listed.

    Source: PagerDuty REST API v2, "List all of the on-calls".
    """
    since, until = call.moment("since") or call.now, call.moment("until") or call.now
    if until < since:
        raise invalid_input("Until cannot be before since.")
    until = max(since, min(until, call.now + HORIZON))
    entries = [
        entry
        for policy in call.world.policies.values()
        for entry in on_call_entries(call.world, policy, since, until)
        if entry.start is None or entry.start <= call.now + HORIZON
    ]
    if policy_ids := call.values("escalation_policy_ids"):
        entries = [entry for entry in entries if entry.policy_id in policy_ids]
    if user_ids := call.values("user_ids"):
        entries = [entry for entry in entries if entry.user_id in user_ids]
    if schedule_ids := call.values("schedule_ids"):  # the word null stands for users placed directly on a policy
        entries = [entry for entry in entries if (entry.schedule_id or "null") in schedule_ids]
    order = list(call.world.policies)
    entries.sort(key=lambda entry: (order.index(entry.policy_id), entry.level, entry.start or _ALWAYS))
    if call.flag("earliest"):
        entries = _earliest(entries)
    return call.page("oncalls", entries, lambda entry: _shape(call, entry))


def _earliest(entries: list[OnCallEntry]) -> list[OnCallEntry]:
    first: dict[tuple[str, int, str], OnCallEntry] = {}
    for entry in entries:
        first.setdefault((entry.policy_id, entry.level, entry.user_id), entry)
    return list(first.values())


def _shape(call: RestCall, entry: OnCallEntry) -> dict[str, Any]:
    world, include = call.world, call.include
    schedule = world.schedules[entry.schedule_id] if entry.schedule_id else None
    return {
        "user": user_shape(call, world.users[entry.user_id], full="users" in include),
        "schedule": schedule_shape(call, schedule, full="schedules" in include) if schedule else None,
        "escalation_policy": policy_shape(call, world.policies[entry.policy_id], full="escalation_policies" in include),
        "escalation_level": entry.level,
        "start": call.stamp(entry.start),
        "end": call.stamp(entry.end),
    }

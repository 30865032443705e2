"""Users, priorities, policies, schedules and the account's abilities: what is only looked up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.refusals import invalid_input, needs_ability, not_found
from resolute.simulator.pagerduty.resources import Policy, Schedule
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.rota import final_shifts
from resolute.simulator.pagerduty.schedule_shape import PARTS, rendered, schedule_shape
from resolute.simulator.pagerduty.shapes import policy_shape, priority_shape, user_shape
from resolute.simulator.pagerduty.wire import SimAnswer, json_answer

RENDERED = timedelta(days=14)
"""What a schedule shows without `since` and `until`. Source: PagerDuty REST API v2, "Get a schedule"."""

LONGEST = timedelta(days=90)
"""Source: PagerDuty REST API v2, "Render a schedule" (three months)."""


class _Teamed(Protocol):
    @property
    def team_ids(self) -> list[str]: ...


T = TypeVar("T", bound=_Teamed)


def of_teams(call: RestCall, rows: Iterable[T]) -> list[T]:
    """Those that belong to one of `team_ids[]`; all of them when none was sent."""
    wanted = set(call.values("team_ids"))
    return [row for row in rows if not wanted or wanted & set(row.team_ids)]


def list_users(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Users in the order they joined; `query` matches part of the name or the address.

    Source: PagerDuty REST API v2, "List users".
    """
    users = of_teams(call, call.world.users.values())
    if query := call.value("query"):
        users = [user for user in users if query.lower() in f"{user.name}\n{user.email}".lower()]
    return call.page("users", users, lambda user: user_shape(call, user, full=True))


def get_user(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One user. Source: PagerDuty REST API v2, "Get a user"."""
    user = call.world.users.get(call.ids[0])
    if user is None:
        raise not_found()
    return json_answer(200, {"user": user_shape(call, user, full=True)})


def get_current_user(call: RestCall, book: IncidentBook) -> SimAnswer:
    """The user of a user key; other keys get 400 with `error` as a text.

    Source: PagerDuty REST API v2, "Get the current user"; the words "account-level access token" are what the
    official Python client looks for.
    """
    if call.key.user_id is None:
        text = "A user token is needed here, and this is an account-level access token"
        return json_answer(400, {"error": text})
    return json_answer(200, {"user": user_shape(call, call.world.users[call.key.user_id], full=True)})


def list_priorities(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Priorities from most to least severe. Source: PagerDuty REST API v2, "List priorities"."""
    if "priorities" not in call.world.abilities:
        raise needs_ability("priorities")
    priorities = list(call.world.priorities.values())
    return call.page("priorities", priorities, lambda priority: priority_shape(call, priority, full=True))


def list_abilities(call: RestCall, book: IncidentBook) -> SimAnswer:
    """What the account's plan allows, as words. Source: PagerDuty REST API v2, "List abilities"."""
    return json_answer(200, {"abilities": list(call.world.abilities)})


def list_policies(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Policies by name; `query` is part of it, `user_ids[]` are users placed directly on one.

    Source: PagerDuty REST API v2, "List escalation policies".
    """
    policies = of_teams(call, call.world.policies.values())
    if query := call.value("query"):
        policies = [policy for policy in policies if query.lower() in policy.name.lower()]
    if user_ids := set(call.values("user_ids")):
        policies = [policy for policy in policies if user_ids & _users_on(policy)]
    order = call.value("sort_by") or "name:asc"
    if order not in ("name", "name:asc", "name:desc"):
        raise invalid_input("Sort by is invalid.")
    policies.sort(key=lambda policy: policy.name.lower(), reverse=order == "name:desc")
    return call.page("escalation_policies", policies, lambda policy: policy_shape(call, policy, full=True))


def list_schedules(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Schedules by name; `include[]` adds the parts named in `PARTS`.

    Source: PagerDuty REST API v2, "List schedules".
    """
    schedules = of_teams(call, call.world.schedules.values())
    if query := call.value("query"):
        schedules = [schedule for schedule in schedules if query.lower() in schedule.name.lower()]
    schedules.sort(key=lambda schedule: schedule.name.lower())
    parts = [part for part in PARTS if part in call.include]
    return call.page("schedules", schedules, lambda schedule: _schedule(call, schedule, parts))


def get_schedule(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One schedule with all its parts, two weeks unless `since` and `until` say otherwise.

    Source: PagerDuty REST API v2, "Get a schedule".
    """
    schedule = call.world.schedules.get(call.ids[0])
    if schedule is None:
        raise not_found()
    return json_answer(200, {"schedule": _schedule(call, schedule, PARTS)})


def _schedule(call: RestCall, schedule: Schedule, parts: Iterable[str]) -> dict[str, Any]:
    since = call.moment("since") or call.now
    until = call.moment("until") or since + RENDERED
    if until < since or until - since > LONGEST:
        raise invalid_input("Until must be after since, and at most 90 days later.")
    shape = schedule_shape(call, schedule, full=True)
    all_parts = rendered(call, schedule, since, until)
    shape |= {part: all_parts[part] for part in parts}
    if user_id := call.value("include_next_oncall_for_user"):
        shape |= _next_on_call(call, schedule, user_id)
    return shape


def _next_on_call(call: RestCall, schedule: Schedule, user_id: str) -> dict[str, Any]:
    """The user's next shift, nothing when there is none in the next 90 days."""
    user = call.world.users.get(user_id)
    shifts = final_shifts(schedule, call.now, call.now + LONGEST)
    shift = next((shift for shift in shifts if shift.user_id == user_id), None)
    if user is None or shift is None:
        return {}
    own = {"start": call.stamp(shift.start), "end": call.stamp(shift.end), "user": user_shape(call, user)}
    return {"next_oncall_for_user": own}


def _users_on(policy: Policy) -> set[str]:
    return {user_id for level in policy.levels for user_id in level.user_ids}

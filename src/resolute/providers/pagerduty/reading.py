"""The PagerDuty activities that look things up: incidents, what belongs to them, services, who is on call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Concatenate, Final

from resolute.model.pages import Page, PaginatedActivity
from resolute.providers.pagerduty.incident_place import IncidentPlace
from resolute.providers.pagerduty.outputs import (
    FindIncidentOutput,
    GetIncidentOutput,
    IncidentStatus,
    IncidentUrgency,
    ListAlertsOutput,
    ListIncidentsOutput,
    ListLogEntriesOutput,
    ListPrioritiesOutput,
    ListServicesOutput,
)
from resolute.providers.pagerduty.params import filled_range
from resolute.providers.pagerduty.payloads import GetOnCallsOutput, Incident
from resolute.providers.pagerduty.rest_activity import REST_RETRY, P, RestActivity, T, account

#: Waits between two looks for an incident that PagerDuty may still be making of an event.
_LOOKS: Final = (0.5, 1.0, 2.0, 3.0)
_LONGEST_LOOK: Final = timedelta(minutes=4)
_BACK: Final = timedelta(days=30)
#: PagerDuty's clock may be ahead of ours.
_AHEAD: Final = timedelta(minutes=5)


class PagedActivity(PaginatedActivity[P, T]):
    """An activity that asks for a list page by page, each page an entry of the journal."""

    provider = "pagerduty"


def _in_pages(fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, Page[T]]]) -> PagedActivity[P, T]:
    return PagedActivity(fn, name=f"pagerduty.{fn.__name__}", retry=REST_RETRY)


@RestActivity
async def get_on_calls(
    *,
    schedule_ids: Sequence[str] = (),
    escalation_policy_ids: Sequence[str] = (),
    user_ids: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    earliest: bool = False,
    limit: int = 1000,
) -> GetOnCallsOutput:
    """Who is on call, with names and e-mail addresses; level 1 is paged first.

    Args:
        schedule_ids, escalation_policy_ids, user_ids: what to look at; nothing means the whole account.
        since, until: aware; by default now. Every shift that overlaps the range is listed; at most 90 days ahead.
        earliest: only the next shift of each user on each level of each policy.
        limit: entries at most; `more` in the output tells when there were others.

    Source: PagerDuty REST API v2, "List all of the on-calls".
    """
    return await account().get_on_calls(
        schedule_ids=schedule_ids,
        escalation_policy_ids=escalation_policy_ids,
        user_ids=user_ids,
        since=since,
        until=until,
        earliest=earliest,
        limit=limit,
    )


@RestActivity
async def get_incident(*, id: str) -> GetIncidentOutput:
    """One incident.

    Args:
        id: PagerDuty's id ("Q1ABC…"), or the number that its web page shows.

    Source: PagerDuty REST API v2, "Get an incident".
    """
    return GetIncidentOutput(incident=await account().get_incident(id))


@RestActivity
async def list_incidents(
    *,
    statuses: Sequence[IncidentStatus] = (),
    service_ids: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    urgencies: Sequence[IncidentUrgency] = (),
    limit: int | None = None,
    offset: int = 0,
    team_ids: Sequence[str] = (),
    user_ids: Sequence[str] = (),
    incident_key: str = "",
    sort_by: str = "",
    with_total: bool = False,
) -> ListIncidentsOutput:
    """One page of incidents; `list_all_incidents` gives every one.

    Args:
        statuses, service_ids, urgencies, team_ids, user_ids: filters; nothing means all.
        since, until: of the creation, aware, at most six months apart; the last month by default, and a
            missing end is filled, since PagerDuty would look at one month from the other.
        limit: 1 to 100 rows; PagerDuty gives 25 by default.
        incident_key: also finds the dedup key of events.
        sort_by: e.g. "created_at:desc".
        with_total: have PagerDuty count all rows; `total` is None otherwise.

    Source: PagerDuty REST API v2, "List incidents".
    """
    return await account().list_incidents(
        statuses=statuses,
        service_ids=service_ids,
        team_ids=team_ids,
        user_ids=user_ids,
        urgencies=urgencies,
        incident_key=incident_key,
        since=since,
        until=until,
        sort_by=sort_by,
        limit=limit,
        offset=offset,
        with_total=with_total,
    )


@_in_pages
async def list_all_incidents(
    page: dict[str, Any] | None,
    *,
    since: datetime,
    until: datetime | None = None,
    statuses: Sequence[IncidentStatus] = (),
    service_ids: Sequence[str] = (),
    urgencies: Sequence[IncidentUrgency] = (),
    team_ids: Sequence[str] = (),
    user_ids: Sequence[str] = (),
) -> Page[Incident]:
    """Every incident that was created in a time range, each once, oldest first; the output is a list of `Incident`.

    There is no 10,000th row behind which PagerDuty gives none, and the range may be years long. Each hundred
    is kept, so that what fails or crashes goes on where it stopped; everything else that uses the API key goes first.

    Args:
        since, until: aware; `until` is the present by default.
        statuses, service_ids, urgencies, team_ids, user_ids: filters; nothing means all.

    Source: PagerDuty REST API v2, "List incidents".
    """
    client = account()
    if page is None:
        ends = filled_range(since, until, client.now()) or (since, since)
        place = IncidentPlace(begin=ends[0], end=ends[1])
    else:
        place = IncidentPlace.model_validate(page)
    found, following = await client.incidents_from(
        place,
        statuses=statuses,
        service_ids=service_ids,
        team_ids=team_ids,
        user_ids=user_ids,
        urgencies=urgencies,
    )
    return Page(items=found, next=None if following is None else following.model_dump(mode="json"))


@RestActivity
async def find_incident(
    *,
    dedup_key: str,
    wait: timedelta = timedelta(seconds=10),
    since: datetime | None = None,
    until: datetime | None = None,
) -> FindIncidentOutput:
    """The incident that the events of a dedup key have opened: the newest open one, else the newest.

    PagerDuty works on events after it has accepted them, so an incident may appear a moment later, and in
    a maintenance window never. The output's `incident` is None then; that is no failure.

    Args:
        wait: how long to look again while there is none; 4 minutes at most.
        since, until: of the creation, aware; the last 30 days by default.

    Source: PagerDuty REST API v2, "List incidents": `incident_key` also finds the key of an alert.
    """
    client = account()
    patience = min(wait, _LONGEST_LOOK).total_seconds()
    looks = 0
    while True:
        now = client.now()
        end = until or now + _AHEAD
        found = await client.find_incidents(dedup_key, since=since or min(end, now) - _BACK, until=end)
        if found:
            newest = next((each for each in reversed(found) if each.status != "resolved"), found[-1])
            return FindIncidentOutput(incident=newest, found=True)
        pause = min(_LOOKS[min(looks, len(_LOOKS) - 1)], patience)
        if pause <= 0:
            return FindIncidentOutput()
        looks, patience = looks + 1, patience - pause
        await asyncio.sleep(pause)


@RestActivity
async def list_alerts(
    *, incident_id: str, statuses: Sequence[str] = (), alert_key: str = "", limit: int = 1000
) -> ListAlertsOutput:
    """The alerts of an incident, oldest first; `more` tells when there were others than `limit`.

    Source: PagerDuty REST API v2, "List alerts for an incident".
    """
    return await account().list_alerts(incident_id, statuses=statuses, alert_key=alert_key, limit=limit)


@RestActivity
async def list_log_entries(
    *,
    incident_id: str,
    since: datetime | None = None,
    until: datetime | None = None,
    is_overview: bool = False,
    limit: int = 1000,
) -> ListLogEntriesOutput:
    """The history of an incident; `is_overview` keeps to the most important changes.

    Source: PagerDuty REST API v2, "List log entries for an incident".
    """
    return await account().list_log_entries(incident_id, since=since, until=until, is_overview=is_overview, limit=limit)


@RestActivity
async def list_services(
    *,
    query: str = "",
    limit: int | None = None,
    offset: int = 0,
    name: str = "",
    team_ids: Sequence[str] = (),
    with_total: bool = False,
) -> ListServicesOutput:
    """One page of services by name.

    Args:
        query: only those whose name holds this text; `name`: only the one of exactly this name.
        limit: 1 to 100 rows; PagerDuty gives 25 by default. `more` in the output tells when there were others.
        with_total: have PagerDuty count all rows; `total` is None otherwise.

    Source: PagerDuty REST API v2, "List services".
    """
    return await account().list_services(
        query=query, name=name, team_ids=team_ids, limit=limit, offset=offset, with_total=with_total
    )


@RestActivity
async def list_priorities() -> ListPrioritiesOutput:
    """The priorities of the account, most severe first; an account without them answers 402, which fails the node.

    Source: PagerDuty REST API v2, "List priorities".
    """
    return ListPrioritiesOutput(priorities=await account().list_priorities())

"""`IncidentReads`: incidents of an account and what belongs to them, looked up over REST."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from resolute.errors import InputError
from resolute.providers.pagerduty.incident_place import IncidentPlace
from resolute.providers.pagerduty.limiter import Urgency
from resolute.providers.pagerduty.outputs import (
    IncidentStatus,
    IncidentUrgency,
    ListAlertsOutput,
    ListIncidentsOutput,
    ListLogEntriesOutput,
)
from resolute.providers.pagerduty.params import (
    LONGEST_RANGE,
    aware,
    filled_range,
    id_in_path,
    list_filter,
    paging_params,
    range_params,
    read_row,
    text_filter,
    total_in,
)
from resolute.providers.pagerduty.payloads import Incident
from resolute.providers.pagerduty.records import Alert, LogEntry, Note
from resolute.providers.pagerduty.requests import PAGE_ROWS, Params, Requests, list_in, object_in

_FOUND_AT_MOST: Final = 1_000
_STATUSES: Final = ("triggered", "acknowledged", "resolved")


class IncidentReads(Requests):
    """Requests that read incidents. Errors of all of them are those of `get_incident`."""

    async def get_incident(self, id: str) -> Incident:
        """One incident.

        Args:
            id: PagerDuty's id ("Q1ABC…"), or the number that its web page shows.

        Raises:
            InputError: an empty id.
            ConfigError: there is no API key.
            ProviderRejected: 4xx other than 429; there is no such incident, or the key may not see it.
            ProviderUnavailable: nothing was done; `retry_after` when PagerDuty named a time.
            ProviderOutcomeUnknown: no answer that can be trusted.

        Source: PagerDuty REST API v2, "Get an incident".
        """
        path = f"/incidents/{id_in_path(id)}"
        data = await self._get(path)
        return read_row(Incident, object_in(data, "incident", f"GET {path}"), f"GET {path}")

    async def find_incidents(
        self, dedup_key: str, *, since: datetime, until: datetime, urgency: Urgency = "call"
    ) -> list[Incident]:
        """The incidents of an alert key, of every status, oldest first, 1,000 at most.

        Also finds incidents whose alert has this key; not only those of one routing key.

        Args:
            dedup_key: never empty, since PagerDuty would then list every open incident.
            since: earliest creation, aware. Both ends are always sent: with one alone PagerDuty
                looks at one month from there.
            until: latest creation, aware, at most six months later.
            urgency: "page" for a look-up that a page waits for.

        Source: PagerDuty REST API v2, "List incidents".
        """
        if not dedup_key.strip():
            raise InputError("find_incidents was given an empty dedup key, which would match every open incident.")
        begin, end = _both(since, until)
        params: Params = [
            ("incident_key", dedup_key),
            *(("statuses[]", status) for status in _STATUSES),
            *range_params(begin, end),
            ("sort_by", "created_at:asc"),
        ]
        rows, _ = await self._rows("/incidents", params, "incidents", _FOUND_AT_MOST, urgency=urgency)
        incidents = (read_row(Incident, row, "GET /incidents") for row in rows)
        # Rows move between pages while they are read, so one may come twice.
        return list({incident.id: incident for incident in incidents}.values())

    async def list_incidents(
        self,
        *,
        statuses: Sequence[IncidentStatus] = (),
        service_ids: Sequence[str] = (),
        team_ids: Sequence[str] = (),
        user_ids: Sequence[str] = (),
        urgencies: Sequence[IncidentUrgency] = (),
        incident_key: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        sort_by: str = "",
        limit: int | None = None,
        offset: int = 0,
        with_total: bool = False,
    ) -> ListIncidentsOutput:
        """One page of incidents; 25 rows unless `limit` says otherwise, 100 at most.

        Args:
            since, until: of the creation, aware, at most six months apart. Without both PagerDuty looks at
                the last month; a missing end is filled: the present, or a month before `until`.
            sort_by: e.g. "created_at:desc"; by incident number where it is left out.
            with_total: have PagerDuty count all rows, which takes it longer.

        Source: PagerDuty REST API v2, "List incidents".
        """
        params = _filters(statuses, service_ids, team_ids, user_ids, urgencies, incident_key)
        ends = filled_range(since, until, self._clock.now(), default=timedelta(days=30))
        if ends is not None:
            if ends[1] - ends[0] > LONGEST_RANGE + timedelta(days=4):
                raise InputError(
                    f"The range of {(ends[1] - ends[0]).days} days is longer than the six months that PagerDuty takes. "
                    "Shorten it, or take list_all_incidents, which asks in several windows."
                )
            params += range_params(*ends)
        params += [*text_filter("sort_by", sort_by), *paging_params(limit, offset, total=with_total)]
        data = await self._get("/incidents", params)
        rows = list_in(data, "incidents", "GET /incidents")
        return ListIncidentsOutput(
            incidents=[read_row(Incident, row, "GET /incidents") for row in rows],
            total=total_in(data.get("total")),
            more=data.get("more") is True,
        )

    async def iter_incidents(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        statuses: Sequence[IncidentStatus] = (),
        service_ids: Sequence[str] = (),
        team_ids: Sequence[str] = (),
        user_ids: Sequence[str] = (),
        urgencies: Sequence[IncidentUrgency] = (),
    ) -> AsyncIterator[Incident]:
        """Every incident that was created in the range, each once, oldest first, however many there are.

        Args:
            since: aware; it may be years ago.
            until: aware; the present by default.
        """
        begin, end = _both(since, until or self._clock.now())
        place: IncidentPlace | None = IncidentPlace(begin=begin, end=end)
        while place is not None:
            page, place = await self.incidents_from(
                place,
                statuses=statuses,
                service_ids=service_ids,
                team_ids=team_ids,
                user_ids=user_ids,
                urgencies=urgencies,
            )
            for incident in page:
                yield incident

    async def incidents_from(
        self,
        place: IncidentPlace,
        *,
        statuses: Sequence[IncidentStatus] = (),
        service_ids: Sequence[str] = (),
        team_ids: Sequence[str] = (),
        user_ids: Sequence[str] = (),
        urgencies: Sequence[IncidentUrgency] = (),
    ) -> tuple[list[Incident], IncidentPlace | None]:
        """One page of all incidents of a range, and the place to go on from; None after the last.

        Source: PagerDuty REST API v2, "List incidents" and "Pagination".
        """
        window_end = min(place.end, place.begin + LONGEST_RANGE)
        params = [
            *_filters(statuses, service_ids, team_ids, user_ids, urgencies, ""),
            *range_params(place.begin, window_end),
            *paging_params(PAGE_ROWS, place.offset),
            ("sort_by", "created_at:asc"),
        ]
        data = await self._get("/incidents", params, urgency="listing")
        rows = list_in(data, "incidents", "GET /incidents")
        page = [read_row(Incident, row, "GET /incidents") for row in rows]
        is_last = not page or data.get("more") is False
        return place.unseen(page), place.after(page, window_end, is_last=is_last)

    async def latest_incidents(
        self,
        *,
        since: datetime,
        statuses: Sequence[IncidentStatus] = (),
        service_ids: Sequence[str] = (),
        urgencies: Sequence[IncidentUrgency] = (),
        limit: int = 100,
    ) -> ListIncidentsOutput:
        """The newest incidents that were created since then, at most six months ago; newest first, up to `limit`.

        Source: PagerDuty REST API v2, "List incidents".
        """
        begin, end = _both(since, self._clock.now())
        params = [*_filters(statuses, service_ids, (), (), urgencies, ""), *range_params(begin, end)]
        rows, more = await self._rows("/incidents", [*params, ("sort_by", "created_at:desc")], "incidents", limit)
        found = {str(row.get("id")): row for row in rows if isinstance(row, dict)}  # rows move between two pages
        return ListIncidentsOutput(
            incidents=[read_row(Incident, row, "GET /incidents") for row in found.values()], more=more
        )

    async def list_notes(self, incident_id: str) -> list[Note]:
        """The notes on an incident. Source: PagerDuty REST API v2, "List notes for an incident"."""
        path = f"/incidents/{id_in_path(incident_id, 'incident_id')}/notes"
        rows = list_in(await self._get(path), "notes", f"GET {path}")
        return [read_row(Note, row, f"GET {path}") for row in rows]

    async def list_alerts(
        self, incident_id: str, *, statuses: Sequence[str] = (), alert_key: str = "", limit: int = 1_000
    ) -> ListAlertsOutput:
        """The alerts of an incident, oldest first, up to `limit`.

        Source: PagerDuty REST API v2, "List alerts for an incident".
        """
        path = f"/incidents/{id_in_path(incident_id, 'incident_id')}/alerts"
        params = [*list_filter("statuses", statuses), *text_filter("alert_key", alert_key)]
        rows, more = await self._rows(path, [*params, ("sort_by", "created_at:asc")], "alerts", limit)
        return ListAlertsOutput(alerts=[read_row(Alert, row, f"GET {path}") for row in rows], more=more)

    async def list_log_entries(
        self,
        incident_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        is_overview: bool = False,
        limit: int = 1_000,
    ) -> ListLogEntriesOutput:
        """The history of an incident, up to `limit` entries.

        Args:
            since, until: aware; the whole history without them.
            is_overview: only the most important changes.

        Source: PagerDuty REST API v2, "List log entries for an incident".
        """
        path = f"/incidents/{id_in_path(incident_id, 'incident_id')}/log_entries"
        ends = filled_range(since, until, self._clock.now(), default=timedelta(days=30))
        params: Params = [] if ends is None else range_params(*ends)
        if is_overview:
            params.append(("is_overview", "true"))
        rows, more = await self._rows(path, params, "log_entries", limit)
        return ListLogEntriesOutput(log_entries=[read_row(LogEntry, row, f"GET {path}") for row in rows], more=more)


def _both(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    begin, end = aware("since", since), aware("until", until)
    if begin is None or end is None:
        raise InputError("since and until are both needed. Give two aware times.")
    if end < begin:
        raise InputError(f"until ({end.isoformat()}) is before since ({begin.isoformat()}). Exchange them.")
    return begin, end


def _filters(
    statuses: Sequence[str],
    service_ids: Sequence[str],
    team_ids: Sequence[str],
    user_ids: Sequence[str],
    urgencies: Sequence[str],
    incident_key: str,
) -> Params:
    """The filters that hold something; an empty `incident_key` would list every open incident."""
    return [
        *text_filter("incident_key", incident_key),
        *list_filter("statuses", statuses),
        *list_filter("service_ids", service_ids),
        *list_filter("team_ids", team_ids),
        *list_filter("user_ids", user_ids),
        *list_filter("urgencies", urgencies),
    ]

"""`DirectoryReads`: who is on call, and the services, priorities and users of an account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from resolute.providers.pagerduty.outputs import ListServicesOutput
from resolute.providers.pagerduty.params import (
    filled_range,
    list_filter,
    paging_params,
    range_params,
    read_row,
    text_filter,
    total_in,
)
from resolute.providers.pagerduty.payloads import GetOnCallsOutput, OnCall, Priority, UserRef
from resolute.providers.pagerduty.records import Service
from resolute.providers.pagerduty.requests import PAGE_ROWS, Params, Requests, list_in

_PRIORITIES_AT_MOST: Final = 1_000


class DirectoryReads(Requests):
    """Requests that read what an account is made of. Errors of all of them are those of `get_incident`."""

    async def get_on_calls(
        self,
        *,
        schedule_ids: Sequence[str] = (),
        escalation_policy_ids: Sequence[str] = (),
        user_ids: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        earliest: bool = False,
        limit: int = 1_000,
    ) -> GetOnCallsOutput:
        """Who is on call, with names and e-mail addresses, in PagerDuty's order.

        Args:
            schedule_ids, escalation_policy_ids, user_ids: ids to look at; none at all means the whole account.
            since: start of the time range, aware; without both ends the present moment is meant, and a
                missing end is filled so that the range holds the present or the end given.
            until: its end, at most 90 days ahead. Every shift that overlaps the range is listed.
            earliest: only the next shift of each user on each level of each policy.
            limit: most entries to fetch; `more` of the output tells when there were others.

        Source: PagerDuty REST API v2, "List all of the on-calls".
        """
        params: Params = [
            ("include[]", "users"),
            *list_filter("schedule_ids", schedule_ids),
            *list_filter("escalation_policy_ids", escalation_policy_ids),
            *list_filter("user_ids", user_ids),
        ]
        ends = filled_range(since, until, self._clock.now())
        if ends is not None:
            params += range_params(*ends)
        if earliest:
            params.append(("earliest", "true"))
        rows, more = await self._rows("/oncalls", params, "oncalls", limit)
        return GetOnCallsOutput(oncalls=[read_row(OnCall, row, "GET /oncalls") for row in rows], more=more)

    async def list_services(
        self,
        *,
        query: str = "",
        name: str = "",
        team_ids: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        with_total: bool = False,
    ) -> ListServicesOutput:
        """One page of services by name; 25 rows unless `limit` says otherwise, 100 at most.

        Args:
            query: only those whose name holds this text.
            name: only the one of exactly this name.
            with_total: have PagerDuty count all rows.

        Source: PagerDuty REST API v2, "List services".
        """
        params = [*_service_filters(query, name, team_ids), *paging_params(limit, offset, total=with_total)]
        data = await self._get("/services", params)
        rows = list_in(data, "services", "GET /services")
        return ListServicesOutput(
            services=[read_row(Service, row, "GET /services") for row in rows],
            total=total_in(data.get("total")),
            more=data.get("more") is True,
        )

    async def iter_services(
        self, *, query: str = "", name: str = "", team_ids: Sequence[str] = ()
    ) -> AsyncIterator[Service]:
        """Every service by name, up to the 10,000 that PagerDuty reaches; see `list_services`."""
        seen: set[str] = set()
        async for page, _ in self._pages("/services", _service_filters(query, name, team_ids), "services"):
            for row in page:
                service = read_row(Service, row, "GET /services")
                if service.id not in seen:
                    seen.add(service.id)
                    yield service

    async def list_priorities(self) -> list[Priority]:
        """The priorities of the account, most severe first; `order` is their place, from 0.

        Raises:
            ProviderRejected: also 402: the account's plan has no priorities.

        Source: PagerDuty REST API v2, "List priorities".
        """
        rows, _ = await self._rows("/priorities", [], "priorities", _PRIORITIES_AT_MOST)
        found = (read_row(Priority, row, "GET /priorities") for row in rows)
        return [priority.model_copy(update={"order": place}) for place, priority in enumerate(found)]

    async def iter_users(self, *, query: str = "", team_ids: Sequence[str] = ()) -> AsyncIterator[UserRef]:
        """Every user whose name or e-mail address holds this text. Source: PagerDuty REST API v2, "List users"."""
        params = [*text_filter("query", query), *list_filter("team_ids", team_ids)]
        async for page, _ in self._pages("/users", params, "users"):
            for row in page:
                yield read_row(UserRef, row, "GET /users")

    async def find_user(self, email: str) -> UserRef | None:
        """The user with exactly this e-mail address, None when there is none among the first 100 that resemble it."""
        params = [*text_filter("query", email), ("limit", str(PAGE_ROWS))]
        rows = list_in(await self._get("/users", params), "users", "GET /users")
        users = (read_row(UserRef, row, "GET /users") for row in rows)
        wanted = email.strip().casefold()
        return next((user for user in users if (user.email or "").casefold() == wanted), None)


def _service_filters(query: str, name: str, team_ids: Sequence[str]) -> Params:
    return [
        *text_filter("query", query),
        *text_filter("name", name),
        *list_filter("team_ids", team_ids),
        ("sort_by", "name:asc"),
    ]

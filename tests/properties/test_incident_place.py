"""All incidents of a range, whatever their times and however PagerDuty reads the ends of a range."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resolute.errors import InputError
from resolute.providers.pagerduty import PagerDutyClient
from resolute.providers.pagerduty.config import PagerDutySettings
from resolute.providers.pagerduty.incident_place import IncidentPlace
from resolute.providers.pagerduty.payloads import Incident
from tests.unit.providers.pagerduty.conftest import NOW, StoppedClock

#: Crowds of incidents, each at a second of its own: how many, and how long after the crowd before.
crowds = st.lists(st.tuples(st.integers(1, 150), st.integers(1, 3) | st.integers(1, 10**8)), max_size=8)


class Listing:
    """A PagerDuty with nothing but a list of incidents, which leaves to a test how ends of ranges are read."""

    def __init__(self, times: list[datetime], *, takes_begin: bool, takes_end: bool) -> None:
        self.rows = [{"id": f"Q{n}", "created_at": at.isoformat()} for n, at in enumerate(times)]
        self.times = times
        self.takes = takes_begin, takes_end
        self.asked = 0

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """One page, as PagerDuty gives it: 100 rows, none behind the 10,000th, six months at most."""
        self.asked += 1
        query = request.url.params
        begin, end = (datetime.fromisoformat(query[name]) for name in ("since", "until"))
        limit, offset = int(query["limit"]), int(query["offset"]) if "offset" in query else 0
        if offset + limit > 10_000 or end - begin > timedelta(days=184):
            return httpx2.Response(400, json={"error": {"code": 2001, "message": "Invalid Input Provided"}})
        found = [row for row, at in zip(self.rows, self.times, strict=True) if self.is_in(begin, at, end)]
        page = found[offset : offset + limit]
        return httpx2.Response(200, json={"incidents": page, "more": offset + limit < len(found)})

    def is_in(self, begin: datetime, at: datetime, end: datetime) -> bool:
        """Whether a time belongs to a range."""
        takes_begin, takes_end = self.takes
        return begin < at < end or (takes_begin and at == begin) or (takes_end and at == end)

    def all_from(self, since: datetime, until: datetime) -> list[str]:
        """The ids that the client finds."""

        async def read() -> list[str]:
            settings = PagerDutySettings(api_key="RestKeyRestKey123456")
            client = PagerDutyClient(settings, clock=StoppedClock(), transport=httpx2.MockTransport(self.answer))
            return [incident.id async for incident in client.iter_incidents(since=since, until=until)]

        return asyncio.run(read())


@settings(deadline=None, max_examples=30)
@example([(1, 180 * 24 * 3600)], False, False)  # where two parts of the range meet
@example([(120, 1), (90, 1), (150, 1), (3, 1)], True, True)
@given(crowds, st.booleans(), st.booleans())
def test_each_comes_once_and_in_order(crowds: list[tuple[int, int]], takes_begin: bool, takes_end: bool) -> None:
    """Crowds in one second, years without any, ends of ranges that count or do not."""
    times: list[datetime] = []
    at = datetime(2020, 1, 1, tzinfo=UTC)
    for count, later in crowds:
        at += timedelta(seconds=later)
        times += [at] * count
    listing = Listing(times, takes_begin=takes_begin, takes_end=takes_end)
    since, until = datetime(2020, 1, 1, tzinfo=UTC), at + timedelta(seconds=5)
    assert listing.all_from(since, until) == [row["id"] for row in listing.rows]
    years = (until - since) / timedelta(days=365)
    assert listing.asked <= 3 * (len(times) // 100 + len(crowds) + years * 2 + 2)


def test_a_moment_with_more_than_pagerduty_gives_is_told() -> None:
    """Ten thousand and one in one second cannot be read; leaving some out in silence would be worse."""
    listing = Listing([NOW] * 10_001, takes_begin=True, takes_end=True)
    with pytest.raises(InputError, match="one service at a time"):
        listing.all_from(NOW - timedelta(hours=1), NOW + timedelta(hours=1))


def test_those_that_stay_are_found_while_others_of_their_moment_leave_the_list() -> None:
    """Forty of the first hundred are resolved after they were read: the rows behind them move up, unseen."""
    listing = Listing([NOW] * 250, takes_begin=True, takes_end=True)
    whole, answer = list(listing.rows), listing.answer

    def answer_and_change(request: httpx2.Request) -> httpx2.Response:
        answered = answer(request)
        if listing.asked == 2:
            del listing.rows[:40], listing.times[:40]
        return answered

    listing.answer = answer_and_change  # type: ignore[method-assign]
    found = listing.all_from(NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert len(found) == len(set(found))
    assert set(found) == {row["id"] for row in whole}


def test_a_place_survives_the_journal() -> None:
    """It stands there between two pages."""
    page = [Incident.model_validate({"id": f"Q{n}", "created_at": NOW}) for n in range(3)]
    place = IncidentPlace(begin=NOW - timedelta(hours=1), end=NOW).after(page, NOW, is_last=False)
    assert place is not None
    kept: Any = place.model_dump(mode="json")
    assert IncidentPlace.model_validate(kept) == place
    assert set(kept["seen"]) == {"Q0", "Q1", "Q2"}
    assert place.unseen(page) == []

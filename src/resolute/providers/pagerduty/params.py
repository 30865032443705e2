"""Query parameters as PagerDuty reads them: nothing empty, times with an offset, both ends of a range."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from resolute.errors import InputError, ProviderOutcomeUnknown
from resolute.jsontypes import JsonValue
from resolute.model.codec import describe
from resolute.providers.pagerduty.requests import PAGE_ROWS, REACHABLE_ROWS, Params

#: A range of incidents that PagerDuty takes for certain; its limit is six months, the shortest of which have 181 days.
LONGEST_RANGE: Final = timedelta(days=180)

_Model = TypeVar("_Model", bound=BaseModel)


def list_filter(name: str, values: Sequence[str]) -> Params:
    """`name[]` once for each value; an empty value would mean all of them and is refused."""
    listed = [values] if isinstance(values, str) else list(values)
    if not all(isinstance(item, str) and item.strip() for item in listed):
        raise InputError(
            f"{name} holds an empty id, which would list everything. Give ids, or leave {name} out to mean that."
        )
    return [(f"{name}[]", item.strip()) for item in listed]


def text_filter(name: str, value: str) -> Params:
    """The parameter, none at all for an empty text, which PagerDuty would read as no filter."""
    return [(name, value.strip())] if value.strip() else []


def id_in_path(value: str, name: str = "id") -> str:
    """An id as it stands in an address; raises InputError for one that cannot be one."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise InputError(f"{name} is {value!r}, expected an id such as Q1ABCDEF2GHIJK. Give the id.")
    return quote(text, safe="")


def aware(name: str, instant: datetime | None) -> datetime | None:
    """The instant, which has to have an offset; raises InputError."""
    if instant is not None and instant.utcoffset() is None:
        raise InputError(
            f"{name} is {instant.isoformat()}, without an offset; PagerDuty would read it in the account's time zone. "
            "Give an aware time: datetime.now(UTC)."
        )
    return instant


def text_of(instant: datetime, *, up: bool = False) -> str:
    """ISO 8601 in UTC, whole seconds; the end of a range is rounded up so that nothing falls out."""
    whole = instant.astimezone(UTC).replace(microsecond=0)
    return (whole + timedelta(seconds=1) if up and instant.microsecond else whole).isoformat()


def filled_range(
    since: datetime | None, until: datetime | None, now: datetime, *, default: timedelta = timedelta(0)
) -> tuple[datetime, datetime] | None:
    """Both ends of a range of which one may be missing; None when both are.

    With one end alone PagerDuty looks at one month from there. A missing `until` is the present, a missing `since` the
    present or, should that be later than `until`, `default` before it.

    Raises:
        InputError: a time without an offset, or an end before the beginning.
    """
    if since is None and until is None:
        return None
    begin, end = aware("since", since), aware("until", until)
    begin = begin or (min(end or now, now) - default)
    end = end or max(begin, now)
    if end < begin:
        raise InputError(f"until ({end.isoformat()}) is before since ({begin.isoformat()}). Exchange them.")
    return begin, end


def range_params(since: datetime, until: datetime) -> Params:
    """The two parameters of a range."""
    return [("since", text_of(since)), ("until", text_of(until, up=True))]


def paging_params(limit: int | None, offset: int, *, total: bool = False) -> Params:
    """The parameters of one page.

    Raises:
        InputError: the page is one that PagerDuty cannot give; it would silently give another.

    Source: PagerDuty REST API v2, "Pagination".
    """
    if limit is not None and not 1 <= limit <= PAGE_ROWS:
        raise InputError(f"limit is {limit}, expected 1 to {PAGE_ROWS}: PagerDuty gives no longer page.")
    if offset < 0 or offset + (limit or PAGE_ROWS) > REACHABLE_ROWS:
        raise InputError(
            f"offset is {offset}: PagerDuty reaches the rows 0 to {REACHABLE_ROWS:,}, the page included. "
            "Narrow the filters; list_all_incidents reaches every incident."
        )
    params: Params = [] if limit is None else [("limit", str(limit))]
    if offset:
        params.append(("offset", str(offset)))
    return [*params, ("total", "true")] if total else params


def read_row(model: type[_Model], row: JsonValue, request: str) -> _Model:
    """One object of an answer; raises ProviderOutcomeUnknown when it cannot be read."""
    try:
        return model.model_validate(row)
    except ValidationError as error:
        raise ProviderOutcomeUnknown(
            f"PagerDuty answered {request} with an entry that cannot be read: {describe(error)}."
        ) from None


def total_in(value: JsonValue) -> int | None:
    """The number of all rows, None where PagerDuty left it out or null."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

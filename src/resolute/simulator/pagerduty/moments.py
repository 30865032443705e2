"""Instants as PagerDuty reads and writes them."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, tzinfo

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?")


def parse_moment(text: str, zone: tzinfo) -> tuple[datetime, bool]:
    """The instant in UTC, and whether the text named its own offset.

    Zero padded ISO 8601 with a `T`; a date alone is its midnight. Without an offset the text is
    read in `zone`, the account's.

    Raises:
        ValueError: another form, or a day or time that does not exist.

    Source: PagerDuty REST API v2, "Types" (DateTime).
    """
    if not _ISO.fullmatch(text):
        raise ValueError(f"not an ISO 8601 moment: {text!r}")
    moment = datetime.fromisoformat(text)
    if not 1000 <= moment.year <= 9000:
        raise ValueError(f"no year that can be searched: {text!r}")
    if moment.tzinfo is not None:
        return moment.astimezone(UTC), True
    return moment.replace(tzinfo=zone).astimezone(UTC), False


def format_moment(at: datetime, zone: tzinfo = UTC) -> str:
    """Whole seconds, as "2015-10-06T21:30:42Z", or with the offset of another `zone`."""
    text = at.astimezone(zone).replace(microsecond=0).isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def months_later(at: datetime, months: int) -> datetime:
    """The same day and time `months` calendar months on (or back); 31 March less one is 28 February."""
    index = at.year * 12 + at.month - 1 + months
    year, month = divmod(index, 12)
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    return at.replace(year=year, month=month + 1, day=day)

"""Cron expressions on the rules of Debian's cron, through cronsim: times, zones and days of change.

A fixed time that a spring day skips fires once, right after the gap; one that an autumn day repeats
fires once, at its first occurrence.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def expand(expression: str) -> str:
    """The expression with a nickname such as `@daily` written out."""
    return _NICKNAMES.get(expression.strip().lower(), expression)


def problem_with(expression: str, timezone: str) -> str | None:
    """What is wrong with a cron expression or its time zone, as a sentence; None when both are good."""
    from cronsim import CronSim, CronSimError  # 15 ms that only flows with a schedule pay

    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f'The time zone "{timezone}" is not known. Use a name such as "Europe/Berlin" or "UTC".'
    try:
        CronSim(expand(expression), datetime(2026, 1, 1, tzinfo=zone))
    except CronSimError as error:
        return (
            f'"{expression}" is not a cron expression: {error}. '
            'Write five fields (minute hour day month weekday), e.g. "*/5 * * * *".'
        )
    return None


def is_tick(expression: str, timezone: str, at: datetime) -> bool:
    """Whether an instant is one of the scheduled times."""
    return next(ticks_after(expression, timezone, at - timedelta(microseconds=1))) == at


def tick_before(expression: str, timezone: str, at: datetime, count: int = 1) -> datetime:
    """The scheduled time that comes `count` places before an instant, by the same rules as those after it, in UTC."""
    reach = timedelta(minutes=1)
    while True:
        found = deque(takewhile(lambda tick: tick < at, ticks_after(expression, timezone, at - reach)), maxlen=count)
        if len(found) == count:
            return found[0]
        reach *= 2


def ticks_after(expression: str, timezone: str, after: datetime) -> Ticks:
    """The scheduled times after an instant, soonest first, in UTC."""
    return Ticks(expression, timezone, after)


class Ticks:
    """An endless iterator over scheduled times in UTC."""

    def __init__(self, expression: str, timezone: str, after: datetime) -> None:
        from cronsim import CronSim  # see problem_with

        self._source = CronSim(expand(expression), after.astimezone(ZoneInfo(timezone)))

    def __iter__(self) -> Ticks:
        return self

    def __next__(self) -> datetime:
        return next(self._source).astimezone(UTC)

"""The order of sends for one alert, as pure functions.

A lane is events host, routing-key digest and dedup key. Its unsettled rows go oldest first, one
request at a time. Newer decisions make older ones pointless: that is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from resolute.ledger.row import Row

#: A repeat within this time of the first unanswered request needs no look-up (folded by its key).
REPEAT_BLINDLY: Final = timedelta(seconds=60)
#: How far a look-up reaches before the first unanswered request and past now: clocks differ.
LOOK_BACK: Final = timedelta(minutes=5)
#: A resolve after a trigger that may still arrive is sent once more after this time.
SECOND_RESOLVE: Final = timedelta(seconds=60)
#: For how long a failing second resolve is tried.
SECOND_RESOLVE_FOR: Final = timedelta(hours=1)
#: A scheduled resolve that waited longer than this is left to the next check.
RESOLVE_EXPIRES: Final = timedelta(minutes=15)
#: A page later than this says so.
LATE_AFTER: Final = timedelta(minutes=5)
#: A page folded into an alert older than this warns: nobody may have been notified.
FOLD_WARNS_AFTER: Final = timedelta(hours=24)
#: No delay that a server names is obeyed for longer than this.
LONGEST_HOLD: Final = timedelta(hours=1)
#: A row behind another looks again after this time, should nobody have woken it.
TURN_CHECK: Final = timedelta(seconds=60)
#: A time this far ahead of the clock says that the clock was set back.
SET_BACK: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Send:
    """Send it now."""

    may_repeat: bool = False


@dataclass(frozen=True)
class LookUp:
    """Ask whether an earlier request of this row was applied before it is sent again."""

    since: datetime


@dataclass(frozen=True)
class Settle:
    """It is not to be sent: settle it with this status and reason."""

    status: str
    reason: str


@dataclass(frozen=True)
class Turn:
    """It is not its turn: wait for a time, or (None) for the row before it."""

    until: datetime | None


Move = Send | LookUp | Settle | Turn


def supersede(older: Sequence[Row], newer: Row, now: datetime) -> tuple[list[Row], Row]:
    """What a new decision does to the unsettled rows before it in the lane (none of them in flight).

    Returns:
        The rows that are settled by it, and the new row, which takes over the earliest time of the
        triggers whose place a trigger takes.
    """
    if newer.action == "acknowledge":
        return [], newer
    settled = []
    for row in older:
        if row.is_settled:
            continue
        outcome = " (outcome unknown)" if row.is_unknown else ""
        settled.append(
            replace(
                row,
                status="superseded",
                message=f"a newer {newer.action} (row {newer.id}) took its place{outcome}",
                superseded_by=newer.id,
                settled_at=now,
                due_at=None,
                is_open=row.action == "trigger" and row.is_unknown,
            )
        )
        if row.action == "trigger" and newer.action == "trigger":
            newer = replace(newer, since=min(newer.since, row.since))
    return settled, newer


def may_still_arrive(row: Row, now: datetime) -> bool:
    """Whether a request of a settled trigger may take effect after a resolve that is accepted now.

    That of a lost answer may, also where a repeat of it was accepted just before.
    """
    if row.is_unknown:
        return True
    return row.attempts > 1 and row.sent_at is not None and now - row.sent_at < SECOND_RESOLVE


def head(rows: Sequence[Row]) -> Row | None:
    """The row whose turn it is: the oldest unsettled one."""
    return next((row for row in rows if not row.is_settled), None)


def next_move(row: Row, now: datetime, *, resolve_expires: timedelta = RESOLVE_EXPIRES) -> Move:
    """What to do with the head of a lane, nothing of the lane being in flight."""
    if row.action == "resolve" and row.scheduled and now - row.created_at > resolve_expires:
        minutes = int((now - row.created_at).total_seconds() // 60)
        return Settle("expired", f"decided {minutes} min ago and not sent since; the next check decides anew")
    if now >= ends_at(row):
        last = f"; the last answer was: {row.error_message}" if row.error_message else ""
        return Settle("undelivered", f"not accepted within {_duration(row.deadline_s)}{last}")
    limit = row.retry[4]
    if limit is not None and row.attempts - row.lost >= limit:
        return Settle("undelivered", f"not accepted in {limit} attempts; the last answer was: {row.error_message}")
    until = waits_until(row, now)
    if until is not None:
        return Turn(until)
    if row.unknown_since is not None and row.action == "trigger" and abs(now - row.unknown_since) > REPEAT_BLINDLY:
        return LookUp(row.unknown_since - LOOK_BACK)
    return Send()


def waits_until(row: Row, now: datetime) -> datetime | None:
    """Until when nothing is to be done with a row, None for no wait.

    A wait that began at a time that now lies ahead is over: the clock was set back since.
    """
    until = row.repeat_at if row.is_settled else row.due_at
    if until is None or until <= now or (row.sent_at or row.created_at) > now + SET_BACK:
        return None
    return until


def ends_at(row: Row) -> datetime:
    """When sending stops."""
    return row.since + timedelta(seconds=row.deadline_s)


def lateness(row: Row, now: datetime) -> timedelta:
    """By how much a page is late, nothing when that need not be said."""
    late = now - row.since
    return late if row.action == "trigger" and late > LATE_AFTER else timedelta(0)


def _duration(seconds: float) -> str:
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 60)} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"

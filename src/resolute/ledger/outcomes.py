"""`Outcomes`: what a request for a row came to, or what settles it without one.

Each is put into the book at once; what has to be committed, and who has something to do now, comes back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from resolute.clock import Clock, Randomness
from resolute.errors import ProviderError, ProviderOutcomeUnknown, ProviderRejected
from resolute.ledger import lanes
from resolute.ledger.book import Book, Lane
from resolute.ledger.confirmation import CONFIRM_AFTER, CONFIRMED_AT_ONCE, can_confirm
from resolute.ledger.intent import PagingService, SendAnswer
from resolute.ledger.row import Row
from resolute.ledger.shared import Granted, SettledElsewhere

log = logging.getLogger("resolute.ledger")


@dataclass(frozen=True)
class Outcome:
    """What one try at a row came to.

    Attributes:
        row: the row as it is now.
        changed: rows to be committed, this one among them when it changed.
        wake: rows whose waiter has something to do now.
        until: when to try again; None with an unsettled row means: when the row before it is done.
    """

    row: Row
    changed: tuple[Row, ...] = ()
    wake: tuple[Row, ...] = ()
    until: datetime | None = None


class Outcomes:
    """Those of one incident log.

    Attributes:
        begun: the rows of which a request is on its way.
        granted: row id → its claim of a shared ledger, and when that was asked for.
    """

    def __init__(
        self,
        book: Book,
        clock: Clock,
        randomness: Randomness,
        services: Mapping[tuple[str, str], PagingService],
        scrub: Callable[[str], str],
    ) -> None:
        self._book = book
        self._clock = clock
        self._randomness = randomness
        self._services = services
        self._scrub = scrub
        self.begun: set[int] = set()
        self.granted: dict[int, tuple[Granted, float]] = {}

    def begin(self, row: Row, now: datetime) -> Row:
        """A request of the row leaves now."""
        self.begun.add(row.id)
        self._book.lanes[row.lane].busy = row.id
        begun = replace(row, status="sending", attempts=row.attempts + 1, sent_at=now, due_at=None, held_until=None)
        return self._book.put(begun)

    def _release(self, row: Row) -> Lane:
        lane = self._book.lanes[row.lane]
        self.begun.discard(row.id)
        self.granted.pop(row.id, None)
        if lane.busy == row.id:
            lane.busy = None
        return lane

    def accepted(self, row: Row, answer: SendAnswer, now: datetime) -> Outcome:
        """The service has the row's event: now, or as a look-up says."""
        lane = self._book.lanes[row.lane]
        changed: list[Row] = []
        elsewhere = self.granted[row.id][0] if row.id in self.granted else Granted()
        remarks = row.remarks
        folded_into = None
        late = lanes.lateness(row, row.sent_at or now)
        repeat_at = None
        if row.action == "trigger":
            alert = next((other for other in lane.rows if other.status == "accepted" and other.is_open), None)
            if alert is not None:
                folded_into = alert.id
                age = now - alert.since
                remarks = (*remarks, f"folded into the open alert of row {alert.id}, {_age(age)} old")
                if age > lanes.FOLD_WARNS_AFTER:
                    log.warning(
                        "row %d (%s): the alert is open since row %d, %s: nobody may have been notified this time",
                        row.id, row.dedup_key, alert.id, _age(age),
                    )  # fmt: skip
            elif elsewhere.alert_id is not None:
                remarks = (*remarks, f"folded into the open alert of row {elsewhere.alert_id} of the shared ledger")
            else:
                repeat_at = self._confirm_at(row, now)
            if late:
                remarks = (*remarks, f"{_age(late)} late")
        elif row.action == "resolve":
            over = [other for other in lane.rows if other.is_open and other.is_settled and other.id < row.id]
            newer = [other for other in lane.rows if other.id > row.id and not other.is_settled]
            is_back = any(other.action == "trigger" for other in newer)
            arrives = elsewhere.may_arrive or any(lanes.may_still_arrive(other, now) for other in over)
            if not is_back and arrives:
                repeat_at = now + lanes.SECOND_RESOLVE
            changed.extend(self._book.put(replace(other, is_open=False)) for other in over)
        row = replace(
            row,
            remarks=remarks,
            folded_into=folded_into,
            is_open=row.action == "trigger" and folded_into is None,
            late_s=late.total_seconds(),
            response_status=answer.status,
            error_message="",
            unknown_since=None,
            repeat_at=repeat_at,
        )
        outcome = self.settled(row, "accepted", answer.message, now)
        return replace(outcome, changed=(*changed, *outcome.changed))

    def failed(self, row: Row, error: ProviderError, *, wait: timedelta | None = None) -> Outcome:
        """A request has failed, or could not be made.

        Args:
            wait: how long to wait for the next one, unless the service names a delay; the row's retry says it else.
        """
        now = self._clock.now()
        text = self._scrub(str(error))[:2000]
        if isinstance(error, ProviderRejected):
            rejected = replace(row, response_status="invalid event", error_message=text)
            return self.settled(rejected, "rejected", text, now)
        lane = self._release(row)
        unknown_since = row.unknown_since
        if isinstance(error, ProviderOutcomeUnknown) and unknown_since is None:
            unknown_since = row.sent_at
        held_until = self.named_delay(row, error, now)
        due_at = held_until or now + (wait or self._backoff(row))
        row = self._book.put(
            replace(
                row,
                status="pending" if unknown_since is None else "sending",
                unknown_since=unknown_since,
                due_at=min(due_at, max(now, lanes.ends_at(row))),
                held_until=held_until,
                error_message=text,
            )
        )
        changed = self._book.advance(lane, now)
        row = next((other for other in changed if other.id == row.id), row)
        rows = (row, *(other for other in changed if other.id != row.id))
        return Outcome(row, rows, self._book.wakes(lane, rows, row), until=None if row.is_settled else row.due_at)

    def _backoff(self, row: Row) -> timedelta:
        initial, coefficient, maximum, jitter, _ = row.retry
        wait = timedelta(seconds=min(maximum, initial * coefficient ** min(max(row.attempts, 1) - 1, 60)))
        return wait * (1 - jitter * self._randomness.random())

    def named_delay(self, row: Row, error: Exception, now: datetime) -> datetime | None:
        """The end of a delay that the server named, noted for everything of the routing key."""
        if not isinstance(error, ProviderError) or error.retry_after is None or error.retry_after <= timedelta(0):
            return None
        until = now + min(error.retry_after, lanes.LONGEST_HOLD)
        self._book.hold(row.host_key, now, until)
        return until

    def settled(self, row: Row, status: str, message: str, now: datetime) -> Outcome:
        """Nothing of the row is sent any more."""
        lane = self._release(row)
        row = replace(row, status=status, message=message, settled_at=now, due_at=None)  # type: ignore[arg-type]
        if status != "accepted":
            row = replace(row, is_open=row.action == "trigger" and row.is_unknown)
        row = self._book.put(row)
        changed = (row, *self._book.advance(lane, now))
        if lanes.head(lane.rows) is None:
            self._book.pace(row).leave(row.lane)
        return Outcome(row, changed, self._book.wakes(lane, changed, row))

    def settled_elsewhere(self, row: Row, claim: SettledElsewhere, now: datetime) -> Outcome:
        """The same, as another worker has settled it."""
        row = replace(row, response_status=claim.response_status, error_message="", unknown_since=None)
        outcome = self.settled(row, claim.status, claim.message, now)
        row = self._book.put(replace(outcome.row, is_open=claim.is_open, repeat_at=None))
        return replace(outcome, row=row, changed=(row, *(each for each in outcome.changed if each.id != row.id)))

    def _confirm_at(self, row: Row, now: datetime) -> datetime | None:
        """When the look-up of a page that is accepted now is due, None for no look-up."""
        if len(self._book.followed) >= CONFIRMED_AT_ONCE:
            return None
        service = self._services.get((row.service, row.instance))
        return now + CONFIRM_AFTER if can_confirm(service) else None


def _age(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"

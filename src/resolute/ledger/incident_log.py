"""`IncidentLog`: the unsettled part of the ledger in memory, and the one way in which a row is sent.

It belongs to the engine that owns the store. Every change comes back as rows to be committed; the
engine commits them in the order in which they were made, so what is decided here may be relied on
at once: nothing later can be durable before it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta

from resolute.clock import Clock, Randomness, monotonic
from resolute.errors import (
    ConfigError,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderRejected,
    ProviderUnavailable,
    StoreUnavailable,
)
from resolute.ledger import lanes
from resolute.ledger.book import Book, Lane
from resolute.ledger.confirmation import NOBODY, is_confirmed
from resolute.ledger.intent import PagingService, SendAnswer
from resolute.ledger.outcomes import Outcome, Outcomes
from resolute.ledger.pace import stated_limit
from resolute.ledger.row import DEFERRED, Row
from resolute.ledger.shared import Busy, Claim, Granted, SettledElsewhere, SharedLedger

log = logging.getLogger("resolute.ledger")

TOO_MANY_REQUESTS = 429
#: How long to wait when a routing key cannot be read: its owner has to act.
KEY_MISSING_WAIT = timedelta(seconds=60)
#: How soon to look again at a lane with a request on its way, should nobody wake its next row.
IN_FLIGHT_CHECK = timedelta(seconds=5)
#: How soon an event that needs the shared ledger's order asks it again.
LEDGER_WAIT = timedelta(seconds=2)
#: A claim is asked for again before a request that begins so much later.
CLAIM_AGES_S = 10.0


class KeyGone(Exception):
    """The routing key lived only in the memory of a process that has ended."""


Write = Callable[[Sequence[Row]], Awaitable[None]]


class IncidentLog:
    """Decides, sends and settles rows."""

    def __init__(
        self,
        *,
        clock: Clock,
        randomness: Randomness,
        services: Mapping[tuple[str, str], PagingService],
        routing_key: Callable[[Row], str],
        scrub: Callable[[str], str],
        slots: AbstractAsyncContextManager[object] | None = None,
        resolve_expires: timedelta = lanes.RESOLVE_EXPIRES,
        shared: SharedLedger | None = None,
    ) -> None:
        self._clock = clock
        self._services = services
        self._routing_key = routing_key
        self._scrub = scrub
        self._slots = nullcontext() if slots is None else slots
        self._resolve_expires = resolve_expires
        self._shared = shared
        self.open_elsewhere: frozenset[str] = frozenset()
        self._book = Book(lambda row: stated_limit(services.get((row.service, row.instance))))
        self._outcomes = Outcomes(self._book, clock, randomness, services, scrub)
        self._at_work: set[int] = set()
        self._next_id = 1

    # What is known

    @property
    def open_keys(self) -> frozenset[str]:
        """The dedup keys for which an alert is, or may be, open. A snapshot that never changes."""
        return self._book.open_keys | self.open_elsewhere if self.open_elsewhere else self._book.open_keys

    def row(self, row_id: int) -> Row | None:
        """A row that still matters; None for one that was settled and taken long ago."""
        return self._book.rows.get(row_id)

    def unsettled(self) -> list[Row]:
        """Every unsettled row, oldest first."""
        return [row for _, row in sorted(self._book.rows.items()) if not row.is_settled]

    def load(self, rows: Iterable[Row], next_id: int) -> list[Row]:
        """Take up the rows of a store that was just opened; returns those that changed by it.

        A request that was on its way when the last owner ended is of unknown outcome.
        """
        self._next_id = next_id
        changed = []
        for row in sorted(rows, key=lambda row: row.id):
            if row.status == "sending" and row.due_at is None:
                sent_at = row.sent_at or row.created_at
                due_at = min(sent_at, self._clock.now())  # at once; and it says that nothing is on its way
                row = replace(row, lost=row.lost + 1, unknown_since=row.unknown_since or sent_at, due_at=due_at)
                changed.append(row)
            if row.is_settled:  # a node that has not taken it yet reads it from the store
                row = replace(row, awaited=False)
            self._book.put(row)
            if row.held_until is not None and not row.is_settled:
                self._book.hold(row.host_key, row.sent_at or row.created_at, row.held_until)
        return changed

    def follow_ups(self) -> list[Row]:
        """The rows that the engine itself has to see to: no node waits for them, or a repeat is due."""
        return [self._book.rows[row_id] for row_id in sorted(self._book.followed)]

    def follow_up_at(self, row: Row) -> datetime | None:
        """When such a row is due; None for at once, or as soon as the row before it is done."""
        return lanes.waits_until(row, self._clock.now())

    def closed_elsewhere(self, open_lanes: frozenset[str]) -> list[Row]:
        """Take the alerts for closed that are in none of these lanes any more; the rows that changed."""
        return [
            self._book.put(replace(row, is_open=False))
            for row in list(self._book.rows.values())
            if row.is_settled and row.is_open and row.lane not in open_lanes
        ]

    # Deciding

    def record(self, make: Callable[[int], Row]) -> Outcome:
        """Write down a send in the batch before its first attempt.

        Args:
            make: makes the row for the id that it is given.
        """
        now = self._clock.now()
        row = make(self._next_id)
        self._next_id += 1
        if row.is_settled:  # refused before any attempt
            return Outcome(self._book.put(row), (row,))
        lane = self._book.lane(row.lane)
        changed: list[Row] = []
        if row.action == "trigger":
            for other in list(lane.rows):
                if other.is_settled and other.repeat_at is not None:
                    changed.append(self._book.put(replace(other, repeat_at=None)))
        held = self._book.held(row, now)
        row = self._book.put(replace(row, held_until=held))
        if lane.busy is None:
            changed.extend(self._book.advance(lane, now))
            row = self._book.rows[row.id]
            goes_now = lanes.head(lane.rows) is row and held is None and self._shared is None
            if goes_now and self._book.pace(row).turn(row, now) is None:
                row = self._outcomes.begin(row, now)  # with a shared ledger its lane has to be claimed first
        wake = tuple(other for other in changed if other.awaited and other.is_settled)
        return Outcome(row, (*changed, row), wake)

    def leave(self, row_id: int) -> Row:
        """Say that no node waits for the row any more; sending goes on as the row's own follow-up."""
        return self._book.put(replace(self._book.rows[row_id], awaited=False))

    def interrupt(self, row_id: int) -> Row:
        """Say that the process that held the row's key has ended: no node waits for it, and it is settled at once."""
        return self._book.put(replace(self._book.rows[row_id], awaited=False, due_at=None))

    def reopen(self, row: Row, now: datetime, deadline_s: float | None = None) -> Row:
        """Take a row up again as if it were decided now; what is unknown of it stays unknown.

        Args:
            deadline_s: for how long it is tried; as before when not given.
        """
        return self._book.put(
            replace(
                row,
                status="sending" if row.is_unknown else "pending",
                created_at=now,
                since=now,
                deadline_s=row.deadline_s if deadline_s is None else deadline_s,
                message="",
                error_message="",
                due_at=None,
                settled_at=None,
                awaited=True,
            )
        )

    def is_at_work(self, row_id: int) -> bool:
        """Whether something is being done with the row: its lane is claimed, it is looked up or sent."""
        return row_id in self._at_work

    def may_be_sent(self, row_id: int) -> bool:
        """Whether an unsettled row may have reached the service."""
        row = self._book.rows[row_id]
        return row.is_unknown or row.id in self._outcomes.begun

    def cancel(self, row_id: int) -> Outcome:
        """Settle a row of a cancelled run that was never sent; any other stays as it is, without a waiter."""
        row = self._book.rows[row_id]
        if row.is_settled or self.may_be_sent(row_id):
            row = self.leave(row_id)
            return Outcome(row, (row,))
        return self._outcomes.settled(
            replace(row, awaited=False), "cancelled", "its run was cancelled", self._clock.now()
        )

    def settle_elsewhere(self, row_id: int, claim: SettledElsewhere) -> Outcome:
        """Settle a row as another worker has: nothing was done with it here since, and no node waits for it."""
        row = replace(self._book.rows[row_id], awaited=False)
        return self._outcomes.settled_elsewhere(row, claim, self._clock.now())

    def taken(self, row_id: int) -> None:
        """Forget a settled row once its node has its output, unless something still follows."""
        row = self._book.rows.get(row_id)
        if row is not None and row.is_settled:
            self._book.put(replace(row, awaited=False))

    # Sending

    async def attempt(self, row_id: int, write: Write) -> Outcome:
        """Do what is to be done with a row now: at most one request. Who comes while another is at it looks again.

        Args:
            write: commits rows and returns when they are durable; nothing is sent before.
        """
        row = self._book.rows[row_id]
        if row_id in self._at_work:
            return Outcome(row, until=self._clock.now() + IN_FLIGHT_CHECK)
        self._at_work.add(row_id)
        try:
            return await self._attempt(row, write)
        finally:
            self._at_work.discard(row_id)
            self._book.pace(row).ended(row)

    async def _attempt(self, row: Row, write: Write) -> Outcome:
        row_id, now = row.id, self._clock.now()
        lane = self._book.lanes[row.lane]
        if row.is_settled:
            if row.repeat_at is None:
                return Outcome(row)
            if row.action == "trigger":
                return await self._confirm(row)
            until = self._repeat_waits(row, lane, now)
            return await self._repeat(row, lane, write) if until is None else Outcome(row, until=until)
        may_repeat = row.may_repeat
        if row.id not in self._outcomes.begun:
            move = lanes.next_move(row, now, resolve_expires=self._resolve_expires)
            if lane.busy is None and isinstance(move, lanes.Settle):
                return self._outcomes.settled(row, move.status, move.reason, now)
            if lane.busy is not None or lanes.head(lane.rows) is not row:
                soonest, latest = now + IN_FLIGHT_CHECK, now + lanes.TURN_CHECK
                return Outcome(row, until=max(soonest, min(lanes.ends_at(row), latest)))
            held = self._book.held(row, now)
            if isinstance(move, lanes.Turn) or held is not None:
                until = max(filter(None, (held, move.until if isinstance(move, lanes.Turn) else None)))
                return Outcome(row, until=until)
            until = self._book.pace(row).turn(row, now)
            if until is not None:
                return Outcome(row, until=min(until, lanes.ends_at(row)))
            if self._shared is not None:
                outcome = await self._claim(row, lane)
                if outcome is not None:
                    return outcome
                row, now = self._book.rows[row_id], self._clock.now()
                move = lanes.next_move(row, now, resolve_expires=self._resolve_expires)
                if isinstance(move, lanes.Settle):
                    return self._outcomes.settled(row, move.status, move.reason, now)
            if isinstance(move, lanes.LookUp):
                found = await self._look_up(row, lane, move.since)
                now = self._clock.now()
                row = self._book.rows[row_id]
                if found:
                    return self._outcomes.accepted(row, SendAnswer("found at the service by look-up"), now)
                changed = self._book.advance(lane, now)
                if changed:  # a newer decision came in between and took the place of this row
                    row = next(other for other in changed if other.id == row_id)
                    return Outcome(row, tuple(changed), self._book.wakes(lane, changed, row))
                may_repeat = found is None
        return await self._send(row, lane, may_repeat, write)

    async def _claim(self, row: Row, lane: Lane) -> Outcome | None:
        """Ask the shared ledger for the lane; None when the row may be sent now."""
        assert self._shared is not None
        lane.busy, began_s = row.id, monotonic()
        claim: Claim | None = None
        try:
            claim = await self._shared.claim(row)
        except StoreUnavailable as error:
            log.info("row %d: %s", row.id, error)
        finally:
            lane.busy = None
        now, row = self._clock.now(), self._book.rows[row.id]
        changed = self._book.advance(lane, now)
        if changed:  # a newer decision came in between and took the place of this row
            row = next(other for other in changed if other.id == row.id)
            return Outcome(row, tuple(changed), self._book.wakes(lane, changed, row))
        if isinstance(claim, Granted):
            self._outcomes.granted[row.id] = claim, began_s
            if row.is_deferred:  # by an attempt before; the ledger has its row now
                row = replace(row, remarks=tuple(text for text in row.remarks if text != DEFERRED))
            self._book.put(as_left(row, claim, now))
            return None
        if isinstance(claim, Busy):
            return Outcome(row, until=now + timedelta(seconds=claim.wait_s))
        if isinstance(claim, SettledElsewhere):
            return self._outcomes.settled_elsewhere(row, claim, now)
        if row.action == "trigger":
            if not row.is_deferred:
                self._book.put(replace(row, remarks=(*row.remarks, DEFERRED)))
            return None
        told = "the shared ledger cannot be asked, and this needs its order"
        row = self._book.put(replace(row, due_at=now + LEDGER_WAIT, error_message=told))
        return Outcome(row, (row,), until=row.due_at)

    async def _still_claimed(self, row: Row) -> None:
        """Make sure that the claim did not age while the row waited for its slot; raises ProviderUnavailable."""
        granted = self._outcomes.granted.get(row.id)
        if self._shared is None or granted is None or monotonic() - granted[1] < CLAIM_AGES_S:
            return
        try:
            claim = await self._shared.claim(row)
        except StoreUnavailable as error:
            log.info("row %d: %s", row.id, error)
            return
        if not isinstance(claim, Granted):
            raise ProviderUnavailable("another worker came first", retry_after=timedelta(seconds=0.25))

    async def _send(self, row: Row, lane: Lane, may_repeat: bool, write: Write) -> Outcome:
        try:
            key = self._routing_key(row)
            service = self._service(row)
        except KeyGone:
            return await self._key_gone(row, lane)
        except ConfigError as error:
            return self._outcomes.failed(row, ProviderUnavailable(str(error)), wait=KEY_MISSING_WAIT)
        if row.id not in self._outcomes.begun:
            row = self._outcomes.begin(replace(row, may_repeat=may_repeat), self._clock.now())
            await write([row])
        try:
            answer = await self._request(row, service, key)
        except ProviderError as error:
            return self._outcomes.failed(self._book.rows[row.id], error)
        outcome = self._outcomes.accepted(self._book.rows[row.id], answer, self._clock.now())
        return replace(outcome, wake=(*outcome.wake, *self._book.freed(row)))

    async def _request(self, row: Row, service: PagingService, key: str) -> SendAnswer:
        pace = self._book.pace(row)
        try:
            async with self._slots:
                await self._still_claimed(row)
                event = row.event
                if row.action == "trigger":
                    event = service.dated(event, row.since, lanes.lateness(row, self._clock.now()))
                answer = await service.send(event, key)
            pace.took(row, self._clock.now())
            return answer
        except ProviderError as error:
            if error.status == TOO_MANY_REQUESTS:
                pace.refused(row, self._clock.now())
            elif isinstance(error, ProviderOutcomeUnknown):
                pace.took(row, self._clock.now(), is_certain=False)
            raise
        except Exception as error:  # a fault in a provider must cost neither the page nor the lane
            pace.took(row, self._clock.now(), is_certain=False)
            log.exception("row %d: %s failed in an unforeseen way", row.id, row.service)
            reason = f"{row.service} failed in an unforeseen way: {type(error).__name__}"
            raise ProviderOutcomeUnknown(reason) from error

    async def _look_up(self, row: Row, lane: Lane, since: datetime) -> bool | None:
        """The same as `was_received`; the lane is busy meanwhile."""
        lane.busy = row.id
        try:
            return await self.was_received(row, since)
        finally:
            lane.busy = None

    async def was_received(self, row: Row, since: datetime) -> bool | None:
        """Whether an earlier request of a row was applied; None when that cannot be told."""
        try:
            service = self._service(row)
            sent = row.unknown_since or row.created_at
            until = max(self._clock.now(), sent) + lanes.LOOK_BACK
            found = await service.was_received(row.dedup_key, since, until, sent=sent)
        except Exception as error:  # whatever it is, the page goes out
            reason = f"{type(error).__name__}: {error}"
            log.warning("row %d: the look-up before the repeat failed: %s", row.id, self._scrub(reason))
            return None
        return None if found and self._is_shared(row) else found

    def _is_shared(self, row: Row) -> bool:
        """Whether another routing key was sent this dedup key: a look-up finds the incidents of both."""
        return any(
            other.dedup_key == row.dedup_key and other.lane != row.lane and other.action == "trigger" and other.attempts
            for other in self._book.rows.values()
        )

    async def _key_gone(self, row: Row, lane: Lane) -> Outcome:
        """The process that held the key has ended: ask what became of the request, else give up."""
        if row.unknown_since is not None and row.action == "trigger":
            found = await self._look_up(row, lane, row.unknown_since - lanes.LOOK_BACK)
            row = self._book.rows[row.id]
            if found:
                return self._outcomes.accepted(row, SendAnswer("found at the service by look-up"), self._clock.now())
        sent = "sent, outcome unknown" if row.is_unknown else "never sent"
        reason = f"interrupted: the process that held its key ended ({sent})"
        return self._outcomes.settled(row, "undelivered", reason, self._clock.now())

    def _service(self, row: Row) -> PagingService:
        found = self._services.get((row.service, row.instance))
        if found is None:
            via = f' with name="{row.instance}"' if row.instance else ""
            raise ConfigError(
                f'The provider "{row.service}"{via} was not given to the worker, and row {row.id} is sent by it. '
                "Add it: Worker(..., providers=[...])."
            )
        return found

    # What follows an accepted page: one look-up whether an incident came of it

    async def _confirm(self, row: Row) -> Outcome:
        now = self._clock.now()
        until = lanes.waits_until(row, now)
        if until is not None:
            return Outcome(row, until=until)
        service = self._services.get((row.service, row.instance))
        found = await is_confirmed(service, row, now, self._scrub)
        known = self._book.rows.get(row.id)
        if known is None or known.repeat_at is None:  # a newer page has dropped it meanwhile
            return Outcome(replace(row, repeat_at=None))
        remarks = (*known.remarks, NOBODY) if found is False else known.remarks
        row = self._book.put(replace(known, repeat_at=None, remarks=remarks))
        return Outcome(row, (row,))

    # A second request of an accepted resolve

    def _repeat_waits(self, row: Row, lane: Lane, now: datetime) -> datetime | None:
        """Until when a settled row has to wait for its second request, None when that is due."""
        if lane.busy is not None:
            return now + IN_FLIGHT_CHECK
        until = lanes.waits_until(row, now) or self._book.held(row, now)
        return until or self._book.pace(row).turn(row, now)

    async def _repeat(self, row: Row, lane: Lane, write: Write) -> Outcome:
        if self._shared is not None and (postponed := await self._claim_repeat(row, lane)) is not None:
            return postponed
        lane.busy = row.id
        row = self._book.put(replace(row, attempts=row.attempts + 1, sent_at=self._clock.now()))
        again: datetime | None = None
        try:
            await write([row])
            await self._request(row, self._service(row), self._routing_key(row))
        except (ProviderError, ConfigError, KeyGone) as error:
            again = self._repeat_again(row, error)
        finally:
            lane.busy = None
        changed: list[Row] = []
        known = self._book.rows.get(row.id)
        if known is None or known.repeat_at is None:  # a newer page has dropped it meanwhile
            row = replace(row, repeat_at=None)
        else:
            row = self._book.put(replace(known, repeat_at=again))
            changed.append(row)
        changed.extend(self._book.advance(lane, self._clock.now()))
        wakes = (*self._book.wakes(lane, changed, row), *self._book.freed(row))
        return Outcome(row, tuple(changed), wakes, until=row.repeat_at)

    async def _claim_repeat(self, row: Row, lane: Lane) -> Outcome | None:
        """Ask whether a second resolve does no harm to another worker's newer page; None when it may be sent."""
        assert self._shared is not None
        lane.busy = row.id
        again: datetime | None
        try:
            claim = await self._shared.claim(row)
        except StoreUnavailable as error:
            log.info("row %d: %s", row.id, error)
            again = self._repeat_again(row, error)
        else:
            if isinstance(claim, Granted):
                return None
            again = self._clock.now() + timedelta(seconds=claim.wait_s) if isinstance(claim, Busy) else None
        finally:
            lane.busy = None
        known = self._book.rows.get(row.id)
        if known is None or known.repeat_at is None:
            return Outcome(replace(row, repeat_at=None))
        row = self._book.put(replace(known, repeat_at=again))
        return Outcome(row, (row,), until=again)

    def _repeat_again(self, row: Row, error: Exception) -> datetime | None:
        now = self._clock.now()
        if isinstance(error, ProviderRejected | KeyGone) or now - (row.settled_at or now) >= lanes.SECOND_RESOLVE_FOR:
            return None
        named = self._outcomes.named_delay(row, error, now)
        return max(now + lanes.SECOND_RESOLVE, named or now)


def as_left(row: Row, claim: Granted, now: datetime) -> Row:
    """The row as another worker has left it, where that came further."""
    row = replace(row, attempts=max(row.attempts, claim.attempts), lost=max(row.lost, claim.lost))
    if claim.unknown_since is None:
        return row
    since = min(claim.unknown_since, row.unknown_since or claim.unknown_since)
    return replace(row, status="sending", unknown_since=since, due_at=now)

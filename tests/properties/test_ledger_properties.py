"""Random histories of `IncidentLog` against a small model: decisions, slow disks, lost answers, crashes.

The model knows what was handed to the disk, what lies on it, and what the service has made of the
requests. It never asks the log what it means to do; it only checks what the log does.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from resolute.errors import ProviderError, ProviderUnavailable
from resolute.ledger import lanes
from resolute.ledger.incident_log import IncidentLog
from resolute.ledger.row import Action, Row
from tests.unit.ledger.desk import ANSWERS, HandClock, Service, Try, make_row, seconds

LANES = [("disk", "k1"), ("cpu", "k1"), ("disk", "k2")]
LATE = seconds(5)  # how long after its connection was cut a trigger may still take effect


@dataclass
class Batch:
    """Rows on their way to the disk; `wakes` are told when they are there."""

    rows: Sequence[Row]
    wakes: Sequence[int] = ()
    writer: Try | None = None


@dataclass
class Alerts:
    """What the service made of the requests: which lanes have an open alert, and what is still to arrive."""

    open: set[str] = field(default_factory=set)
    late: list[tuple[datetime, str]] = field(default_factory=list)

    def apply(self, row: Row) -> None:
        if row.action == "trigger":
            self.open.add(row.lane)
        elif row.action == "resolve":
            self.open.discard(row.lane)

    def settle(self, now: datetime) -> None:
        """Let arrive what is due."""
        self.open.update(lane for at, lane in self.late if at <= now)
        self.late = [(at, lane) for at, lane in self.late if at > now]


def may_be_open(rows: Sequence[Row]) -> frozenset[str]:
    """The dedup keys for which the log must say that an alert may be open."""
    found = set()
    for row in rows:
        if row.action != "trigger":
            continue
        closed = any(
            other.lane == row.lane and other.id > row.id and other.action == "resolve" and other.status == "accepted"
            for other in rows
        )
        if not row.is_settled or (not closed and (row.status == "accepted" or row.is_unknown)):
            found.add(row.dedup_key)
    return frozenset(found)


class Ledger(RuleBasedStateMachine):
    """One machine: drivers that try rows as runs and the engine's follow-ups would, a disk, a service."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.service = Service()
        self.disk: dict[int, Row] = {}
        self.latest: dict[int, Row] = {}
        self.queue: list[Batch] = []
        self.alerts = Alerts()
        self.woken: list[int] = []  # a Try appends to it; wakes travel with their batch instead
        self._reset()

    @initialize(seed=st.integers(0, 2**16))
    def start(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.log = self._open()

    def _open(self) -> IncidentLog:
        return IncidentLog(
            clock=self.clock,
            randomness=self.random,
            services={("pagerduty", ""): self.service},
            routing_key=lambda row: "r" * 32,
            scrub=lambda text: text,
        )

    def _reset(self) -> None:
        self.tries: dict[int, Try] = {}
        self.parked: dict[int, datetime | None] = {}  # rows that a run waits for: until when; None for now
        self.naps: dict[int, datetime] = {}  # follow-ups that were told to come back
        self.holds: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)  # since when, until when

    # The disk

    def hand_in(self, rows: Sequence[Row]) -> None:
        """What a Try writes: it goes on when that is on disk."""
        self._queue(Batch(rows))

    def _queue(self, batch: Batch) -> None:
        if batch.rows or batch.wakes:
            self.latest.update({row.id: row for row in batch.rows})
            self.queue.append(batch)

    @precondition(lambda self: self.queue)
    @rule()
    def write_a_batch(self) -> None:
        batch = self.queue.pop(0)
        self.disk.update({row.id: row for row in batch.rows})
        for row_id in batch.wakes:
            if row_id in self.parked:
                self.parked[row_id] = None
        if batch.writer is not None:
            batch.writer.go_on()
            self._look_at(batch.writer)

    # Decisions

    @rule(
        lane=st.sampled_from(LANES),
        action=st.sampled_from(["trigger", "resolve", "acknowledge"]),
        scheduled=st.booleans(),
    )
    def decide(self, lane: tuple[str, str], action: Action, scheduled: bool) -> None:
        key, digest = lane
        now = self.clock.now()
        outcome = self.log.record(
            lambda row_id: make_row(row_id, action, at=now, key=key, key_digest=digest, scheduled=scheduled)
        )
        assert outcome.row.id not in self.latest
        self._queue(Batch(outcome.changed, [row.id for row in outcome.wake]))
        self.parked[outcome.row.id] = None

    def _idle(self) -> list[int]:
        """Rows that a run waits for, whose batches are on disk and that are not being tried."""
        return [
            row_id
            for row_id in self.parked
            if row_id not in self.tries and self.latest[row_id] is self.disk.get(row_id)
        ]

    @precondition(lambda self: self._idle())
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """The fallback runs; sending goes on."""
        row_id = data.draw(st.sampled_from(self._idle()))
        del self.parked[row_id]
        if not self.latest[row_id].is_settled:
            self._queue(Batch([self.log.leave(row_id)]))

    @precondition(lambda self: self._idle())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        row_id = data.draw(st.sampled_from(self._idle()))
        del self.parked[row_id]
        if self.log.row(row_id) is not None:
            before = self.latest[row_id]
            outcome = self.log.cancel(row_id)
            assert outcome.row.status in (before.status, "cancelled")
            self._queue(Batch(outcome.changed, [row.id for row in outcome.wake]))

    # Trying

    def _ready(self) -> list[int]:
        now = self.clock.now()
        due = [row_id for row_id in self._idle() if self.parked[row_id] is None or self.parked[row_id] <= now]  # type: ignore[operator]
        for row in self.log.follow_ups():
            at = self.log.follow_up_at(row)
            if row.id not in self.tries and (at is None or at <= now) and self.naps.get(row.id, now) <= now:
                due.append(row.id)
        return due

    @precondition(lambda self: self._ready())
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self._begin(data.draw(st.sampled_from(self._ready())))

    def _begin(self, row_id: int) -> None:
        if self.log.row(row_id) is None:  # settled and read from the store
            assert self.latest[row_id].is_settled
            self.parked.pop(row_id, None)
            return
        attempt = self.tries[row_id] = Try(self, row_id)  # type: ignore[arg-type]
        self._look_at(attempt)

    def _look_at(self, attempt: Try) -> None:
        """Check what a try does now, and note its end."""
        row_id = attempt.row_id
        if attempt.waits == "write":
            self.queue[-1].writer = attempt
        elif attempt.waits == "send":
            self._check_request(self.latest[row_id])
        elif attempt.waits == "look":
            self._check_alone(self.latest[row_id])
        elif attempt.outcome is not None:
            del self.tries[row_id]
            self._end(attempt, row_id)

    def _end(self, attempt: Try, row_id: int) -> None:
        outcome = attempt.outcome
        assert outcome is not None
        wakes = [row.id for row in outcome.wake]
        if outcome.changed:  # a Try has handed the rows in
            self.queue[-1].wakes = wakes
        else:
            assert not wakes
        assert outcome.row.status == self.latest[row_id].status
        if outcome.row.is_settled:
            if row_id in self.parked:
                del self.parked[row_id]
                self.log.taken(row_id)
            return
        assert outcome.until is not None
        assert outcome.until > self.clock.now()
        assert outcome.until <= self.clock.now() + timedelta(hours=1)
        if row_id in self.parked:
            self.parked[row_id] = outcome.until
        else:
            self.naps[row_id] = outcome.until

    def _check_alone(self, row: Row) -> None:
        others = [other for other in self.tries.values() if other.waits in ("send", "look") and other.row_id != row.id]
        assert row.lane not in {self.latest[other.row_id].lane for other in others}, "two requests of one lane"

    def _check_request(self, row: Row) -> None:
        now = self.clock.now()
        self._check_alone(row)
        on_disk = self.disk[row.id]
        assert (on_disk.status, on_disk.attempts) == (row.status, row.attempts), "sent before it was on disk"
        begun = row.sent_at or now
        jumped = [until for since, until in self.holds[row.host_key] if since < begun < until]
        assert not jumped, "a delay that the server named was jumped"
        if row.is_settled:
            assert (row.action, row.status) == ("resolve", "accepted"), "a settled row was sent"
            assert row.repeat_at is not None
            assert row.repeat_at <= now
            return
        older = [other for other in self.latest.values() if other.lane == row.lane and other.id < row.id]
        assert all(other.is_settled for other in older), "not the oldest of its lane"
        assert row.status == "sending"
        if row.action == "resolve" and row.scheduled:
            assert row.sent_at is not None
            assert row.sent_at - row.created_at <= lanes.RESOLVE_EXPIRES, "sent although it had expired"

    def _waiting(self, what: str) -> list[int]:
        return [row_id for row_id, attempt in self.tries.items() if attempt.waits == what]

    @precondition(lambda self: self._waiting("send"))
    @rule(
        data=st.data(),
        answer=st.sampled_from(["accepted", "accepted", "unavailable", "unknown", "rejected", "wait", "fault"]),
        arrives=st.sampled_from(["now", "late", "never"]),
    )
    def answer(self, data: st.DataObject, answer: str, arrives: str) -> None:
        row_id = data.draw(st.sampled_from(self._waiting("send")))
        row = self.latest[row_id]
        if answer == "wait":
            wait = seconds(data.draw(st.sampled_from([0, 7, 300])))
            self.holds[row.host_key].append((self.clock.now(), self.clock.now() + wait))
            self._answer(row_id, ProviderUnavailable("429", retry_after=wait))
        elif answer == "fault":
            self._answer(row_id, ValueError("a fault in the provider"))
        else:
            self.alerts.settle(self.clock.now())
            if answer == "accepted" or (answer == "unknown" and arrives == "now"):
                self.alerts.apply(row)
            elif answer == "unknown" and arrives == "late" and row.action == "trigger":
                self.alerts.late.append((self.clock.now() + LATE, row.lane))
            self._answer(row_id, ANSWERS[answer])

    def _answer(self, row_id: int, answer: object) -> None:
        attempt = self.tries[row_id]
        attempt.go_on(answer)
        self._look_at(attempt)

    @precondition(lambda self: self._waiting("look"))
    @rule(data=st.data(), found=st.sampled_from([False, None, "error", "truth"]))
    def answer_a_look_up(self, data: st.DataObject, found: object) -> None:
        row_id = data.draw(st.sampled_from(self._waiting("look")))
        self.alerts.settle(self.clock.now())
        if found == "truth":
            found = self.latest[row_id].lane in self.alerts.open
        self._answer(row_id, ProviderError("no answer") if found == "error" else found)

    # Time and death

    @rule(seconds_=st.sampled_from([0.5, 2, 10, 61, 300, 1000]))
    def wait(self, seconds_: float) -> None:
        self.clock.advance(seconds(seconds_))
        self.alerts.settle(self.clock.now())

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """The process dies: of the batches on their way some are durable all the same."""
        for attempt in self.tries.values():
            attempt.drop()
        for batch in self.queue[: data.draw(st.integers(0, len(self.queue)))]:
            self.disk.update({row.id: row for row in batch.rows})
        self.queue.clear()
        self._reset()
        self._reload()
        self.latest = dict(self.disk)
        for row in self.log.unsettled():
            if row.awaited:
                self.parked[row.id] = None
            if row.held_until is not None:
                self.holds[row.host_key].append((row.sent_at or row.created_at, row.held_until))

    def _reload(self) -> None:
        self.log = self._open()
        matter = [row for row in self.disk.values() if not row.is_settled or row.is_open or row.repeat_at is not None]
        changed = self.log.load(matter, max(self.disk, default=0) + 1)
        self.disk.update({row.id: row for row in changed})
        unsettled = [row for _, row in sorted(self.disk.items()) if not row.is_settled]
        assert self.log.unsettled() == unsettled
        assert all(row.status == "pending" or row.is_unknown for row in unsettled)
        assert [row.id for row in self.log.follow_ups()] == [
            row.id
            for _, row in sorted(self.disk.items())
            if (row.repeat_at is not None if row.is_settled else not row.awaited)
        ]

    # What holds at any time

    @invariant()
    def memory_and_disk_tell_the_same(self) -> None:
        """Every change was handed in: what is known here is what a restart would know."""
        for row in self.log._book.rows.values():
            assert replace(row, awaited=True) == replace(self.latest[row.id], awaited=True)
        assert set(self.log._book.rows) >= {row.id for row in self.latest.values() if not row.is_settled}

    @invariant()
    def open_keys_are_those_of_the_model(self) -> None:
        assert self.log.open_keys == may_be_open(list(self.latest.values()))

    def teardown(self) -> None:
        """The service is healthy from now on: within half an hour every row is settled and nothing is owed."""
        end = self.clock.now() + timedelta(minutes=30)
        while self.queue or self.tries or self.log.unsettled() or self.log.follow_ups():
            assert self.clock.now() < end, f"not settled: {self.log.unsettled()}, owed: {self.log.follow_ups()}"
            self._drive()
            self.clock.advance(seconds(5))
            self.alerts.settle(self.clock.now())
            self.memory_and_disk_tell_the_same()
        self.open_keys_are_those_of_the_model()
        assert self.log._outcomes.begun == set()
        assert all(lane.busy is None for lane in self.log._book.lanes.values())
        self._check_alerts()
        self._reload()
        self.open_keys_are_those_of_the_model()

    def _drive(self) -> None:
        rounds = 0
        while self.queue or self.tries or self._ready():
            rounds += 1
            assert rounds < 100, "it goes round and round without any time passing"
            while self.queue:
                self.write_a_batch()
            for row_id in self._waiting("send"):
                self.alerts.apply(self.latest[row_id])
                self._answer(row_id, ANSWERS["accepted"])
            for row_id in self._waiting("look"):
                self._answer(row_id, False)
            for row_id in self._ready():
                self._begin(row_id)

    def _check_alerts(self) -> None:
        """Where the newest decision was accepted, the service shows it."""
        for lane in {row.lane for row in self.latest.values()}:
            rows = [row for row in self.latest.values() if row.lane == lane and row.action != "acknowledge"]
            if not rows:
                continue
            newest = max(rows, key=lambda row: row.id)
            if newest.status == "accepted" and newest.message == "Event processed":
                assert (lane in self.alerts.open) == (newest.action == "trigger"), f"{lane} after {newest.action}"


@pytest.mark.timeout(60)
def test_log_keeps_its_promises_in_any_history() -> None:
    """One request per lane, oldest first, written before sent, everything settled, nothing forgotten by a crash."""
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=150,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),  # add Phase.shrink to make a history that was found short; it takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )

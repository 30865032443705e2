"""What the ledger's tests share: rows, a clock moved by hand, and a desk where every step of a try is taken by hand.

A `Try` is one `IncidentLog.attempt` that stands still wherever it waits: for the disk, for an answer, for
a look-up. So a test says in which order things happen, and no event loop is needed.
"""

from __future__ import annotations

import random
import types
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from resolute.errors import ProviderOutcomeUnknown, ProviderRejected, ProviderUnavailable
from resolute.ledger.incident_log import IncidentLog
from resolute.ledger.intent import SendAnswer
from resolute.ledger.outcomes import Outcome
from resolute.ledger.row import Action, Row

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
HOST = "events.invalid"


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


class HandClock:
    """Stands still until it is moved, forward or back."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        return self._now

    def advance(self, delta: timedelta) -> None:
        self._now += delta


def make_row(
    id: int = 1, action: Action = "trigger", *, at: datetime = START, key: str = "disk", **changes: Any
) -> Row:
    """A row that became ready at `at`; lane and host follow the routing key's digest, `key_digest`."""
    digest = changes.setdefault("key_digest", "k1")
    row = Row(
        id=id,
        idempotency_key=f"run-{id}/page",
        run_no=id,
        run_id=f"run-{id}",
        position="page",
        flow="watch",
        scheduled=False,
        service="pagerduty",
        instance="",
        lane=f"{HOST}|{digest}|{key}",
        host_key=f"{HOST}|{digest}",
        action=action,
        dedup_key=key,
        title=f"{action} {key}",
        urgency="",
        body="",
        event={"event_action": action, "dedup_key": key},
        payload_digest="",
        key_secret="",
        service_key="•••• 1234",
        key_digest=digest,
        created_at=at,
        since=at,
    )
    return replace(row, **changes)


@types.coroutine
def _ask(*question: Any) -> Generator[tuple[Any, ...], Any, Any]:
    answer = yield question
    return answer


class Service:
    """A paging service whose answers the test gives; `can_look` is whether it can be asked what it received."""

    host = HOST
    can_look = True
    events_per_minute: int | None = None

    def routing_key(self) -> str | None:
        return "r" * 32

    async def send(self, event: Mapping[str, Any], routing_key: str) -> SendAnswer:
        answer: SendAnswer = await _ask("send", dict(event))
        return answer

    async def was_received(self, dedup_key: str, since: datetime, until: datetime, *, sent: datetime) -> bool | None:
        found: bool | None = await _ask("look", dedup_key, since, until) if self.can_look else None
        return found

    def dated(self, event: Mapping[str, Any], since: datetime, late: timedelta) -> dict[str, Any]:
        return {**event, "since": since, "late": late}


ANSWERS: Mapping[str, SendAnswer | Exception] = {
    "accepted": SendAnswer("Event processed"),
    "unavailable": ProviderUnavailable("503"),
    "unknown": ProviderOutcomeUnknown("the connection was cut"),
    "rejected": ProviderRejected("400 invalid event"),
}


class Try:
    """One attempt at a row; `waits` is what it waits for: "write", "send", "look", or "" when it has ended."""

    def __init__(self, desk: Desk, row_id: int) -> None:
        self.desk = desk
        self.row_id = row_id
        self.outcome: Outcome | None = None
        self.waits = ""
        self.question: tuple[Any, ...] = ()
        self._attempt = desk.log.attempt(row_id, self._write)
        self._step(None)

    async def _write(self, rows: Sequence[Row]) -> None:
        self.desk.hand_in(rows)
        await _ask("write", tuple(rows))

    def go_on(self, answer: object = None) -> None:
        """Give it what it waits for; an exception is raised there."""
        self._step(answer)

    def written(self) -> Try:
        """Let the disk finish, if that is what it waits for."""
        if self.waits == "write":
            self.go_on()
        return self

    def drop(self) -> None:
        """End it as the death of the process would."""
        self.waits = ""
        self._attempt.close()

    def _step(self, answer: object) -> None:
        try:
            go_on = self._attempt.throw if isinstance(answer, BaseException) else self._attempt.send
            question = go_on(answer)
        except StopIteration as end:
            outcome: Outcome = end.value
            self.outcome, self.waits, self.question = outcome, "", ()
            self.desk.hand_in(outcome.changed)
            self.desk.woken.extend(row.id for row in outcome.wake)
        else:
            self.waits, self.question = question[0], question[1:]


class Desk:
    """An `IncidentLog` with its disk; every batch is durable as soon as it is handed in.

    Attributes:
        disk: row id → the row as it is on disk.
        woken: ids of the rows whose waiter was woken, in order.
        sent: every event that left, in order.
    """

    def __init__(self, **options: Any) -> None:
        self.clock = HandClock()
        self.service = Service()
        self.services: dict[tuple[str, str], Any] = {("pagerduty", ""): self.service}
        self.disk: dict[int, Row] = {}
        self.woken: list[int] = []
        self.sent: list[dict[str, Any]] = []
        self._options = options
        self.log = self._open()

    def _open(self) -> IncidentLog:
        return IncidentLog(
            clock=self.clock,
            randomness=random.Random(0),
            services=self.services,
            routing_key=lambda row: "r" * 32,
            scrub=lambda text: text.replace("hunter22", "••••"),
            **self._options,
        )

    def hand_in(self, rows: Sequence[Row]) -> None:
        """Take rows to the disk."""
        self.disk.update({row.id: row for row in rows})

    def restart(self) -> list[Row]:
        """A new log on what lies on the disk; returns what changed by loading."""
        self.log = self._open()
        matter = [row for row in self.disk.values() if not row.is_settled or row.is_open or row.repeat_at is not None]
        changed = self.log.load(matter, max(self.disk, default=0) + 1)
        self.hand_in(changed)
        return changed

    def record(self, action: Action, *, key: str = "disk", **changes: Any) -> int:
        """A new send that was decided now; returns its id."""
        now = self.clock.now()
        outcome = self.log.record(lambda row_id: make_row(row_id, action, at=now, key=key, **changes))
        self.hand_in(outcome.changed)
        self.woken.extend(row.id for row in outcome.wake)
        return outcome.row.id

    def begin(self, row_id: int) -> Try:
        """A try, up to where it waits for the service or ends."""
        return Try(self, row_id).written()

    def answer(self, attempt: Try, answer: str | SendAnswer | Exception) -> Outcome:
        """Answer the request that a try waits for, and let it end."""
        assert attempt.waits == "send", f"row {attempt.row_id} waits for {attempt.waits or 'nothing'}"
        self.sent.append(attempt.question[0])
        attempt.go_on(ANSWERS[answer] if isinstance(answer, str) else answer)
        assert attempt.outcome is not None
        return attempt.outcome

    def send(self, row_id: int, answer: str | SendAnswer | Exception = "accepted") -> Outcome:
        """A whole try; a look-up on the way finds nothing."""
        attempt = self.begin(row_id)
        if attempt.waits == "look":
            attempt.go_on(False)
            attempt.written()
        return self.answer(attempt, answer)

    def look(self, row_id: int) -> Outcome:
        """A try that must end without asking the service anything."""
        attempt = self.begin(row_id)
        assert attempt.waits == "", f"row {row_id} asked the service: {attempt.question}"
        assert attempt.outcome is not None
        return attempt.outcome

    def status(self, row_id: int) -> str:
        """A row's status on disk."""
        return self.disk[row_id].status

    @property
    def actions(self) -> list[str]:
        """What left, in order."""
        return [event["event_action"] for event in self.sent]


def quietly(attempt: Try) -> None:
    """Drop a try and whatever it would say about that."""
    with suppress(RuntimeError):
        attempt.drop()

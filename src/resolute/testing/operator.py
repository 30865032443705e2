"""`Operator`: who answers the gates and cancels the runs of a test, as the test has said, and in virtual time.

It outlives the worker: what a worker had not taken in when it died is asked again of the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from resolute.clock import Clock
from resolute.engine import FINISHED, SignalOutcome
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.memory import Tables
from resolute.engines.embedded.store import Entry, Op
from resolute.testing.script import check_key

#: It looks at the clock no less often than this, for a test may set it forward.
LONGEST_NAP_S: Final = 30.0
#: Stands for a position where a run is cancelled.
CANCEL: Final = "~cancel"


@dataclass(frozen=True, eq=False)
class Answer:
    """A signal that answers one gate.

    Attributes:
        gate: its key, or its position where one among several is meant.
        after: how long the gate waits for it.
    """

    gate: str
    outcome: SignalOutcome
    by: str
    reason: str
    data: Any
    after: timedelta


@dataclass(frozen=True, eq=False)
class Cancel:
    """The end of the next run, this long after it has begun."""

    after: timedelta
    by: str
    reason: str


class Operator:
    """Answers each gate that waits with the first answer that is meant for it and that no other gate has had.

    Attributes:
        answers, cancels: what is still to be given.
        fault: why something could not be done, None while all is well.
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self.answers: list[Answer] = []
        self.cancels: list[Cancel] = []
        self.fault: BaseException | None = None
        self._tables = tables
        self._clock = clock
        self._given: dict[tuple[int, str], Answer] = {}
        self._heard: set[tuple[int, str]] = set()
        self._cancel: tuple[str, Cancel] | None = None
        self._engine: EmbeddedEngine | None = None
        self._planned: dict[tuple[int, str], tuple[asyncio.Task[None], datetime]] = {}

    def check(self, gates: Iterable[str]) -> None:
        """Raise ScriptError for an answer to a gate that no flow has."""
        known = list(gates)
        for answer in self.answers:
            if answer.gate.rpartition("/")[2] not in known:
                check_key("signal", answer.gate, known, "gate")

    def begin(self, engine: EmbeddedEngine, run_id: str) -> None:
        """Serve this worker from now on; the next cancel is meant for this run, which it has begun."""
        self._engine = engine
        if self._cancel is None or self._cancel[0] != run_id:
            self._cancel = (run_id, self.cancels.pop(0)) if self.cancels else None
        if self._cancel is not None and run_id in self._tables.run_no:
            cancel, run = self._cancel[1], self._tables.runs[self._tables.run_no[run_id]]
            self._plan((run.no, CANCEL), run.created_at + cancel.after, self._end(engine, run.no, cancel))
        for entries in list(self._tables.entries.values()):
            self.watch(entries.values())

    def leave(self) -> None:
        """Serve no worker until the next one has begun."""
        self._engine = None
        for task, _ in self._planned.values():
            task.cancel()
        self._planned.clear()

    def watch(self, written: Iterable[Op]) -> None:
        """See whether a gate has begun to wait."""
        engine = self._engine
        if engine is None:
            return
        for entry in written:
            if isinstance(entry, Entry) and entry.kind == "gate" and entry.status == "waiting":
                answer = self._answer_for(entry)
                if answer is not None and (entry.run_no, entry.position) not in self._planned:
                    deed = self._give(engine, entry, answer)
                    self._plan((entry.run_no, entry.position), entry.ready_at + answer.after, deed)

    @property
    def next_at(self) -> datetime | None:
        """When it does something next, None when it has nothing to do."""
        return min((at for _, at in self._planned.values()), default=None)

    def _answer_for(self, gate: Entry) -> Answer | None:
        place = (gate.run_no, gate.position)
        if self._tables.runs[gate.run_no].status in FINISHED:
            return None
        if place not in self._given:
            found = next((answer for answer in self.answers if answer.gate in (gate.key, gate.position)), None)
            if found is None:
                return None
            self.answers.remove(found)
            self._given[place] = found
        return self._given[place]

    def _plan(self, place: tuple[int, str], at: datetime, deed: Coroutine[Any, Any, None]) -> None:
        if place in self._heard:  # the worker has said that it is on disk: nobody asks twice
            deed.close()
            return
        task = asyncio.create_task(self._later(at, deed))
        self._planned[place] = task, at
        task.add_done_callback(lambda done: self._done(place, done))

    def _done(self, place: tuple[int, str], task: asyncio.Task[None]) -> None:
        if self._planned.get(place, (None,))[0] is task:
            del self._planned[place]
        error = None if task.cancelled() else task.exception()
        self.fault = self.fault or error

    async def _later(self, at: datetime, deed: Coroutine[Any, Any, None]) -> None:
        try:
            while (left_s := (at - self._clock.now()).total_seconds()) > 0:  # noqa: ASYNC110 - the clock is to be read
                await asyncio.sleep(min(left_s, LONGEST_NAP_S))
        except asyncio.CancelledError:
            deed.close()
            raise
        await deed

    async def _give(self, engine: EmbeddedEngine, gate: Entry, answer: Answer) -> None:
        run, entries = self._tables.runs[gate.run_no], self._tables.entries[gate.run_no]
        came = any(entry.kind == "signal" and entry.key == gate.position for entry in entries.values())
        if came or entries[gate.position].status != "waiting" or run.status in FINISHED:
            return
        how = {"by": answer.by, "reason": answer.reason, "data": answer.data}
        await engine.signal(run.id, gate.position, answer.outcome, **how)
        self._heard.add((gate.run_no, gate.position))

    async def _end(self, engine: EmbeddedEngine, run_no: int, cancel: Cancel) -> None:
        run = self._tables.runs[run_no]
        if run.status not in FINISHED and not run.stop:
            await engine.cancel(run.id, by=cancel.by, reason=cancel.reason)
            self._heard.add((run_no, CANCEL))

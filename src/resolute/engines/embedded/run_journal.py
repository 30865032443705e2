"""`RunJournal`: what a run has come by, in memory: its entries, whether it is being stopped, the answers it was given.

It is the same on every engine; an engine says what time it is, and how an entry that is put becomes durable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from resolute.engine import RunStopped, StepFailed
from resolute.engines.embedded.store import Entry, RunRow
from resolute.errors import ReplayMismatch

#: Longest error text that is kept.
ERROR_CHARS = 4000


class RunJournal(ABC):
    """One run.

    Attributes:
        entries: what it has come by, by position.
        shielded: whether a stop no longer ends it.
    """

    def __init__(self, row: RunRow, entries: Iterable[Entry]) -> None:
        self.row = row
        self.entries = {entry.position: entry for entry in entries}
        self.shielded = False
        known = self.entries.values()
        self._order = max((entry.order for entry in known), default=0)
        self._done_no = max((entry.done_no for entry in known), default=0)
        self._signals = sum(entry.kind == "signal" for entry in known)

    @property
    def run_id(self) -> str:
        return self.row.id

    @property
    def tick(self) -> tuple[str, datetime] | None:
        at = self.row.scheduled_at
        return None if at is None else (self.row.trigger, at)

    @property
    def retries(self) -> int:
        return self.row.retries

    # What an engine says

    @abstractmethod
    def now(self) -> datetime:
        """The time of the run."""

    @abstractmethod
    def put(self, entry: Entry) -> Entry:
        """Note an entry as it is now."""

    @abstractmethod
    def failed(self, entry: Entry, error: str) -> Entry:
        """The entry as it is when it has failed for good."""

    # Entries

    def new(self, position: str, kind: str, key: str, now: datetime, **fields: Any) -> Entry:
        """An entry that the journal does not have yet."""
        self._order += 1
        return Entry(self.row.no, position, self._order, kind, key, ready_at=now, **fields)

    def finish(self, entry: Entry, **changes: Any) -> Entry:
        """Note an entry as done."""
        self._done_no += 1
        return self.put(entry.but(status="done", done_no=self._done_no, finished_at=self.now(), **changes))

    def once(
        self, position: str, kind: str, key: str, make: Callable[[Entry, datetime], Entry], activity: str = ""
    ) -> Entry:
        """The entry of this position, made the first time; a StepFailed is recorded and raised then and ever after."""
        entry = self.entries.get(position)
        if entry is None:
            if kind != "result":  # all its steps are done: it may end in a run that is stopped
                self.may_begin()
            now = self.now()
            entry = self.new(position, kind, key, now, status="waiting", activity=activity)
            try:
                entry = make(entry, now)
            except StepFailed as failure:
                entry = self.failed(entry, failure.error)
            if entry.status == "done":
                self._done_no += 1
                entry = entry.but(done_no=self._done_no)
            self.put(entry)
        self.expect(entry, kind, activity)
        self.raise_ended(entry)
        return entry

    def expect(self, entry: Entry, kind: str, activity: str) -> None:
        """Raise ReplayMismatch when the flow now has something else at this position."""
        if entry.kind != kind or entry.activity != activity:
            recorded = entry.activity or entry.kind
            raise ReplayMismatch(
                f'Run {self.run_id} recorded "{recorded}" at "{entry.position}", but the flow now has '
                f'"{activity or kind}" there. Restore that step, or cancel the run and start it anew.'
            )

    def raise_ended(self, entry: Entry) -> None:
        """Raise what an entry has come to when that was no success."""
        if entry.status == "failed":
            raise StepFailed(entry.key, entry.error, position=entry.position)
        if entry.status == "cancelled":
            raise self.stopped()

    # Stopping

    @property
    def stopping(self) -> bool:
        """Whether the run is being stopped, and nothing new may begin."""
        return bool(self.row.stop) and not self.shielded

    def check(self) -> None:
        """Raise RunStopped when the run is being stopped."""
        if self.stopping:
            raise self.stopped()

    def may_begin(self) -> None:
        """Raise what ends a branch that would begin something new."""
        self.check()

    def shield(self, end: StepFailed | RunStopped) -> None:
        self.shielded = True

    def stopped(self) -> RunStopped:
        """What ends the branches of a run that is being stopped."""
        return RunStopped(self.row.stop_reason or self.row.stop, is_failure=self.row.stop == "timed_out")

    def cancelled(self, entry: Entry) -> RunStopped:
        """Note an entry as cancelled; returns what ends its branch."""
        self.put(entry.but(status="cancelled", due_at=None, finished_at=self.now()))
        return self.stopped()

    # Signals

    def keep_answer(self, gate: str, given_at: datetime, text: str) -> None:
        """Keep an answer for a gate until that takes it.

        Args:
            text: the answer as the journal holds it.
        """
        self.put(self.new(f"~signal[{self._signals}]", "signal", gate, given_at, status="waiting", output=text))
        self._signals += 1

    def signal_for(self, position: str, key: str) -> Entry | None:
        """The oldest answer that no gate has taken yet and that is meant for this one."""
        waiting = (
            entry
            for entry in self.entries.values()
            if entry.kind == "signal" and entry.status == "waiting" and entry.key in (key, position)
        )
        return min(waiting, key=lambda entry: entry.order, default=None)

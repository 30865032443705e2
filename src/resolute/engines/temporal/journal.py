"""`WorkflowJournal`: what a run on Temporal has come by, in the memory of its workflow.

It is not what makes the run durable: Temporal's history is, from which a replay makes the same journal again. It
answers who asks how the run stands, and is handed to the next execution of a run that goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from temporalio import workflow

from resolute.engine import RunStopped, StepFailed
from resolute.engines.embedded.run_state import ERROR_CHARS
from resolute.engines.embedded.store import Entry, RunRow
from resolute.engines.temporal.order import Standing
from resolute.engines.temporal.witness import Witness
from resolute.errors import ReplayMismatch
from resolute.model.codec import to_text


class WorkflowJournal:
    """One run in its workflow.

    Attributes:
        entries: what it has come by, by position.
        intents: what its unsettled pages mean to send, by position.
        shielded: whether a stop no longer ends it.
        witness: is told of what happens in it, None for nobody.
    """

    def __init__(self, standing: Standing, witness: Witness | None = None) -> None:
        self.row: RunRow = standing.row
        self.entries = {entry.position: entry for entry in standing.entries}
        self.intents = dict(standing.intents)
        self.shielded = False
        self.witness = witness
        self._order = max((entry.order for entry in standing.entries), default=0)
        self._done_no = max((entry.done_no for entry in standing.entries), default=0)
        self._signals = sum(entry.kind == "signal" for entry in standing.entries)

    @property
    def run_id(self) -> str:
        return self.row.id

    def standing(self) -> Standing:
        """How the run stands, to be handed on."""
        return Standing(self.row, list(self.entries.values()), self.intents)

    # Entries

    def new(self, position: str, kind: str, key: str, now: datetime, **fields: Any) -> Entry:
        """An entry that the journal does not have yet."""
        self._order += 1
        return Entry(self.row.no, position, self._order, kind, key, ready_at=now, **fields)

    def put(self, entry: Entry) -> Entry:
        self.entries[entry.position] = entry
        if self.witness is not None and entry.kind == "node" and entry.status in ("done", "failed"):
            self.witness.changed(self.row, entry)
        return entry

    def finish(self, entry: Entry, **changes: Any) -> Entry:
        """Note an entry as done."""
        self._done_no += 1
        return self.put(entry.but(status="done", done_no=self._done_no, finished_at=workflow.now(), **changes))

    def failed(self, entry: Entry, error: str) -> Entry:
        """Note an entry as failed for good."""
        return self.put(entry.but(status="failed", error=error[:ERROR_CHARS], finished_at=workflow.now()))

    def once(
        self, position: str, kind: str, key: str, make: Callable[[Entry, datetime], Entry], activity: str = ""
    ) -> Entry:
        """The entry of this position, made the first time; a StepFailed is kept and raised then and ever after."""
        entry = self.entries.get(position)
        if entry is None:
            if kind != "result":  # all its steps are done: it may end in a run that is stopped
                self.check()
            now = workflow.now()
            entry = self.new(position, kind, key, now, status="waiting", activity=activity)
            try:
                entry = make(entry, now)
            except StepFailed as failure:
                entry = self.failed(entry, failure.error)
            entry = self.finish(entry) if entry.status == "done" else self.put(entry)
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

    def shield(self, end: StepFailed | RunStopped) -> None:
        self.shielded = True

    def stopped(self) -> RunStopped:
        """What ends the branches of a run that is being stopped."""
        return RunStopped(self.row.stop_reason or self.row.stop, is_failure=self.row.stop == "timed_out")

    def cancelled(self, entry: Entry) -> RunStopped:
        """Note an entry as cancelled; returns what ends its branch."""
        self.put(entry.but(status="cancelled", due_at=None, finished_at=workflow.now()))
        return self.stopped()

    # Signals

    def receive(self, gate: str, answer: dict[str, Any]) -> None:
        """Keep an answer for a gate.

        It counts from when it was given: a worker may have been away at that time.
        """
        now = workflow.now()
        at = answer.setdefault("at", now.isoformat())
        given_at = min(now, datetime.fromisoformat(at))
        position = f"~signal[{self._signals}]"
        self.put(self.new(position, "signal", gate, given_at, status="waiting", output=to_text(answer)))
        self._signals += 1

    def signal_for(self, position: str, key: str) -> Entry | None:
        """The oldest answer that no gate has taken yet and that is meant for this one."""
        waiting = (
            entry
            for entry in self.entries.values()
            if entry.kind == "signal" and entry.status == "waiting" and entry.key in (key, position)
        )
        return min(waiting, key=lambda entry: entry.order, default=None)

    # Showing

    def shown(self) -> RunRow:
        """The run as it is to be shown now."""
        if self.row.status != "running":
            return self.row
        waits = [entry for entry in self.entries.values() if entry.status == "waiting" and entry.kind in _WAITS]
        if not waits or any(entry.status == "running" for entry in self.entries.values()):
            return self.row
        waits.sort(key=lambda entry: (entry.due_at is None, entry.due_at, entry.order))
        told = "; ".join(_WAITS[entry.kind](entry) for entry in waits[:3])
        more = f"; and {len(waits) - 3} more" if len(waits) > 3 else ""
        return self.row.but(status="waiting", waiting_for=told + more, due_at=waits[0].due_at)


def _until(entry: Entry, words: str) -> str:
    return "" if entry.due_at is None else f" {words} {entry.due_at:%Y-%m-%d %H:%M:%S} UTC"


_WAITS: dict[str, Callable[[Entry], str]] = {
    "sleep": lambda entry: f'"{entry.key}" sleeps{_until(entry, "until")}',
    "gate": lambda entry: f'the gate "{entry.key}" waits for an answer{_until(entry, "until")}',
    "child": lambda entry: f'"{entry.key}" waits for the run at {entry.position}',
}

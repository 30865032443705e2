"""`WorkflowJournal`: what a run on Temporal has come by, in the memory of its workflow.

It is not what makes the run durable: Temporal's history is, from which a replay makes the same journal again. It
answers who asks how the run stands, and is handed to the next execution of a run that goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from temporalio import workflow

from resolute.engines.embedded.run_journal import ERROR_CHARS, RunJournal
from resolute.engines.embedded.store import Entry, RunRow
from resolute.engines.temporal.order import Standing
from resolute.engines.temporal.witness import Witness
from resolute.model.codec import to_text


class WorkflowJournal(RunJournal):
    """One run in its workflow.

    Attributes:
        intents: what its unsettled pages mean to send, by position.
        witness: is told of what happens in it, None for nobody.
    """

    def __init__(self, standing: Standing, witness: Witness | None = None) -> None:
        super().__init__(standing.row, standing.entries)
        self.intents = dict(standing.intents)
        self.witness = witness

    def standing(self, outline: str = "") -> Standing:
        """How the run stands under a flow of this outline, to be handed on."""
        return Standing(self.row, list(self.entries.values()), self.intents, outline)

    # Entries

    def now(self) -> datetime:
        return workflow.now()

    def put(self, entry: Entry) -> Entry:
        self.entries[entry.position] = entry
        if self.witness is not None and entry.kind == "node" and entry.status in ("done", "failed"):
            self.witness.changed(self.row, entry)
        return entry

    def failed(self, entry: Entry, error: str) -> Entry:
        """Note an entry as failed for good."""
        return self.put(entry.but(status="failed", error=error[:ERROR_CHARS], finished_at=self.now()))

    # Signals

    def receive(self, gate: str, answer: dict[str, Any]) -> None:
        """Keep an answer for a gate.

        It counts from when it was given: a worker may have been away at that time.
        """
        now = workflow.now()
        at = answer.setdefault("at", now.isoformat())
        given_at = min(now, datetime.fromisoformat(at))
        self.keep_answer(gate, given_at, to_text(answer))

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

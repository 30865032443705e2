"""What a batch that is on disk means to those who observe runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from resolute.engine import FINISHED
from resolute.engines.embedded.store import Entry, Op, RunRow
from resolute.hooks import RunEvent, RunEventKind


def happened(run: RunRow, batch: Sequence[Op], now: datetime, *, is_new: bool) -> Iterator[RunEvent]:
    """The events of a batch, in its order.

    Args:
        run: the run's row after the batch.
        is_new: whether the batch began the run.
    """

    def event(kind: RunEventKind, entry: Entry | None = None, error: str = "") -> RunEvent:
        if entry is None:
            return RunEvent(kind, now, run.id, run.flow, run.status, error=error)
        where = {"position": entry.position, "key": entry.key, "activity": entry.activity}
        return RunEvent(kind, now, run.id, run.flow, run.status, **where, attempt=entry.attempt, error=error)

    if is_new:
        yield event("run_started")
    for op in batch:
        if isinstance(op, Entry) and op.kind == "node":
            match op.status:
                case "running":
                    yield event("attempt_started", op)
                case "waiting" if op.failures and not op.has_turn:
                    yield event("attempt_failed", op, op.error)
                case "done":
                    yield event("node_finished", op)
                case "failed":
                    yield event("node_failed", op, op.error)
    if any(isinstance(op, RunRow) for op in batch):
        if run.status == "waiting":
            yield event("run_parked")
        elif run.status in FINISHED:
            yield event("run_finished", error=run.error)

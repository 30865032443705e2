"""Rows of the store as operators see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from resolute.engine import NodeView, RunView
from resolute.engines.embedded.store import Entry, RunRow
from resolute.model.codec import from_text


def view(row: RunRow, entries: Sequence[Entry] = ()) -> RunView:
    """A run as operators see it."""
    return RunView(
        id=row.id,
        flow=row.flow,
        status=row.status,
        trigger=row.trigger,
        created_at=row.created_at,
        input=from_text(row.input),
        output=None if row.output is None else from_text(row.output),
        error=row.error,
        error_key=row.error_key,
        waiting_for=row.waiting_for,
        due_at=row.due_at,
        finished_at=row.finished_at,
        nodes=tuple(node_view(entry) for entry in entries),
    )


def node_view(entry: Entry) -> NodeView:
    """A journal entry as operators see it."""
    return NodeView(
        position=entry.position,
        kind=entry.kind,
        key=entry.key,
        status=entry.status,
        activity=entry.activity,
        attempt=entry.attempt,
        inputs=from_text(entry.inputs) if entry.inputs else None,
        output=from_text(entry.output) if entry.output else None,
        error=entry.error,
        log_id=entry.row_id or None,
        ready_at=entry.ready_at,
        finished_at=entry.finished_at,
        due_at=entry.due_at,
    )


def ended(now: datetime) -> dict[str, Any]:
    """What changes in the row of a run when it ends."""
    return {"finished_at": now, "due_at": None, "delay_s": 0.0, "waiting_for": ""}

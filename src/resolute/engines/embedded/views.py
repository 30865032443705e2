"""Rows of the store as operators see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from resolute.engine import FINISHED, NodeView, RunView
from resolute.engines.embedded.large import LARGE_MARK, referred, size_of
from resolute.engines.embedded.store import Entry, RunRow
from resolute.jsontypes import JsonValue
from resolute.model.codec import from_text
from resolute.model.inputs import fill_places


class LargeValues(Protocol):
    """Where large values are kept."""

    async def large(self, run_no: int, digest: str) -> str: ...


def view(row: RunRow, entries: Sequence[Entry] = ()) -> RunView:
    """A run as operators see it."""
    return RunView(
        id=row.id,
        flow=row.flow,
        status=row.status,
        trigger=row.trigger,
        created_at=row.created_at,
        input=value(row.input),
        output=None if row.output is None else value(row.output),
        error=row.error,
        error_key=row.error_key,
        waiting_for=row.waiting_for,
        due_at=row.due_at,
        finished_at=row.finished_at,
        stopping=row.stop_reason if row.stop and row.status not in FINISHED else "",
        retries=row.retries,
        deadline_at=row.deadline_at,
        nodes=tuple(node_view(entry) for entry in entries),
    )


def value(stored: str) -> JsonValue:
    """What the journal holds as JSON; of a large value its size and digest."""
    digest = referred(stored)
    if digest is not None:
        return {"large_value": {"sha256": digest, "characters": size_of(stored)}}
    plain: JsonValue = from_text(stored)
    return plain


async def with_large(store: LargeValues, row: RunRow) -> RunRow:
    """The run with its input and output in full; raises StoreDamaged."""

    async def text(stored: str) -> str:
        digest = referred(stored)
        return stored if digest is None else await store.large(row.no, digest)

    if row.input.startswith(LARGE_MARK):
        row = replace(row, input=await text(row.input))
    if row.output is not None and row.output.startswith(LARGE_MARK):
        row = replace(row, output=await text(row.output))
    return row


def node_view(entry: Entry) -> NodeView:
    """A journal entry as operators see it."""
    return NodeView(
        position=entry.position,
        kind=entry.kind,
        key=entry.key,
        status=entry.status,
        activity=entry.activity,
        attempt=entry.attempt,
        inputs=_inputs(entry),
        output=value(entry.output) if entry.output else None,
        error=entry.error,
        log_id=entry.row_id or None,
        heartbeat=from_text(entry.heartbeat) if entry.heartbeat else None,
        ready_at=entry.ready_at,
        finished_at=entry.finished_at,
        due_at=entry.due_at,
    )


def ended(now: datetime) -> dict[str, Any]:
    """What changes in the row of a run when it ends."""
    return {"finished_at": now, "due_at": None, "delay_s": 0.0, "waiting_for": ""}


def _inputs(entry: Entry) -> JsonValue:
    """A node's inputs; a secret stands there by its name, a large value by its size and digest."""
    if not entry.inputs:
        return None
    inputs: Any = value(entry.inputs)
    if entry.secrets:
        fill_places(inputs, from_text(entry.secrets), lambda name: value(name) if referred(name) else f"secret({name})")
    plain: JsonValue = inputs
    return plain

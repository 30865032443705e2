"""A failed run on Temporal, taken up again: what failed is set back, what succeeded stays as it is.

It is the next execution under the same id, and never a reset of the last one, which would run finished nodes again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from resolute.engines.embedded.rehearsal import rehearse
from resolute.engines.embedded.revival import revive
from resolute.engines.embedded.store import DropEntry, Entry
from resolute.engines.temporal.order import Standing
from resolute.errors import StoreDamaged
from resolute.model.recipe import Flow

#: Rows of the incident log are taken up again by the attempt that sends them, so none are touched here.
_NO_LOG: Final[Any] = None


async def taken_up(flow: Flow, stood: Standing, now: datetime) -> Standing:
    """How the run stands when it goes on from what failed; raises ReplayMismatch when the flow does not fit it."""
    row, entries = stood.row, list(stood.entries)
    found = await rehearse(flow, row, entries, _no_large)
    failed = {fault.position for fault in found.faults}
    kept = {entry.position: entry for entry in entries}
    for change in revive(_NO_LOG, entries, failed, {}, {}, lambda key: None, now):
        if isinstance(change, Entry):
            is_node = change.kind == "node" and change.status == "waiting"
            kept[change.position] = change.but(status="running", due_at=None) if is_node else change
        elif isinstance(change, DropEntry):
            kept.pop(change.position, None)
    again = row.but(
        status="running",
        error="",
        error_key="",
        finished_at=None,
        output=None,
        stop="",
        stop_reason="",
        retries=row.retries + 1,
        deadline_at=None if flow.timeout is None else now + flow.timeout,
    )
    return Standing(again, list(kept.values()), stood.intents)


async def _no_large(digest: str) -> str:
    raise StoreDamaged(f"The large value {digest} is not here: on Temporal payloads are kept apart, not entries.")

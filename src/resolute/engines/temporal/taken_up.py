"""What the next execution of a run on Temporal begins with: how the last one left it, if its flow still fits that.

A failed run that is taken up again is one too: what failed is set back, what succeeded stays as it is. It is never a
reset of the last execution, which would run finished nodes again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from resolute.engines.embedded.changed_flow import misfit, what_to_do
from resolute.engines.embedded.rehearsal import rehearse
from resolute.engines.embedded.request import input_text
from resolute.engines.embedded.revival import revive
from resolute.engines.embedded.store import DropEntry, Entry
from resolute.engines.temporal.order import Standing
from resolute.errors import InputError, ReplayMismatch, StoreDamaged
from resolute.model.codec import from_text
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
    return replace(stood, row=again, entries=list(kept.values()))


async def fitting(flow: Flow, stood: Standing) -> Standing:
    """The same under the flow as it is now; raises ReplayMismatch when that does not come by all that was done.

    No history tells of this: a new execution has none yet, and would attempt anew whatever has another key now.
    """
    try:
        input_text(flow, from_text(stood.row.input))
    except InputError as error:  # which is no part of a fingerprint
        raise ReplayMismatch(str(error)) from None
    if stood.row.fingerprint == flow.fingerprint:
        return stood
    reason = await misfit(flow, stood.row, stood.entries, stood.outline or None, _no_large)
    if reason:
        raise ReplayMismatch(reason.removesuffix(what_to_do(stood.row.id)).rstrip())  # here it goes on by itself
    return replace(stood, row=stood.row.but(fingerprint=flow.fingerprint))


async def _no_large(digest: str) -> str:
    raise StoreDamaged(f"The large value {digest} is not here: on Temporal payloads are kept apart, not entries.")

"""Taking a failed run up again: what failed is set back, what succeeded stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from resolute.engines.embedded.store import DropEntry, Entry, Op
from resolute.ledger.incident_log import IncidentLog
from resolute.ledger.row import Row


def revive(
    log: IncidentLog,
    entries: Sequence[Entry],
    failed: Collection[str],
    rows: Mapping[int, Row],
    children: Mapping[str, int],
    deadline_s: Callable[[str], float | None],
    now: datetime,
) -> list[Op]:
    """What has to be written so that a run goes on from what failed.

    Args:
        failed: the positions that the run has failed with.
        rows: the rows of its pages.
        children: how often each of its children that have failed was retried before, by position.
        deadline_s: for how long the page of a node is tried, by the node's key.
    """
    batch: list[Op] = []
    for entry in entries:
        is_skipped = entry.kind == "item" and entry.output == "false"
        if not (entry.position in failed or entry.status == "cancelled" or is_skipped):
            if entry.lost:
                batch.append(replace(entry, lost=0))
            continue
        row = rows.get(entry.row_id)
        if entry.status == "done" and entry.kind == "node":
            continue  # it has succeeded; what was made of its output has failed
        if row is not None:
            if row.status != "accepted":
                batch.append(log.reopen(row, now, deadline_s(entry.key)))
            batch.append(replace(entry, status="running", error="", finished_at=None))
        elif entry.kind == "child":
            attempt = children.get(entry.position, -1) + 1  # the retry that is due when the walk comes by
            batch.append(replace(entry, status="waiting", attempt=attempt, error="", finished_at=None))
        elif entry.kind == "node" and entry.inputs:
            batch.append(
                replace(entry, status="waiting", failures=0, lost=0, due_at=now, has_turn=False, finished_at=None)
            )
        else:
            batch.append(DropEntry(entry.run_no, entry.position))
    return batch

"""A paging node of a live run: its row of the incident log is sent, or waits until it can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from resolute.engine import ResolvedInputs, StepFailed
from resolute.engines.embedded.node_work import first_line
from resolute.engines.embedded.paging import new_row, paging, prepare
from resolute.engines.embedded.run_state import RunState
from resolute.engines.embedded.store import Entry
from resolute.errors import ConfigError, InputError, ReplayMismatch
from resolute.ledger.lanes import SET_BACK
from resolute.ledger.row import SUCCESSES, Row, settle_reason
from resolute.model.activity import Node
from resolute.model.codec import encode_output, to_text
from resolute.model.inputs import take_secrets

log = logging.getLogger("resolute.run")


def begin_page(run: RunState, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Entry:
    """Write down that a page is ready: its intent, and its place among the sends of its alert."""
    now = run.core.clock.now()
    entry = run.new(position, "node", node.key, now, status="running", activity=node.activity.name, attempt=1)
    try:
        resolved = inputs(now)
        values, places = take_secrets(resolved.values)
        names = {str(path[0]): name for path, name in places if len(path) == 1}
        intent = prepare(node, run.row, position, values, names, resolved.remarks)
        row = run.rows(
            run.core.log.record(lambda row_id: new_row(run.core, row_id, node, intent, run.row, position, now))
        )
    except StepFailed as failure:
        return run.put(run.failed(entry, failure.error))
    except (InputError, ConfigError) as error:
        return run.put(run.failed(entry, str(error)))
    if row.remarks:
        log.warning("run %s: %s (row %d): %s", run.run_id, position, row.id, "; ".join(row.remarks))
    return run.put(entry.but(row_id=row.id, inputs=run.keep(to_text(intent.event))))


async def send(run: RunState, node: Node[Any], position: str) -> Any:
    """What the node puts out; raises StepFailed, RunStopped."""
    while True:
        seen = run.branches.generation
        await run.flush()
        entry = run.entries[position]
        row = run.core.log.row(entry.row_id) or await run.core.store.ledger_row(entry.row_id)
        if row is None:
            raise ReplayMismatch(f'"{position}" has no row {entry.row_id} in the incident log any more.')
        if run.stopping and not row.is_settled and not (node.compensation and run.core.log.may_be_sent(row.id)):
            run.rows(run.core.log.cancel(row.id))
            raise run.cancelled(entry)
        until: datetime | None = None
        limit: datetime | None = None
        if node.fallback_after is not None:
            if entry.ready_at > run.core.clock.now() + SET_BACK:  # the fallback's time begins anew
                entry = run.put(entry.but(ready_at=run.core.clock.now()))
            limit = entry.ready_at + node.fallback_after
        if not row.is_settled and (limit is None or run.core.clock.now() < limit):
            row, until = await _try(run, row)
        if row.is_settled:
            return _settled(run, node, entry, row)
        if limit is not None and run.core.clock.now() >= limit:
            raise _left(run, node, entry, row)
        reason = f"the next attempt: {first_line(row.error_message)}" if row.error_message else "its turn"
        due = min((time for time in (until, limit) if time is not None), default=None)
        what = f'"{node.key}" ({row.action} "{row.dedup_key}", row {row.id})'
        await run.park(due, f"{what} waits for {reason}", seen)


async def _try(run: RunState, row: Row) -> tuple[Row, datetime | None]:
    async def write(rows: Sequence[Row]) -> None:
        for changed in rows:
            run.add(changed)
        await run.flush()

    run.attempting += 1
    run.sending += 1
    try:
        outcome = await run.core.log.attempt(row.id, write)
    finally:
        run.attempting -= 1
        run.sending -= 1
    return run.rows(outcome), outcome.until


def _left(run: RunState, node: Node[Any], entry: Entry, row: Row) -> StepFailed:
    """The page was not accepted in time for its fallback: sending goes on without the run."""
    left = run.core.log.leave(row.id)
    run.add(left)
    run.wake_later(left)
    told = f"not accepted within {node.fallback_after} (row {row.id}); sending goes on."
    failed = run.put(run.failed(entry, f"{told} {row.error_message}".strip()))
    return StepFailed(node.key, failed.error, position=entry.position)


def _settled(run: RunState, node: Node[Any], entry: Entry, row: Row) -> Any:
    """What the node puts out for a settled row; raises StepFailed."""
    run.core.log.taken(row.id)
    if row.status not in SUCCESSES:
        failed = run.put(run.failed(entry.but(attempt=row.attempts), settle_reason(row)))
        raise StepFailed(node.key, failed.error, position=entry.position)
    adapter = node.activity.output_adapter
    text, output = encode_output(paging(node.activity).output_of(row), adapter, node.activity.name)
    run.finish(entry.but(attempt=max(1, row.attempts)), output=run.keep(text))
    return output


def leave_pages(run: RunState) -> None:
    """Let the unsettled pages of a run that does not go on be sent without it."""
    for entry in run.entries.values():
        row = run.core.log.row(entry.row_id) if entry.row_id else None
        if row is not None and row.awaited and not row.is_settled:
            left = run.core.log.leave(row.id)
            run.add(left)
            run.wake_later(left)

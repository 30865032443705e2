"""A child run: started once, it lives on if its parent dies, and is stopped with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from resolute.engine import RunView, StepFailed, child_id
from resolute.engines.embedded.run_state import RunState
from resolute.engines.embedded.store import Entry
from resolute.errors import EngineError, InputError, StoreError
from resolute.model.codec import from_text, to_text

#: How often a parent looks after a child by itself, should nobody wake it.
CHILD_CHECK: Final = timedelta(minutes=1)


async def wait_for_child(run: RunState, entry: Entry) -> Entry:
    """The entry of the child once it has succeeded; raises StepFailed, RunStopped."""
    while entry.status == "waiting":
        seen = run.branches.generation
        await run.flush()
        try:
            child = await _child(run, entry)
        except StoreError:
            raise
        except (EngineError, InputError) as error:
            entry = run.put(run.failed(entry, str(error)))
            break
        if child is None:
            raise run.cancelled(entry)
        if not child.is_finished or (child.status == "needs_attention" and not run.stopping):
            due = run.core.clock.now() + CHILD_CHECK
            stuck = ", which needs attention" if child.is_finished else ""
            await run.park(due, f'"{entry.key}" waits for run {child.id}{stuck}', seen)
        elif run.stopping and child.status != "succeeded":
            raise run.cancelled(entry)
        elif child.status == "succeeded":
            return run.finish(entry, output=run.keep(to_text(child.output)))
        else:
            entry = run.put(run.failed(entry, f"The run {child.id} {child.status}: {child.error}"))
    raise StepFailed(entry.key, entry.error, position=entry.position)


async def _child(run: RunState, entry: Entry) -> RunView | None:
    """The child, started unless it was; None when its parent is being stopped and there is no child yet."""
    run_id = child_id(run.run_id, entry.position)
    children = run.core.children
    if run.stopping:
        return await children.stop(run_id, run.row.stop_reason or f"its parent {run.run_id} ended")
    child = await children.start(entry.activity, from_text(await run.text(entry.inputs)), run_id, run.row.no)
    if child.status == "failed" and child.retries < entry.attempt:
        return await children.retry(run_id)  # as its parent was; not before, so that the limit of the step holds
    return child

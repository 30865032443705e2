"""One attempt of an ordinary node: run the function, with a time limit, in its own task or thread."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from resolute.context import Attempt, set_current
from resolute.engines.embedded.threads import Threads
from resolute.errors import ActivityError, AttemptTimeout
from resolute.model.activity import Activity

log = logging.getLogger("resolute.run")


async def execute(
    activity: Activity[Any, Any],
    inputs: Mapping[str, Any],
    attempt: Attempt,
    timeout: timedelta,
    threads: Threads,
) -> Any:
    """What the activity returns.

    Raises:
        AttemptTimeout: it did not return in time; it was cancelled, and what it still does is dropped.
        Exception: whatever it raises.
    """

    async def call() -> Any:
        set_current(attempt)
        try:
            if activity.is_async:
                return await activity.fn(**inputs)
            return await threads.run(lambda: activity.fn(**inputs), f"{attempt.run_id}/{attempt.position}")
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:  # SystemExit and the like end what raises them, never the worker
            raise ActivityError(
                f"{activity.name} raised {type(error).__name__}; an activity ends by returning."
            ) from error

    task = asyncio.create_task(call(), context=contextvars.copy_context())
    try:
        await asyncio.wait({task}, timeout=timeout.total_seconds())
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        task.add_done_callback(lambda late: _dropped(late, attempt))
        task.cancel()
        raise AttemptTimeout(
            f"{activity.name} did not return within {timeout}. It was given up; "
            "give the node more time with .with_timeout(...), or the function its own time limits."
        )
    if task.cancelled():
        raise ActivityError(f"{activity.name} cancelled itself.")
    return task.result()


def _dropped(task: asyncio.Task[Any], attempt: Attempt) -> None:
    """An attempt that had been given up has ended after all."""
    if task.cancelled():
        return
    error = task.exception()
    what = "returned" if error is None else f"raised {type(error).__name__}"
    late = "run %s: attempt %d of %s %s after its time was up; dropped"
    log.warning(late, attempt.run_id, attempt.attempt, attempt.position, what)

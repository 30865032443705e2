"""One attempt of an ordinary node: run the function, with a time limit, in its own task or thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from resolute.context import Attempt, set_current
from resolute.engines.embedded.threads import Threads
from resolute.errors import ActivityError, AttemptTimeout
from resolute.model.activity import Activity

log = logging.getLogger("resolute.run")


class Silence(Protocol):
    """How long an attempt may say nothing."""

    timeout: timedelta | None

    def silent_s(self) -> float | None:
        """Seconds left until it has been silent for too long; None when it may be."""
        ...


async def execute(
    activity: Activity[Any, Any],
    inputs: Mapping[str, Any],
    attempt: Attempt,
    timeout: timedelta,
    threads: Threads,
    under_way: set[asyncio.Task[Any]],
    silence: Silence,
) -> Any:
    """What the activity returns.

    Args:
        under_way: the attempt is in there while it runs; cancelling it ends it.
        silence: tells when it has said nothing for too long.

    Raises:
        AttemptTimeout: it did not return, or say that it lives, in time; it was cancelled, and what it still does is
            dropped.
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

    task = asyncio.create_task(call())  # in a context of its own: a copy of this one
    under_way.add(task)
    try:
        late = await _until(task, timeout, silence)
    except asyncio.CancelledError:
        task.cancel()
        raise
    finally:
        under_way.discard(task)
    if late:
        task.add_done_callback(lambda ended: _dropped(ended, attempt))
        task.cancel()
        raise AttemptTimeout(f"{activity.name} {late}")
    if task.cancelled():
        raise ActivityError(f"{activity.name} cancelled itself.")
    return task.result()


async def _until(task: asyncio.Task[Any], timeout: timedelta, silence: Silence) -> str:
    """Wait for the end of an attempt; why it is given up, "" when it has ended by itself."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout.total_seconds()
    while True:
        left_s, silent_s = ends_at - loop.time(), silence.silent_s()
        if left_s <= 0:
            return (
                f"did not return within {timeout}. It was given up; "
                "give the node more time with .with_timeout(...), or the function its own time limits."
            )
        if silent_s is not None and silent_s <= 0:
            return (
                f"said nothing for {silence.timeout}. It was given up; "
                "call current().heartbeat() more often, or give the node more time with .with_heartbeat(...)."
            )
        await _ended(task, left_s if silent_s is None else min(left_s, silent_s))
        if task.done():
            return ""


async def _ended(task: asyncio.Task[Any], seconds: float) -> None:
    """Return when the task has ended or the time is over: `asyncio.wait` for one task, in half the time."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(_: asyncio.Task[Any] | None = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(seconds, wake)
    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
        task.remove_done_callback(wake)


def _dropped(task: asyncio.Task[Any], attempt: Attempt) -> None:
    """An attempt that had been given up has ended after all."""
    if task.cancelled():
        return
    error = task.exception()
    what = "returned" if error is None else f"raised {type(error).__name__}"
    late = "run %s: attempt %d of %s %s after its time was up; dropped"
    log.warning(late, attempt.run_id, attempt.attempt, attempt.position, what)

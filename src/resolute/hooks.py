"""Hooks: observers of runs. They hear of what is on disk, and cannot touch the run.

An error in a hook is logged and counted; the run goes on as if the hook were not there.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

log = logging.getLogger("resolute.hooks")

RunEventKind = Literal[
    "run_started", "run_parked", "run_finished", "attempt_started", "attempt_failed", "node_finished", "node_failed"
]


@dataclass(frozen=True)
class RunEvent:
    """Something that has happened in a run and is on disk.

    Attributes:
        at: when it was written down, UTC.
        status: the run's status then.
        position, key, activity: the node, "" for the run as a whole.
        attempt: number of the attempt, from 1; 0 where there is none.
        error: what went wrong, scrubbed of secrets.
    """

    kind: RunEventKind
    at: datetime
    run_id: str
    flow: str
    status: str
    position: str = ""
    key: str = ""
    activity: str = ""
    attempt: int = 0
    error: str = ""


#: A function that is called with each event; what it returns is awaited when it can be, and else ignored.
Hook = Callable[[RunEvent], object]


class Hooks:
    """Tells each event to every hook, in order.

    Attributes:
        errors: how often a hook has raised.
    """

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._hooks = tuple(hooks)
        self._counters: tuple[Hook, ...] = ()
        self._running: set[asyncio.Task[None]] = set()
        self.errors = 0

    def __bool__(self) -> bool:
        return bool(self._hooks or self._counters)

    def add_counter(self, counter: Hook) -> None:
        """Tell this one too, after the others; it counts what this process does."""
        self._counters = (*self._counters, counter)

    def tell(self, events: Iterable[RunEvent]) -> None:
        """Call hooks and counters; those that are coroutine functions go on in the background."""
        for event in events:
            self._call(self._hooks, event)
            self._call(self._counters, event)

    def announce(self, event: RunEvent) -> None:
        """Call the hooks alone: what has happened was counted by the process that did it."""
        self._call(self._hooks, event)

    def count(self, event: RunEvent) -> None:
        """Call the counters alone."""
        self._call(self._counters, event)

    def _call(self, hooks: Iterable[Hook], event: RunEvent) -> None:
        for hook in hooks:
            try:
                answer = hook(event)
            except Exception:  # a hook is its author's code and may raise anything; the run must not notice
                self._failed(hook, event)
                continue
            if inspect.isawaitable(answer):
                task = asyncio.create_task(self._wait(answer, hook, event))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _wait(self, answer: Awaitable[object], hook: Hook, event: RunEvent) -> None:
        try:
            await answer
        except Exception:  # as above
            self._failed(hook, event)

    def _failed(self, hook: Hook, event: RunEvent) -> None:
        self.errors += 1
        name = getattr(hook, "__qualname__", repr(hook))
        log.exception("the hook %s failed at %s of run %s", name, event.kind, event.run_id)

    async def close(self, grace_s: float) -> None:
        """Give the hooks that are still running this long."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for task in self._running:
            task.cancel()

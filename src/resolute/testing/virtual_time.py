"""Virtual time: an event loop that never waits, and a clock that goes with it.

When nothing is left to do, the loop jumps to its next timer. So hours pass in milliseconds, and the
same program makes the same history every time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

T = TypeVar("T")

START: Final = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


class Stuck(RuntimeError):
    """Nothing is left to do and no timer is set: the program waits for something that cannot come."""


class _NoWait(selectors.SelectSelector):
    """A selector that turns waiting into a jump of virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("Nothing is left to do and no timer is set.")
        if timeout > 0 and self.loop is not None:
            self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time. It does no network I/O and takes no calls from threads."""

    def __init__(self) -> None:
        selector = _NoWait()
        super().__init__(selector)
        selector.loop = self
        self._virtual_s = 0.0

    def time(self) -> float:
        return self._virtual_s

    def jump(self, seconds: float) -> None:
        """Let this much virtual time pass."""
        self._virtual_s += seconds


class VirtualClock:
    """Wall time on a virtual loop; `shift` sets it forward or back as an operator would."""

    def __init__(self, loop: VirtualLoop, start: datetime = START) -> None:
        self._loop = loop
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(microseconds=round(self._loop.time() * 1_000_000))

    def shift(self, by: timedelta) -> None:
        """Set the wall clock forward (or, negative, back); durations go on as before."""
        self._start += by


def run_virtual(loop: VirtualLoop, program: Coroutine[Any, Any, T]) -> T:
    """Run a program to its end on a virtual loop; what it left behind is cancelled. Close the loop afterwards."""
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(program)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)

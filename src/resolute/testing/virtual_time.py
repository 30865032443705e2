"""Virtual time: an event loop that never waits, and a clock that goes with it.

When nothing is left to do, the loop jumps to its next timer. So hours pass in milliseconds, and the
same program makes the same history every time.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from resolute.clock import monotonic

T = TypeVar("T")

#: Timers no further apart are run together.
RESOLUTION_S: Final = 1e-7
START: Final = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


class Stuck(RuntimeError):
    """Nothing is left to do and no timer is set: the program waits for something that cannot come."""


class _NoWait(selectors.SelectSelector):
    """A selector that turns waiting into a jump of virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.loop is not None and self.loop.waits_outside(len(self.get_map())):
            begun = monotonic()
            ready = super().select(timeout)
            self.loop.jump(monotonic() - begun)
            return ready
        if timeout is None:
            raise Stuck("Nothing is left to do and no timer is set.")
        if timeout > 0 and self.loop is not None:
            self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time. What is given to an executor runs at once.

    It does no network I/O and takes no calls from threads, except inside `outside()`.
    """

    def __init__(self) -> None:
        selector = _NoWait()
        super().__init__(selector)
        selector.loop = self
        # asyncio runs a timer once it lies less than this ahead. Of the machine's own 1 ns nothing is left beside the
        # number of seconds after 194 days, and no timer would ever be run again.
        self._clock_resolution = RESOLUTION_S
        self._virtual_s = 0.0
        self._outside = 0
        self._threads = set(threading.enumerate())

    def time(self) -> float:
        return self._virtual_s

    def jump(self, seconds: float) -> None:
        """Let this much virtual time pass."""
        self._virtual_s += seconds

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While inside, time runs as it does outside as long as a connection is open or a new thread at work."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def waits_outside(self, files: int) -> bool:
        """Whether something real may come.

        Args:
            files: what the loop waits for, its own pipe among them.
        """
        return self._outside > 0 and (files > 1 or not self._threads.issuperset(threading.enumerate()))

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """The function's result; it is called where it stands, so that every history repeats."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except StopIteration as error:  # a future refuses it
            done.set_exception(RuntimeError(f"StopIteration: {error}"))
        except Exception as error:  # whatever it is, it belongs to who waits for the result
            done.set_exception(error)
        return done


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
    try:
        return loop.run_until_complete(program)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


def run_apart(function: Callable[[], T]) -> T:
    """What the function returns; it runs in a thread of its own, where no loop runs, while this one stands still."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, function).result()

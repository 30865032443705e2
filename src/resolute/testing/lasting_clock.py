"""`LastingClock`: the wall clock of a machine under test: it goes while a virtual loop runs, and stands in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from resolute.errors import ConfigError
from resolute.testing.virtual_time import VirtualClock, VirtualLoop, run_apart, run_virtual

T = TypeVar("T")


class LastingClock:
    """Wall time in UTC, from one program to the next."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ConfigError(f"FlowTester(start={start!r}) has no time zone. Give one: datetime(..., tzinfo=UTC).")
        self._at = start.astimezone(UTC)
        self._running: VirtualClock | None = None

    def now(self) -> datetime:
        """The current instant."""
        return self._at if self._running is None else self._running.now()

    def run(self, program: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the program returns; it runs to its end in virtual time, whether or not a loop runs here already."""
        return run_apart(lambda: self._run(program)) if _in_loop() else self._run(program)

    def leap(self, by: timedelta) -> None:
        """Let time pass in which nothing would happen."""
        if self._running is not None:
            self._running.shift(by)

    def _run(self, program: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._running is not None:
            raise ConfigError("The tester is running a flow already. Use one FlowTester for each run side by side.")
        loop = VirtualLoop()
        self._running = VirtualClock(loop, self._at)
        try:
            return run_virtual(loop, program())
        finally:
            self._at = self.now()
            self._running = None
            loop.close()


def _in_loop() -> bool:
    """Whether an event loop runs in this thread, so that another one cannot."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""`WatchedThreads`: real threads for plain functions, of which virtual time knows whether they are at work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from resolute.engines.embedded.threads import ThreadPerAttempt

_number: ContextVar[int] = ContextVar("number of the call")


class WatchedThreads:
    """A daemon thread for each call. Time stands still while one is at work, but not for one that hangs."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = ThreadPerAttempt()
        self._at_work: set[int] = set()
        self._calls = 0
        self._end = threading.Event()

    @property
    def are_busy(self) -> bool:
        return bool(self._at_work)

    async def run(self, function: Callable[[], Any], name: str) -> Any:
        self._calls += 1
        number = self._calls
        _number.set(number)
        self._at_work.add(number)
        try:
            return await self._threads.run(function, name)
        finally:
            self._at_work.discard(number)

    def hang(self) -> None:
        """Called in a thread: never end, until `release`."""
        self._at_work.discard(_number.get())
        self._loop.call_soon_threadsafe(lambda: None)
        self._end.wait()

    def release(self) -> None:
        """Let every thread that hangs go on."""
        self._end.set()

"""`Heartbeat`: what a running attempt says of itself: that it lives, and how far it has come."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from resolute.engines.embedded.run_state import RunState
from resolute.model.codec import to_plain, to_text

#: What an attempt says is written down no more often than this.
WRITE_EVERY_S: Final = 1.0


class Heartbeat:
    """The beats of one attempt; `beat` may be called from any thread.

    Attributes:
        timeout: how long the attempt may be silent, None for ever.
    """

    def __init__(self, run: RunState, position: str, timeout: timedelta | None) -> None:
        self.timeout = timeout
        self._run = run
        self._position = position
        self._loop = asyncio.get_running_loop()
        self._last_s = self._loop.time()
        self._written_s = float("-inf")
        self._text: str | None = None
        self._writing: asyncio.Task[None] | None = None
        self._ended = False

    def beat(self, details: Any = None) -> None:
        """Note that the attempt lives; `details` are handed to the next attempt should this one be lost."""
        text = None if details is None else self._run.core.secrets.scrub_json(to_text(to_plain(details)))
        self._loop.call_soon_threadsafe(self._arrived, text)

    def silent_s(self) -> float | None:
        """Seconds left until the attempt has been silent for too long; None when it may be."""
        if self.timeout is None:
            return None
        return self._last_s + self.timeout.total_seconds() - self._loop.time()

    def _arrived(self, text: str | None) -> None:
        if self._ended:
            return
        self._last_s = self._loop.time()
        if text is None:
            return
        self._text = text
        if self._writing is None and self._last_s - self._written_s >= WRITE_EVERY_S:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        self._written_s = self._loop.time()
        self._note()
        await self._run.flush()
        self._writing = None

    def _note(self) -> None:
        if self._text is not None:
            self._run.put(replace(self._run.entries[self._position], heartbeat=self._text))
            self._text = None

    async def end(self) -> None:
        """The attempt is over: what it said last is written with what it came to. Raises StoreBroken."""
        self._ended = True
        self._note()
        if self._writing is not None:
            await self._writing

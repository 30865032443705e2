"""A thread that notices when something blocks the event loop, and logs what."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback

from resolute.clock import monotonic

log = logging.getLogger("resolute.watchdog")

#: The loop is expected to come round at least this often.
BLOCKED_S = 1.0


class Watchdog:
    """Logs the stack of whatever holds the calling thread's event loop for a second."""

    def __init__(self, blocked_s: float = BLOCKED_S) -> None:
        self._blocked_s = blocked_s
        self._stop = threading.Event()
        self._beat = monotonic()
        self._watched = threading.get_ident()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._beats())
        threading.Thread(target=self._watch, name="resolute watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        if self._task is not None:
            self._task.cancel()

    async def _beats(self) -> None:
        while True:
            self._beat = monotonic()
            await asyncio.sleep(self._blocked_s / 4)

    def _watch(self) -> None:
        reported = 0.0
        while not self._stop.wait(self._blocked_s / 2):
            beat = self._beat
            if monotonic() - beat < self._blocked_s or beat == reported:
                continue
            reported = beat
            frame = sys._current_frames().get(self._watched)
            stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
            log.error(
                "the event loop is blocked for more than %g s; nothing else runs meanwhile. "
                "An async activity must not wait without `await`; make it a plain def.\n%s",
                self._blocked_s,
                stack,
            )

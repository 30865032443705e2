"""The watchdog: who holds the event loop is named in the log."""

from __future__ import annotations

import logging
import threading

from resolute.watchdog import Watchdog


async def test_what_blocks_the_loop_is_logged_with_its_stack() -> None:
    """An async activity that waits without `await` is found by the function that waits."""
    told = threading.Event()
    texts: list[str] = []

    class Tell(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())
            told.set()

    logger = logging.getLogger("resolute.watchdog")
    handler = Tell()
    logger.addHandler(handler)
    watchdog = Watchdog(blocked_s=0.05)
    watchdog.start()
    try:
        assert told.wait(30), "the watchdog never spoke"
    finally:
        watchdog.stop()
        logger.removeHandler(handler)
    assert "the event loop is blocked" in texts[0]
    assert "test_what_blocks_the_loop_is_logged_with_its_stack" in texts[0]

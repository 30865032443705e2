"""`Cut`: ends the attempts of a worker that ends; another worker, or the next one, makes them again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import activity

from resolute.engines.temporal.attempts import cut_short


class Cut:
    """The end of one worker's attempts."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()
        self._is_made = False

    def make(self) -> None:
        """End those that are under way, and let none begin."""
        self._is_made = True
        for attempt in self._under_way:
            attempt.cancel()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within it the attempt of this task may be ended; one that comes to its end in spite of that counts."""
        if self._is_made:
            raise cut_short()
        attempt = asyncio.current_task()
        assert attempt is not None, "attempts are made in tasks"
        self._under_way.add(attempt)
        try:
            yield
        except asyncio.CancelledError:
            if self._is_made and not activity.is_cancelled():
                raise cut_short() from None
            raise
        finally:
            self._under_way.discard(attempt)

"""A rolling minute: how many requests a key may still make."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime, timedelta

_SPAN = timedelta(seconds=60)


class RateWindow:
    """Counts what happened in the 60 seconds before now."""

    def __init__(self) -> None:
        self._taken: deque[datetime] = deque()

    def take(self, now: datetime, limit: int) -> bool:
        """Count one more and say True, or say False when `limit` is reached already."""
        self._forget(now)
        if len(self._taken) >= limit:
            return False
        self._taken.append(now)
        return True

    def remaining(self, now: datetime, limit: int) -> int:
        """How many more are possible at this moment."""
        self._forget(now)
        return max(0, limit - len(self._taken))

    def reset_s(self, now: datetime) -> int:
        """Whole seconds until the oldest one counted leaves the window; 0 when it is empty."""
        self._forget(now)
        if not self._taken:
            return 0
        return max(1, math.ceil((self._taken[0] + _SPAN - now).total_seconds()))

    def _forget(self, now: datetime) -> None:
        while self._taken and self._taken[0] + _SPAN <= now:
            self._taken.popleft()

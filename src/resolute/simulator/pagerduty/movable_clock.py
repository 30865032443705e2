"""A clock that a person moves: the system's time, and whatever was added to it."""

from __future__ import annotations

from datetime import datetime, timedelta

from resolute.clock import Clock
from resolute.errors import ConfigError


class MovableClock:
    """Runs as the given clock does, and is put forward by `advance`: an escalation of tomorrow happens now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """The given clock's time, and all that it was put forward."""
        return self._clock.now() + self._ahead

    def advance(self, delta: timedelta) -> None:
        """Put it forward.

        Raises:
            ConfigError: backward, or past the year 9000.
        """
        if delta < timedelta(0) or (self._ahead + delta).days > 365 * 6_000:
            raise ConfigError(f"The simulator's clock cannot be moved by {delta}. Expected: forward, not for ages.")
        self._ahead += delta

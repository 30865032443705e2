"""Where time, randomness and ids come from: the ports that a simulation replaces.

Nothing else in Resolute reads the system clock, draws a random number or makes an id. All waiting
goes through the event loop's own timers, so a loop with a virtual clock moves everything.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, aware and in UTC. It may jump; durations are measured by the event loop instead."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Randomness(Protocol):
    """What the engine needs of `random.Random`: jitter and ids."""

    def random(self) -> float: ...

    def getrandbits(self, k: int, /) -> int: ...


#: Random bytes taken from the system in one go: each call costs it some 20 µs, whatever it gives.
RANDOM_BYTES = 4096


class SystemRandomness:
    """Jitter and ids that nobody can guess. For one thread."""

    def __init__(self) -> None:
        self._bytes = b""
        self._used = 0
        self._process = 0

    def random(self) -> float:
        return self.getrandbits(53) / (1 << 53)

    def getrandbits(self, k: int, /) -> int:
        length = (k + 7) // 8
        if length > len(self._bytes) - self._used or self._process != os.getpid():  # a fork must not draw the same
            self._bytes, self._used = os.urandom(max(RANDOM_BYTES, length)), 0
            self._process = os.getpid()
        taken = self._bytes[self._used : self._used + length]
        self._used += length
        return int.from_bytes(taken, "big") >> (length * 8 - k)


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


def _base32(value: int, length: int) -> str:
    digits = []
    for _ in range(length):
        digits.append(_ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(digits))


def new_id(clock: Clock, randomness: Randomness) -> str:
    """A run id of 20 characters that sorts by time: 10 for the millisecond, 10 at random.

    Ids ordered by time keep index pages of a large store together.
    """
    milliseconds = int(clock.now().timestamp() * 1000)
    return _base32(milliseconds, 10) + _base32(randomness.getrandbits(50), 10)


def monotonic() -> float:
    """Seconds on a clock that never goes back, for use outside an event loop."""
    return time.monotonic()

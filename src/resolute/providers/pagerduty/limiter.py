"""`Limiter`: one REST token's room for requests, as PagerDuty's own headers tell it, shared by all who use the token.

A request that a page waits for always goes at once. Single calls leave a little room to it, and listings of many
pages a little more, so that a long listing never delays a trigger, a resolve or what they look up.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal
from weakref import WeakValueDictionary

from resolute.clock import Clock
from resolute.errors import ProviderUnavailable

Urgency = Literal["page", "call", "listing"]

#: The part of the limit that requests of each kind leave to the more urgent ones.
ROOM: Final[Mapping[Urgency, float]] = {"page": 0.0, "call": 0.05, "listing": 0.1}
#: A single call that would have to wait longer is given back to the engine, which waits without holding a slot.
WAITS_AT_MOST: Final = timedelta(seconds=5)
#: A 429 without headers says nothing about how long.
UNKNOWN_WAIT: Final = timedelta(seconds=5)
#: How long PagerDuty counts for, and what claims to be so much longer that it is not believed.
_WINDOW: Final = timedelta(minutes=1)
_LONGEST_WINDOW: Final = timedelta(minutes=5)
#: Those that come back for one window do so over this time, not all in its first moment.
_SPREAD: Final = timedelta(seconds=10)
# Operations with a smaller limit of their own; the headers of their answers describe that one.
# Source: PagerDuty REST API v2, "Rate Limiting".
_OWN_LIMITS: Final = frozenset({("POST", "/incidents"), ("PUT", "/incidents"), ("GET", "/oncalls")})


@dataclass
class _Window:
    """What is known of one limit.

    Attributes:
        limit: requests in a window, 0 as long as nobody has told.
        remaining: requests until `resets_at`, None as long as nobody has told.
        held_until: nothing may leave before, after a 429.
        under_way: requests without an answer yet.
        put_off: calls that were told to come back after the reset.
        sent: when the requests of the last minute left. After the reset there may be room for all of the limit, or only
            for as many as left a minute before: the smaller reading meets no 429.
    """

    limit: int = 0
    remaining: int | None = None
    resets_at: datetime | None = None
    held_until: datetime | None = None
    under_way: int = 0
    put_off: int = 0
    sent: deque[datetime] = field(default_factory=deque)

    def count(self, now: datetime) -> None:
        """Take note of one more request that leaves."""
        self.under_way += 1
        self.sent.append(now)
        self._forget(now)
        if self.remaining is not None:
            self.remaining = max(0, self.remaining - 1)

    def wait(self, urgency: Urgency, now: datetime) -> timedelta:
        """How long a request of this kind has to wait from now."""
        ends = []
        if self.held_until is not None:
            ends.append(self.held_until)
        if self.remaining is not None and self.resets_at is not None:
            is_short = self.remaining <= self._reserve(urgency)
            if urgency != "page" and is_short:
                ends.append(self.resets_at)
        return max((end - now for end in ends if end > now), default=timedelta(0))

    def put_off_further(self, urgency: Urgency) -> timedelta:
        """By how much later than the reset one more call has its turn, given those that were put off before."""
        room = max(1, self.limit - self._reserve(urgency))
        windows, place = divmod(self.put_off, room)
        self.put_off += 1
        return windows * _WINDOW + _SPREAD * (place / room)

    def begin_anew_if_over(self, now: datetime) -> None:
        """Take it that a new window has begun once one is over, or cannot last so long: the clock was set back."""
        if self.resets_at is not None and not now < self.resets_at <= now + _LONGEST_WINDOW:
            room = max(1, self.limit - self._reserve("call"))
            self.put_off = max(0, self.put_off - room)
            self._forget(now)
            is_told = self.limit > 0
            self.remaining = max(0, self.limit - len(self.sent)) if is_told else None
            begun = self.sent[0] if self.sent else now
            self.resets_at = begun + _WINDOW if is_told else None
        if self.held_until is not None and not now < self.held_until <= now + _LONGEST_WINDOW:
            self.held_until = None

    def _forget(self, now: datetime) -> None:
        """Leave out what was sent over a minute ago, or at a time that now lies ahead: the clock was set back."""
        while self.sent and not now - _WINDOW < self.sent[0] <= now:
            self.sent.popleft()

    def _reserve(self, urgency: Urgency) -> int:
        """What is left to the more urgent ones, never all of it."""
        return max(0, min(math.ceil(self.limit * ROOM[urgency]), self.limit - 1))


@dataclass
class Limiter:
    """Lets requests of one token go.

    Attributes:
        clock: what resets are measured against.
    """

    clock: Clock
    _windows: dict[str, _Window] = field(default_factory=dict, repr=False)

    async def turn(self, method: str, path: str, urgency: Urgency) -> None:
        """Return when the request may leave, and count it.

        Raises:
            ProviderUnavailable: it would have to wait for long; nothing was sent, `retry_after` says until when.
        """
        while True:
            now = self.clock.now()
            windows = self._of(method, path)
            for window in windows:
                window.begin_anew_if_over(now)
            fullest = max(windows, key=lambda window: window.wait(urgency, now))
            wait = fullest.wait(urgency, now)
            if wait <= timedelta(0):
                break
            if urgency != "listing" and wait > WAITS_AT_MOST:
                wait += fullest.put_off_further(urgency)
                raise ProviderUnavailable(
                    f"{method} {path} was not sent: PagerDuty's limit for this REST key is used up for another "
                    f"{wait.total_seconds():.0f} s. It can be sent again then.",
                    retry_after=wait,
                )
            await asyncio.sleep(wait.total_seconds())
        for window in windows:
            window.count(now)

    def learn(self, method: str, path: str, status: int | None, headers: Mapping[str, str]) -> None:
        """Take in what the answer to a counted request said; `status` None means that none came."""
        now = self.clock.now()
        windows = self._of(method, path)
        for window in windows:
            window.under_way = max(0, window.under_way - 1)
        nearest = windows[-1]  # the headers describe the operation's own limit where it has one
        names = {name.lower(): text.strip() for name, text in headers.items()}
        limit, remaining, reset = (_number(names.get(f"ratelimit-{name}", "")) for name in _HEADERS)
        wait = None if reset is None else min(timedelta(seconds=reset), _LONGEST_WINDOW)
        if remaining is not None and wait is not None:
            nearest.limit = int(limit or 0)
            nearest.remaining = max(0, int(remaining) - nearest.under_way)
            nearest.resets_at = now + wait
        if status == 429:
            nearest.held_until = now + (wait if wait is not None else UNKNOWN_WAIT)

    def _of(self, method: str, path: str) -> list[_Window]:
        """The limits that a request counts against, the nearest last."""
        names = ["account", f"{method} {path}"] if (method, path) in _OWN_LIMITS else ["account"]
        return [self._windows.setdefault(name, _Window()) for name in names]


_HEADERS: Final = ("limit", "remaining", "reset")
_limiters: Final[WeakValueDictionary[tuple[int, str], Limiter]] = WeakValueDictionary()


def limiter_for(clock: Clock, api_url: str, token: str) -> Limiter:
    """The limiter of a token: one and the same for every client of this token with this clock."""
    # A limiter keeps its clock alive, so the clock's id stays its own for as long as the entry exists.
    key = id(clock), hashlib.sha256(f"{api_url} {token}".encode("utf-8", "surrogatepass")).hexdigest()
    found = _limiters.get(key)
    if found is None:
        found = _limiters[key] = Limiter(clock)
    return found


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number < 10**9 else None

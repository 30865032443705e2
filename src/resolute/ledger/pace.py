"""`Pace`: how many events of one routing key leave in a minute, learned from what its service refuses.

Unless the operator has stated the limit, nothing waits until one is met. From then on events leave in the order in
which their lanes came, each as soon as there is room again; now and then one tries whether a learned limit still holds.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from resolute.ledger.lanes import SET_BACK
from resolute.ledger.row import Row

#: A refusal after fewer events in a minute has another reason.
#: Source: PagerDuty Events API v2, "Rate Limiting": 120 a minute for each integration.
FLOOR: Final = 120
#: What a service counts over; also how long a limit that was confirmed is believed.
MINUTE: Final = timedelta(minutes=1)
#: So many tries in a row have to be refused before a new limit is believed that long.
CONFIRMED_BY: Final = 2
#: A lane that does not come back so long after its time loses its place.
PATIENCE: Final = timedelta(seconds=10)


@runtime_checkable
class LimitedService(Protocol):
    """A paging service whose limit the operator may have stated."""

    @property
    def events_per_minute(self) -> int | None:
        """How many events of one routing key it takes in a minute, None where that is not known."""
        ...


def stated_limit(service: object) -> int | None:
    """The limit that the operator has stated for a service."""
    return service.events_per_minute if isinstance(service, LimitedService) else None


class Pace:
    """The pace of one routing key at one host.

    A request may reach the service at any moment between its beginning and its answer. What was taken counts from its
    answer where there has to be room, and from its beginning where it shows that a limit is higher.

    Args:
        stated: the limit as the operator knows it; nothing goes beyond it.
    """

    def __init__(self, stated: int | None = None) -> None:
        self._stated = stated
        self._taken: deque[tuple[datetime, datetime]] = deque()  # begun, answered
        self._leaving: dict[int, datetime] = {}  # row id → begun
        self._waiting: dict[str, datetime] = {}  # lane → when it comes back, in their order
        self._limit = stated
        self._refusals = 0  # of tries
        self._try_at: datetime | None = None
        self._trying: int | None = None  # row id
        self._freed: list[str] = []

    def turn(self, row: Row, now: datetime) -> datetime | None:
        """When the row may ask again; None when it may leave now, and then it counts until `ended`."""
        self._forget(now)
        until = None if self._limit is None else self._no_room(row, now, self._limit)
        if until is None:
            self._waiting.pop(row.lane, None)
            self._leaving[row.id] = now
        else:
            self._waiting[row.lane] = until
        return until

    def _no_room(self, row: Row, now: datetime, limit: int) -> datetime | None:
        """When there will be room for the row, None for now."""
        ahead = self._ahead(row.lane, now)
        missing = ahead - (limit - len(self._taken) - len(self._leaving))
        if missing < 0:
            return None
        rounds, place = divmod(missing, limit)
        room_at = (self._taken[place][1] if place < len(self._taken) else now) + MINUTE * (1 + rounds)
        if ahead or self._trying is not None or self._try_at is None:
            return room_at
        if self._try_at <= now:
            self._trying = row.id
            return None
        return min(room_at, self._try_at)

    def _ahead(self, lane: str, now: datetime) -> int:
        """How many lanes come before this one."""
        while self._waiting:
            first, at = next(iter(self._waiting.items()))
            if first == lane or at + PATIENCE >= now:
                break
            del self._waiting[first]
        if lane not in self._waiting:
            return len(self._waiting)
        return next(place for place, other in enumerate(self._waiting) if other == lane)

    def took(self, row: Row, now: datetime, *, is_certain: bool = True) -> None:
        """The service has taken the row's event; not certain where its answer was lost."""
        self._forget(now)
        self._taken.append((self._leaving.get(row.id, now), now))
        if is_certain and self._trying == row.id and self._limit is not None:
            surely = sum(begun > now - MINUTE for begun, _ in self._taken)
            if surely > self._limit:
                self._lift()
        self.ended(row)

    def refused(self, row: Row, now: datetime) -> None:
        """The service had no room: what it took in the last minute is its limit, unless that is too little for one."""
        self._forget(now)
        self._leaving.pop(row.id, None)
        if self._stated is None and len(self._taken) + len(self._leaving) >= FLOOR:
            if self._limit is None:
                self._refusals, self._try_at = 0, now
            self._limit = max(FLOOR, len(self._taken))
        if self._trying == row.id:
            self._refusals += 1
            self._try_at = now if self._refusals < CONFIRMED_BY else now + MINUTE
        if self._limit is not None:
            self._waiting = {row.lane: now, **self._waiting}  # it keeps its place
        self.ended(row)

    def ended(self, row: Row) -> None:
        """The row's request, if there was one, is no longer under way."""
        self._leaving.pop(row.id, None)
        if self._trying == row.id:
            self._trying = None

    def leave(self, lane: str) -> None:
        """The lane has nothing to send any more."""
        self._waiting.pop(lane, None)

    def freed(self) -> list[str]:
        """The lanes that wait no more since this was last asked."""
        freed, self._freed = self._freed, []
        return freed

    def _lift(self) -> None:
        self._limit, self._try_at = self._stated, None
        self._freed.extend(self._waiting)
        self._waiting.clear()

    def _forget(self, now: datetime) -> None:
        """Drop what was taken more than a minute ago; all of it when the clock was set back."""
        if self._taken and self._taken[-1][1] > now + SET_BACK:
            self._taken.clear()
            self._lift()
        while self._taken and self._taken[0][1] <= now - MINUTE:
            self._taken.popleft()

"""`Limits`: when the rate limits of a worker let the next attempt go."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from resolute.engines.embedded.store import PutMemory
from resolute.model.codec import from_text, to_text
from resolute.model.limit import RateLimit

#: The memory in which limits are kept; no flow has such a name.
LIMITS: Final = "~limits"
#: A clock that goes back by less than this was not set back.
SET_BACK: Final = timedelta(seconds=1)


class Limits:
    """The rate limits of one worker: the turns that were given, of each as many as it lets go in its period.

    Only the latest turn of each is written down, with the entry that took it. A worker that starts
    takes it that all turns were given then: it may wait one period too long, and never opens a second burst.
    """

    def __init__(self) -> None:
        self._turns: dict[str, deque[datetime]] = {}
        self._before: dict[str, datetime] = {}
        self._seen: datetime | None = None

    def load(self, memory: Mapping[str, str]) -> None:
        """Take up what the last worker left."""
        self._before = {name: datetime.fromisoformat(from_text(text)) for name, text in memory.items()}

    def take(self, limit: RateLimit, own_name: str, now: datetime) -> tuple[datetime, PutMemory]:
        """The instant of the next turn, which is taken by that, and what has to be written with it.

        Args:
            own_name: under which a limit without a name is kept.
        """
        self._follow(now)
        name = limit.name or own_name
        turns = self._turns.get(name)
        if turns is None or turns.maxlen != limit.limit:
            before = [self._before[name]] * limit.limit if name in self._before else []
            turns = self._turns[name] = deque(turns or before, limit.limit)
        at = now if len(turns) < limit.limit else max(now, turns[0] + limit.per)
        turns.append(at)
        return at, PutMemory(LIMITS, name, to_text(at.isoformat()))

    def _follow(self, now: datetime) -> None:
        """Move every turn with a clock that was set back."""
        if self._seen is not None and now < self._seen - SET_BACK:
            back = self._seen - now
            self._turns = {name: deque((at - back for at in t), t.maxlen) for name, t in self._turns.items()}
            self._before = {name: at - back for name, at in self._before.items()}
        self._seen = now

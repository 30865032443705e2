"""What is to happen to incidents by itself: one heap of timers, a timer of each kind per incident."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import Literal

TimerKind = Literal["escalate", "unacknowledge", "resolve"]
KINDS: tuple[TimerKind, ...] = ("escalate", "unacknowledge", "resolve")


class Timers:
    """Timers of incidents. Setting one of the same kind again replaces it."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, str, TimerKind]] = []
        self._set: dict[tuple[str, TimerKind], tuple[datetime, int]] = {}
        self._count = 0

    def set(self, incident_id: str, kind: TimerKind, due: datetime) -> None:
        """Let `kind` happen to the incident at `due`."""
        self._count += 1
        self._set[incident_id, kind] = (due, self._count)
        heapq.heappush(self._heap, (due, self._count, incident_id, kind))

    def cancel(self, incident_id: str, *kinds: TimerKind) -> None:
        """Forget these timers of the incident, where they are set."""
        for kind in kinds:
            self._set.pop((incident_id, kind), None)

    def due_of(self, incident_id: str, kind: TimerKind) -> datetime | None:
        """When this timer of the incident is due, None when it is not set."""
        found = self._set.get((incident_id, kind))
        return found[0] if found else None

    @property
    def next_due(self) -> datetime | None:
        """When the next timer is due."""
        while self._heap:
            due, count, incident_id, kind = self._heap[0]
            if self._set.get((incident_id, kind)) == (due, count):
                return due
            heapq.heappop(self._heap)  # cancelled, or set anew
        return None

    def take(self) -> tuple[datetime, str, TimerKind]:
        """The next timer, which is set no longer; call it only when `next_due` names one."""
        due, _, incident_id, kind = heapq.heappop(self._heap)
        del self._set[incident_id, kind]
        return due, incident_id, kind

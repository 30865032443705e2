"""`Book`: the rows of the incident log that still matter, in memory, in the lanes of their alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from resolute.ledger import lanes
from resolute.ledger.pace import Pace
from resolute.ledger.row import Row


@dataclass
class Lane:
    """The rows of one alert that still matter, oldest first; `busy` is the id of the row in flight."""

    rows: list[Row] = field(default_factory=list)
    busy: int | None = None


class Book:
    """Keeps rows until they matter no more.

    Args:
        limit_of: how many events a minute the service of a row is stated to take, None where nothing is.

    Attributes:
        rows: row id → row.
        lanes: lane → its rows.
        followed: ids of the rows that no node waits for and that something is still due for.
    """

    def __init__(self, limit_of: Callable[[Row], int | None]) -> None:
        self._limit_of = limit_of
        self.rows: dict[int, Row] = {}
        self.lanes: dict[str, Lane] = {}
        self.followed: set[int] = set()
        self._holds: dict[str, tuple[datetime, datetime]] = {}  # since when, until when
        self._paces: dict[str, Pace] = {}
        self._open_keys: frozenset[str] | None = None

    @property
    def open_keys(self) -> frozenset[str]:
        """The dedup keys for which an alert is, or may be, open. A snapshot that never changes."""
        if self._open_keys is None:
            self._open_keys = frozenset(row.dedup_key for row in self.rows.values() if row.keeps_alert_open)
        return self._open_keys

    def lane(self, name: str) -> Lane:
        """The lane of this name, an empty one where it has no rows."""
        return self.lanes.setdefault(name, Lane())

    def put(self, row: Row) -> Row:
        """Take a row as it is now, and forget one that matters no more."""
        lane = self.lanes.setdefault(row.lane, Lane())
        position = next((i for i, other in enumerate(lane.rows) if other.id == row.id), None)
        matters = not row.is_settled or row.is_open or row.repeat_at is not None or row.awaited
        if not matters:
            self.rows.pop(row.id, None)
            if position is not None:
                del lane.rows[position]
            if not lane.rows and lane.busy is None:
                self.lanes.pop(row.lane, None)
        else:
            self.rows[row.id] = row
            if position is None:
                lane.rows.append(row)
                lane.rows.sort(key=lambda other: other.id)
            else:
                lane.rows[position] = row
        follow = matters and (row.repeat_at is not None if row.is_settled else not row.awaited)
        (self.followed.add if follow else self.followed.discard)(row.id)
        self._open_keys = None
        return row

    def hold(self, host_key: str, since: datetime, until: datetime) -> None:
        """Let nothing of this host and routing key leave until then."""
        known = self._holds.get(host_key)
        if known is None or known[1] < until:
            self._holds[host_key] = since, until

    def pace(self, row: Row) -> Pace:
        """The pace of the row's host and routing key."""
        if row.host_key not in self._paces:
            self._paces[row.host_key] = Pace(self._limit_of(row))
        return self._paces[row.host_key]

    def held(self, row: Row, now: datetime) -> datetime | None:
        """Until when the row's host and routing key are held; None when they are not."""
        since, until = self._holds.get(row.host_key, (now, now))
        if until <= now or since > now + lanes.SET_BACK:  # over, or begun before the clock was set back
            self._holds.pop(row.host_key, None)
            return None
        return until

    def advance(self, lane: Lane, now: datetime) -> list[Row]:
        """Let every newer decision of a free lane take the place of the older ones; returns what changed."""
        changed: dict[int, Row] = {}
        if lane.busy is not None:
            return []
        for row in list(lane.rows):
            if row.is_settled or row.action == "acknowledge":
                continue
            older = [other for other in lane.rows if other.id < row.id and not other.is_settled]
            if not older:
                continue
            settled, newer = lanes.supersede(older, row, now)
            for other in (*settled, newer):
                if other is not row:
                    changed[other.id] = self.put(other)
        return list(changed.values())

    def wakes(self, lane: Lane, changed: Sequence[Row], own: Row) -> tuple[Row, ...]:
        """The rows of a lane whose waiter has something to do after these changes."""
        wake = {row.id: row for row in changed if row.is_settled and row.awaited and row.id != own.id}
        first = lanes.head(lane.rows)
        if first is not None and first.id != own.id and lane.busy is None:
            wake[first.id] = first
        return tuple(wake.values())

    def freed(self, row: Row) -> tuple[Row, ...]:
        """The rows that waited for the pace of this row's routing key and wait no more."""
        heads = (lanes.head(self.lanes[name].rows) for name in self.pace(row).freed() if name in self.lanes)
        return tuple(head for head in heads if head is not None and head.id != row.id)

"""`SharedLedger`: the port of an incident log that several workers write, each with a journal of its own.

A worker claims the lane of an event before it sends, for a limited time on the ledger's clock, and tells the ledger
afterwards what came of it. No answer within `PATIENCE_S` counts as none: a page does not wait for a ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from resolute.ledger.row import LedgerStatus, Row

#: For how long a claim is waited for.
PATIENCE_S: Final = 2.0


@dataclass(frozen=True)
class Granted:
    """The lane is the row's until its lease ends.

    Attributes:
        may_arrive: a request of another worker's trigger in the lane is of unknown outcome, so that a resolve has to
            be repeated.
        alert_id, alert_since: the open alert of another worker that a trigger will be folded into.
        attempts, lost, unknown_since: of the row itself, as another worker has left it.
    """

    may_arrive: bool = False
    alert_id: int | None = None
    alert_since: datetime | None = None
    attempts: int = 0
    lost: int = 0
    unknown_since: datetime | None = None


@dataclass(frozen=True)
class Busy:
    """Another row of the lane is being sent, or has to go first; look again after so many seconds."""

    wait_s: float


@dataclass(frozen=True)
class SettledElsewhere:
    """The row was settled by what another worker did: nothing is to be sent.

    Attributes:
        status, message, response_status: as they stand in the ledger.
        is_open: whether its alert is open.
    """

    status: LedgerStatus
    message: str
    response_status: str = ""
    is_open: bool = False


Claim = Granted | Busy | SettledElsewhere


class SharedLedger(Protocol):
    """An incident log that several workers write.

    Raises:
        StoreUnavailable: from every call: it cannot be asked now.
    """

    async def open(self, worker: str, key: bytes) -> bytes:
        """Make ready for a worker; the key of the digests that all workers use.

        What the worker claimed before it ended is claimed no longer.

        Args:
            worker: its name, which no other has.
            key: that of its own journal, which the first worker's ledger takes: so its alerts keep their lanes.
        """
        ...

    async def claim(self, row: Row) -> Claim:
        """Write the row as it is and ask whether it may be sent now.

        A row that is granted is this worker's from then on, also where another one had begun to send it.
        """
        ...

    async def settled(self, keys: Sequence[str]) -> Mapping[str, SettledElsewhere]:
        """Those of these sends that are settled, by their idempotency keys."""
        ...

    async def may_be_sent(self, keys: Sequence[str]) -> bool:
        """Whether what other workers did with one of these sends has, or may have, brought it to the service."""
        ...

    async def abandoned(self, idle: timedelta, after: int, limit: int) -> Sequence[Row]:
        """Unsettled rows with which nothing was done for so long, of runs that are in no worker's journal.

        One that was claimed is `sending`: it may have been sent.

        Args:
            idle: on the ledger's clock, from its latest attempt, due time or claim.
            after: the number of a row in this log; those from there on come first.
        """
        ...

    async def put(self, rows: Sequence[Row], keys: Mapping[int, str]) -> None:
        """Write rows as they are. What is known there to be later or decided by others stays; may be repeated.

        Args:
            keys: number → idempotency key of the rows that these name by the number of their journal; they have been
                written before, or are among them.
        """
        ...

    async def open_alerts(self) -> frozenset[tuple[str, str]]:
        """(lane, dedup key) of every alert that is, or may be, open."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

"""`LeftPages`: pages that a worker on Temporal had begun, and with which another worker has gone on since.

Its own incident log would hold them unsettled for ever, and with them all that follows in their alerts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from resolute.clock import monotonic
from resolute.engine import RunView
from resolute.engines.embedded.core import Core
from resolute.errors import EngineError, RunNotFound, StoreUnavailable
from resolute.ledger.outcomes import Outcome
from resolute.ledger.row import Row

log = logging.getLogger("resolute.temporal")

#: How often it is looked for them.
LOOK_S: Final = 5.0
#: The server is asked about the run of a page to which no attempt has come for so long,
OVERDUE: Final = timedelta(seconds=30)
#: and about so many of them at each look,
AT_ONCE: Final = 50
#: once the workers that share an incident log have had so long to tell what they did while that was away.
TOLD_IN: Final = timedelta(minutes=1)


class LeftPages:
    """Finds out what became of them.

    Args:
        is_here: whether an attempt of a page is made by this worker just now.
        look: shows a run as the server knows it.
    """

    def __init__(self, core: Core, is_here: Callable[[Row], bool], look: Callable[[str], Awaitable[RunView]]) -> None:
        self._core = core
        self._is_here = is_here
        self._look = look
        self._asked = 0
        self._heard_s: float | None = None  # since when the shared log has answered

    async def run(self) -> None:
        """Look for them again and again, until cancelled."""
        while True:
            try:
                await self.settle()
                await self.let_go()
            except StoreUnavailable as error:
                self._heard_s = None
                log.debug("what became of pages is asked again later: %s", error)
            await asyncio.sleep(LOOK_S)

    async def settle(self) -> None:
        """Settle those that another worker has settled; raises StoreUnavailable when the shared ledger is away."""
        left, ledger = self._left(), self._core.ledger
        if not left or ledger is None:
            return
        settled = await ledger.settled([row.idempotency_key for row in left])
        self._heard_s = monotonic() if self._heard_s is None else self._heard_s
        for row in left:
            if row.idempotency_key in settled and self._is_left(row):
                await self._write(self._core.log.settle_elsewhere(row.id, settled[row.idempotency_key]))

    async def let_go(self) -> None:
        """Let go of those whose runs have ended; raises StoreUnavailable when the server is away.

        Of a cancelled run is dropped what was never sent. Anything else goes on without its run.
        """
        if self._core.ledger is not None and not self._is_told():
            return
        before, log = self._core.clock.now() - OVERDUE, self._core.log
        overdue = [row for row in self._left() if (row.due_at or row.sent_at or row.created_at) < before]
        for row in ([row for row in overdue if row.id > self._asked] or overdue)[:AT_ONCE]:
            self._asked = row.id
            ended = await self._ended(row)
            if ended and self._is_left(row):
                await self._write(log.cancel(row.id) if ended == "cancelled" else _alone(log.leave(row.id)))

    def _is_told(self) -> bool:
        """Whether a page that another worker has delivered would be known as settled by now."""
        return self._heard_s is not None and monotonic() - self._heard_s >= TOLD_IN.total_seconds()

    def _left(self) -> list[Row]:
        """The pages of runs on Temporal with which nothing is done here."""
        return [row for row in self._core.log.unsettled() if self._is_left(row)]

    def _is_left(self, row: Row) -> bool:
        is_same = self._core.log.row(row.id) is row
        return is_same and row.awaited and row.run_no == 0 and not self._is_here(row)

    async def _ended(self, row: Row) -> str:
        """How a page's run has ended, "" while it goes on: then an attempt of the page comes to some worker."""
        try:
            run = await self._look(row.run_id)
        except RunNotFound:
            return "forgotten"
        except StoreUnavailable:
            raise
        except EngineError as error:  # the page may wait: somebody has to mend that for all the worker's runs
            log.warning("run %s: what became of its page cannot be asked: %s", row.run_id, error)
            return ""
        return run.status if run.is_finished else ""

    async def _write(self, outcome: Outcome) -> None:
        await self._core.store.commit(list(outcome.changed))
        self._core.wake([outcome.row, *outcome.wake])


def _alone(row: Row) -> Outcome:
    """A row that goes on without its run."""
    return Outcome(row, (row,))

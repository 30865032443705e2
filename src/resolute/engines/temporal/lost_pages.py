"""`LostPages`: pages of workers that did not come back, whose runs have ended since, so that no attempt comes to them.

In the incident log that workers share they would stay unsettled for ever. Whoever finds one claims its alert first: a
worker that was only slow finds its page settled, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, cast

from resolute.clock import monotonic
from resolute.engine import RunView
from resolute.engines.embedded.core import Core
from resolute.engines.temporal.left_pages import TOLD_IN
from resolute.errors import ConfigError, EngineError, RunNotFound, StoreUnavailable
from resolute.ledger.incident_log import KeyGone, as_left
from resolute.ledger.lanes import LOOK_BACK, Settle, next_move
from resolute.ledger.row import LedgerStatus, Row
from resolute.ledger.shared import Granted, SharedLedger
from resolute.secrets import digest

log = logging.getLogger("resolute.temporal")

#: How often it is looked for them.
LOOK_S: Final = 30.0
#: A worker that lives attempts a page, or lets it go, within much less time than this.
IDLE: Final = timedelta(minutes=5)
#: So many of them are looked at together.
AT_ONCE: Final = 50


class LostPages:
    """Sees to them: a page that its run has an answer for, or that it does not want any more, is settled and not sent.

    Any other goes on without its run.

    Args:
        alone: is held while something is done with the page at this run id and position.
        ended: a run of this worker's task queue that has ended, None for any other.
    """

    def __init__(
        self,
        core: Core,
        alone: Callable[[str], AbstractAsyncContextManager[None]],
        ended: Callable[[str], Awaitable[RunView | None]],
    ) -> None:
        self._core = core
        self._alone = alone
        self._ended = ended
        self._seen = 0
        self._found: dict[int, float] = {}  # row → since when the log has answered that it is abandoned

    async def run(self) -> None:
        """Look for them again and again, until cancelled; a worker that shares no log has none."""
        while self._core.ledger is not None:
            try:
                await self._look(self._core.ledger)
            except StoreUnavailable as error:
                log.debug("pages of lost workers are looked for again later: %s", error)
                self._found.clear()
            await asyncio.sleep(LOOK_S)

    async def _look(self, ledger: SharedLedger) -> None:
        for row in await ledger.abandoned(IDLE, self._seen, AT_ONCE):
            self._seen = row.id
            if monotonic() - self._found.setdefault(row.id, monotonic()) < TOLD_IN.total_seconds():
                continue
            run = await self._run_of(row)
            if run is not None:
                async with self._alone(f"{row.run_id}/{row.position}"):
                    await self._see_to(ledger, row, run)

    async def _see_to(self, ledger: SharedLedger, row: Row, run: RunView) -> None:
        core = self._core
        node = next((each for each in run.nodes if each.position == row.position), None)
        known, now = await core.store.ledger_by_key(row.idempotency_key), core.clock.now()
        move = next_move(row, now)
        if known is not None and not known.is_settled:
            return  # this worker is at it already
        if node is not None and node.status == "done":
            await self._settle(ledger, row, Settle("accepted", "its run has its answer"), node.finished_at or now)
        elif run.status == "cancelled":
            await self._settle(ledger, row, Settle("cancelled", "its run was cancelled"), now)
        elif isinstance(move, Settle):
            await self._settle(ledger, row, move, now)
        elif known is not None:  # settled here before it could be claimed
            await self._settle(ledger, row, Settle(known.status, known.message), now)
        elif (node is not None or run.status != "succeeded") and self._can_send(row):
            await self._adopt(row)

    async def _run_of(self, row: Row) -> RunView | None:
        """A page's run once it has ended; None where it goes on, or is unknown here."""
        try:
            return await self._ended(row.run_id)
        except RunNotFound:
            return None
        except StoreUnavailable:
            raise
        except EngineError as error:  # the page may wait: somebody has to mend that for all the worker's runs
            log.warning("run %s: what became of its page cannot be asked: %s", row.run_id, error)
            return None

    async def _settle(self, ledger: SharedLedger, row: Row, end: Settle, at: datetime) -> None:
        """Settle a page that is not sent any more, by what is known of it."""
        claim = await ledger.claim(row)
        if not isinstance(claim, Granted):  # somebody was faster
            return
        row, status = as_left(row, claim, self._core.clock.now()), end.status
        why = f"{end.reason}, and its worker did not come back"
        if row.unknown_since is not None and status != "accepted":
            is_trigger = row.action == "trigger"
            found = is_trigger and await self._core.log.was_received(row, row.unknown_since - LOOK_BACK)
            status = "accepted" if found else "undelivered"
            why += "; found at the service by look-up" if found else " (sent, outcome unknown)"
        settled = replace(
            row,
            status=cast(LedgerStatus, status),
            message=why,
            error_message="",
            response_status="success" if status == "accepted" else row.response_status,
            unknown_since=None if status == "accepted" else row.unknown_since,
            is_open=row.action == "trigger" and (row.is_unknown or status == "accepted"),
            due_at=None,
            awaited=False,
            settled_at=at,
        )
        await ledger.put([settled], {})
        log.warning("run %s: %s (%s %s) is %s: %s", row.run_id, row.position, row.action, row.dedup_key, status, why)

    def _can_send(self, row: Row) -> bool:
        """Whether the page would leave from here as from its own worker, and behind nothing newer."""
        core = self._core
        try:
            is_same = digest(core.routing_key(row), core.digest_key) == row.key_digest
        except KeyGone:  # of a process that has ended: it is settled as interrupted, unsent
            is_same = (row.service, row.instance) in core.paging
        except ConfigError:
            return False
        return is_same and all(each.lane != row.lane for each in core.log.unsettled())

    async def _adopt(self, row: Row) -> None:
        """Go on with a page as with one of this worker's that its run has left to itself."""
        core = self._core
        outcome = core.log.record(lambda row_id: replace(row, id=row_id, awaited=False))
        await core.store.commit(list(outcome.changed))
        log.warning("run %s: its worker did not come back; %s goes on from here", row.run_id, row.position)
        core.wake([outcome.row, *outcome.wake])

"""`RemoteNotices`: tells of runs on Temporal that failed, or that are stuck, as `Worker(on_failure=...)` says.

A notice is a run of its own, whose id is made of what it tells: whoever finds it told already leaves it at that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from temporalio.client import WorkflowExecution

from resolute.engine import Fault
from resolute.engines.embedded.failure_notice import NOTICE_FLOW, FailureNotices
from resolute.engines.embedded.store import RunRow
from resolute.engines.temporal.engine import TemporalEngine
from resolute.engines.temporal.parked import Parked, parked
from resolute.engines.temporal.views import execution_view
from resolute.errors import EngineError, RunConflict, StoreUnavailable

log = logging.getLogger("resolute.temporal")

#: How often a worker looks for runs that are stuck.
LOOK_EVERY: Final = timedelta(seconds=30)
#: Of runs that are stuck, so many are told in one look; the others in the next ones.
AT_ONCE: Final = 50


class RemoteNotices:
    """Starts the notices of one worker."""

    def __init__(self, notices: FailureNotices, remote: TemporalEngine) -> None:
        self._notices = notices
        self._remote = remote
        self._seen: set[str] = set()

    async def tell(self, run: RunRow, faults: Sequence[Fault], mark: str = "") -> None:
        """Start the notice of a run that has failed, or needs attention, unless that was done.

        Args:
            mark: what tells this notice from others of the same run; how often the run was retried unless given.

        Raises:
            StoreUnavailable: the server cannot be reached.
        """
        notice = self._notices.about(run, faults)
        if notice is None:
            return
        run_id = f"{NOTICE_FLOW}:{run.id}:{mark or run.retries}"
        try:
            await self._remote.start(NOTICE_FLOW, notice.model_dump(mode="json"), run_id=run_id, trigger=notice.kind)
        except RunConflict:
            log.debug("%s was told before", run_id)

    async def watch(self) -> None:
        """Look for runs that are stuck, for ever."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.debug("runs that are stuck are looked for later: %s", error)
            except EngineError as error:
                log.warning(
                    "Worker(on_failure=...) is not told of runs that need attention: this server does not say which "
                    "are stuck (%s). Servers from version 1.30 on do.",
                    error,
                )
                return
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    async def look(self) -> None:
        """Tell of the runs that are stuck now; raises StoreUnavailable, EngineError."""
        found = {execution.run_id: execution for execution in await self._remote.stuck()}
        self._seen &= set(found)
        for execution in [each for each in found.values() if each.run_id not in self._seen][:AT_ONCE]:
            why = await parked(self._remote.client, execution.id, execution.run_id)
            await self.tell(await _row(execution, why), (), mark=f"{execution.run_id}-{why.since}")
            self._seen.add(execution.run_id)


async def _row(execution: WorkflowExecution, why: Parked) -> RunRow:
    """The run as a notice tells of it."""
    run = execution_view(execution, await execution.memo())
    return RunRow(
        no=0,
        id=run.id,
        flow=run.flow,
        fingerprint="",
        status="needs_attention",
        input="",
        input_digest="",
        trigger=run.trigger,
        created_at=run.created_at,
        error=why.reason,
    )

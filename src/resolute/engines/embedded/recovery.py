"""What an engine takes up when it opens a store: runs that were in memory, pages whose key has gone."""

from __future__ import annotations

import logging
from dataclasses import replace

from resolute.engine import FINISHED
from resolute.engines.embedded.core import IN_MEMORY, Core
from resolute.engines.embedded.driver import Driver
from resolute.engines.embedded.store import Op, RunRow
from resolute.engines.embedded.views import ended

log = logging.getLogger("resolute.engine")

#: Attempts lost in a row, each as the only running one, after which a run is parked.
LOST_LIMIT = 5


async def end_interrupted(core: Core) -> None:
    """End the runs whose routing key died with their process; their rows are settled as follow-ups."""
    for row in core.log.unsettled():
        if not row.key_secret.startswith(IN_MEMORY) or row.run_id in core.run_secrets:
            continue
        if not row.run_no:  # its run is on a server, which ends it by itself
            await core.store.commit([core.log.interrupt(row.id)])
            continue
        run, entries = await core.store.load(row.run_no)
        now, reason = core.clock.now(), "interrupted: the process that held its key ended"
        batch: list[Op] = [core.log.interrupt(row.id)]
        if run.status not in FINISHED:
            failed = replace(run, status="failed", error=reason, error_key=row.position, **ended(now))
            batch += [failed, *core.told(failed)]
            batch.extend(
                replace(entry, status="failed", error=reason, finished_at=now)
                for entry in entries
                if entry.row_id == row.id
            )
        await core.store.commit(batch)


async def recover(core: Core, driver: Driver) -> None:
    """Take up every run that was in memory when the last owner ended."""
    found = [await core.store.load(no) for no in await core.store.running()]
    lost = [entry for _, entries in found for entry in entries if entry.status == "running" and not entry.row_id]
    for row, entries in found:
        if len(lost) == 1 and lost[0].run_no == row.no:
            counted = replace(lost[0], lost=lost[0].lost + 1)
            entries = [counted if entry is lost[0] else entry for entry in entries]
            await core.store.commit([counted])
            if counted.lost >= LOST_LIMIT:
                parked = await park_for_attention(
                    core,
                    row,
                    counted.key,
                    f'The worker ended {counted.lost} times in a row while "{counted.position}" '
                    f"({counted.activity}) was its only running attempt. "
                    f"Mend the activity, then `resolute runs retry {row.id}`.",
                )
                driver.finished(parked)
                continue
        if row.no not in driver.tasks:  # another run may have woken it meanwhile
            driver.drive(row, entries)


async def park_for_attention(core: Core, row: RunRow, key: str, reason: str) -> RunRow:
    """Park a run until a person has looked at it."""
    log.error("run %s needs attention: %s", row.id, reason)
    parked = replace(row, status="needs_attention", error=reason, error_key=key, **ended(core.clock.now()))
    await core.store.commit([parked, *core.told(parked)])
    return parked

"""`Orders`: what operators ask of runs that have begun: to end, to go on after a failure, to take an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from resolute.engine import FINISHED, RunView, child_id
from resolute.engines.embedded.changed_flow import has_changed
from resolute.engines.embedded.core import Core
from resolute.engines.embedded.driver import Driver
from resolute.engines.embedded.live_run import LiveRun
from resolute.engines.embedded.pruned import missing
from resolute.engines.embedded.rehearsal import rehearse
from resolute.engines.embedded.request import check_gate, signal_text
from resolute.engines.embedded.revival import revive
from resolute.engines.embedded.store import DropEntry, Entry, Op, RunRow
from resolute.engines.embedded.views import ended, view
from resolute.errors import EngineError, ReplayMismatch, StoreError
from resolute.jsontypes import JsonValue
from resolute.ledger.row import Row

log = logging.getLogger("resolute.engine")

#: How often a row is looked at that settles by itself.
SETTLE_CHECK_S: Final = 0.02


class Orders:
    """Carries out what operators ask."""

    def __init__(self, core: Core, driver: Driver) -> None:
        self._core = core
        self._driver = driver
        self._writing = asyncio.Lock()  # one answer at a time is taken in, so that each has a place of its own

    async def found(self, run_id: str) -> RunRow:
        """The run with this id; raises RunNotFound, RunPruned."""
        row = await self._core.store.find(run_id)
        if row is None:
            raise await missing(self._core.store, run_id)
        return row

    async def settled_row(self, row_id: int) -> Row | None:
        """A row of the incident log; one whose outcome is being looked up is waited for."""
        while (row := self._core.log.row(row_id)) is not None and not row.is_settled:  # noqa: ASYNC110 - a rare command
            await asyncio.sleep(SETTLE_CHECK_S)
        return await self._core.store.ledger_row(row_id)

    def _take(self, run_no: int) -> None:
        """Drive the run from now on."""
        if not self._driver.drives_all:
            self._driver.own.add(run_no)

    # Cancel

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        """End an unfinished run: a page on its way settles first, and what was done is undone.

        A run that has nothing to undo has ended when this returns; another one goes on until it is undone.
        """
        why = f"cancelled{f' by {by}' if by else ''}{f': {reason}' if reason else ''}"
        while True:
            row = await self.found(run_id)
            if row.status in FINISHED and row.status != "needs_attention":
                raise EngineError(f'Run "{run_id}" has {row.status} already and cannot be cancelled.')
            live = await self._driver.in_memory(row.no)
            if live is None:
                row, entries = await self._core.store.load(row.no)
                if row.no in self._driver.tasks or (row.status in FINISHED and row.status != "needs_attention"):
                    continue
                return await self._cancel_parked(row, entries, why)
            live.stop("cancelled", why)
            await live.flush()
            return await self._ended(live)

    async def _cancel_parked(self, row: RunRow, entries: Sequence[Entry], why: str) -> RunView:
        stopped = replace(row, stop="cancelled", stop_reason=why)
        known = row.flow in self._core.flows
        if known and row.status != "needs_attention":
            self._take(row.no)
            running = replace(stopped, status="running", waiting_for="")
            return await self._ended(self._driver.drive(running, entries, batch=[running]))
        if row.has_undo and not known and not self._driver.drives_all:
            now = self._core.clock.now()
            left = replace(stopped, status="queued", due_at=now, waiting_for="a worker, to be cancelled and undone")
            await self._core.store.commit([left])
            return view(left)
        if row.has_undo:
            why = f"{why}. Nothing was undone: the run could not be walked under its flow as it is now"
        return await self._end_now(row, entries, why)

    async def _ended(self, live: LiveRun) -> RunView:
        """The run once it has ended, or at once when it has something to undo, which may take long."""
        if live.row.has_undo:
            await live.flush()
            return view(live.row)
        task = self._driver.tasks.get(live.row.no)
        if task is not None:
            await asyncio.wait({task})
        return view(await self.found(live.run_id))

    async def _end_now(self, row: RunRow, entries: Sequence[Entry], why: str) -> RunView:
        """End a run without walking it: nothing of it is in memory."""
        changed: list[Op] = []
        woken: list[Row] = []
        now = self._core.clock.now()
        for entry in entries:
            if entry.status not in ("running", "waiting"):
                continue
            if entry.row_id and self._core.log.row(entry.row_id):
                outcome = self._core.log.cancel(entry.row_id)
                changed.extend(outcome.changed)
                woken.extend(outcome.wake)
            changed.append(replace(entry, status="cancelled", due_at=None, finished_at=now))
        cancelled = replace(row, status="cancelled", stop="cancelled", stop_reason=why, error=why, **ended(now))
        self._driver.barred.add(row.no)  # from here on nothing wakes it
        try:
            await self._core.store.commit([*changed, cancelled])
        finally:
            self._driver.barred.discard(row.no)
        self._driver.wake_rows(woken)
        self._driver.timers.poke_follow_ups()
        self._driver.finished(cancelled)
        return view(cancelled, entries)

    async def stop_child(self, run_id: str, reason: str) -> RunRow | None:
        """A child run, cancelled unless it has ended; None when it was never started."""
        row = await self._core.store.find(run_id)
        if row is None or row.status in FINISHED or row.stop:
            return row
        refusal: EngineError | None = None
        try:
            await self.cancel(run_id, reason=reason)
        except StoreError:
            raise
        except EngineError as error:
            refusal = error  # it may have ended by itself meanwhile
        row = await self._core.store.find(run_id)
        if refusal is not None and (row is None or row.status not in FINISHED):
            raise refusal
        return row

    # Retry

    async def retry(self, run_id: str, secrets: Mapping[str, str] | None = None) -> RunView:
        """Take a failed or parked run up again at what failed.

        Args:
            secrets: secret inputs by name, for a run that was started with some.

        Raises:
            RunNotFound: no run has this id.
            EngineError: it has not failed, was undone, or its flow is not known here, or does not fit it any more.
        """
        row = await self.found(run_id)
        await self._driver.in_memory(row.no)  # one that has just ended leaves memory first
        row, entries = await self._core.store.load(row.no)
        recipe = self._core.flows.get(row.flow)
        if row.status not in ("failed", "needs_attention"):
            hint = "Start it anew with another id." if row.status in FINISHED else "It is not over yet."
            raise EngineError(f'Run "{run_id}" has not failed, it is {row.status.replace("_", " ")}. {hint}')
        if row.status == "failed":
            self._check_not_undone(run_id, entries)
        if recipe is None:
            raise EngineError(f'The flow "{row.flow}" of run "{run_id}" is not among those of this worker. Add it.')
        failed: set[str] = set()
        if row.status == "failed":
            try:
                stands = await rehearse(recipe, row, entries, lambda digest: self._core.store.large(row.no, digest))
            except ReplayMismatch as error:
                raise ReplayMismatch(has_changed(recipe, row, str(error))) from error
            failed = {fault.position for fault in stands.faults}
        if row.no in self._driver.tasks or row.no in self._driver.barred:
            raise EngineError(f'Run "{run_id}" was taken up again already.')
        self._driver.barred.add(row.no)  # until it is driven nothing else may wake it, as the end of its child would
        try:
            return await self._take_up(row, entries, failed, secrets)
        finally:
            self._driver.barred.discard(row.no)

    async def _take_up(
        self, row: RunRow, entries: Sequence[Entry], failed: set[str], secrets: Mapping[str, str] | None
    ) -> RunView:
        core, now = self._core, self._core.clock.now()
        for value in (secrets or {}).values():
            core.secrets.remember(value)
        if secrets:
            core.run_secrets[row.id] = dict(secrets)
        children = {
            entry.position: await self._retries_of(child_id(row.id, entry.position))
            for entry in entries
            if entry.kind == "child" and entry.position in failed
        }
        rows = {
            entry.row_id: found
            for entry in entries
            if entry.row_id and entry.status in ("failed", "cancelled")
            if (found := await self.settled_row(entry.row_id)) is not None
        }
        if row.status == "needs_attention":  # nothing has failed: it goes on as it stood
            changed: list[Op] = [replace(entry, lost=0) for entry in entries if entry.lost]
        else:
            changed = revive(core.log, entries, failed, rows, children, lambda key: self.deadline_s(row.flow, key), now)
        recipe = core.flows[row.flow]
        again = replace(
            row,
            status="running",
            error="",
            error_key="",
            finished_at=None,
            output=None,
            stop=row.stop if row.status == "needs_attention" else "",  # what it was parked in goes on
            stop_reason=row.stop_reason if row.status == "needs_attention" else "",
            retries=row.retries + (row.status == "failed"),
            deadline_at=None if recipe.timeout is None else now + recipe.timeout,
        )
        self._take(row.no)
        self._driver.barred.discard(row.no)
        live = self._driver.drive(again, self._as_changed(entries, changed), batch=[again, *changed])
        await live.started
        return view(live.row)

    async def _retries_of(self, run_id: str) -> int:
        """How often a failed child was retried, -1 for one that cannot be; raises EngineError when it was undone."""
        child = await self._core.store.find(run_id)
        if child is None or child.status != "failed":
            return -1
        _, entries = await self._core.store.load(child.no)
        self._check_not_undone(run_id, entries)
        return child.retries

    @staticmethod
    def _check_not_undone(run_id: str, entries: Sequence[Entry]) -> None:
        if any(entry.position == "~undo" for entry in entries):
            raise EngineError(f'Run "{run_id}" was undone after it failed and cannot go on. Start it anew.')

    @staticmethod
    def _as_changed(entries: Sequence[Entry], changed: Sequence[Op]) -> list[Entry]:
        """The journal as it is once the batch is written."""
        put = {op.position: op for op in changed if isinstance(op, Entry)}
        dropped = {op.position for op in changed if isinstance(op, DropEntry)}
        return [put.get(entry.position, entry) for entry in entries if entry.position not in dropped]

    def deadline_s(self, flow: str, key: str) -> float | None:
        """For how long a page of this node is tried, as its flow is now; None when it does not say."""
        recipe = self._core.flows.get(flow)
        for node in recipe.nodes() if recipe is not None else ():
            deadline = (node.retry or node.activity.retry).deadline
            if node.key == key and deadline is not None:
                return deadline.total_seconds()
        return None

    # Signals

    async def signal(
        self, run_id: str, gate: str, outcome: str, *, by: str = "", reason: str = "", data: JsonValue = None
    ) -> None:
        """Keep an answer for a gate, reached or not, and wake the run."""
        row = await self.found(run_id)
        check_gate(self._core.flows.get(row.flow), run_id, gate)
        text = signal_text(outcome, by, reason, data, self._core.clock.now())
        while True:
            row = await self.found(run_id)
            if row.status in FINISHED:
                raise EngineError(f'Run "{run_id}" has {row.status} already: nothing of it waits for an answer.')
            live = await self._driver.in_memory(row.no)
            async with self._writing:
                live = live or await self._to_memory(row.no)
                if live is None or live.row.status in FINISHED or live.branches.left:
                    continue
                live.receive(gate, self._core.secrets.scrub_json(text))
                live.branches.wake()
                if row.no not in self._driver.tasks and not row.after_no:  # not walked here: due for whoever drives it
                    live.put_run(due_at=self._core.clock.now(), delay_s=0.0)
                await live.flush()
                return

    async def _to_memory(self, run_no: int) -> LiveRun | None:
        """A parked run, taken into memory; None when it has to be looked for once more."""
        row, entries = await self._core.store.load(run_no)
        if run_no in self._driver.tasks or row.status in FINISHED:
            return None
        its_turn = await self._driver.turns.has_come(row)
        if its_turn and (self._driver.drives_all or run_no in self._driver.own):
            running = replace(row, status="running", waiting_for="")
            return self._driver.drive(running, entries, batch=[running])  # a later owner has to take it up as well
        live = LiveRun(self._core, row, entries)  # never walked: the next worker does that, and at once
        if row.status != "running" and its_turn:
            live.put_run(due_at=self._core.clock.now(), delay_s=0.0)
        return live

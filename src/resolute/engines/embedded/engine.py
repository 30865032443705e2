"""`EmbeddedEngine`: runs flows in this process on one store.

A run is its journal and not a task: it is in memory only while it has something to do, and waking
it means walking its flow from the top.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from resolute.clock import Clock, Randomness, new_id
from resolute.engine import FINISHED, RunQuery, RunView, SignalOutcome
from resolute.engines.embedded.core import IN_MEMORY, Core
from resolute.engines.embedded.driver import CHILD_OF, Driver
from resolute.engines.embedded.failure_notice import FailureNotices
from resolute.engines.embedded.large import LARGE_CHARS, digest_of, refer
from resolute.engines.embedded.ledger_mirror import LedgerMirror
from resolute.engines.embedded.limits import LIMITS
from resolute.engines.embedded.orders import Orders
from resolute.engines.embedded.pruned import check_same_pruned, is_taken, pruned_view
from resolute.engines.embedded.recovery import end_interrupted, recover
from resolute.engines.embedded.request import check_run_id, check_same, input_digest, input_text
from resolute.engines.embedded.retention import Retention, Rule
from resolute.engines.embedded.schedules import Schedules, tick_run_id
from resolute.engines.embedded.store import Op, PutLarge, PutTick, RunRow, Store
from resolute.engines.embedded.threads import ThreadPerAttempt, Threads
from resolute.engines.embedded.timers import Timers
from resolute.engines.embedded.views import view, with_large
from resolute.errors import EngineError, StoreError, StoreUnavailable
from resolute.hooks import Hook, Hooks
from resolute.jsontypes import JsonValue
from resolute.ledger.intent import PagingService
from resolute.ledger.shared import SharedLedger
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.trigger import Schedule
from resolute.secrets import Secrets, digest

log = logging.getLogger("resolute.engine")


class EmbeddedEngine:
    """Starts, drives and shows runs.

    Args:
        store: its journal; the engine opens and closes it.
        flows: the flows it can run, by name.
        providers, paging: provider instances by (kind, instance), and those that send events.
        drives_all: False drives only runs that this object started, and nothing else in the store.
        max_concurrent: attempts at the same time.
        hooks: called with each `RunEvent` once it is on disk.
        ledger: the incident log that it shares with other workers; without one the store holds the only one.
        on_failure: a node that is run for each run that fails or is parked, and for missed ticks.
    """

    def __init__(
        self,
        store: Store,
        flows: Iterable[Flow],
        *,
        clock: Clock,
        randomness: Randomness,
        secrets: Secrets,
        providers: Mapping[tuple[str, str], Any] | None = None,
        paging: Mapping[tuple[str, str], PagingService] | None = None,
        threads: Threads | None = None,
        environ: Mapping[str, str] | None = None,
        max_concurrent: int = 100,
        drives_all: bool = True,
        hooks: Iterable[Hook] = (),
        ledger: SharedLedger | None = None,
        on_failure: Node[Any] | None = None,
    ) -> None:
        self._mirror = None if ledger is None else LedgerMirror(ledger)
        self.core = Core(
            store=store if self._mirror is None else self._mirror.beside(store),
            ledger=ledger,
            flows={flow.name: flow for flow in flows},
            clock=clock,
            randomness=randomness,
            threads=threads or ThreadPerAttempt(),
            secrets=secrets,
            providers=dict(providers or {}),
            paging=dict(paging or {}),
            slots=asyncio.Semaphore(max_concurrent),
            wake=lambda rows: self._driver.wake_rows(rows),
            children=_ChildRuns(self),
            hooks=Hooks(hooks),
            environ=os.environ if environ is None else environ,
        )
        self.drives_all = drives_all
        self._driver = Driver(self.core, drives_all=drives_all, max_live=max(4 * max_concurrent, 100))
        self._timers = self._driver.timers = Timers(self._driver)
        self.schedules = Schedules(self._timers, self.tick, self.missed, self.passes_until)
        self._orders = Orders(self.core, self._driver)
        self.retention = Retention(self._driver)
        self._starting: dict[str, asyncio.Future[None]] = {}
        self._next_no = 1
        self.notices: FailureNotices | None = None
        if on_failure is not None:
            notices = self.notices = FailureNotices(self.core, on_failure, self._new_run, self.tell)
            self.add_flow(notices.flow)
            self.core.on_failure, self.core.on_missed = notices.of_run, notices.tell_missed

    # Life

    async def open(self) -> None:
        """Open the store, take up what the last owner left, and begin to drive; raises StoreError."""
        async with AsyncExitStack() as undo:
            opened = await self.core.store.open()
            undo.push_async_callback(self.core.store.close)
            self.core.store.on_broken(self._driver.broke)
            self.core.digest_key = opened.digest_key
            if self._mirror is not None:
                self.core.digest_key = await self._mirror.begin(self.core.store, opened)
            self._next_no = opened.next_run_no
            self.core.limits.load(await self.core.store.memory(LIMITS))
            changed = self.core.log.load(opened.rows, opened.next_row_id)
            if changed:
                await self.core.store.commit(changed)
            await end_interrupted(self.core)
            if self.drives_all:
                await recover(self.core, self._driver)
            self._timers.begin()
            if self._mirror is not None:
                self._timers.run(self._mirror.run(self.core.store, self.core.log))
            if self.drives_all:
                self._timers.run(self._driver.turns.restore())
                self.schedules.begin(opened.ticks, opened.paused)
            undo.pop_all()

    def retain(self, rule: Rule) -> None:
        """Prune by a rule from now on."""
        self._timers.run(self.retention.keep_on(rule))

    def add_flow(self, flow: Flow) -> None:
        """Know one more flow from now on, e.g. that of a job."""
        self.core.flows = {**self.core.flows, flow.name: flow}

    def add_provider(self, kind: str, name: str, provider: Any, paging: PagingService | None) -> None:
        """Know one more account from now on."""
        self.core.providers[kind, name] = provider
        if paging is not None:
            self.core.paging[kind, name] = paging

    async def close(self, grace: timedelta = timedelta(seconds=10), hurry: asyncio.Event | None = None) -> None:
        """Take no new work, give running attempts this long, close the store; the rest is left to the next start.

        Args:
            hurry: ends the grace when it is set.
        """
        driver = self._driver
        driver.stopping = True
        await self._timers.end()
        for live in driver.live.values():
            live.branches.leave()
        busy = [driver.tasks[no] for no, live in driver.live.items() if live.attempting]
        if busy:
            await _wait(busy, grace, hurry or asyncio.Event())
        tasks = list(driver.tasks.values())
        left = list(driver.live.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.core.hooks.close(0.0 if hurry is not None and hurry.is_set() else grace.total_seconds())
        interrupted = [
            replace(entry, status="waiting", due_at=self.core.clock.now())
            for run in left
            for entry in run.entries.values()
            if entry.status == "running" and not entry.row_id
        ]
        if interrupted and not self.broken.done():
            await self.core.store.commit(interrupted)
        if self._mirror is not None and not self.broken.done():
            with suppress(StoreUnavailable):  # the next start tells it
                await self._mirror.tell_all(self.core.store)
        await self.core.store.close()

    @property
    def live_runs(self) -> int:
        """How many runs are in memory."""
        return len(self._driver.tasks)

    @property
    def broken(self) -> asyncio.Future[None]:
        """Ends with an error when the engine cannot go on."""
        return self._driver.broken

    # Starting

    async def receive(self, flow: str, input: JsonValue, *, run_id: str, trigger: str) -> RunView:
        """The run of a delivery from outside: a new one, or the one that has this id already."""
        return await self.start(flow, input, run_id=run_id, trigger=trigger)

    async def tell(self, flow: str, input: JsonValue, *, run_id: str, trigger: str) -> RunView:
        """The run of a notice that no run's end has written."""
        return await self.start(flow, input, run_id=run_id, trigger=trigger)

    async def start(
        self,
        flow: str,
        input: JsonValue = None,
        *,
        run_id: str | None = None,
        trigger: str = "client",
        secrets: Mapping[str, str] | None = None,
        scheduled_at: datetime | None = None,
        also: Sequence[Op] = (),
        after_no: int = 0,
    ) -> RunView:
        """A run that is on disk: a new one, or the one that has this id already.

        Of one that was pruned within 30 days only how it ended is known; its view says so.

        Args:
            secrets: secret inputs by name; they stay in the memory of this process.
            scheduled_at: the tick that starts it.
            also: rows to be written in the same batch, whether or not the run is new.
            after_no: a run that has to end before this one begins; it is queued until then.

        Raises:
            RunConflict: the id belongs to a run of another flow or input.
            InputError: the input does not fit what the flow accepts.
            EngineError: the flow is not known here.
        """
        recipe = self.core.flows.get(flow)
        if recipe is None:
            known = ", ".join(sorted(self.core.flows)) or "none"
            raise EngineError(f'The flow "{flow}" is not known here. Known: {known}.')
        text = input_text(recipe, input)
        name = run_id or new_id(self.core.clock, self.core.randomness)
        check_run_id(name)
        fingerprints = {key: digest(value, self.core.digest_key) for key, value in (secrets or {}).items()}
        wanted = input_digest(flow, input, fingerprints)
        while name in self._starting:
            await asyncio.shield(self._starting[name])
        self._starting[name] = gate = asyncio.get_running_loop().create_future()
        try:
            existing = await self.core.store.known(name) if run_id else None  # a new id is nobody else's
            if isinstance(existing, RunRow):
                return await self._existing(existing, wanted, scheduled_at, secrets, also)
            if existing is not None and await is_taken(self.core.store, existing, self.core.clock.now()):
                if also:
                    await self.core.store.commit(list(also))
                if scheduled_at is None:
                    check_same_pruned(existing, wanted)
                return pruned_view(existing, flow)
            for value in (secrets or {}).values():
                self.core.secrets.remember(value)
            row, more = self._new_run(recipe, name, self.core.secrets.scrub_json(text), wanted, trigger)
            row = row.but(scheduled=scheduled_at is not None, scheduled_at=scheduled_at)
            also = [*more, *also]
            if not self.drives_all:
                self._driver.own.add(row.no)
            if secrets:
                self.core.run_secrets[name] = dict(secrets)
            if after_no:
                told = f"its turn after run number {after_no}"
                row = row.but(status="queued", after_no=after_no, deadline_at=None, waiting_for=told)
                await self.core.store.commit([row, *also])
                await self._driver.turns.queue(row.no, after_no)
                return view(row)
            if not self._driver.has_room:
                row = row.but(status="queued", due_at=row.created_at)
                await self.core.store.commit([row, *also])
                self._timers.poke()
                return view(row)
            live = self._driver.drive(row, (), batch=[row, *also])
            await live.started
            return view(live.row)
        finally:
            del self._starting[name]
            gate.set_result(None)

    def _new_run(self, recipe: Flow, name: str, text: str, wanted: str, trigger: str) -> tuple[RunRow, list[Op]]:
        """The row of a run that is begun now, and what else has to be written with it."""
        now, no = self.core.clock.now(), self._next_no
        self._next_no += 1
        more = self._driver.outline_of(recipe)
        if len(text) > LARGE_CHARS:
            more.append(PutLarge(no, digest_of(text), text))
            text = refer(text)
        row = RunRow(
            no=no,
            id=name,
            flow=recipe.name,
            fingerprint=recipe.fingerprint,
            status="running",
            input=text,
            input_digest=wanted,
            trigger=trigger,
            created_at=now,
            deadline_at=None if recipe.timeout is None else now + recipe.timeout,
            has_undo=recipe.has_undo,
        )
        return row, more

    async def _existing(
        self,
        row: RunRow,
        wanted: str,
        scheduled_at: datetime | None,
        secrets: Mapping[str, str] | None,
        also: Sequence[Op],
    ) -> RunView:
        if also:
            await self.core.store.commit(list(also))
        if scheduled_at is None:
            check_same(row, wanted)
        for value in (secrets or {}).values():
            self.core.secrets.remember(value)
        if not self.drives_all and row.status not in FINISHED and row.no not in self._driver.own:
            self._driver.own.add(row.no)
            if secrets:
                self.core.run_secrets[row.id] = dict(secrets)
                await self._begin_anew(row)
            self._driver.wake(row.no)
        return view(row)

    async def _begin_anew(self, run: RunRow) -> None:
        """Let the unsettled page of a run that was interrupted count its time from now: it is sent by hand again."""
        _, entries = await self.core.store.load(run.no)
        rows = [(entry, self.core.log.row(entry.row_id)) for entry in entries if entry.row_id]
        now = self.core.clock.now()
        batch = [
            self.core.log.reopen(row, now, self._orders.deadline_s(run.flow, entry.key))
            for entry, row in rows
            if row is not None and not row.is_settled
        ]
        if batch:
            await self.core.store.commit(batch)

    async def resend(self, run_id: str, secrets: Mapping[str, str]) -> RunView:
        """Take a failed run up again whose page was not delivered: send it under the same dedup key and row.

        Where the page turned out to have been accepted after all, the run only takes that answer.
        """
        with self.retention.paused():
            return await self._resend(run_id, secrets)

    async def _resend(self, run_id: str, secrets: Mapping[str, str]) -> RunView:
        run, entries = await self.core.store.load((await self._found(run_id)).no)
        for entry in entries:
            row = await self._orders.settled_row(entry.row_id) if entry.row_id and run.status == "failed" else None
            if row is None or row.status not in ("undelivered", "accepted") or entry.status != "failed":
                continue
            for value in secrets.values():
                self.core.secrets.remember(value)
            self.core.run_secrets[run_id] = dict(secrets)
            self._driver.own.add(run.no)
            again = replace(entry, status="running", error="", finished_at=None)
            run = replace(run, status="running", error="", error_key="", finished_at=None)
            batch: list[Op] = [run, again]
            if row.status == "undelivered":
                deadline_s = self._orders.deadline_s(run.flow, entry.key)
                batch.append(self.core.log.reopen(row, self.core.clock.now(), deadline_s))
            self._driver.drive(run, [again if other is entry else other for other in entries], batch=batch)
            break
        return await self.get(run_id)

    async def settle_interrupted(self) -> None:
        """Settle every page whose key is gone, at once; one whose outcome can be looked up is waited for."""
        for row in self.core.log.unsettled():
            if row.key_secret.startswith(IN_MEMORY) and row.run_id not in self.core.run_secrets:
                self.core.log.interrupt(row.id)
                self._timers.poke_follow_ups()
                await self._orders.settled_row(row.id)

    async def pause(self, flow: str, trigger: str, paused: bool) -> None:
        """Let a schedule's ticks pass without a run, or go on with its next one; raises EngineError."""
        await self.schedules.pause(flow, trigger, paused)

    async def passes_until(self, flow: str, trigger: str) -> datetime | None:
        """Up to when a schedule's ticks pass because others than the store say so; None for no time."""
        return None

    async def tick(self, flow: Flow, schedule: Schedule, at: datetime) -> bool:
        """Start the run of a scheduled time; the same time never starts two.

        False when it is not run because an earlier one of its schedule is unfinished.
        """
        store, seen = self.core.store, PutTick(flow.name, schedule.id, at)
        run_id, earlier = tick_run_id(flow, schedule.id, at), None
        if schedule.overlap != "allow":
            earlier = await store.latest_unfinished(flow.name, schedule.id)
        is_new = await store.known(run_id) is None
        if not is_new or (schedule.overlap == "skip" and earlier is not None):
            await store.commit([seen])
            return not is_new
        await self.start(
            flow.name, run_id=run_id, trigger=schedule.id, scheduled_at=at, also=[seen], after_no=earlier or 0
        )
        return True

    async def missed(self, flow: str, trigger: str, first: datetime, last: datetime, count: int) -> None:
        """Say that ticks of a schedule are not run, and tell `core.on_missed`."""
        log.warning(
            "flow %s: %d tick%s of %s from %s to %s %s missed and not run",
            flow,
            count,
            "s" if count > 1 else "",
            trigger,
            f"{first:%Y-%m-%d %H:%M:%S}",
            f"{last:%Y-%m-%d %H:%M:%S} UTC",
            "were" if count > 1 else "was",
        )
        if self.core.on_missed is None:
            return
        try:
            await self.core.on_missed(flow, trigger, first, last, count)
        except StoreError:
            raise
        except Exception:  # who is told is the author's code; the schedule goes on
            log.exception("flow %s: telling of missed ticks failed", flow)

    # Showing

    async def get(self, run_id: str) -> RunView:
        row, entries = await self.core.store.load((await self._found(run_id)).no)
        return view(await with_large(self.core.store, row), entries)

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        return [view(row) for row in await self.core.store.runs(query)]

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        if timeout is None:
            row = await self._finished(run_id)
        else:
            async with asyncio.timeout(timeout.total_seconds()):
                row = await self._finished(run_id)
        return view(await with_large(self.core.store, row))

    async def _finished(self, run_id: str) -> RunRow:
        """The run once it has finished; one in memory tells that itself, any other is looked for on disk."""
        if self.broken.done():
            self.broken.result()
        watcher: asyncio.Future[RunRow] = asyncio.get_running_loop().create_future()
        watchers = self._driver.watchers.setdefault(run_id, set())
        watchers.add(watcher)
        try:
            if run_id not in self._driver.live_ids:
                row = await self._found(run_id)
                if row.status in FINISHED:
                    return row
            return await watcher
        finally:
            watchers.discard(watcher)
            if not watchers and self._driver.watchers.get(run_id) is watchers:
                del self._driver.watchers[run_id]
            if watcher.done() and not watcher.cancelled():
                watcher.exception()  # it may have come while the store was asked

    async def driven(self, run_id: str) -> RunView:
        """The run once it has finished, or is parked with all that it started: for an engine that drives only its own.

        A parked one is due as soon as any of them.
        """
        while self._driver.tasks:
            await asyncio.wait(self._driver.tasks.values())
        if self.broken.done():
            self.broken.result()
        run = await self.get(run_id)
        if run.is_finished:
            return run
        own = [(await self.core.store.load(no))[0] for no in self._driver.own]
        dues = [row.due_at for row in own if row.due_at is not None and row.status not in FINISHED]
        return replace(run, due_at=min(dues, default=None))

    async def _found(self, run_id: str) -> RunRow:
        return await self._orders.found(run_id)

    async def settle_page(self, run_id: str) -> None:
        """Let a page of the run that is on its way settle; the run then has ended, or left memory."""
        live = await self._driver.in_memory((await self._found(run_id)).no)
        task = None if live is None else self._driver.tasks.get(live.row.no)
        if live is not None and task is not None and live.sending:
            live.branches.leave()
            await asyncio.wait({task})

    # Orders

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        """End an unfinished run: a page on its way settles first, and what was done is undone.

        A run that has nothing to undo has ended when this returns; another one goes on until it is undone.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has finished already.
        """
        return await self._orders.cancel(run_id, by=by, reason=reason)

    async def retry(self, run_id: str) -> RunView:
        """Take a failed or parked run up again at what failed.

        Raises:
            RunNotFound: no run has this id.
            EngineError: it has not failed, was undone, or its flow is not known here.
        """
        with self.retention.paused():
            return await self._orders.retry(run_id)

    async def signal(
        self,
        run_id: str,
        gate: str,
        outcome: SignalOutcome = "approved",
        *,
        by: str = "",
        reason: str = "",
        data: JsonValue = None,
    ) -> None:
        """Keep an answer for a gate, reached or not; it is on disk when this returns.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has ended, or its flow has no such gate.
            InputError: the data cannot be kept.
        """
        await self._orders.signal(run_id, gate, outcome, by=by, reason=reason, data=data)


class _ChildRuns:
    """How the runs of an engine start and stop others."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine

    async def start(self, flow: str, input: JsonValue, run_id: str, parent_no: int) -> RunView:
        run = await self._engine.start(flow, input, run_id=run_id, trigger=f"{CHILD_OF}{parent_no}")
        return await self._engine.get(run_id) if run.is_finished else run

    async def retry(self, run_id: str) -> RunView:
        return await self._engine.retry(run_id)

    async def stop(self, run_id: str, reason: str) -> RunView | None:
        row = await self._engine._orders.stop_child(run_id, reason)
        return None if row is None else view(await with_large(self._engine.core.store, row))


async def _wait(tasks: Sequence[asyncio.Task[None]], limit: timedelta, hurry: asyncio.Event) -> None:
    """Return when all tasks have ended, the time is over or the event is set."""
    ended, hurried = asyncio.create_task(asyncio.wait(tasks)), asyncio.create_task(hurry.wait())
    try:
        await asyncio.wait({ended, hurried}, timeout=limit.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        hurried.cancel()

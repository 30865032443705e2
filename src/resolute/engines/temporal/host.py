"""`TemporalHost`: the part of a worker on Temporal that owns a store: incident log, memory, schedules, large values.

Runs that the embedded engine had begun in this store go on there to their end; every new one goes to Temporal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from resolute.engine import FINISHED, RunView
from resolute.engines.embedded.driver import CHILD_OF
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.schedules import tick_run_id
from resolute.engines.embedded.store import LedgerQuery, Op, PutMemory, PutTick
from resolute.engines.temporal.activities import Activities
from resolute.engines.temporal.address import TemporalAddress
from resolute.engines.temporal.connection import connect
from resolute.engines.temporal.engine import TemporalEngine
from resolute.engines.temporal.notices import RemoteNotices
from resolute.engines.temporal.own_runs import Order, OwnRuns
from resolute.engines.temporal.pauses import Pauses
from resolute.engines.temporal.payloads import data_converter
from resolute.engines.temporal.serving import Service, serving
from resolute.engines.temporal.values import StoreValues, Values
from resolute.engines.temporal.witness import Witness, closed
from resolute.errors import EngineError, RunNotFound, StoreUnavailable
from resolute.jsontypes import JsonValue
from resolute.model.codec import from_text, to_text
from resolute.model.recipe import Flow
from resolute.model.trigger import Schedule
from resolute.postgres.address import PostgresAddress

if TYPE_CHECKING:
    from resolute.engines.temporal.postgres.values import PostgresValues

log = logging.getLogger("resolute.temporal")

#: How often a page is looked at that is on its way, in seconds; and how long its run may take to end after it.
PAGE_CHECK_S: Final = 0.05
SETTLED_IN: Final = timedelta(seconds=3)
#: How long a cancelled run is waited for.
CANCELLED_IN: Final = timedelta(seconds=10)
#: When a tick is tried again that the server could not be told of, in seconds.
TICK_AGAIN_S: Final = 5.0
#: The memory in which stands the latest run of each schedule; no flow has such a name.
LATEST: Final = "~latest"

Given = TypeVar("Given")


class TemporalHost(EmbeddedEngine):
    """Owns the store of a worker whose flows run on Temporal."""

    _remote: TemporalEngine | None = None
    _own: OwnRuns
    pauses: Pauses
    _values: Values
    _shared: PostgresValues | None = None

    @property
    def remote(self) -> TemporalEngine:
        """The engine that runs the flows."""
        assert self._remote is not None, "connect() comes first"
        return self._remote

    async def connect(
        self,
        address: TemporalAddress,
        task_queue: str,
        gives_up: Callable[[], bool] = lambda: False,
        *,
        patience: timedelta | None = None,
        database: PostgresAddress | None = None,
    ) -> None:
        """Find the server.

        Args:
            patience: for how long it is looked for, None for ever.
            database: what several workers share; without it all stays in this worker's store.

        Raises:
            ConfigError: it refuses us.
            StoreUnavailable: it did not answer in time, or `gives_up` said so.
        """
        core = self.core
        self._values = StoreValues(core)
        if database is not None:
            from resolute.engines.temporal.postgres.values import PostgresValues  # needs the extra

            self._values = self._shared = PostgresValues(database, f"{address.namespace}/{task_queue}", self._values)
        client = await connect(
            address,
            data_converter(core.secrets, self._values.keep, self._values.read),
            core.secrets,
            patience=patience,
            warns=self.drives_all,
            gives_up=gives_up,
        )
        flows = core.flows.values()
        self._remote = TemporalEngine(
            client, task_queue, clock=core.clock, randomness=core.randomness, flows=list(flows)
        )
        self._own = OwnRuns(core, self._remote)
        self.pauses = Pauses(client, task_queue)

    @asynccontextmanager
    async def serving(self, max_concurrent: int, grace: timedelta, hurry: asyncio.Event) -> AsyncIterator[None]:
        """Work for the task queue until left; then give running attempts their grace.

        A host that drives only what it started works for its own runs alone.
        """
        core, remote = self.core, self.remote
        witness = Witness(core, lambda run_id, execution: closed(remote.client, run_id, execution))
        notices = None if self.notices is None else RemoteNotices(self.notices, remote)
        activities = Activities(core, self._values, remote, None if notices is None else notices.tell)
        service = self._own.service = Service(
            client=remote.client,
            activities=activities,
            witness=witness if core.hooks else None,
            broke=self._driver.broke,
            max_concurrent=max_concurrent,
            grace=grace,
            hurry=hurry,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(witness.close)
            if self.drives_all:
                await _patiently("to hand over what is paused", self._bring_pauses)
                self._timers.run(activities.left_pages.run())
                self._timers.run(activities.lost_pages.run())
                await stack.enter_async_context(serving(service, remote.task_queue, dict(core.flows)))
            stack.push_async_callback(self._own.close)
            if notices is not None:
                self._timers.run(notices.watch())
            yield

    async def close(self, grace: timedelta = timedelta(seconds=10), hurry: asyncio.Event | None = None) -> None:
        try:
            await super().close(grace, hurry)
        finally:
            if self._shared is not None:
                await self._shared.close()

    # Starting

    async def receive(self, flow: str, input: JsonValue, *, run_id: str, trigger: str) -> RunView:
        """The run of a delivery from outside, on the server."""
        return await self.remote.start(flow, input, run_id=run_id, trigger=trigger)

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
        """A run that this process does alone, such as that of a job; or one of the store itself.

        The store's own are the children of runs that the embedded engine had begun, and repeats of those.
        """
        recipe = self.core.flows.get(flow)
        if secrets is not None and run_id and recipe is not None and await self._is_remote(run_id):
            return await self._own.start(Order(recipe, input, run_id, trigger, secrets))
        if flow in {known.name for known in self.remote.flows} and not trigger.startswith(CHILD_OF):
            raise EngineError(
                f'The worker of this store runs "{flow}" on Temporal. Set RESOLUTE_ENGINE to the address of its server.'
            )
        more: dict[str, Any] = {"scheduled_at": scheduled_at, "also": also, "after_no": after_no}
        return await super().start(flow, input, run_id=run_id, trigger=trigger, secrets=secrets, **more)

    async def resend(self, run_id: str, secrets: Mapping[str, str]) -> RunView:
        if not await self._is_remote(run_id):
            return await super().resend(run_id, secrets)
        rows = await self.core.store.ledger(LedgerQuery(run_id=run_id))
        order = self._own.failed.pop(run_id, None)
        if order is None or not any(row.status in ("undelivered", "accepted") for row in rows):
            return await self.remote.ended(run_id)
        return await self._own.start(replace(order, secrets=secrets), again=True)

    async def _is_remote(self, run_id: str) -> bool:
        """Whether the store has no run of this id."""
        return await self.core.store.known(run_id) is None

    async def get(self, run_id: str) -> RunView:
        return await (self.remote.get(run_id) if await self._is_remote(run_id) else super().get(run_id))

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        if await self._is_remote(run_id):
            return await self.remote.result(run_id, timeout)
        return await super().result(run_id, timeout)

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        if await self._is_remote(run_id):
            await self.remote.cancel(run_id, by=by, reason=reason)
            with suppress(TimeoutError):  # a page on its way settles first
                await self.remote.result(run_id, CANCELLED_IN)
            return await self.remote.get(run_id)
        return await super().cancel(run_id, by=by, reason=reason)

    async def settle_page(self, run_id: str) -> None:
        if not await self._is_remote(run_id):
            await super().settle_page(run_id)
            return
        log, is_sent = self.core.log, False
        while any(log.is_at_work(row.id) for row in log.unsettled() if row.run_id == run_id):
            is_sent = True
            await asyncio.sleep(PAGE_CHECK_S)
        if is_sent:
            with suppress(TimeoutError):
                await self.remote.result(run_id, SETTLED_IN)

    async def tell(self, flow: str, input: JsonValue, *, run_id: str, trigger: str) -> RunView:
        return await _patiently(
            f"the start of {run_id}", lambda: self.receive(flow, input, run_id=run_id, trigger=trigger)
        )

    async def pause(self, flow: str, trigger: str, paused: bool) -> None:
        await self.pauses.pause(flow, trigger, paused)

    async def _bring_pauses(self) -> None:
        """Let all workers of the task queue know of the schedules that were paused in this store alone."""
        known = {(flow.name, schedule.id) for flow in self.core.flows.values() for schedule in flow.schedules}
        for name, row in (await self.core.store.ticks()).items():
            if row.paused and name in known:
                await self.pauses.pause(*name, True)
                await self.schedules.pause(*name, False)

    async def passes_until(self, flow: str, trigger: str) -> datetime | None:
        told = f"flow {flow}: whether {trigger} is paused"
        try:
            return await _patiently(told, lambda: self.pauses.passes_until(flow, trigger))
        except EngineError as error:  # the server has no such schedules, or not for this worker: so nobody paused one
            log.warning("%s is not known, and its tick is seen to: %s", told, error)
            return None

    async def tick(self, flow: Flow, schedule: Schedule, at: datetime) -> bool:
        """Start the run of a scheduled time on Temporal; the same time never starts two.

        False when it is not run because an earlier one of its schedule is unfinished.
        """
        told = f"flow {flow.name}: the tick of {at:%Y-%m-%d %H:%M:%S}"
        return await _patiently(told, lambda: self._tick(flow, schedule, at))

    async def _tick(self, flow: Flow, schedule: Schedule, at: datetime) -> bool:
        store, name = self.core.store, f"{flow.name} {schedule.id}"
        run_id, seen = tick_run_id(flow, schedule.id, at), PutTick(flow.name, schedule.id, at)
        earlier = "" if schedule.overlap == "allow" else await self._unfinished(flow, schedule)
        if earlier == run_id:
            earlier = ""
        if earlier and schedule.overlap == "skip" and await self._is_new(run_id):
            await store.commit([seen])
            return False
        await self.remote.start(flow.name, run_id=run_id, trigger=schedule.id, scheduled_at=at, after=earlier)
        noted = PutMemory(LATEST, name, to_text(run_id))
        await store.commit([seen, noted])
        self.core.remember(noted)
        return True

    async def _unfinished(self, flow: Flow, schedule: Schedule) -> str:
        """The id of the latest run of a schedule that has not ended, "" for none.

        The server's list holds those of other workers, and may be behind; our own memory knows only of ours.
        """
        noted = (await self.core.memory_of(LATEST)).get(f"{flow.name} {schedule.id}")
        own = "" if noted is None else str(from_text(noted))
        listed = await self.remote.unfinished_of(flow.name, schedule.id)
        for run_id in sorted(
            {own, listed} - {""}, reverse=True
        ):  # those of one schedule are in the order of their times
            if not await self._has_ended(run_id):
                return run_id
        return ""

    async def _has_ended(self, run_id: str) -> bool:
        try:
            return (await self.remote.look(run_id)).status in FINISHED
        except RunNotFound:  # the server has forgotten it, so it has ended
            return True

    async def _is_new(self, run_id: str) -> bool:
        try:
            await self.remote.look(run_id)
        except RunNotFound:
            return True
        return False


async def _patiently(told: str, call: Callable[[], Awaitable[Given]]) -> Given:
    """What the call returns, as soon as the server can be reached."""
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            log.warning("%s is tried again: %s", told, error)
        await asyncio.sleep(TICK_AGAIN_S)

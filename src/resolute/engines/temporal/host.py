"""`TemporalHost`: the part of a worker on Temporal that owns a store: incident log, memory, schedules, large values.

Runs that the embedded engine had begun in this store go on there to their end; every new one goes to Temporal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from resolute.engine import FINISHED, RunView
from resolute.engines.embedded.driver import CHILD_OF
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.schedules import tick_run_id
from resolute.engines.embedded.store import Op, PutMemory, PutTick
from resolute.engines.temporal.activities import Activities
from resolute.engines.temporal.address import TemporalAddress
from resolute.engines.temporal.attempts import BEAT_S
from resolute.engines.temporal.connection import connect
from resolute.engines.temporal.engine import TemporalEngine
from resolute.engines.temporal.notices import RemoteNotices
from resolute.engines.temporal.order import PAGES
from resolute.engines.temporal.payloads import data_converter
from resolute.engines.temporal.values import StoreValues, Values
from resolute.engines.temporal.witness import Witness, closed
from resolute.engines.temporal.workflow import FlowsOf, RunWorkflow
from resolute.errors import EngineError, RunNotFound, StoreUnavailable
from resolute.jsontypes import JsonValue
from resolute.model.codec import from_text, to_text
from resolute.model.recipe import Flow
from resolute.model.trigger import Schedule
from resolute.postgres.address import PostgresAddress

if TYPE_CHECKING:
    from resolute.engines.temporal.postgres.values import PostgresValues

log = logging.getLogger("resolute.temporal")

#: A worker that was killed keeps its runs for no longer than this; then another one walks them from the top.
STICKY: Final = timedelta(seconds=1)
#: Pages at the same time, beside all attempts: most of them only wait for the one before them.
PAGES_HERE: Final = 1000
#: When a tick is tried again that the server could not be told of, in seconds.
TICK_AGAIN_S: Final = 5.0
#: The memory in which stands the latest run of each schedule; no flow has such a name.
LATEST: Final = "~latest"

Given = TypeVar("Given")


class TemporalHost(EmbeddedEngine):
    """Owns the store of a worker whose flows run on Temporal."""

    _remote: TemporalEngine | None = None
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
        database: PostgresAddress | None = None,
    ) -> None:
        """Find the server, however long that takes.

        Args:
            database: what several workers share; without it all stays in this worker's store.

        Raises:
            ConfigError: it refuses us.
            StoreUnavailable: `gives_up` said so.
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
            patience=None,
            warns=True,
            gives_up=gives_up,
        )
        flows = core.flows.values()
        self._remote = TemporalEngine(
            client, task_queue, clock=core.clock, randomness=core.randomness, flows=list(flows)
        )

    @asynccontextmanager
    async def serving(self, max_concurrent: int, grace: timedelta, hurry: asyncio.Event) -> AsyncIterator[None]:
        """Work for the task queue until left; then give running attempts their grace."""
        core, remote = self.core, self.remote
        witness = Witness(core, lambda run_id, execution: closed(remote.client, run_id, execution))
        notices = None if self.notices is None else RemoteNotices(self.notices, remote)
        activities = Activities(core, self._values, self._look, None if notices is None else notices.tell)
        limits: dict[str, Any] = {
            "activities": activities.all,
            "graceful_shutdown_timeout": grace,
            "max_heartbeat_throttle_interval": timedelta(seconds=BEAT_S),
            "default_heartbeat_throttle_interval": timedelta(seconds=BEAT_S),
        }
        worker = Worker(
            self.remote.client,
            task_queue=self.remote.task_queue,
            workflows=[RunWorkflow],
            interceptors=[FlowsOf(dict(core.flows), witness if core.hooks else None)],
            # Flows would have to be let through Temporal's sandbox with all that they import, which leaves nothing of
            # it; that predicates are pure is held by replays instead.
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_activities=max_concurrent,
            max_concurrent_local_activities=max_concurrent,
            sticky_queue_schedule_to_start_timeout=STICKY,
            **limits,
        )
        pages = Worker(
            self.remote.client,
            task_queue=self.remote.task_queue + PAGES,
            max_concurrent_activities=PAGES_HERE,
            **limits,
        )
        workers = [worker, pages]
        running = {asyncio.create_task(each.run()) for each in workers}
        for task in running:
            task.add_done_callback(self._ended)
        self._timers.run(activities.left_pages.run())
        try:
            if notices is not None:
                self._timers.run(notices.watch())
            yield
        finally:
            stopping = asyncio.gather(*(each.shutdown() for each in workers), *running, return_exceptions=True)
            hurried = asyncio.create_task(hurry.wait())
            ends: list[asyncio.Future[Any]] = [stopping, hurried]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            await witness.close()

    def _ended(self, running: asyncio.Task[None]) -> None:
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self._driver.broke(error)

    async def close(self, grace: timedelta = timedelta(seconds=10), hurry: asyncio.Event | None = None) -> None:
        try:
            await super().close(grace, hurry)
        finally:
            if self._shared is not None:
                await self._shared.close()

    async def _look(self, run_id: str) -> RunView:
        return await self.remote.ended(run_id)

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
        """A run of the store itself: of a job, or the child of one that the embedded engine had begun."""
        if flow in {known.name for known in self.remote.flows} and not trigger.startswith(CHILD_OF):
            raise EngineError(
                f'The worker of this store runs "{flow}" on Temporal. Set RESOLUTE_ENGINE to the address of its server.'
            )
        more: dict[str, Any] = {"scheduled_at": scheduled_at, "also": also, "after_no": after_no}
        return await super().start(flow, input, run_id=run_id, trigger=trigger, secrets=secrets, **more)

    async def tell(self, flow: str, input: JsonValue, *, run_id: str, trigger: str) -> RunView:
        return await _patiently(
            f"the start of {run_id}", lambda: self.receive(flow, input, run_id=run_id, trigger=trigger)
        )

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

"""`TemporalRuns`: what commands ask of runs on Temporal. It connects when it is asked, and knows no flow."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from resolute.clock import Clock, Randomness, SystemClock, SystemRandomness
from resolute.engine import RunQuery, RunView, SignalOutcome
from resolute.engines.embedded.sqlite.reads import Reads
from resolute.engines.embedded.store_engine import RUN_INPUT, RUN_OUTPUT
from resolute.engines.temporal.address import TemporalAddress
from resolute.engines.temporal.connection import connect
from resolute.engines.temporal.engine import TemporalEngine
from resolute.engines.temporal.pauses import FOR_EVER, Pauses
from resolute.engines.temporal.payloads import data_converter
from resolute.engines.temporal.values import NO_RUN
from resolute.errors import EngineError, StoreDamaged
from resolute.jsontypes import JsonValue
from resolute.model.recipe import Flow
from resolute.postgres.address import PostgresAddress
from resolute.secrets import Secrets

#: A worker that asked for work within this time is there.
SEEN_WITHIN: Final = timedelta(seconds=90)


class TemporalRuns:
    """The runs of one task queue.

    Args:
        store: where a worker keeps large values, None where that is not to be had from here.
        database: where several workers keep them.
        flows: those that are known here.

    Attributes:
        read: reads values that are kept apart, None where they are not to be had.
        has_worker: whether a worker asked for the work of this task queue, as of the latest call.
    """

    def __init__(
        self,
        address: TemporalAddress,
        task_queue: str,
        secrets: Secrets,
        *,
        store: Reads | None = None,
        database: PostgresAddress | None = None,
        flows: Iterable[Flow] = (),
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self.has_worker = False
        self._address = address
        self._task_queue = task_queue
        self._flows = list(flows)
        self._clock = clock or SystemClock()
        self._randomness = randomness or SystemRandomness()
        self.read = None if store is None and database is None else _Reader(store, database)
        self._secrets = secrets
        self._converter = data_converter(secrets, read=self.read)
        self._engine: TemporalEngine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def place(self) -> str:
        """Where the runs are, in words."""
        return f"the task queue {self._task_queue} of {self._address}"

    async def engine(self) -> TemporalEngine:
        """The engine, connected; raises ConfigError, StoreUnavailable."""
        loop = asyncio.get_running_loop()
        if self._engine is None or self._loop is not loop:
            client = await connect(self._address, self._converter, self._secrets)
            self._engine = TemporalEngine(
                client, self._task_queue, clock=self._clock, randomness=self._randomness, flows=self._flows
            )
            self._loop = loop
        await self._look_for_worker(self._engine)
        return self._engine

    async def _look_for_worker(self, engine: TemporalEngine) -> None:
        try:
            found = await engine.client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=engine.client.namespace,
                    task_queue=TaskQueue(name=self._task_queue),
                    task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                )
            )
        except RPCError:  # it is told for convenience; what was asked says what is wrong with the server
            self.has_worker = False
            return
        now = self._clock.now()
        seen = [poller.last_access_time.ToDatetime(tzinfo=now.tzinfo) for poller in found.pollers]
        self.has_worker = any(now - at < SEEN_WITHIN for at in seen)

    # What commands ask

    async def start(
        self, flow: str, input: JsonValue = None, *, run_id: str | None = None, trigger: str = "client"
    ) -> RunView:
        return await (await self.engine()).start(flow, input, run_id=run_id, trigger=trigger)

    async def get(self, run_id: str) -> RunView:
        return await (await self.engine()).get(run_id)

    async def ended(self, run_id: str) -> RunView:
        """The run, with what it came to if it has ended; it is not waited for."""
        return await (await self.engine()).ended(run_id)

    async def look(self, run_id: str) -> RunView:
        """The run with its journal."""
        return await self.get(run_id)

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        return await (await self.engine()).runs(query)

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        return await (await self.engine()).result(run_id, timeout)

    async def value(self, run_id: str, position: str) -> JsonValue:
        """What a position of a run has put out, in full; raises RunNotFound, EngineError."""
        run = await self.get(run_id)
        values = {RUN_INPUT: run.input, RUN_OUTPUT: run.output, **{node.position: node.output for node in run.nodes}}
        if position in values:
            return values[position]
        near = difflib.get_close_matches(position, values, 3)
        hint = f" Did you mean {' or '.join(near)}?" if near else f" `resolute runs show {run_id}` shows what it has."
        raise EngineError(f'Run "{run_id}" has nothing at the position "{position}".{hint}')

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        return await (await self.engine()).cancel(run_id, by=by, reason=reason)

    async def retry(self, run_id: str) -> RunView:
        return await (await self.engine()).retry(run_id)

    async def pause(self, flow: str, triggers: Sequence[str], paused: bool) -> None:
        """Pause schedules for all workers of the task queue, or let them go on."""
        for trigger in triggers:
            await (await self._pauses()).pause(flow, trigger, paused)

    async def is_paused(self, flow: str, trigger: str) -> bool:
        return await (await self._pauses()).passes_until(flow, trigger) == FOR_EVER

    async def _pauses(self) -> Pauses:
        return Pauses((await self.engine()).client, self._task_queue)

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
        await (await self.engine()).signal(run_id, gate, outcome, by=by, reason=reason, data=data)


class _Reader:
    """Reads large values from where workers keep them."""

    def __init__(self, store: Reads | None, database: PostgresAddress | None) -> None:
        self._store = store
        self._database = database

    async def __call__(self, digest: str) -> str:
        if self._database is not None:
            from resolute.engines.temporal.postgres.values import shared_value  # needs the extra

            text = await shared_value(self._database, digest)
            if text is not None:
                return text
        if self._store is None:
            raise StoreDamaged(
                f"A large value (sha256 {digest}) is kept in the store of a worker, which is not to be had from here. "
                "Set RESOLUTE_STORE to that store, or give all workers one RESOLUTE_DATABASE_URL."
            )
        return await self._store.large(NO_RUN, digest)

"""`serving`: works for one task queue, and for its pages beside it, until it is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from resolute.engines.temporal.activities import Activities
from resolute.engines.temporal.attempts import BEAT_S
from resolute.engines.temporal.order import PAGES
from resolute.engines.temporal.witness import Witness
from resolute.engines.temporal.workflow import FlowsOf, RunWorkflow
from resolute.model.recipe import Flow

#: A worker that was killed keeps its runs for no longer than this; then another one walks them from the top.
STICKY: Final = timedelta(seconds=1)
#: Pages at the same time, beside all attempts: most of them only wait for the one before them.
PAGES_HERE: Final = 1000
#: How long a worker that is in a hurry takes to tell the server which attempts it has cut.
HURRIED: Final = timedelta(seconds=2)


@dataclass(frozen=True)
class Service:
    """How a process works for its task queues.

    Attributes:
        witness: is told of what happens, None for nobody.
        broke: is called with the error when a worker cannot go on.
        hurry: ends the grace when it is set.
    """

    client: Client
    activities: Activities
    witness: Witness | None
    broke: Callable[[BaseException], None]
    max_concurrent: int
    grace: timedelta
    hurry: asyncio.Event


@asynccontextmanager
async def serving(service: Service, task_queue: str, flows: Mapping[str, Flow]) -> AsyncIterator[None]:
    """Work for the task queue until left; then give running attempts their grace, unless there is a hurry."""
    cut = service.activities.cut_for(task_queue, task_queue + PAGES)
    limits: dict[str, Any] = {
        "activities": service.activities.all,
        "graceful_shutdown_timeout": service.grace + HURRIED,  # for what does not heed us
        "max_heartbeat_throttle_interval": timedelta(seconds=BEAT_S),
        "default_heartbeat_throttle_interval": timedelta(seconds=BEAT_S),
    }
    worker = Worker(
        service.client,
        task_queue=task_queue,
        workflows=[RunWorkflow],
        interceptors=[FlowsOf(flows, service.witness)],
        # Flows would have to be let through Temporal's sandbox with all that they import, which leaves nothing of it;
        # that predicates are pure is held by replays instead.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_activities=service.max_concurrent,
        max_concurrent_local_activities=service.max_concurrent,
        sticky_queue_schedule_to_start_timeout=STICKY,
        **limits,
    )
    pages = Worker(service.client, task_queue=task_queue + PAGES, max_concurrent_activities=PAGES_HERE, **limits)
    workers = [worker, pages]
    running = {asyncio.create_task(each.run()) for each in workers}

    def ended(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            service.broke(error)

    for task in running:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        stopping = asyncio.gather(*(each.shutdown() for each in workers), *running, return_exceptions=True)
        hurried = asyncio.create_task(service.hurry.wait())
        ends: list[asyncio.Future[Any]] = [stopping, hurried]
        await asyncio.wait(ends, timeout=service.grace.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        patience = HURRIED.total_seconds() if hurried.done() else None
        cut.make()
        await asyncio.wait([stopping], timeout=patience)
        hurried.cancel()

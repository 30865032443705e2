"""`OwnRuns`: runs whose secrets live in this process alone, such as those of jobs.

Each has a task queue of its own, for which this process works until the run has ended: the history has the names of
the secrets, and no other process is ever asked to read them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from resolute.engine import RunView
from resolute.engines.embedded.core import Core
from resolute.engines.temporal.engine import TemporalEngine
from resolute.engines.temporal.order import OWN_QUEUE
from resolute.engines.temporal.serving import Service, serving
from resolute.errors import EngineError, StoreUnavailable
from resolute.jsontypes import JsonValue
from resolute.model.recipe import Flow
from resolute.secrets import digest

log = logging.getLogger("resolute.temporal")

#: How long the server keeps the run of a process that has died, beyond the time that its nodes have.
SLACK: Final = timedelta(minutes=1)
#: How often the server is asked for a run's end while it does not answer, in seconds.
AGAIN_S: Final = 1.0


@dataclass(frozen=True)
class Order:
    """A run that is asked for, with its secret inputs by name."""

    flow: Flow
    input: JsonValue
    run_id: str
    trigger: str
    secrets: Mapping[str, str] = field(repr=False)


class OwnRuns:
    """The own runs of one process.

    Attributes:
        service: how it works for them; set before the first one is started.
        failed: what was asked for when it was found to have failed before, by run.
    """

    def __init__(self, core: Core, remote: TemporalEngine) -> None:
        self.service: Service | None = None
        self.failed: dict[str, Order] = {}
        self._core = core
        self._remote = remote
        self._closing = asyncio.Event()
        self._served: dict[str, asyncio.Task[None]] = {}

    async def start(self, order: Order, *, again: bool = False) -> RunView:
        """The run, for which this process works until it has ended.

        Args:
            again: begin one anew that has failed.
        """
        core, run_id = self._core, order.run_id
        for value in order.secrets.values():
            core.secrets.remember(value)
        core.run_secrets[run_id] = dict(order.secrets)
        if again and run_id in self._served:  # it has failed, and was worked for to look at that
            await asyncio.wait({self._served[run_id]})
        if run_id in self._served:  # as another command has asked for
            run = await self._begin(order, again)
        else:
            begun: asyncio.Future[RunView] = asyncio.get_running_loop().create_future()
            task = self._served[run_id] = asyncio.create_task(self._see_through(order, again, begun))
            task.add_done_callback(lambda _: self._served.pop(run_id, None))
            run = await begun
        if run.status == "failed":
            self.failed[run_id] = order
        return run

    def _engine(self, order: Order) -> TemporalEngine:
        return self._remote.beside(f"{OWN_QUEUE}{order.run_id}", order.flow)

    async def _begin(self, order: Order, again: bool) -> RunView:
        key = self._core.digest_key
        return await self._engine(order).start(
            order.flow.name,
            order.input,
            run_id=order.run_id,
            trigger=order.trigger,
            secret_digests={name: digest(value, key) for name, value in order.secrets.items()},
            limit=_time_of(order.flow),
            again=again,
        )

    async def _see_through(self, order: Order, again: bool, begun: asyncio.Future[RunView]) -> None:
        """Work for the run from its start to its end."""
        assert self.service is not None, "the host serves before it starts runs"
        engine = self._engine(order)
        async with serving(self.service, engine.task_queue, {order.flow.name: order.flow}):
            try:
                begun.set_result(await self._begin(order, again))
            except Exception as error:  # whatever it is, it is raised where the run was asked for
                begun.set_exception(error)
                return
            ended, closing = (
                asyncio.create_task(_ended(engine, order.run_id)),
                asyncio.create_task(self._closing.wait()),
            )
            await asyncio.wait({ended, closing}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            closing.cancel()

    async def close(self) -> None:
        """Let go of those that have not ended."""
        self._closing.set()
        await asyncio.gather(*self._served.values(), return_exceptions=True)


async def _ended(engine: TemporalEngine, run_id: str) -> None:
    """Return when the run has ended."""
    while True:
        try:
            await engine.result(run_id)
            return
        except StoreUnavailable as error:
            log.debug("the end of run %s is not known yet: %s", run_id, error)
        except EngineError:  # the server has forgotten it
            return
        await asyncio.sleep(AGAIN_S)


def _time_of(recipe: Flow) -> timedelta:
    """How long its nodes may take, with what the server may need beside them."""
    time = SLACK
    for node in recipe.nodes():
        time += (node.timeout or node.activity.timeout) + ((node.retry or node.activity.retry).deadline or timedelta())
    return time

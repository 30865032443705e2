"""The rig of the simulations: the real engine, ledger, provider and client on virtual time.

Only what touches the machine is replaced: the store is a `MemoryStore`, the network is the simulator
inside the process. One seed is one history.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from resolute import Flow
from resolute.engine import RunView
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.memory import MemoryStore, Tables
from resolute.engines.embedded.store import Op
from resolute.engines.embedded.threads import Inline
from resolute.ledger.row import Row
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from resolute.testing.virtual_time import VirtualClock, VirtualLoop, run_virtual


class Rig:
    """One simulated machine with its PagerDuty.

    Args:
        seed: of everything that is drawn.
        flows: what the worker runs.
        api_key: whether the worker has a REST key.
        slow_disk: whether batches take their time.

    Attributes:
        clock: the machine's, which a test may set forward or back; PagerDuty has its own.
        pagerduty, eu: the account of most nodes, and that of nodes with `.via("eu")`.
    """

    def __init__(self, seed: int, flows: Sequence[Flow], *, api_key: bool = True, slow_disk: bool = False) -> None:
        self.seed = seed
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.random = random.Random(seed)
        true_time = VirtualClock(self.loop)
        self.pagerduty = PagerDutySimulator(true_time, randomness=random.Random(seed))
        self.eu = PagerDutySimulator(true_time, randomness=random.Random(seed + 1))
        self.tables = Tables()
        self.environ = {"PAGERDUTY_ROUTING_KEY": self.pagerduty.routing_key}
        if api_key:
            self.environ["PAGERDUTY_API_KEY"] = self.pagerduty.api_key
        self.flows = flows
        self._slow_disk = slow_disk
        self.kills = 0
        self._engine: EmbeddedEngine | None = None
        self._store: MemoryStore | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, program: Callable[[], Awaitable[None]]) -> None:
        """Run the program to its end in virtual time."""

        async def whole() -> None:
            await program()
            if self._engine is not None:
                await self._engine.close()

        try:
            run_virtual(self.loop, whole())
        except BaseException as error:
            error.add_note(f"seed {self.seed}")
            raise
        finally:
            self.loop.close()

    @property
    def engine(self) -> EmbeddedEngine:
        assert self._engine is not None, "the worker is down"
        return self._engine

    async def up(self, **options: Any) -> EmbeddedEngine:
        """Start a worker on what the last one left."""
        secrets = Secrets(self.environ)
        eu = PagerDutyConfig(region="eu", service_key=self.eu.routing_key, api_key=self.eu.api_key)
        accounts = [
            PagerDutyProvider(PagerDutyConfig(), transport=SimulatorTransport(self.pagerduty)),
            PagerDutyProvider(eu, name="eu", transport=SimulatorTransport(self.eu)),
        ]
        for account in accounts:
            account.open(self.environ, self.clock, secrets)
        self._store = MemoryStore(self.tables, delay=self._delay if self._slow_disk else None)
        self._engine = EmbeddedEngine(
            self._store,
            self.flows,
            clock=self.clock,
            randomness=self.random,
            secrets=secrets,
            **{
                "providers": {(account.kind, account.name): account for account in accounts},
                "paging": {(account.kind, account.name): account.paging for account in accounts},
                "threads": Inline(),
                "environ": self.environ,
                **options,
            },
        )
        before = asyncio.all_tasks()
        await self._engine.open()
        self._before = before
        return self._engine

    def _delay(self, batch: Sequence[Op]) -> float:
        return self.random.choice((0.0, 0.001, 0.005, 0.3))

    async def kill(self, kept: int | None = None) -> None:
        """Drop the engine as `kill -9` would; of the batches under way some are durable all the same.

        Args:
            kept: how many of them, drawn by default.
        """
        assert self._store is not None
        self.kills += 1
        self._store.crash(apply=self.random.randint(0, self._store.pending) if kept is None else kept)
        mine = asyncio.current_task()
        doomed = [task for task in asyncio.all_tasks() if task is not mine and task not in self._before]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        self._engine = None

    async def finish(self, run_id: str) -> RunView:
        """The run with its journal, once it has ended."""
        await self.engine.result(run_id)
        return await self.engine.get(run_id)

    async def wait(self, **time: float) -> None:
        """Let virtual time pass: `wait(minutes=5)`."""
        await asyncio.sleep(timedelta(**time).total_seconds())

    def rows(self) -> list[Row]:
        """The incident log, oldest first."""
        return [row for _, row in sorted(self.tables.rows.items())]

    def statuses(self) -> dict[str, str]:
        """Run id → status."""
        return {run.id: run.status for run in self.tables.runs.values()}

"""`Machine`: one computer with a worker on it, as the contract sees it: the engine port, and what is left outside.

It stays when its worker is killed. Time is virtual; it passes only where a test waits.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from resolute import Flow, RunNotFound
from resolute.engine import Engine, NodeView, RunView
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.store import LedgerQuery, Store
from resolute.jsontypes import JsonValue
from resolute.ledger.row import Row
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from resolute.testing.virtual_time import START, VirtualClock
from tests.contract.engine.book import Book
from tests.contract.engine.patient_loop import PatientLoop
from tests.contract.engine.threads import WatchedThreads

#: A result that takes longer than this never comes.
PATIENCE: Final = timedelta(days=3)


class Machine(ABC):
    """One computer.

    Attributes:
        begins_at: its wall time when the test begins.
        clock: its wall clock, which a test may set forward or back.
        pagerduty: the account that all pages go to; it has its own clock.
        book: what activities were called with.
        environ: the environment of its workers.
        pauses_s: how often it looks whether what is waited for has come: at first, how much less each time, at last.
    """

    pauses_s = 0.001, 1.1, 1.0

    def __init__(self, loop: PatientLoop, begins_at: datetime = START) -> None:
        self.loop = loop
        self.begins_at = begins_at
        self.clock = VirtualClock(loop, begins_at)
        true_time = VirtualClock(loop, begins_at)
        self.pagerduty = PagerDutySimulator(true_time, randomness=random.Random(1))
        self.book = Book(self.clock)
        self.environ = {
            "PAGERDUTY_ROUTING_KEY": self.pagerduty.routing_key,
            "PAGERDUTY_API_KEY": self.pagerduty.api_key,
        }
        self.threads = WatchedThreads(loop)
        self._random = random.Random(1)
        self._engine: EmbeddedEngine | None = None
        self._outside: set[asyncio.Task[Any]] = set()

    # Its worker

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "the worker is down"
        return self._engine

    async def up(self, *flows: Flow, **options: Any) -> Engine:
        """Start a worker with these flows on what the last one left."""
        assert self._engine is None, "a worker is up"
        secrets = Secrets(self.environ)
        account = PagerDutyProvider(PagerDutyConfig(), transport=SimulatorTransport(self.pagerduty))
        account.open(self.environ, self.clock, secrets)
        engine = self._new_engine(
            self._new_store(),
            flows,
            clock=self.clock,
            randomness=self._random,
            secrets=secrets,
            providers={("pagerduty", ""): account, ("book", ""): self.book},
            paging={("pagerduty", ""): account.paging},
            threads=self.threads,
            environ=self.environ,
            **options,
        )
        self._outside = asyncio.all_tasks()
        await self._open(engine)
        self._engine = engine
        return self.engine

    def _new_engine(self, *parts: Any, **options: Any) -> EmbeddedEngine:
        return EmbeddedEngine(*parts, **options)

    async def _open(self, engine: EmbeddedEngine) -> None:
        await engine.open()

    async def command(self) -> Engine:
        """Start what a command uses while no worker runs: it takes orders, knows no flow and runs nothing."""
        return await self.up(drives_all=False)

    async def kill(self) -> None:
        """End the worker as `kill -9` would: what is not durable is lost, and nobody says good-bye."""
        self._cut()
        doomed = [task for task in asyncio.all_tasks() if task not in self._outside]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        self._engine = None
        await self._bury()

    async def stop(self, grace: timedelta = timedelta(0)) -> None:
        """End the worker as SIGTERM does, with this much time for what is under way."""
        if self._engine is not None:
            await self._engine.close(grace)
            self._engine = None

    async def down(self) -> None:
        """Leave nothing behind."""
        self.threads.release()
        await self.stop()

    # Its disk

    @abstractmethod
    def _new_store(self) -> Store:
        """The journal, to be opened by the next worker."""

    @abstractmethod
    def _cut(self) -> None:
        """Keep what is durable at this instant, and only that."""

    @abstractmethod
    async def _bury(self) -> None:
        """Get rid of what the killed worker has left in this process."""

    @abstractmethod
    def hold_disk(self, **time: float) -> None:
        """Let nothing become durable for this long: `hold_disk(minutes=5)`."""

    @abstractmethod
    def break_disk(self) -> None:
        """Let nothing be written any more, for good."""

    @abstractmethod
    def large_values(self) -> int:
        """How many values are kept apart from the journal because they are large."""

    @property
    @abstractmethod
    def store(self) -> Store:
        """What the worker writes to."""

    # Runs

    async def start(
        self, flow: str = "f", input: JsonValue = None, *, run_id: str | None = "r", trigger: str = "client"
    ) -> RunView:
        return await self.engine.start(flow, input, run_id=run_id, trigger=trigger)

    async def result(self, run_id: str = "r") -> RunView:
        """The run with its journal, once it has ended."""
        await self.engine.result(run_id, PATIENCE)
        return await self.engine.get(run_id)

    async def run(self, made: Flow, input: JsonValue = None) -> RunView:
        """The flow's run "r" on a new worker, with its journal, once it has ended."""
        await self.up(made)
        await self.start(made.name, input)
        return await self.result()

    async def rows(self) -> list[Row]:
        """The incident log, oldest first."""
        return sorted(await self.store.ledger(LedgerQuery(limit=1000)), key=lambda row: row.id)

    # Time

    async def wait(self, **time: float) -> None:
        """Let time pass: `wait(minutes=5)`."""
        await asyncio.sleep(timedelta(**time).total_seconds())

    async def steps(self, number: int) -> None:
        """Let the worker take so many small steps; they end in the midst of a commit as well as between two."""
        for _ in range(number):
            await asyncio.sleep(0)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Let time pass until this holds, two hours at most."""
        ends_s, (pause_s, growth, longest_s) = self.loop.time() + 7200, self.pauses_s
        while not await holds():
            assert self.loop.time() < ends_s, "that does not come"
            await asyncio.sleep(pause_s)
            pause_s = min(growth * pause_s, longest_s)

    async def called(self, key: str, times: int = 1) -> None:
        """Let time pass until a node was attempted so often."""

        async def holds() -> bool:
            return len(self.book.of(key)) >= times

        await self.until(holds)

    async def heard(self, told: Sequence[Any], last: object) -> None:
        """Let time pass until this was told."""

        async def holds() -> bool:
            return last in told

        await self.until(holds)

    async def status(self, status: str, run_id: str = "r") -> RunView:
        """The run as soon as it is there and has this status."""
        found: list[RunView] = []

        async def holds() -> bool:
            with suppress(RunNotFound):
                found.append(await self.engine.get(run_id))
            return bool(found) and found[-1].status == status

        await self.until(holds)
        return found[-1]


def node(view: RunView, position: str) -> NodeView:
    """The entry of the journal at this position."""
    [found] = [entry for entry in view.nodes if entry.position == position]
    return found


def states(view: RunView, kind: str = "node") -> dict[str, str]:
    """Position → status of the entries of a kind."""
    return {entry.position: entry.status for entry in view.nodes if entry.kind == kind}

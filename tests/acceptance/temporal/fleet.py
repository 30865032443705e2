"""`Fleet`: workers of one task queue of a Temporal server, each the real command, and the PagerDuty that they page."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from resolute.client import Client
from resolute.clock import monotonic
from resolute.engine import RunView
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.store import LedgerQuery
from resolute.errors import StoreUnavailable
from resolute.ledger.row import Row
from resolute.simulator.pagerduty.history import RequestRecord
from tests.acceptance.command import Desk, Running
from tests.acceptance.senders import KEY as HOOK
from tests.temporal_server import TemporalServer

T = TypeVar("T")

#: Beside the routing key, what no payload may hold.
TOKEN: Final = 'tököken-"quoted"-4711'
FLOWS: Final = Path(__file__).with_name("flows.py")
HOOKED: Final = Path(__file__).with_name("hooked.py")
DEADLINE_S: Final = 120.0
#: Pause between two looks at what other processes have done.
LOOK_S: Final = 0.2


class Fleet(Desk):
    """Machines for workers, each with a store of its own; they are up when a test says so.

    Attributes:
        address: the namespace that they work for.
        module: the flows that they run.
        workers: those that are up, by the name of their machine.
    """

    def __init__(self, folder: Path, temporal: TemporalServer) -> None:
        super().__init__(folder)
        self.address = f"temporal://127.0.0.1:{temporal.port}/{temporal.namespace()}"
        self.pagerduty.rules.events_per_minute = None
        self.pagerduty.rules.rest_per_minute = None
        self.module = FLOWS
        self.workers: dict[str, Running] = {}
        self._ports: dict[str, int] = {}
        self._pause = threading.Event()
        self._started: set[str] = set()
        self.environ |= {
            "RESOLUTE_ENGINE": self.address,
            "PAGERDUTY_ROUTING_KEY": self.key,
            "PAGERDUTY_API_KEY": self.pagerduty.api_key,
            "TOKEN": TOKEN,
            "HOOK": HOOK,
        }

    def __enter__(self) -> Fleet:
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)

    # Workers

    def begin(self, *names: str) -> None:
        """Start the workers of these machines; they come up side by side."""
        for name in names:
            store, webhooks = f"sqlite:///{self.folder / name}.db", f"127.0.0.1:{self.port_of(name)}"
            self.workers[name] = self.start(
                "worker", str(self.module), RESOLUTE_STORE=store, RESOLUTE_WEBHOOKS=webhooks
            )

    def up(self, *names: str) -> None:
        """Start the workers of these machines and wait until they are up."""
        self.begin(*names)
        for name in names:
            self.workers[name].wait_for_line("the worker is up")

    def port_of(self, name: str) -> int:
        """Where the worker of a machine receives deliveries, if its flows have a webhook."""
        if name not in self._ports:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self._ports[name] = probe.getsockname()[1]
        return self._ports[name]

    def kill(self, name: str) -> None:
        """`kill -9`."""
        worker = self.workers.pop(name)
        worker.signal(signal.SIGKILL)
        worker.process.wait()

    def stop(self) -> list[int]:
        """SIGTERM to all; their exit codes."""
        for worker in self.workers.values():
            worker.signal(signal.SIGTERM)
        return [worker.end().code for worker in self.workers.values()]

    # Runs

    def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        """Ask the server."""

        async def ask() -> T:
            async with Client.connect(self.address) as client, asyncio.timeout(DEADLINE_S):
                return await question(client)

        return asyncio.run(ask())

    def start_runs(self, flow: str, inputs: dict[str, Any]) -> None:
        """Start a run for each id and input."""

        async def start(client: Client) -> None:
            room = asyncio.Semaphore(20)

            async def one(run_id: str) -> None:
                async with room:
                    await client.start(flow, inputs[run_id], run_id=run_id)

            await asyncio.gather(*(one(run_id) for run_id in inputs))

        self.ask(start)
        self._started |= inputs.keys()

    def runs(self, flow: str) -> dict[str, str]:
        """Id and status of every run of a flow, in the server's words."""

        async def listed(client: Client) -> dict[str, str]:
            engine = await client._engine.engine()  # type: ignore[attr-defined]
            found = engine.client.list_workflows(f'WorkflowType = "{flow}"')
            return {run.id: run.status.name async for run in found}

        return self.ask(listed)

    def executions(self, run_ids: Iterable[str]) -> list[str]:
        """The server's own id of the latest execution of each of these runs."""

        async def look(client: Client) -> list[str]:
            engine = await client._engine.engine()  # type: ignore[attr-defined]
            handles = [engine.client.get_workflow_handle(run_id) for run_id in run_ids]
            return [(await handle.describe()).run_id for handle in handles]

        return self.ask(look)

    def all_ended(self) -> bool:
        """Whether no run is under way; the server's list of them is late at times, so it is not believed alone."""

        async def look(client: Client) -> bool:
            engine = await client._engine.engine()  # type: ignore[attr-defined]
            if await engine.unfinished():
                return False
            ended = {run_id for run_id in self._started if (await engine.look(run_id)).status != "running"}
            self._started -= ended
            return not self._started

        return self.ask(look)

    def statuses(self, *run_ids: str) -> Counter[str]:
        """How runs stand, by what the server says."""

        async def look(client: Client) -> list[RunView]:
            engine = await client._engine.engine()  # type: ignore[attr-defined]
            return [await engine.look(run_id) for run_id in run_ids]

        return Counter(run.status for run in self.ask(look))

    def rows_of(self, name: str) -> list[Row]:
        """A machine's own incident log."""
        store = ReadOnlyStore(self.folder / f"{name}.db")
        return list(asyncio.run(store.ledger(LedgerQuery(limit=10_000))))

    def events(self) -> list[RequestRecord]:
        """The requests that PagerDuty got for events, in order."""
        return self.pagerduty_says(lambda sim: [record for record in sim.requests if record.api == "events"])

    def until(self, holds: Callable[[], bool], limit_s: float = DEADLINE_S) -> None:
        """Return as soon as it holds; fail when it does not in time."""
        ends_s = monotonic() + limit_s
        while True:
            with suppress(StoreUnavailable):
                if holds():
                    return
            assert monotonic() < ends_s, f"it did not come to that: {self.told()}"
            for worker in self.workers.values():
                assert worker.process.poll() is None, f"a worker ended: {self.told()}"
            self._pause.wait(LOOK_S)

    def told(self) -> str:
        """The last that the workers have said."""
        return "\n".join(f"{name}: {worker.errors[-2000:]}" for name, worker in self.workers.items())

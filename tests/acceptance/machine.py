"""A machine with a store, a simulated PagerDuty on a socket, and a worker that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from resolute.client import Client
from resolute.clock import monotonic
from resolute.engine import RunView
from resolute.engines.embedded.owner import holder
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.store import LedgerQuery
from resolute.ledger.row import Row
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.server import SimulatorServer

T = TypeVar("T")
DEADLINE_S = 60.0
#: A page that failed several times waits up to a minute for its next attempt, and that may fail, too.
PAGED_S = 180.0
LOOK_S = 0.01  # between two looks at what another process has done
SCRIPT = Path(__file__).with_name("kill_worker.py")


class MovableClock:
    """The machine's clock, which a test may set ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Machine:
    """One store, one PagerDuty, one worker process at a time."""

    def __init__(self, folder: Path, *, api_key: bool = True) -> None:
        self.folder = folder
        self.store = folder / "resolute.db"
        self.calls = folder / "calls"
        self.log = folder / "worker.log"
        self.clock = MovableClock()
        self.pagerduty = PagerDutySimulator(self.clock)
        self.pagerduty.rules.events_per_minute = None
        self.pagerduty.rules.rest_per_minute = None
        self.server = SimulatorServer(self.pagerduty)
        self.worker: subprocess.Popen[bytes] | None = None
        self.kills = 0
        self._api_key = api_key

    def __enter__(self) -> Machine:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()
        self.server.stop()

    @property
    def environ(self) -> dict[str, str]:
        """The worker's environment."""
        given = {
            "PAGERDUTY_ROUTING_KEY": self.pagerduty.routing_key,
            "PAGERDUTY_EVENTS_URL": self.server.url,
            "PAGERDUTY_API_URL": self.server.url,
            "CALLS": str(self.calls),
        }
        if self._api_key:
            given["PAGERDUTY_API_KEY"] = self.pagerduty.api_key
        return {**os.environ, **given}

    def start(self) -> None:
        """Start the worker, its clock as far ahead as the machine's; returns once it can be asked."""
        ahead_s = self.clock.ahead.total_seconds()
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(self.store), str(ahead_s)],
                cwd=self.folder,
                env=self.environ,
                stderr=log,
            )
        self.wait_for(lambda: (found := holder(self.store)) is not None and found.address is not None)

    def kill(self) -> None:
        """`kill -9`."""
        assert self.worker is not None
        self.worker.send_signal(signal.SIGKILL)
        self.worker.wait()
        self.worker = None
        self.kills += 1

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.worker is not None
        self.worker.terminate()
        code = self.worker.wait(DEADLINE_S)
        self.worker = None
        return code

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Return as soon as it holds; fail when it does not within the deadline or the worker dies."""

        deadline = monotonic() + DEADLINE_S
        while not holds():
            assert monotonic() < deadline, f"it did not come to that in {DEADLINE_S} s: {self._told()}"
            try:
                code = None if self.worker is None else self.worker.wait(LOOK_S)
            except subprocess.TimeoutExpired:
                continue
            assert code is None, f"the worker ended with {code}: {self._told()}"

    def _told(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else ""

    def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        """Ask the store's owner, or the file when there is none."""

        async def ask() -> T:
            async with Client.connect(f"sqlite:///{self.store}") as client:
                async with asyncio.timeout(PAGED_S):
                    return await question(client)

        return asyncio.run(ask())

    def read(self, question: Callable[[ReadOnlyStore], Coroutine[Any, Any, T]]) -> T:
        """Ask the file."""

        async def ask() -> T:
            reader = ReadOnlyStore(self.store)
            try:
                return await question(reader)
            finally:
                await reader.close()

        return asyncio.run(ask())

    def rows(self) -> list[Row]:
        """The incident log, oldest first."""
        rows = self.read(lambda reader: reader.ledger(LedgerQuery(limit=100_000)))
        return sorted(rows, key=lambda row: row.id)

    def run(self, run_id: str) -> RunView:
        return self.ask(lambda client: client.get(run_id))

    def result(self, run_id: str) -> RunView:
        """The run once it has finished."""

        async def result(client: Client) -> RunView:
            return await client._engine.result(run_id)

        return self.ask(result)

    def bytes_of_files(self) -> bytes:
        """Everything in the machine's folder, for a search."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())

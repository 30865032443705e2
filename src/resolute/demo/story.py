"""The order of events: the shop breaks, PagerDuty fails, the worker is killed, and all is handled the same.

Nothing here is made up: each line is told when it happens, and its numbers are read from the simulator, the journal
and the ledger.
"""

from __future__ import annotations

import ast
import asyncio
import os
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from resolute.client import Client
from resolute.clock import SystemClock, monotonic
from resolute.demo import flow as flow_module
from resolute.demo.shop import REASON, Shop
from resolute.demo.stage import MODULE, DemoFailed, WatchedSimulator, WorkerProcess, clean_environment
from resolute.demo.tally import Tally, count, tally
from resolute.engine import RunView
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.store import LedgerQuery
from resolute.errors import RunFailed
from resolute.ledger.row import Row
from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.history import RequestRecord
from resolute.simulator.pagerduty.server import SimulatorServer

FLOW: Final = flow_module.watch_shop.name
#: What PagerDuty does to the first requests; what comes after them is answered as it should be.
FAULTS: Final = ("503", "503", "apply_then_cut")
#: How a story ends that went as it must.
EXPECTED: Final = Tally(incidents=1, pages=1, requests=5, kills=1, lost=0, twice=0)
_CHECK_AT_MOST: Final = timedelta(seconds=45)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Ending:
    """What there is when the story has been told.

    Attributes:
        folder: holds the store, the worker's log and PagerDuty's records.
        lines: what was told, each with the seconds since the start.
        on_call: who was named.
        rows: the incident log, oldest first.
        requests: what PagerDuty was asked, oldest first.
        commands: three commands to look at it, as they can be pasted.
        checking: one that starts another check while everything is kept.
    """

    folder: Path
    store: str
    simulator_url: str
    shop_url: str
    lines: tuple[tuple[float, str, str], ...]
    on_call: str
    rows: tuple[Row, ...]
    requests: tuple[RequestRecord, ...]
    tally: Tally
    commands: tuple[str, ...]
    checking: str

    @property
    def problem(self) -> str:
        """What did not come out as it must, "" when all did."""
        if self.tally != EXPECTED:
            return f"The demo counted {self.tally}; expected {EXPECTED}. All records are in {self.folder}."
        if not self.on_call:
            return f"Nobody was named to be on call. All records are in {self.folder}."
        return ""


def flow_text() -> str:
    """The flow as it stands in its file."""
    source = flow_file().read_text(encoding="utf-8")
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "watch_shop":
            return ast.get_source_segment(source, statement) or ""
    raise DemoFailed(f"{flow_file()} holds no watch_shop. Install Resolute anew.")


def flow_file() -> Path:
    """The file of the flow."""
    return Path(flow_module.__file__)


@asynccontextmanager
async def play(tell: Tell, environ: Mapping[str, str]) -> AsyncIterator[Ending]:
    """Play it all and give its ending, while shop, PagerDuty and worker are still up.

    Args:
        tell: called with each line when it happens.

    Raises:
        DemoFailed: something went otherwise than it must.
    """
    async with AsyncExitStack() as stack:
        story = Story(tell, environ)
        await story.open(stack)
        try:
            yield await story.play()
        except RunFailed as error:
            raise DemoFailed(f"{error}\n{story.worker.last_words()}") from error


class Story:
    """One run of the demo."""

    def __init__(self, tell: Tell, environ: Mapping[str, str]) -> None:
        self._tell = tell
        self._begun = monotonic()
        self._lines: list[tuple[float, str, str]] = []
        self._checks = 0
        self.folder = Path(tempfile.mkdtemp(prefix="resolute-demo-"))
        self.database = self.folder / "resolute.db"
        self.store = f"sqlite:///{self.database}"
        self._environ = environ
        self._killed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def open(self, stack: AsyncExitStack) -> None:
        """Start the shop, PagerDuty and a first worker."""
        loop = asyncio.get_running_loop()

        def asked(record: RequestRecord) -> None:
            """Runs where PagerDuty runs, before its answer leaves: here the worker dies."""
            loop.call_soon_threadsafe(self._narrate, record)
            if record.fault == "apply_then_cut":
                pid = self.worker.pid
                self.worker.kill()
                loop.call_soon_threadsafe(self._killed.set_result, pid)

        simulator = WatchedSimulator(SystemClock(), asked)
        self.shop = stack.enter_context(Shop())
        self.pagerduty = stack.enter_context(SimulatorServer(simulator))
        self.worker = WorkerProcess(
            self.folder,
            self.store,
            clean_environment(self._environ)
            | {
                "SHOP_URL": f"{self.shop.url}/health",
                "PAGERDUTY_EVENTS_URL": self.pagerduty.url,
                "PAGERDUTY_API_URL": self.pagerduty.url,
                "PAGERDUTY_SERVICE_KEY": simulator.routing_key,
                "PAGERDUTY_API_KEY": simulator.api_key,
            },
        )
        stack.callback(self.worker.stop)
        self._say("shop", f"is up at {self.shop.url}/health")
        self._say("PagerDuty", f"is played by a simulator at {self.pagerduty.url}")
        self.worker.start()
        await self.worker.up(self.database)
        self._say("worker", f"process {self.worker.pid} is up; its journal is {self.database}")

    async def play(self) -> Ending:
        """The story from the first check to the last."""
        async with Client.connect(self.store, folder=self.folder) as client:
            await self._check(client)
            self.shop.break_down()
            self._say("shop", f"breaks: {REASON}")
            self.pagerduty.call(lambda simulator: simulator.faults.script("events", FAULTS))
            check = asyncio.create_task(self._check(client))
            await self._die_and_come_back(check)
            on_call = await check
            self.shop.heal()
            self._say("shop", "is mended")
            await self._check(client)
        return await self._ending(on_call)

    async def _die_and_come_back(self, check: asyncio.Task[str]) -> None:
        either: set[asyncio.Future[Any]] = {self._killed, check}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._killed.done():
            await check
            raise DemoFailed("The check ended before PagerDuty had cut the line, so nobody was killed.")
        row = (await self._ledger())[0]
        self._say(
            "kill -9",
            f"process {self._killed.result()} is dead. Its ledger: row {row.id}, {row.action}, {row.status}, "
            f"{row.attempts} requests, no answer",
        )
        self.worker.start()
        await self.worker.up(self.database)
        self._say("worker", f"process {self.worker.pid} takes over and repeats what was left unanswered")

    async def _check(self, client: Client) -> str:
        """Start one run of the flow and tell what came of it; returns who was named to be on call, if anybody."""
        self._checks += 1
        run = await client.start(FLOW)
        output: dict[str, Any] = await run.result(_CHECK_AT_MOST)
        self._say(f"check {self._checks}", await self._summary(output))
        on_call = str(output.get("announce", ""))
        if on_call:
            self._say("on call", on_call)
        return on_call

    async def _summary(self, output: Mapping[str, Any]) -> str:
        status = output["health"]["status"]
        if "trigger_event" not in output and "resolve_event" not in output:
            return f"{status}; nothing to send"
        processing = self.pagerduty.call(lambda simulator: simulator.rules.processing_delay)
        await asyncio.sleep(processing.total_seconds())
        incidents = self.pagerduty.call(lambda simulator: simulator.incidents)
        shown = ", ".join(
            f"incident #{incident.number} is {incident.status} ({count(incident.trigger_count, 'trigger')}, "
            f"{count(len(incident.alerts), 'alert')})"
            for incident in incidents
        )
        return f"{status}; {shown or 'no incident'}"

    def _narrate(self, record: RequestRecord) -> None:
        """Tell of a request that PagerDuty got."""
        if record.api != "events" and record.status == 200:
            return
        what = f"{record.action} {record.dedup_key}" if record.api == "events" else f"{record.method} {record.path}"
        if record.status is None:
            text = f"{'takes' if record.applied else 'drops'} {what} and cuts the line without an answer"
        else:
            text = f"answers {record.status} to {what}"
        with suppress(BrokenPipeError):  # nobody listens any more: the story hears of it with its own next line
            self._say("PagerDuty", text)

    async def _ledger(self) -> list[Row]:
        store = ReadOnlyStore(self.database)
        try:
            return sorted(await store.ledger(LedgerQuery(limit=1000)), key=lambda row: row.id)
        finally:
            await store.close()

    async def _ending(self, on_call: str) -> Ending:
        def read(simulator: PagerDutySimulator) -> tuple[Any, ...]:
            return simulator.requests, simulator.alerts, simulator.incidents, simulator.export()

        requests, alerts, incidents, export = self.pagerduty.call(read)
        (self.folder / "pagerduty.jsonl").write_text(export, encoding="utf-8")
        rows = await self._ledger()
        runs = await self._runs()
        resolute = f"{resolute_command()} --store {shlex.quote(self.store)}"
        return Ending(
            folder=self.folder,
            store=self.store,
            simulator_url=self.pagerduty.url,
            shop_url=self.shop.url,
            lines=tuple(self._lines),
            on_call=on_call,
            rows=tuple(rows),
            requests=tuple(requests),
            tally=tally(rows, alerts, incidents, requests, self.worker.exit_codes),
            commands=(
                f"{resolute} incidents",
                f"{resolute} runs list",
                f"{resolute} runs show {next((row.run_id for row in rows), runs[0].id)}",
            ),
            checking=f"{resolute} --module {MODULE} run {FLOW}",
        )

    async def _runs(self) -> list[RunView]:
        async with Client.connect(self.store, folder=self.folder) as client:
            return list(await client.runs(flow=FLOW))

    def _say(self, who: str, what: str) -> None:
        seconds = monotonic() - self._begun
        self._lines.append((round(seconds, 3), who, what))
        self._tell(f"{seconds:5.1f} s  {who:<9}  {what}")


def resolute_command() -> str:
    """How this `resolute` is called from the working directory, quoted for a shell."""
    script = Path(sys.executable).with_name("resolute")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m resolute.cli.main"
    with suppress(ValueError):
        below = script.relative_to(Path.cwd())
        return shlex.quote(str(below if os.sep in str(below) else Path(".") / below))
    return shlex.quote(str(script))

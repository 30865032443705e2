"""`Worker`: the process that runs flows. It wires engine, store and providers, and owns the store while it lives."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from resolute.calls import JobRunner, handlers
from resolute.client import Client
from resolute.config import (
    HEARTBEAT_URL,
    Settings,
    WorkerConfig,
    database_place,
    heartbeat_fault,
    load_settings,
    store_place,
    temporal_of,
)
from resolute.cron import ticks_after
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.failure_notice import notice_flow, notice_problems
from resolute.engines.embedded.files import POLL_S
from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.owner import Owner, holder
from resolute.engines.embedded.retention import Rule
from resolute.engines.embedded.socket import Handler, SocketServer, socket_path
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Store
from resolute.engines.temporal.address import TemporalAddress, is_temporal
from resolute.errors import ConfigError, StoreError, StoreOwned, StoreUnavailable
from resolute.health import Health
from resolute.hooks import Hook
from resolute.model.activity import Node
from resolute.model.recipe import Flow, with_children
from resolute.ports import Ports, open_providers, shared_ledger
from resolute.postgres.address import PostgresAddress, extra_missing, is_postgres
from resolute.providers.base import Provider
from resolute.secrets import lookup
from resolute.server.operations import Route, health_routes, metrics_routes, operations, operations_problems
from resolute.server.reception import has_webhooks, reception, reception_problems
from resolute.service_manager import ServiceManager
from resolute.startcheck import start_problems
from resolute.watchdog import Watchdog

if TYPE_CHECKING:
    from resolute.engines.temporal.engine import TemporalEngine
    from resolute.engines.temporal.host import TemporalHost

log = logging.getLogger("resolute.worker")

#: Objects that are made before the garbage collector looks for garbage, instead of Python's 700: some 2 MB.
GC_OBJECTS: Final = 10_000
#: Flows whose next tick is told when the worker starts.
TICKS_TOLD: Final = 5


def collect_less() -> None:
    """Set the garbage collector for a process that only runs flows.

    As Python sets it, it looks through all that was imported and through every run under way after a few of their
    steps, which takes a quarter of the CPU time of a storm of runs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 20, 20)


class Worker:
    """Runs flows until it is stopped. Making one reads nothing and never fails.

    Args:
        config: how it runs.
        flows: what it runs; their activities, and the flows they start runs of, register themselves.
        providers: the accounts that their nodes use.
        hooks: functions that are called with each `RunEvent` once it is on disk; an error in one is logged and
            counted, and the run goes on.
        on_failure: a node that is run, as a run of its own, for each run that fails or needs attention, and for ticks
            that are missed; its `input_data()` is a `FailureNotice`.

    Attributes:
        dashboard_url: where health and metrics are shown, "http://HOST:PORT"; None while it is not up or has no such
            address.
        webhooks_url: where deliveries are received, "http://HOST:PORT"; None while it is not up or has no webhooks.
    """

    def __init__(
        self,
        config: WorkerConfig | None = None,
        *,
        flows: Iterable[Flow],
        providers: Iterable[Provider] = (),
        hooks: Iterable[Hook] = (),
        on_failure: Node[Any] | None = None,
        ports: Ports | None = None,
    ) -> None:
        self.config = config or WorkerConfig()
        self.flows = with_children(flows)
        self.hooks = tuple(hooks)
        self.on_failure = on_failure
        self.providers = tuple(providers)
        self.ports = ports or Ports()
        self.store_address = None if is_temporal(self.config.engine) else self.config.engine
        self._hurry = asyncio.Event()
        self._stop: asyncio.Event | None = None
        self.webhooks_url: str | None = None
        self.dashboard_url: str | None = None
        self._stack = AsyncExitStack()
        self._engine: EmbeddedEngine | None = None
        self._operated: TemporalEngine | None = None

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; then take no new work, give running attempts their grace and end.

        A second signal ends the grace. The process is this worker's: its garbage collector is set for running flows.

        Raises:
            KeyboardInterrupt: a second signal ended the grace; what ran is attempted again by the next start.
            ConfigError: something that the flows need is missing; the text lists all of it.
            StoreOwned: another process owns the store.
            StoreError: the journal failed; what it holds is taken up by the next start.
        """
        collect_less()
        try:
            asyncio.run(self._run())
        except _Stopped:
            log.info("the worker was stopped before it was up")
        if self._hurry.is_set():
            raise KeyboardInterrupt

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()

        def interrupt() -> None:
            if stop.is_set():
                self._hurry.set()
            stop.set()

        self._stop = stop
        loop.add_signal_handler(signal.SIGTERM, interrupt)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        watchdog = Watchdog()
        manager = ServiceManager(self.ports.environ)
        async with self:
            watchdog.start()
            summary = self._summary()
            log.info("the worker is up: %s", summary)
            manager.ready(summary)
            broken = self.engine.broken
            broken.add_done_callback(lambda _: stop.set())
            await stop.wait()
            watchdog.stop()
            manager.stopping()
            log.info("the worker stops; running attempts have %g s", self.config.grace.total_seconds())
        if broken.done():
            broken.result()

    def _summary(self) -> str:
        """Its flows, store and next ticks, for the log."""
        now = self.ports.clock.now()
        ticks = sorted((_next_tick(flow, now), flow.name) for flow in self.flows if flow.schedules)
        place = store_place(self._settings.store, self._settings.folder)
        address = self._temporal
        parts = [
            f"{len(self.flows)} flows ({', '.join(flow.name for flow in self.flows)})",
            "store in memory, gone when it ends" if place is None else f"store {place}",
            *([f"task queue {self.task_queue} of {address}"] if address else []),
            *(["webhooks at " + self.webhooks_url] if self.webhooks_url else []),
            *(["dashboard at " + self.dashboard_url] if self.dashboard_url else []),
            *(f"next {name} at {at:%Y-%m-%d %H:%M:%S} UTC" for at, name in ticks[:TICKS_TOLD]),
        ]
        return "; ".join(parts)

    @property
    def _settings(self) -> Settings:
        return load_settings(store=self.store_address, environ=self.ports.environ)

    @property
    def rule(self) -> Rule:
        """Which finished runs it keeps: its own settings, or else those in force."""
        settings, config = self._settings, self.config
        days = settings.keep_days if config.keep_days is None else config.keep_days
        runs = settings.keep_runs if config.keep_runs is None else config.keep_runs
        return Rule(timedelta(days=days) if days else None, runs or None)

    @property
    def _temporal(self) -> TemporalAddress | None:
        """The server that runs the flows, None where this worker does so itself."""
        return temporal_of(self._settings, self.config.engine, self.ports.environ)

    @property
    def task_queue(self) -> str:
        """What it shares with the other workers of its server."""
        own = self.config.task_queue
        return own if own != WorkerConfig.task_queue else self._settings.task_queue

    @property
    def engine(self) -> EmbeddedEngine:
        """The engine of the worker's store while the worker is up."""
        if self._engine is None:
            raise StoreError("The worker is not running. Use `async with Worker(...) as worker:`, or worker.run().")
        return self._engine

    @property
    def client(self) -> Client:
        """A client of this worker, inside `async with Worker(...) as worker:`."""
        return Client(self._operated or self.engine)

    async def __aenter__(self) -> Worker:
        problems = self.problems()
        if problems:
            raise ConfigError("\n".join(["The worker cannot start:", *(f"  - {problem}" for problem in problems)]))
        self._hurry = asyncio.Event()  # belongs to the running loop
        async with AsyncExitStack() as stack:
            settings = self._settings
            place = store_place(settings.store, settings.folder)
            if isinstance(place, PostgresAddress):
                for password in place.passwords:
                    self.ports.secrets.remember(password)  # should it ever be in an error, it is not shown
            store, owner = await _open_store(place, stack, self._stop)
            services = open_providers(self.providers, self.ports, stack)
            ledger = shared_ledger(settings.database, services.values(), self.ports.secrets)
            if ledger is not None:
                stack.push_async_callback(ledger.close)
            options: dict[str, Any] = {
                "clock": self.ports.clock,
                "randomness": self.ports.randomness,
                "secrets": self.ports.secrets,
                "providers": {(provider.kind, provider.name): provider for provider in self.providers},
                "paging": services,
                "ledger": ledger,
                "threads": self.ports.threads,
                "environ": self.ports.environ,
                "max_concurrent": self.config.max_concurrent,
                "hooks": self.hooks,
                "on_failure": self.on_failure,
            }
            address, host = self._temporal, None
            if address is None:
                engine = EmbeddedEngine(store, self.flows, **options)
            else:
                engine = host = _temporal_host()(store, self.flows, **options)
                await self._find_server(host, address)
            health = Health(engine, place if isinstance(place, Path) else None)
            shown = operations(
                self._routes(engine, health), self._dashboard_address, self.ports.secrets, self.config.grace
            )
            dashboard_url = await stack.enter_async_context(shown)
            opened_later = await stack.enter_async_context(AsyncExitStack())
            jobs = JobRunner(engine, self.ports, opened_later, settings.folder)
            await engine.open()
            stack.push_async_callback(engine.close, self.config.grace, self._hurry)
            engine.retain(self.rule)
            if host is not None:
                await stack.enter_async_context(
                    host.serving(self.config.max_concurrent, self.config.grace, self._hurry)
                )
            if isinstance(place, PostgresAddress):
                await _take_orders(place, handlers(engine, jobs), stack)
            elif place is not None and owner is not None:
                server = SocketServer(socket_path(place), handlers(engine, jobs))
                await server.start()
                stack.push_async_callback(server.stop)
                owner.announce(str(server.path))
            operated = None if host is None else host.remote
            received = reception(engine, self.flows, self._webhooks_address, self.ports, self.config.grace)
            self.webhooks_url = await stack.enter_async_context(received)
            await self._begin_heartbeats(health, stack)
            self.dashboard_url = dashboard_url
            self._engine, self._operated = engine, operated
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._engine = self._operated = None
        self.webhooks_url = self.dashboard_url = None

    def _routes(self, engine: EmbeddedEngine, health: Health) -> dict[str, Route]:
        """What is shown to whoever runs the worker; nothing is counted where nothing is shown."""
        return {**health_routes(health), **metrics_routes(engine)} if self._dashboard_address else {}

    async def _begin_heartbeats(self, health: Health, stack: AsyncExitStack) -> None:
        """Tell an address outside again and again that all is well, if there is one."""
        url = self._heartbeat_url
        if not url:
            return
        from resolute.dead_mans_switch import DeadMansSwitch  # who sends none does not pay for an HTTP client

        self.ports.secrets.remember(url)
        await stack.enter_async_context(DeadMansSwitch(url, self._heartbeat_every, health.look))

    @property
    def all_flows(self) -> tuple[Flow, ...]:
        """The flows, and the one by which failures are told."""
        notices = (notice_flow(self.on_failure),) if isinstance(self.on_failure, Node) else ()
        return (*self.flows, *notices)

    @property
    def _dashboard_address(self) -> str:
        """Where health and metrics are shown, "" when nothing says so."""
        return self.config.dashboard or self._settings.dashboard

    @property
    def _heartbeat_url(self) -> str:
        """What is asked while all is well, "" when nothing says so; raises ConfigError."""
        return self.config.heartbeat_url or lookup(HEARTBEAT_URL, self.ports.environ) or ""

    @property
    def _heartbeat_every(self) -> timedelta:
        return self.config.heartbeat_every or timedelta(seconds=self._settings.heartbeat_every)

    @property
    def _webhooks_address(self) -> str:
        """Where webhooks are received, "" when nothing says so or there are none."""
        if not has_webhooks(self.flows):
            return ""
        return self.config.webhooks or self._settings.webhooks

    def problems(self, *, receives: bool = True) -> list[str]:
        """What only the worker can know to be missing or wrong, all of it, a sentence each.

        Args:
            receives: whether it is to run as a worker, which receives, shows and tells; a run by hand needs none of it.
        """
        flows = self.all_flows if receives and self.flows else self.flows
        found = start_problems(flows, self.providers, self.ports.environ, receives=receives)
        if receives:
            if self.on_failure is not None:
                found.extend(notice_problems(self.on_failure))
            found.extend(reception_problems(self.flows, self._webhooks_address))
            found.extend(operations_problems(self._dashboard_address, self.ports.environ))
            found.extend(self._heartbeat_problems())
        if (is_postgres(self._settings.store) or self._settings.database) and (missing := extra_missing()):
            found.append(missing)
        found.extend(self._temporal_problems())
        return list(dict.fromkeys([*self.config.problems(), *found]))

    def _heartbeat_problems(self) -> list[str]:
        """Why no heartbeats could be sent, a sentence each."""
        try:
            url = self._heartbeat_url
        except ConfigError as error:
            return [str(error)]
        if not url:
            return []
        fault = heartbeat_fault(url)
        found = [f"{HEARTBEAT_URL} {fault}"] if fault and not self.config.heartbeat_url else []
        if not self._heartbeat_every:
            found.append("RESOLUTE_HEARTBEAT_EVERY must be more than 0 seconds, such as 60.")
        return found

    def _temporal_problems(self) -> list[str]:
        """Why the flows could not run on the server that is set, a sentence each."""
        try:
            address = self._temporal
        except ConfigError as error:
            return [str(error)]
        return [] if address is None else list(_temporal_problems())

    async def _find_server(self, host: TemporalHost, address: TemporalAddress) -> None:
        """Connect to Temporal, however long that takes; raises _Stopped, ConfigError."""
        place = database_place(self._settings.database)
        try:
            await host.connect(address, self.task_queue, self._is_told_to_stop, database=place)
        except StoreUnavailable:
            raise _Stopped from None

    def _is_told_to_stop(self) -> bool:
        return self._stop is not None and self._stop.is_set()


class _Stopped(Exception):
    """The worker was told to stop before it was up."""


def _temporal_host() -> type[TemporalHost]:
    from resolute.engines.temporal.host import TemporalHost  # whose flows run here needs no extra

    return TemporalHost


def _temporal_problems() -> Iterator[str]:
    """Why flows could not run on Temporal, a sentence each."""
    if importlib.util.find_spec("temporalio") is None:
        yield 'The Temporal engine needs its extra, which is not installed: pip install "resolute[temporal]".'


async def _open_store(
    place: Path | PostgresAddress | None, stack: AsyncExitStack, stop: asyncio.Event | None
) -> tuple[Store, Owner | None]:
    """The store and the right to write it. Another worker ends the attempt, a command that is at work is waited for.

    Raises:
        _Stopped: `stop` was set meanwhile.
    """
    if place is None:
        return MemoryStore(), None
    if isinstance(place, PostgresAddress):
        from resolute.engines.embedded.postgres.store import PostgresStore  # needs the extra

        return PostgresStore(place, listens=True), None
    path, told = place, None
    while True:
        try:
            owner = await Owner.acquire(path, wait=False)
        except StoreOwned:
            found = holder(path)
            if found is not None and (found.address is not None or found.pid is None):
                raise
            if found is not None and found.pid != told:
                told = found.pid
                log.info("waiting for %s, which is at work on the store", found)
            if stop is not None and stop.is_set():
                raise _Stopped from None
            await asyncio.sleep(POLL_S)
        else:
            stack.callback(owner.release)
            return SqliteStore(path, owner=owner), owner


async def _take_orders(address: PostgresAddress, answers: Mapping[str, Handler], stack: AsyncExitStack) -> None:
    """Let other processes, wherever they run, ask this one while it is up."""
    from resolute.engines.embedded.postgres.inbox import Inbox  # needs the extra

    inbox = Inbox(address, answers)
    await inbox.start()
    stack.push_async_callback(inbox.stop)


def _next_tick(flow: Flow, now: datetime) -> datetime:
    return min(next(ticks_after(schedule.cron, schedule.timezone, now)) for schedule in flow.schedules)

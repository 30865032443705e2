"""`Worker`: the process that runs flows. It wires engine, store and providers, and owns the store while it lives."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from resolute.client import Client
from resolute.clock import Clock, Randomness, SystemClock, SystemRandomness
from resolute.config import Settings, WorkerConfig, load_settings, store_path
from resolute.cron import ticks_after
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.files import POLL_S
from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.owner import Owner, holder
from resolute.engines.embedded.socket import Handler, SocketServer, query_from_json, socket_path, view_to_json
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Store
from resolute.engines.embedded.threads import ThreadPerAttempt, Threads
from resolute.errors import ConfigError, StoreError, StoreOwned
from resolute.jobs import Job, prepare_call
from resolute.jsontypes import JsonValue
from resolute.ledger.intent import PagingService
from resolute.model.activity import Activity, Node
from resolute.model.recipe import Flow
from resolute.model.reference import MISSING, references_in
from resolute.model.refs import EnvRef, SecretRef
from resolute.providers.base import PROVIDERS, Provider, default_provider
from resolute.secrets import Secrets
from resolute.watchdog import Watchdog

log = logging.getLogger("resolute.worker")

#: Flows whose next tick is told when the worker starts.
TICKS_TOLD: Final = 5


@dataclass(frozen=True)
class Ports:
    """What a worker takes from the machine; tests and simulations give their own."""

    clock: Clock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=SystemRandomness)
    threads: Threads = field(default_factory=ThreadPerAttempt)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def secrets(self) -> Secrets:
        """Reads secrets from the environment; knows every value that is to be scrubbed."""
        return Secrets(self.environ)


class Worker:
    """Runs flows until it is stopped. Making one reads nothing and never fails.

    Args:
        config: how it runs.
        flows: what it runs; their activities register themselves.
        providers: the accounts that their nodes use.
    """

    def __init__(
        self,
        config: WorkerConfig | None = None,
        *,
        flows: Iterable[Flow],
        providers: Iterable[Provider] = (),
        ports: Ports | None = None,
    ) -> None:
        self.config = config or WorkerConfig()
        self.flows = tuple(flows)
        self.providers = tuple(providers)
        self.ports = ports or Ports()
        self.store_address: str | None = self.config.engine
        self._stack = AsyncExitStack()
        self._engine: EmbeddedEngine | None = None
        self._client: Client | None = None

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; then take no new work, give running attempts their grace and end.

        Raises:
            ConfigError: something that the flows need is missing; the text lists all of it.
            StoreOwned: another process owns the store.
            StoreError: the journal failed; what it holds is taken up by the next start.
        """
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()

        def interrupt() -> None:
            stop.set()
            loop.remove_signal_handler(signal.SIGINT)  # Ctrl-C once more ends the grace

        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        watchdog = Watchdog()
        async with self:
            watchdog.start()
            log.info("the worker is up: %s", self._summary())
            broken = self.engine.broken
            broken.add_done_callback(lambda _: stop.set())
            await stop.wait()
            watchdog.stop()
            log.info("the worker stops; running attempts have %g s", self.config.grace.total_seconds())
        if broken.done():
            broken.result()

    def _summary(self) -> str:
        """Its flows, store and next ticks, for the log."""
        now = self.ports.clock.now()
        ticks = sorted((_next_tick(flow, now), flow.name) for flow in self.flows if flow.schedules)
        path = store_path(self._settings.store, self._settings.folder)
        parts = [
            f"{len(self.flows)} flows ({', '.join(flow.name for flow in self.flows)})",
            "store in memory, gone when it ends" if path is None else f"store {path}",
            *(f"next {name} at {at:%Y-%m-%d %H:%M:%S} UTC" for at, name in ticks[:TICKS_TOLD]),
        ]
        return "; ".join(parts)

    @property
    def _settings(self) -> Settings:
        return load_settings(store=self.store_address, environ=self.ports.environ)

    @property
    def engine(self) -> EmbeddedEngine:
        """The engine while the worker is up."""
        if self._engine is None:
            raise StoreError("The worker is not running. Use `async with Worker(...) as worker:`, or worker.run().")
        return self._engine

    @property
    def client(self) -> Client:
        """A client of this worker, inside `async with Worker(...) as worker:`."""
        return Client(self.engine)

    async def __aenter__(self) -> Worker:
        problems = self.problems()
        if problems:
            raise ConfigError("\n".join(["The worker cannot start:", *(f"  - {problem}" for problem in problems)]))
        async with AsyncExitStack() as stack:
            settings = self._settings
            path = store_path(settings.store, settings.folder)
            store, owner = await _open_store(path, stack)
            engine = EmbeddedEngine(
                store,
                self.flows,
                clock=self.ports.clock,
                randomness=self.ports.randomness,
                secrets=self.ports.secrets,
                providers={(provider.kind, provider.name): provider for provider in self.providers},
                paging=open_providers(self.providers, self.ports, stack),
                threads=self.ports.threads,
                environ=self.ports.environ,
                max_concurrent=self.config.max_concurrent,
            )
            opened_later = await stack.enter_async_context(AsyncExitStack())
            jobs = JobRunner(engine, self.ports, opened_later, settings.folder)
            await engine.open()
            stack.push_async_callback(engine.close, self.config.grace)
            if path is not None and owner is not None:
                server = SocketServer(socket_path(path), handlers(engine, jobs))
                await server.start()
                stack.push_async_callback(server.stop)
                owner.announce(str(server.path))
            self._engine = engine
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._engine = None

    def problems(self) -> list[str]:
        """What only the worker can know to be missing or wrong, all of it, a sentence each."""
        environ = self.ports.environ
        found = self.config.problems()
        names = [flow.name for flow in self.flows]
        twice = sorted({name for name in names if names.count(name) > 1})
        found.extend(f'Two flows are named "{name}". Rename one.' for name in twice)
        accounts = [(provider.kind, provider.name) for provider in self.providers]
        found.extend(
            f'Two {kind} providers are named "{name}". Give one a name of its own: name="...".'
            for kind, name in sorted({account for account in accounts if accounts.count(account) > 1})
        )
        if not self.flows:
            found.append("There is no flow to run. Give Worker(flows=[...]) at least one.")
        nodes = [node for flow in self.flows for node in flow.nodes()]
        found.extend(_name_clashes(node.activity for node in nodes))
        found.extend(_missing_values(nodes, environ))
        for (kind, name), used in _by_provider(nodes).items():
            provider = next((p for p in self.providers if (p.kind, p.name) == (kind, name)), None)
            if provider is not None:
                found.extend(provider.problems(used, environ))
                continue
            found.append(_missing_provider(kind, name, used))
        return list(dict.fromkeys(found))


async def _open_store(path: Path | None, stack: AsyncExitStack) -> tuple[Store, Owner | None]:
    """The store and the right to write it. Another worker ends the attempt, a command that is at work is waited for."""
    if path is None:
        return MemoryStore(), None
    told = None
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
            await asyncio.sleep(POLL_S)
        else:
            stack.callback(owner.release)
            return SqliteStore(path, owner=owner), owner


def open_providers(
    providers: Sequence[Provider], ports: Ports, stack: AsyncExitStack
) -> dict[tuple[str, str], PagingService]:
    """Open every provider; they are closed with the stack. Returns the parts that send events."""
    paging: dict[tuple[str, str], PagingService] = {}
    for provider in providers:
        provider.open(ports.environ, ports.clock, ports.secrets)
        stack.push_async_callback(provider.close)
        if provider.paging is not None:
            paging[provider.kind, provider.name] = provider.paging
    return paging


def job_order(job: Job, wait: timedelta) -> dict[str, Any]:
    """A job as it is handed to the owner of a store: JSON, with its secret inputs in clear; it is never written down.

    Args:
        job: as `Job.with_input` returns it.
    """
    return {"name": job.name, "main": job.main, "input": dict(job.input), "wait_s": wait.total_seconds()}


class JobRunner:
    """Runs jobs that a command hands over, in a worker that knows neither their flow nor perhaps their provider.

    Args:
        stack: closes what has to be opened for them.
    """

    def __init__(self, engine: EmbeddedEngine, ports: Ports, stack: AsyncExitStack, folder: Path) -> None:
        self._engine = engine
        self._ports = ports
        self._stack = stack
        self._folder = folder

    async def start(self, order: Mapping[str, Any], run_id: str) -> JsonValue:
        """The run of a job; one that was not delivered is sent again.

        Args:
            order: as `job_order` makes it.
        """
        job = Job(order["name"], order["main"], order["input"])
        call = prepare_call(job, wait=timedelta(seconds=order["wait_s"]), folder=self._folder)
        if call.activity.provider is not None:
            self._need(call.activity.provider)
        self._engine.add_flow(call.flow)
        run = await self._engine.start(
            call.flow.name, call.input, run_id=run_id, trigger=call.flow.name, secrets=call.secrets
        )
        if run.status == "failed":
            run = await self._engine.resend(run.id, call.secrets)
        return view_to_json(run)

    def _need(self, kind: str) -> None:
        """Make sure that the engine has an account of this family."""
        if (kind, "") not in self._engine.core.providers:
            provider = default_provider(kind)
            open_providers([provider], self._ports, self._stack)
            self._engine.add_provider(kind, "", provider, provider.paging)


def handlers(engine: EmbeddedEngine, jobs: JobRunner) -> dict[str, Handler]:
    """What the owner's socket answers."""

    async def start(
        flow: str, input: JsonValue = None, run_id: str | None = None, trigger: str = "client"
    ) -> JsonValue:
        return view_to_json(await engine.start(flow, input, run_id=run_id, trigger=trigger))

    async def start_job(job: dict[str, Any], run_id: str) -> JsonValue:
        return await jobs.start(job, run_id)

    async def result(run_id: str) -> JsonValue:
        return view_to_json(await engine.result(run_id))

    async def get(run_id: str) -> JsonValue:
        return view_to_json(await engine.get(run_id))

    async def runs(query: dict[str, Any]) -> JsonValue:
        return [view_to_json(run) for run in await engine.runs(query_from_json(query))]

    async def cancel(run_id: str) -> JsonValue:
        return view_to_json(await engine.cancel(run_id))

    async def send_signal(run_id: str, gate: str, data: JsonValue = None, by: str = "") -> JsonValue:
        await engine.signal(run_id, gate, data, by=by)
        return None

    answers: dict[str, Callable[..., Any]] = {
        "start": start,
        "start_job": start_job,
        "result": result,
        "get": get,
        "runs": runs,
        "cancel": cancel,
        "signal": send_signal,
    }
    return answers


def _next_tick(flow: Flow, now: datetime) -> datetime:
    return min(next(ticks_after(schedule.cron, schedule.timezone, now)) for schedule in flow.schedules)


def _name_clashes(activities: Iterable[Activity[Any, Any]]) -> list[str]:
    known: dict[str, Activity[Any, Any]] = {}
    found = []
    for activity in activities:
        other = known.setdefault(activity.name, activity)
        if other.fn is not activity.fn:
            places = " and ".join(f"{a.fn.__module__}.{a.fn.__qualname__}" for a in (other, activity))
            found.append(f'Two functions are named "{activity.name}": {places}. Name one: @activity(name="...").')
    return found


def _missing_values(nodes: Sequence[Node[Any]], environ: Mapping[str, str]) -> list[str]:
    secrets = Secrets(environ)
    found = []
    for node in nodes:
        for ref in references_in(dict(node.arguments)):
            if isinstance(ref, SecretRef):
                try:
                    missing = not secrets.has(ref.name)
                except ConfigError as error:
                    found.append(str(error))
                    continue
                if missing:
                    found.append(f'Node "{node.key}" needs the secret {ref.name}: set {ref.name}, or {ref.name}_FILE.')
            elif isinstance(ref, EnvRef) and ref.default is MISSING and environ.get(ref.name) is None:
                found.append(f'Node "{node.key}" needs the variable {ref.name}: set it, or give env(..., default=...).')
    return found


def _missing_provider(kind: str, name: str, used: Sequence[Node[Any]]) -> str:
    keys = ", ".join(sorted({f'"{node.key}"' for node in used}))
    _, made_by = PROVIDERS.get(kind, ("", "Provider"))
    made = f"{kind}.{made_by}({_quoted('name=', name)})"
    return (
        f"The provider {kind}{_quoted(' ', name)} is used by {keys} but was not given. "
        f"Add Worker(..., providers=[{made}]); in a module without a Worker, account = {made} at its top level."
    )


def _quoted(before: str, name: str) -> str:
    return f'{before}"{name}"' if name else ""


def _by_provider(nodes: Sequence[Node[Any]]) -> dict[tuple[str, str], list[Node[Any]]]:
    found: dict[tuple[str, str], list[Node[Any]]] = {}
    for node in nodes:
        if node.activity.provider is not None:
            found.setdefault((node.activity.provider, node.instance or ""), []).append(node)
    return found

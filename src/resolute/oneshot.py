"""`run_once`: one run from start to end, for `resolute run`. It drives its own run and nothing else in the store.

The store is held while an attempt is in flight or a secret input lives in memory, and let go while the run is parked;
an owner that appears meanwhile is asked for the result.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from resolute.config import database_place, load_settings
from resolute.engine import FINISHED, RunView
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.places import engine_of
from resolute.engines.embedded.store import Store
from resolute.engines.embedded.store_engine import StoreEngine, Taken
from resolute.engines.temporal.address import TemporalAddress
from resolute.errors import StoreError, StoreOwned, StoreUnavailable
from resolute.model.recipe import Flow, with_children
from resolute.ports import Ports, open_providers, shared_ledger
from resolute.postgres.address import PostgresAddress
from resolute.providers.base import Provider

log = logging.getLogger("resolute.run")

#: A run parked for less than this keeps the lock.
SHORT_WAIT_S: Final = 2.0
#: How long a look-up may take that settles what an interrupted command left.
SETTLE_S: Final = 10.0
#: How often a parked run is looked at, whether somebody has answered or ended it.
REST_S: Final = 0.5
#: How often it is looked whether the owner that works for a run on a server is still there.
OWNER_S: Final = 1.0
#: How long a Temporal server is looked for.
CONNECTS_IN: Final = timedelta(seconds=10)
#: Attempts at the same time, of one run.
ATTEMPTS: Final = 100
#: How long running attempts may take when the command is stopped.
GRACE: Final = timedelta(seconds=10)


@dataclass(frozen=True)
class Once:
    """What is to be run once.

    Attributes:
        place: where the store is, None for one in memory.
        secrets: secret inputs by name; while they are needed they live in the memory of one process.
        server: the Temporal server that runs it, and the name of its task queue; None for the embedded engine.
        job: what an owner needs to run the job itself, as `job_order` makes it; None for a flow that it knows by name.
        on_wait: called with who holds the store and is waited for.
        on_start: called once with the run's id, as soon as it is on disk.
        on_park: called with the run each time that it has to wait.
    """

    place: Path | PostgresAddress | None
    flow: Flow
    run_id: str
    input: Any = None
    providers: Sequence[Provider] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    job: Mapping[str, Any] | None = field(default=None, repr=False)
    server: tuple[TemporalAddress, str] | None = None
    trigger: str = "command"
    on_wait: Callable[[object], None] = lambda holder: None
    on_start: Callable[[str], None] = lambda run_id: None
    on_park: Callable[[RunView], None] = lambda run: None


async def run_once(once: Once, ports: Ports) -> RunView:
    """The finished run. Where this is cancelled, a run with secret inputs is ended and any other is left to a worker.

    Raises:
        RunConflict: the id belongs to a run of another flow or input.
        InputError: the input does not fit what the flow accepts.
        StoreOwned: its owner cannot be handed a secret input without writing it down.
        StoreError: the journal failed, or its owner does not answer.
    """
    told = False

    def started(run_id: str) -> None:
        nonlocal told
        if not told:
            told = True
            once.on_start(run_id)

    if once.place is None:
        return await _run_here(once, ports, MemoryStore(), started)
    if isinstance(once.place, PostgresAddress):
        for password in once.place.passwords:
            ports.secrets.remember(password)  # should it ever be in an error, it is not shown
    engine = engine_of(once.place, once.on_wait)
    while True:
        found = await _ask(once, engine, ports, started)
        if isinstance(found, RunView):
            return found
        try:
            run = await _run_here(once, ports, found.store, started)
        except StoreOwned as error:
            log.info("another was faster: %s", error)
            continue
        finally:
            found.let_go()
        if run.is_finished:
            return run
        once.on_park(run)
        await _rest(engine, run, ports)


async def _ask(once: Once, engine: StoreEngine, ports: Ports, started: Callable[[str], None]) -> RunView | Taken:
    """What the owner makes of it; the store where there is none, or none any more."""
    params: dict[str, Any] = {"run_id": once.run_id}
    if once.job is None:
        params |= {"flow": once.flow.name, "input": once.input, "trigger": once.trigger}
    else:
        params["job"] = dict(once.job)
    method = "start" if once.job is None else "start_job"
    while True:
        owner = await asyncio.to_thread(lambda: engine.owner)
        found = await engine.order(method, is_secret=bool(once.secrets), **params)
        if isinstance(found, Taken):
            return found
        started(once.run_id)
        try:
            run = await _outcome(once, engine, ports, owner)
        except asyncio.CancelledError:
            if once.secrets:
                await _cancel(engine, once.run_id)
            raise
        if run is not None:
            return run
        log.info("run %s is handed over again: the owner of the store has changed", once.run_id)


async def _outcome(once: Once, engine: StoreEngine, ports: Ports, owner: str) -> RunView | Taken | None:
    """The run as the owner has ended it, in the store or on its server; None for one that the owner left there."""
    if once.server is None or await engine.reader.find(once.run_id) is not None:
        return await engine.outcome(once.run_id)
    from resolute.engines.temporal.runs import TemporalRuns  # whose flows run here needs no extra

    database = database_place(load_settings(environ=ports.environ).database)
    runs = TemporalRuns(*once.server, ports.secrets, store=engine.reader, database=database)
    ended = asyncio.create_task(runs.result(once.run_id))
    try:
        while not (await asyncio.wait({ended}, timeout=OWNER_S))[0]:
            with suppress(StoreUnavailable):  # the owner waits for its store as well
                if await asyncio.to_thread(lambda: engine.owner) != owner:
                    return None
        return ended.result()
    finally:
        ended.cancel()


async def _cancel(engine: StoreEngine, run_id: str) -> None:
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(GRACE.total_seconds()):
            found = await engine.order("cancel", run_id=run_id)
            if isinstance(found, Taken):  # whoever opens it next ends the run: its secret is gone
                found.let_go()


async def _run_here(once: Once, ports: Ports, store: Store, started: Callable[[str], None]) -> RunView:
    """The run as far as it goes without letting go of the store; raises StoreOwned when another was faster."""
    async with AsyncExitStack() as stack:
        services = open_providers(once.providers, ports, stack)
        ledger = shared_ledger(load_settings(environ=ports.environ).database, services.values(), ports.secrets)
        if ledger is not None:
            stack.push_async_callback(ledger.close)
        options: dict[str, Any] = {
            "clock": ports.clock,
            "randomness": ports.randomness,
            "secrets": ports.secrets,
            "providers": {(provider.kind, provider.name): provider for provider in once.providers},
            "paging": services,
            "ledger": ledger,
            "threads": ports.threads,
            "environ": ports.environ,
            "drives_all": False,
        }
        flows, host = with_children([once.flow]), None
        if once.server is None:
            engine = EmbeddedEngine(store, flows, **options)
        else:
            from resolute.engines.temporal.host import TemporalHost  # whose flows run here needs no extra

            database = database_place(load_settings(environ=ports.environ).database)
            engine = host = TemporalHost(store, flows, **options)
            await host.connect(*once.server, database=database, patience=CONNECTS_IN)
        if once.secrets:
            engine.core.run_secrets[once.run_id] = dict(once.secrets)  # so that opening it does not end this run
        await engine.open()
        stack.push_async_callback(engine.close, GRACE)
        if host is not None:
            await stack.enter_async_context(host.serving(ATTEMPTS, GRACE, asyncio.Event()))
        try:
            run = await _drive(once, engine, started)
        except asyncio.CancelledError:
            if once.secrets:
                await _end(engine, once.run_id)
            raise
        await _settle(engine)
        return run


async def _drive(once: Once, engine: EmbeddedEngine, started: Callable[[str], None]) -> RunView:
    """Start or resume the run; return when it has finished or is parked for a while."""
    run = await engine.start(once.flow.name, once.input, run_id=once.run_id, trigger=once.trigger, secrets=once.secrets)
    started(run.id)
    if run.status == "failed" and once.secrets:
        run = await engine.resend(run.id, once.secrets)
    if once.place is None or once.secrets or once.server is not None:
        return await engine.result(run.id)
    while True:
        run = await engine.driven(run.id)
        left = SHORT_WAIT_S if run.due_at is None else (run.due_at - engine.core.clock.now()).total_seconds()
        if run.is_finished or left >= SHORT_WAIT_S:
            return run
        await asyncio.sleep(max(0.01, left))


async def _end(engine: EmbeddedEngine, run_id: str) -> None:
    """End a run whose secret inputs are about to be lost: its page is never sent behind the user's back."""
    await engine.settle_page(run_id)
    run = await engine.get(run_id)
    if not run.is_finished:
        await engine.cancel(run_id)
    await _settle(engine)


async def _settle(engine: EmbeddedEngine) -> None:
    """See to what interrupted commands left in the log."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_S):
            await engine.settle_interrupted()


async def _rest(engine: StoreEngine, run: RunView, ports: Ports) -> None:
    """Wait until the parked run is due, has something new to look at, or an owner appears that goes on with it."""
    parked_until = run.due_at
    while True:
        try:
            if await asyncio.to_thread(lambda: engine.has_worker):
                return
            row = await engine.reader.find(run.id)
        except StoreUnavailable as error:
            log.info("run %s waits: %s", run.id, error)
            await asyncio.sleep(REST_S)
            continue
        now = ports.clock.now()
        if row is None or row.status in FINISHED:
            return
        dues = [at for at in (parked_until, row.due_at) if at is not None]
        if dues and min(dues) <= now:
            return
        left_s = (min(dues) - now).total_seconds() if dues else REST_S
        await asyncio.sleep(min(max(left_s, 0.01), REST_S))

"""`Core`: what the parts of the embedded engine share."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from resolute.clock import Clock, Randomness
from resolute.engine import Fault, RunView
from resolute.engines.embedded.limits import Limits
from resolute.engines.embedded.store import Op, PutMemory, RunRow, Store
from resolute.engines.embedded.threads import Threads
from resolute.errors import ConfigError
from resolute.hooks import Hooks
from resolute.jsontypes import JsonValue
from resolute.ledger.incident_log import IncidentLog, KeyGone
from resolute.ledger.intent import PagingService
from resolute.ledger.row import Row
from resolute.ledger.shared import SharedLedger
from resolute.model.recipe import Flow
from resolute.secrets import Secrets

#: Name of a secret that was handed to `start` and lives only in the memory of this process.
IN_MEMORY = "input:"
#: Requests that are sent for pages at the same time, beside all other attempts: no hanging check keeps a page waiting.
PAGES_AT_ONCE = 100
#: Flow, trigger, first and last tick, count.
OnMissed = Callable[[str, str, datetime, datetime, int], Awaitable[None]]
#: A run that has ended, and what it has failed with → what is to be written in the same batch, so that it is told.
OnFailure = Callable[[RunRow, Sequence[Fault]], Sequence[Op]]


def cursors_of(flow: str) -> str:
    """The memory in which a flow's cursors are kept; no flow has such a name."""
    return f"~cursors:{flow}"


class Children(Protocol):
    """How a run starts others."""

    async def start(self, flow: str, input: JsonValue, run_id: str, parent_no: int) -> RunView:
        """The run of this flow, input and id, with its result once it has finished; started unless it was.

        Raises:
            EngineError, InputError: it cannot be started.
        """
        ...

    async def retry(self, run_id: str) -> RunView:
        """A failed run, taken up again; raises EngineError when it cannot be."""
        ...

    async def stop(self, run_id: str, reason: str) -> RunView | None:
        """The run, cancelled unless it has ended; None when it was never started."""
        ...


@dataclass
class Core:
    """Ports, flows and the state in memory of one engine.

    Attributes:
        providers: (kind, instance) → provider, as activities ask for them.
        paging: (kind, instance) → the part of a provider that sends events.
        run_secrets: run id → secret inputs by name.
        memory: flow → its memory as it is on disk.
        wake: called with ledger rows whose waiter has something to do.
        hooks: who hears of what is on disk.
        children: starts and stops the runs that runs start.
        outlines: the fingerprints whose outline the store has.
        ledger: the incident log that several workers share, None where the journal holds the only one.
        count_run: told of runs that another journal keeps, as they begin or end in this process.
        webhook_answers: how often deliveries were answered with each status code.
        on_missed: told of ticks that are not run: flow, trigger, the first and the last of them, how many.
        on_failure: asked at the end of every run.
    """

    store: Store
    flows: Mapping[str, Flow]
    clock: Clock
    randomness: Randomness
    threads: Threads
    secrets: Secrets
    providers: dict[tuple[str, str], Any]
    paging: dict[tuple[str, str], PagingService]
    slots: asyncio.Semaphore
    wake: Callable[[Sequence[Row]], None]
    children: Children
    hooks: Hooks = field(default_factory=Hooks)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    digest_key: bytes = b""
    run_secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    memory: dict[str, dict[str, str]] = field(default_factory=dict)
    outlines: set[str] = field(default_factory=set)
    on_missed: OnMissed | None = None
    on_failure: OnFailure | None = None
    count_run: Callable[[RunRow], None] | None = None
    webhook_answers: Counter[int] = field(default_factory=Counter)
    limits: Limits = field(default_factory=Limits)
    ledger: SharedLedger | None = None
    _cursors: dict[tuple[str, str], str] = field(default_factory=dict)
    log: IncidentLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = IncidentLog(
            clock=self.clock,
            randomness=self.randomness,
            services=self.paging,
            routing_key=self.routing_key,
            scrub=self.secrets.scrub,
            slots=asyncio.Semaphore(PAGES_AT_ONCE),
            shared=self.ledger,
        )

    def read_secret(self, name: str, run_id: str) -> str:
        """A secret by name; one handed to `start` from memory. Raises ConfigError, KeyGone."""
        if not name.startswith(IN_MEMORY):
            return self.secrets.read(name)
        value = self.run_secrets.get(run_id, {}).get(name.removeprefix(IN_MEMORY))
        if value is None:
            raise KeyGone(name)
        return value

    def routing_key(self, row: Row) -> str:
        """The routing key of a send; raises ConfigError, KeyGone."""
        return self.key_for(row.key_secret, row.run_id, row.service, row.instance)

    def key_for(self, key_secret: str, run_id: str, service: str, instance: str) -> str:
        if key_secret:
            return self.read_secret(key_secret, run_id)
        key = self.paging_service(service, instance).routing_key()
        if key is None:
            raise ConfigError(
                "The event names no routing key and the provider has none. "
                'Set PAGERDUTY_SERVICE_KEY, or give the node routing_key=secret("...").'
            )
        self.secrets.remember(key)
        return key

    def paging_service(self, service: str, instance: str) -> PagingService:
        found = self.paging.get((service, instance))
        if found is None:
            via = f' with name="{instance}"' if instance else ""
            raise ConfigError(
                f'The provider "{service}"{via} was not given to the worker: Worker(..., providers=[...]).'
            )
        return found

    def told(self, run: RunRow, faults: Sequence[Fault] = ()) -> Sequence[Op]:
        """What has to be written in the batch that ends a run, so that its failure is told; mostly nothing."""
        return () if self.on_failure is None else self.on_failure(run, faults)

    def remember(self, op: PutMemory) -> None:
        """Know a write to a memory that is on disk now. Attempts keep what they were given, so it makes new data."""
        known = {key: text for key, text in self.memory.get(op.flow, {}).items() if key != op.key}
        self.memory[op.flow] = known if op.text is None else {**known, op.key: op.text}

    def cursor(self, flow: str, name: str) -> str | None:
        """A cursor as it was decided last, on disk or not yet: nothing later can be durable before that."""
        decided = self._cursors.get((flow, name))
        return self.memory.get(cursors_of(flow), {}).get(name) if decided is None else decided

    def move_cursor(self, flow: str, name: str, text: str) -> None:
        """Know where a cursor was decided to be."""
        self._cursors[flow, name] = text

    async def memory_of(self, flow: str) -> dict[str, str]:
        """A flow's memory as it is on disk."""
        known = self.memory.get(flow)
        if known is None:
            known = await self.store.memory(flow)
            known = self.memory.setdefault(flow, known)
        return known

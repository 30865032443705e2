"""`Client`: starts runs and asks about them, in the worker's process or from another one."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from resolute.config import Settings, database_place, load_settings, store_place, temporal_of
from resolute.engine import Engine, RunQuery, RunView, SignalOutcome
from resolute.engines.embedded.places import engine_of, reader_of
from resolute.engines.temporal.address import TemporalAddress, is_temporal, temporal_address
from resolute.errors import ConfigError, RunFailed
from resolute.jsontypes import JsonValue
from resolute.model.recipe import Flow
from resolute.postgres.address import PostgresAddress
from resolute.secrets import Secrets


class Client:
    """Talks to an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def connect(cls, store: str | None = None, *, folder: Path | None = None) -> AsyncIterator[Client]:
        """A client of a store: `async with Client.connect("sqlite:///resolute.db") as client:`, or "postgresql://…".

        Where a worker owns the store it is asked; else the client itself writes, and a worker that is
        started later does the work.

        Args:
            store: the store's address, or that of a Temporal server; by default what `RESOLUTE_ENGINE`,
                `RESOLUTE_STORE` or `resolute.toml` say.
            folder: where a relative path starts; by default the working directory.
        """
        server: TemporalAddress | None
        if is_temporal(store):
            settings, server = load_settings(folder=folder), temporal_address(str(store), os.environ)
        else:
            settings = load_settings(store=store, folder=folder)
            server = None if store is not None else temporal_of(settings, None, os.environ)
        place = store_place(settings.store, settings.folder)
        if server is not None:
            yield cls(_remote(server, settings, place))
            return
        if place is None:
            raise ConfigError('Nobody else can reach a store in memory. Use Worker(...).client, or "sqlite:///PATH".')
        yield cls(engine_of(place))

    async def start(self, flow: str | Flow, input: Any = None, *, run_id: str | None = None) -> Run:
        """A run that is on disk when this returns; the same id with the same input gives the same run.

        Raises:
            RunConflict: the id belongs to a run of another flow or input.
            InputError: the input does not fit what the flow accepts.
        """
        name = flow.name if isinstance(flow, Flow) else flow
        view = await self._engine.start(name, input, run_id=run_id)
        return Run(self._engine, view.id)

    async def get(self, run_id: str) -> RunView:
        """The run with its journal; raises RunNotFound."""
        return await self._engine.get(run_id)

    async def runs(self, *, flow: str | None = None, status: str | None = None, limit: int = 20) -> Sequence[RunView]:
        """Runs, newest first."""
        return await self._engine.runs(RunQuery(flow, status, limit))

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        """End an unfinished run: a page on its way settles first, and what was done is undone.

        A run that has nothing to undo has ended when this returns. Raises RunNotFound, EngineError.
        """
        return await self._engine.cancel(run_id, by=by, reason=reason)

    async def retry(self, run_id: str) -> Run:
        """Take a failed or parked run up again at what failed.

        Raises:
            RunNotFound: no run has this id.
            EngineError: it has not failed, was undone, or no worker that has its flow is running.
        """
        return Run(self._engine, (await self._engine.retry(run_id)).id)

    async def signal(
        self,
        run_id: str,
        gate: str,
        outcome: SignalOutcome = "approved",
        *,
        by: str = "",
        reason: str = "",
        data: JsonValue = None,
    ) -> None:
        """Answer a gate of a run, reached or not; durable when this returns.

        Args:
            gate: the gate's key; its position ("each[3]/approve") where it stands in a loop or an each.
            by, reason, data: who answered, why, and what else the flow shall know; they are recorded.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has ended, or its flow has no such gate.
        """
        await self._engine.signal(run_id, gate, outcome, by=by, reason=reason, data=data)

    def run(self, run_id: str) -> Run:
        """A handle on a run that was started elsewhere."""
        return Run(self._engine, run_id)


class Run:
    """A handle on one run."""

    def __init__(self, engine: Engine, run_id: str) -> None:
        self._engine = engine
        self.id = run_id

    async def result(self, timeout: timedelta | None = None) -> Any:
        """What the run returns, as plain JSON values, once it has finished.

        Raises:
            RunFailed: it ended without success.
            TimeoutError: it has not finished within this time; it goes on.
        """
        view = await self._engine.result(self.id, timeout)
        if view.status != "succeeded":
            raise RunFailed(view.id, view.status, view.error_key or None, view.error)
        return view.output

    async def get(self) -> RunView:
        """The run with its journal."""
        return await self._engine.get(self.id)

    async def cancel(self, *, by: str = "", reason: str = "") -> RunView:
        """End the run if it is unfinished; what was done is undone."""
        return await self._engine.cancel(self.id, by=by, reason=reason)

    async def retry(self) -> RunView:
        """Take the run up again at what failed."""
        return await self._engine.retry(self.id)

    async def signal(
        self,
        gate: str,
        outcome: SignalOutcome = "approved",
        *,
        by: str = "",
        reason: str = "",
        data: JsonValue = None,
    ) -> None:
        """Answer a gate of the run."""
        await self._engine.signal(self.id, gate, outcome, by=by, reason=reason, data=data)

    def __repr__(self) -> str:
        return f"<run {self.id}>"


def _remote(server: TemporalAddress, settings: Settings, place: Path | PostgresAddress | None) -> Engine:
    """The runs of a server; raises ConfigError where the extra is missing."""
    if importlib.util.find_spec("temporalio") is None:
        raise ConfigError('The Temporal engine needs its extra. Install it: pip install "resolute[temporal]".')
    from resolute.engines.temporal.runs import TemporalRuns  # whose runs are in a store needs no extra

    database = database_place(settings.database)
    return TemporalRuns(server, settings.task_queue, Secrets(), store=reader_of(place), database=database)

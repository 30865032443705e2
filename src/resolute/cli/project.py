"""What a command works on: the settings in force, the module with the flows, the store."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from resolute.cli.options import Common
from resolute.errors import ConfigError

if TYPE_CHECKING:
    from resolute.config import Settings
    from resolute.engine import RunQuery, RunView, SignalOutcome
    from resolute.engines.embedded.sqlite.reads import Reads
    from resolute.engines.embedded.store_engine import StoreEngine
    from resolute.jsontypes import JsonValue
    from resolute.loader import Found

T = TypeVar("T")


class Runs(Protocol):
    """The runs that a command asks about, on whatever engine."""

    @property
    def place(self) -> str:
        """Where the runs are, in words."""
        ...

    @property
    def has_worker(self) -> bool: ...

    async def get(self, run_id: str) -> RunView: ...

    async def look(self, run_id: str) -> RunView: ...

    async def value(self, run_id: str, position: str) -> JsonValue: ...

    async def runs(self, query: RunQuery) -> Sequence[RunView]: ...

    async def result(self, run_id: str) -> RunView: ...

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView: ...

    async def retry(self, run_id: str) -> RunView: ...

    async def signal(
        self,
        run_id: str,
        gate: str,
        outcome: SignalOutcome = "approved",
        *,
        by: str = "",
        reason: str = "",
        data: JsonValue = None,
    ) -> None: ...


def runs_of(common: Common, on_wait: Callable[[object], None] = lambda holder: None) -> Runs:
    """The runs of the engine that is set; raises ConfigError.

    Args:
        on_wait: called with who holds the store and is waited for.
    """
    import os

    from resolute.config import database_place, store_place, temporal_of

    found = settings(common)
    address = temporal_of(found, None, os.environ)
    if address is None:
        return store_engine(common, on_wait)
    need_temporal()
    from resolute.engines.embedded.places import reader_of
    from resolute.engines.temporal.runs import TemporalRuns
    from resolute.secrets import Secrets

    store = reader_of(store_place(found.store, found.folder))
    return TemporalRuns(address, found.task_queue, Secrets(), store=store, database=database_place(found.database))


def need_temporal() -> None:
    """Raise ConfigError where the extra is missing."""
    from importlib.util import find_spec

    if find_spec("temporalio") is None:
        raise ConfigError('The Temporal engine needs its extra. Install it: pip install "resolute[temporal]".')


def settings(common: Common) -> Settings:
    """The settings in force; raises ConfigError."""
    from resolute.config import load_settings

    return load_settings(store=common.store, module=common.module)


def find_flows(common: Common, module: str | None = None) -> Found:
    """What the module holds that was named; raises ConfigError."""
    from resolute.loader import load

    found = settings(common)
    name = module or found.module
    if not name:
        raise ConfigError(
            "Which flows? No module was named. Give a file or a dotted module (resolute worker flows.py, --module), "
            'set RESOLUTE_MODULE, or write module = "flows.py" into resolute.toml.'
        )
    return load(name, found.folder)


def store_file(common: Common) -> Path:
    """The file of the store; raises ConfigError for one that is in none."""
    from resolute.config import store_path

    found = settings(common)
    path = store_path(found.store, found.folder)
    if path is None:
        raise ConfigError("A store in memory ends with its process. Name a file: --store sqlite:///resolute.db.")
    return path


def store_engine(
    common: Common, on_wait: Callable[[object], None] = lambda holder: None, given: str | None = None
) -> StoreEngine:
    """What asks the store, in a file or in PostgreSQL; raises ConfigError for one in memory.

    Args:
        on_wait: called with who holds the store and is waited for.
        given: the address that the module's own worker names; the command line goes before it.
    """
    from resolute.config import load_settings, store_place
    from resolute.engines.embedded.places import engine_of

    found = load_settings(store=common.store or given, module=common.module)
    place = store_place(found.store, found.folder)
    if place is None:
        raise ConfigError("A store in memory ends with its process. Name a file: --store sqlite:///resolute.db.")
    return engine_of(place, on_wait)


def ledger_reader(common: Common) -> Reads:
    """What reads the incident log: the shared one where there is one, or else the store's own; raises ConfigError."""
    found = settings(common)
    from resolute.config import database_place

    address = database_place(found.database)
    if address is None:
        return store_engine(common).reader
    from resolute.ledger.postgres.ledger import LedgerReader

    return LedgerReader(address)


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns. Ctrl-C and SIGTERM cancel it, and it may take its time to end.

    Raises:
        KeyboardInterrupt: it was cancelled by one of them.
    """

    async def whole() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(whole())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None

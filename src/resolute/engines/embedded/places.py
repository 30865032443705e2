"""Which engine asks a store, by the place where the store is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from resolute.engines.embedded.files import FileEngine
from resolute.engines.embedded.sqlite.reads import Reads
from resolute.engines.embedded.store_engine import StoreEngine
from resolute.errors import ConfigError
from resolute.postgres.address import PostgresAddress, extra_missing


def engine_of(place: Path | PostgresAddress, on_wait: Callable[[object], None] = lambda holder: None) -> StoreEngine:
    """The engine of a store that another process may own; raises ConfigError where an extra is missing.

    Args:
        on_wait: called with who holds the store and is waited for.
    """
    if isinstance(place, Path):
        return FileEngine(place, on_wait=on_wait)
    if missing := extra_missing():
        raise ConfigError(missing)
    from resolute.engines.embedded.postgres.engine import PostgresEngine  # needs the extra

    return PostgresEngine(place, on_wait=on_wait)


def reader_of(place: Path | PostgresAddress | None) -> Reads | None:
    """What reads a store; None for one in memory, and for a file that is not there. Raises ConfigError as above."""
    if place is None or (isinstance(place, Path) and not place.exists()):
        return None
    return engine_of(place).reader

"""The machines of the embedded engine: a disk in memory, a real file of SQLite, a real server of PostgreSQL."""

from __future__ import annotations

import inspect
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resolute.engines.embedded.memory import MemoryStore, Tables
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Op, Store
from resolute.errors import StoreBroken
from resolute.testing.virtual_time import START
from tests.contract.engine.machine import Machine
from tests.contract.engine.patient_loop import PatientLoop

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer


class BreakableStore(MemoryStore):
    """A `MemoryStore` whose disk may break."""

    is_broken = False

    async def commit(self, batch: Sequence[Op]) -> None:
        if self.is_broken:
            raise StoreBroken("The disk is broken.")
        await super().commit(batch)


class MemoryMachine(Machine):
    """A machine whose disk is in memory, and takes a millisecond for each batch."""

    store_type = BreakableStore

    def __init__(self, loop: PatientLoop, begins_at: datetime = START) -> None:
        super().__init__(loop, begins_at)
        loop.is_busy = lambda: self.threads.are_busy
        self._tables = Tables()
        self._free_at_s = 0.0
        self._store = self.store_type(self._tables, delay=self._delay)

    def _delay(self, batch: Sequence[Op]) -> float:
        return max(0.001, self._free_at_s - self.loop.time())

    @property
    def store(self) -> Store:
        return self._store

    def _new_store(self) -> Store:
        self._store = self.store_type(self._tables, delay=self._delay)
        return self._store

    def _cut(self) -> None:
        self._store.crash()
        self._free_at_s = 0.0

    async def _bury(self) -> None:
        """Nothing is left: the store ended when it was cut."""

    def break_disk(self) -> None:
        self._store.is_broken = True

    def large_values(self) -> int:
        return len(self._tables.large)

    def hold_disk(self, **time: float) -> None:
        self._free_at_s = self.loop.time() + timedelta(**time).total_seconds()


class SqliteMachine(Machine):
    """A machine with a real file. A kill copies the file as it is at that instant; the next worker gets the copy."""

    def __init__(self, loop: PatientLoop, folder: Path) -> None:
        super().__init__(loop)
        self._folder = folder
        self._lives = 0
        self._held: sqlite3.Connection | None = None
        self._store = WatchedStore(SqliteStore(self._path))
        loop.is_busy = lambda: self.threads.are_busy or (self._store.pending > 0 and self._held is None)

    @property
    def _path(self) -> Path:
        return self._folder / f"life-{self._lives}.db"

    @property
    def store(self) -> Store:
        return self._store.as_store()

    def _new_store(self) -> Store:
        self._store = WatchedStore(SqliteStore(self._path, clock=self.clock))
        return self.store

    def _cut(self) -> None:
        held = self._held or self._lock()
        old = self._path
        self._lives += 1
        for suffix in ("", "-wal"):
            if old.with_name(old.name + suffix).exists():
                shutil.copyfile(f"{old}{suffix}", f"{self._path}{suffix}")
        self._held = held
        self._release()

    async def _bury(self) -> None:
        await self.store.close()

    def hold_disk(self, **time: float) -> None:
        self._held = self._lock()
        self.loop.call_later(timedelta(**time).total_seconds(), self._release)

    def break_disk(self) -> None:
        self._path.rename(self._path.with_suffix(".gone"))

    def large_values(self) -> int:
        with closing(sqlite3.connect(self._path)) as connection:
            [count] = connection.execute("SELECT count(*) FROM large").fetchone()
        return int(count)

    def _lock(self) -> sqlite3.Connection:
        """Keep every other connection from writing, also from moving the log into the database."""
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


class PostgresMachine(Machine):
    """A machine with a store on a server. A kill ends its session there at that instant, and takes its name from it."""

    def __init__(self, loop: PatientLoop, server: PostgresServer) -> None:
        super().__init__(loop)
        self._server = server
        self._address = server.address()
        self._outside_session = server.connect()
        self._outside_session.execute(f"SET search_path = {self._address.schema}".encode())
        self._held: Any = None
        self._is_broken = False
        self._store = WatchedStore(server.store(self._address))
        loop.is_busy = lambda: self.threads.are_busy or (self._store.pending > 0 and self._held is None)

    @property
    def store(self) -> Store:
        return self._store.as_store()

    def _new_store(self) -> Store:
        self._store = WatchedStore(self._server.store(self._address, self.clock))
        return self.store

    def _cut(self) -> None:
        if not self._is_broken:
            self._outside_session.execute("UPDATE owner SET token = 'killed'")
            self._outside_session.execute("SELECT pg_terminate_backend(backend, 5000) FROM owner")
        self._release()

    async def _bury(self) -> None:
        await self.store.close()

    async def down(self) -> None:
        await super().down()
        self._release()
        self._outside_session.close()

    def hold_disk(self, **time: float) -> None:
        self._held = self._server.connect()
        self._held.execute("BEGIN")
        for table in ("runs", "journal", "incident_log", "memory", "ticks"):
            self._held.execute(f"LOCK TABLE {self._address.schema}.{table} IN EXCLUSIVE MODE".encode())
        self.loop.call_later(timedelta(**time).total_seconds(), self._release)

    def break_disk(self) -> None:
        self._is_broken = True
        self._outside_session.execute(f"DROP SCHEMA {self._address.schema} CASCADE".encode())

    def large_values(self) -> int:
        [count] = self._outside_session.execute("SELECT count(*) FROM large").fetchone() or (0,)
        return int(str(count))

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


class WatchedStore:
    """A store that tells how many of its answers are awaited.

    Attributes:
        pending: questions and batches that were handed in and not yet answered.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.pending = 0

    def as_store(self) -> Store:
        found: Any = self
        return found  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def counted(*args: Any) -> Any:
            self.pending += 1
            try:
                return await found(*args)
            finally:
                self.pending -= 1

        return counted

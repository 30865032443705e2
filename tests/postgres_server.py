"""A PostgreSQL server for tests: the installed programs on a folder of their own, with the settings they come with."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from resolute.clock import Clock
from resolute.engines.embedded.postgres.store import PostgresStore
from resolute.postgres.address import PostgresAddress, postgres_address

PASSWORD = "s3cret@of/the:server"
QUOTED = "s3cret%40of%2Fthe%3Aserver"
_numbers = count(1)


@cache
def programs() -> Path | None:
    """The folder with the programs of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """One server and its data. It listens on the loopback alone and asks for a password."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self._data = folder / "data"
        self._folder = folder
        self._bin = bin
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:  # the server refuses to run as root
            self._as = {"user": 65534, "group": 65534, "extra_groups": []}
            os.chown(folder, 65534, 65534)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-U", "resolute", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-locale")
        with (self._data / "postgresql.conf").open("a") as config:
            config.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
            config.write("max_connections = 60\n")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self._data), *arguments]
        with (self._folder / "commands.log").open("ab") as log:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, **self._as
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{(self._folder / 'commands.log').read_text()}")

    def start(self) -> None:
        """Start it; it takes connections when this returns."""
        self._run("pg_ctl", "-l", str(self._folder / "server.log"), "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: "fast" ends the sessions, "immediate" is a crash."""
        self._run("pg_ctl", "-m", mode, "-w", "-t", "60", "stop")

    def kill(self) -> None:
        """End its processes as a power cut would."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)

    @property
    def is_up(self) -> bool:
        return (self._data / "postmaster.pid").exists()

    def url(self, schema: str, *, port: int | None = None) -> str:
        """The address of a schema, with the password."""
        return f"postgresql://resolute:{QUOTED}@127.0.0.1:{port or self.port}/postgres?schema={schema}"

    def address(self) -> PostgresAddress:
        """The address of a schema that no test has used."""
        return postgres_address(self.url(f"t{next(_numbers)}"))

    def store(self, address: PostgresAddress, clock: Clock | None = None) -> PostgresStore:
        """A store that waits for no other holder."""
        return PostgresStore(address, clock=clock, holder_patience=timedelta(0))

    def bytes_of_files(self) -> bytes:
        """Everything that the server has written: tables, its log of changes, and what it logged."""
        with self.connect() as outside:
            outside.execute("CHECKPOINT")
        return b"".join(path.read_bytes() for path in sorted(self._folder.rglob("*")) if path.is_file())

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A session of its own, for a look from outside."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="resolute", password=PASSWORD, dbname="postgres", autocommit=True
        )


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server that is up, and gone afterwards. Where none is installed the test is skipped, or fails in CI."""
    bin = programs()
    if bin is None:
        missing = "no PostgreSQL server is installed here: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    folder = Path(tempfile.mkdtemp(prefix="resolute-postgres-"))
    try:
        server = PostgresServer(folder, bin)
        server.start()
        try:
            yield server
        finally:
            if server.is_up:
                server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""`TemporalServer`, the development server, and `TestServer`, whose time leaps, for tests; a wire that can be cut."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from resolute.clock import monotonic

#: Tests that one server can take: each has a namespace of its own.
NAMESPACES: Final = 200


def server_program(name: str = "temporal") -> str | None:
    """The program of this name, None where its package is not installed."""
    beside = Path(sys.executable).parent
    return shutil.which(name, path=os.pathsep.join([str(beside), os.environ.get("PATH", "")]))


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[TemporalServer]:
    """The development server of this process."""
    server = TemporalServer(_needed())
    yield server
    server.stop()


@pytest.fixture(scope="session")
def spare_servers() -> Iterator[list[TestServer]]:
    """Test servers that come up while the test before is at work."""
    spare = [TestServer(_needed("temporal-test-server"))]
    yield spare
    for server in spare:
        server.stop()


@pytest.fixture
def temporal_test_server(spare_servers: list[TestServer]) -> Iterator[TestServer]:
    """A test server for one test."""
    server = _one_of(spare_servers)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def grave(spare_servers: list[TestServer]) -> Iterator[TestServer]:
    """A server for those who must not reach another one any more."""
    server = _one_of(spare_servers)
    yield server
    server.stop()


def _one_of(spare: list[TestServer]) -> TestServer:
    """One that is up; the next one is started."""
    server = spare.pop()
    spare.append(TestServer(_needed("temporal-test-server")))
    while not server.is_up():  # another program has taken its port
        server.stop()
        server = TestServer(_needed("temporal-test-server"))
    return server


@pytest.fixture
def lasting_server(tmp_path: Path) -> Iterator[TemporalServer]:
    """A server with a file, for a test that stops it and starts it again."""
    server = TemporalServer(_needed(), file=tmp_path / "temporal.db")
    yield server
    server.stop()


def _needed(name: str = "temporal") -> str:
    """The program; skips the test, or fails it on CI, where the packages are missing."""
    program = server_program(name)
    if program is None or importlib.util.find_spec("temporalio") is None:
        told = f"needs the packages temporalio and {name}-bin: make install"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
    return program


class TemporalServer:
    """A server that forgets everything when it is stopped, unless it has a file.

    Args:
        options: of the program, beside those that every test needs.
        file: where it keeps what it knows, so that it can be stopped and started again.

    Attributes:
        port: where it listens on this machine, also when it is started again.
    """

    def __init__(self, program: str, *options: str, file: Path | None = None) -> None:
        self.port = _free_port()
        names = [f"test-{number}" for number in range(NAMESPACES if file is None else 1)]
        self._names = iter(names)
        command = [program, "server", "start-dev", "--headless", "--log-level", "never", "--port", str(self.port)]
        kept = [] if file is None else ["--db-filename", str(file)]
        self._command = [*command, *kept, *options, *(part for name in names for part in ("--namespace", name))]
        self.start()

    def start(self) -> None:
        """Start it; it answers when this returns."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        ends_s = monotonic() + 60
        while not _answers(self.port):
            assert self._process.poll() is None, "the Temporal server ended at once"
            assert monotonic() < ends_s, "the Temporal server does not come up"

    def namespace(self) -> str:
        """One that no test has used."""
        return next(self._names)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class TestServer:
    """Temporal's test server: small, for one test, and with a time that can be set forward.

    Attributes:
        port: where it listens on this machine.
    """

    __test__ = False

    def __init__(self, program: str) -> None:
        self.port = _free_port()
        self._process = subprocess.Popen(
            [program, str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )

    def namespace(self) -> str:
        """The one that it has."""
        return "default"

    def is_up(self) -> bool:
        """Whether it answers; it is waited for, unless it has ended."""
        ends_s = monotonic() + 60
        while self._process.poll() is None and monotonic() < ends_s:
            if _answers(self.port):
                return True
        return False

    def stop(self) -> None:
        """It keeps nothing, so it need not end in order."""
        self._process.kill()
        self._process.wait(10)


class Wire:
    """A connection of one worker to the server. Once it is cut nothing goes through until it is mended."""

    def __init__(self, port: int, gate: Callable[[], Awaitable[None]] | None = None) -> None:
        self._port = port
        self._gate = gate or _open
        self._near = 0
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> int:
        """The port at this end."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self._near)
        self._near = self._server.sockets[0].getsockname()[1]
        return self._near

    async def mend(self) -> None:
        """Let everything through again."""
        await self.divert(self._port)

    async def divert(self, port: int) -> None:
        """Let everything through again, at once and to another server."""
        self._port, self._gate = port, _open
        await self.open()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        joining = asyncio.current_task()
        assert joining is not None, "a connection is served by a task"
        self._ends.add(writer)
        self._tasks.add(joining)
        try:
            there = await asyncio.open_connection("127.0.0.1", self._port)
        except (OSError, asyncio.CancelledError):  # the server is gone, or the wire was cut just now
            writer.transport.abort()
            return
        finally:
            self._tasks.discard(joining)
        self._ends.add(there[1])
        ways = (_carry(reader, there[1], self._gate), _carry(there[0], writer, self._gate))
        for way in ways:
            task = asyncio.create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cut(self) -> None:
        """Let nothing through any more."""
        if self._server is not None:
            self._server.close()
        for end in self._ends:
            end.transport.abort()
        for task in self._tasks:
            task.cancel()


async def _open() -> None:
    """No gate."""


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: Callable[[], Awaitable[None]]) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            await gate()
            sink.write(data)
            await sink.drain()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        tried.settimeout(0.2)
        return tried.connect_ex(("127.0.0.1", port)) == 0

"""What a service manager hears, on a real socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolute.service_manager import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A manager that listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


async def heard(manager: socket.socket) -> str:
    async with asyncio.timeout(10):
        return (await asyncio.get_running_loop().sock_recv(manager, 1000)).decode()


async def test_it_hears_that_the_worker_is_up_and_stops(manager: socket.socket) -> None:
    """The status is one line, whatever it holds."""
    told = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})
    told.ready("2 flows\nREADY=0")
    assert await heard(manager) == "READY=1\nSTATUS=2 flows READY=0"
    told.stopping()
    assert await heard(manager) == "STOPPING=1"


@pytest.mark.parametrize("pid", ["", "own"])
async def test_the_event_loop_gives_signs_of_life(manager: socket.socket, pid: str) -> None:
    """Again and again, also while the worker stops."""
    environ = {
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "2000",
        "WATCHDOG_PID": pid and str(os.getpid()),
    }
    told = ServiceManager(environ)
    told.ready("")
    told.stopping()
    assert [await heard(manager) for _ in range(4)] == ["READY=1\nSTATUS=", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=1"]


@pytest.mark.parametrize("further", [{}, {"WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
async def test_no_signs_of_life_where_nobody_waits_for_them(manager: socket.socket, further: dict[str, str]) -> None:
    """No watchdog, that of another process, or a value that is none."""
    before = asyncio.all_tasks()
    ServiceManager({"NOTIFY_SOCKET": manager.getsockname(), **further}).ready("")
    assert await heard(manager) == "READY=1\nSTATUS="
    assert asyncio.all_tasks() == before


async def test_address_in_the_abstract_namespace(tmp_path: Path) -> None:
    """As systemd writes it for containers."""
    name = f"resolute-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.setblocking(False)
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert await heard(listener) == "STOPPING=1"


def test_manager_that_is_gone_is_no_fault_of_the_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the worker goes on."""
    with caplog.at_level(logging.WARNING):
        ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).stopping()
    assert "was not told STOPPING=1" in caplog.text


def test_without_a_manager_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    """As in a terminal or a container."""
    ServiceManager({}).stopping()
    assert caplog.text == ""

"""A worker whose journal is in PostgreSQL: killed, without the server, and beside a second one."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from resolute.client import Client
from resolute.engines.embedded.postgres.reader import PostgresReader
from resolute.postgres.address import postgres_address
from tests.acceptance.machine import PAGED_S, SCRIPT, Machine, T
from tests.postgres_server import PASSWORD, QUOTED, PostgresServer

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


class PostgresMachine(Machine):
    """A machine whose worker has its journal on a server."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        super().__init__(folder)
        self.url = server.url(server.address().schema)
        self.reader = PostgresReader(postgres_address(self.url))

    def begin(self) -> subprocess.Popen[bytes]:
        """A worker that has not come up yet."""
        command = [sys.executable, str(SCRIPT), self.url]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.environ, stderr=log)

    def start(self) -> None:
        self.worker = self.begin()
        pid = self.worker.pid
        self.wait_for(lambda: (found := self.reader.holder()) is not None and found.pid == pid)

    def ask(self, question: Any) -> Any:
        async def ask() -> Any:
            async with Client.connect(self.url) as client, asyncio.timeout(PAGED_S):
                return await question(client)

        return asyncio.run(ask())

    def read(self, question: Any) -> Any:
        asked: Coroutine[Any, Any, T] = question(self.reader)
        return asyncio.run(asked)


@pytest.fixture
def machine(tmp_path: Path, postgres: PostgresServer) -> Iterator[PostgresMachine]:
    with PostgresMachine(tmp_path, postgres) as machine:
        machine.start()
        yield machine


async def start(client: Client, ids: list[str]) -> None:
    await asyncio.gather(*(client.start("paging", run_id=run_id) for run_id in ids))


def check(machine: PostgresMachine, ids: list[str]) -> None:
    """Every run has succeeded, with one alert and one accepted row, and no secret is anywhere."""
    assert {machine.result(run_id).status for run_id in ids} == {"succeeded"}
    rows = machine.rows()
    assert Counter((row.run_id, row.status) for row in rows) == Counter((run_id, "accepted") for run_id in ids)
    machine.wait_for(lambda: machine.server.call(lambda sim: sim.pending) == 0)
    alerts = machine.server.call(lambda sim: Counter(alert.alert_key for alert in sim.alerts))
    assert alerts == Counter(row.dedup_key for row in rows)
    stored = machine.bytes_of_files()
    assert PASSWORD.encode() not in stored
    assert QUOTED.encode() not in stored


def test_pages_once_for_each_run_however_often_the_worker_is_killed(machine: PostgresMachine) -> None:
    """The next one takes the store as soon as the server sees that the last is gone."""
    draw = random.Random(1)
    ids = [f"run-{number}" for number in range(30)]
    for begin in range(0, 30, 10):
        machine.ask(lambda client, begin=begin: start(client, ids[begin : begin + 10]))
        seen = begin + draw.randint(1, 8)
        machine.wait_for(lambda seen=seen: machine.server.call(lambda sim: len(sim.requests)) >= seen)
        machine.kill()
        machine.start()
    check(machine, ids)


def test_worker_waits_for_its_server_and_goes_on(machine: PostgresMachine, postgres: PostgresServer) -> None:
    """Nothing is lost and nobody has to start anything again: not after a stop, and not after a crash."""
    ids = [f"run-{number}" for number in range(12)]
    for mode, own in (("fast", ids[:6]), ("immediate", ids[6:])):
        machine.ask(lambda client, own=own: start(client, own))
        postgres.stop(mode)
        postgres.start()
    check(machine, ids)
    assert machine.stop() == 0


def test_second_worker_ends_with_the_name_of_the_first(machine: PostgresMachine) -> None:
    """After it has waited for as long as a machine that is gone may be thought to be there."""
    second = machine.begin()
    assert second.wait(60) != 0
    assert machine.worker is not None
    assert f"is owned by worker {machine.worker.pid} on" in machine.log.read_text()


def test_second_worker_takes_over_at_once_when_the_first_is_killed(machine: PostgresMachine) -> None:
    """It waits for the store while the first one lives."""
    machine.ask(lambda client: start(client, ["run-1"]))
    second = machine.begin()
    assert machine.worker is not None
    os.kill(machine.worker.pid, signal.SIGKILL)
    machine.worker.wait()
    machine.worker = second
    check(machine, ["run-1"])

"""Heartbeats to a real server: they come while all is well, stop when it is not, and never say where they go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from resolute import Worker, WorkerConfig, activity, flow, manual
from resolute.dead_mans_switch import DeadMansSwitch
from resolute.errors import ConfigError
from resolute.health_report import Check, HealthReport
from resolute.ports import Ports
from resolute.server.listener import listen
from tests.integration.test_dashboard import comes_true, locked_by_another_program

HIDDEN = "0b5c3a2e-9d1f-4a57-8f21-6a7d1c9be042"
SOON, DEADLINE_S = timedelta(milliseconds=20), 30.0
WELL = HealthReport((Check("journal", True, "It can be written."),))
ILL = HealthReport((Check("journal", False, "Nothing can be written."),))


@activity
async def one() -> int:
    return 1


counting = flow("counting").triggered_by(manual()).then(one()).build()


class Watcher:
    """An application that answers every request with a status, and counts."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.asked: list[str] = []
        self.came = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(f"{scope['method']} {scope['path']}")
        self.came.set()
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"OK"})

    async def next(self) -> None:
        """Return when one more has come."""
        self.came.clear()
        async with asyncio.timeout(DEADLINE_S):
            await self.came.wait()


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
async def url(watcher: Watcher) -> AsyncIterator[str]:
    """Where it listens; the path is the secret."""
    async with listen(watcher, "127.0.0.1", 0) as at:
        yield f"{at}/{HIDDEN}"


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged, but for what the server of the test itself says of its requests."""
    made = caplog.handler.formatter or logging.Formatter()
    return "\n".join(made.format(record) for record in caplog.records if not record.name.startswith("uvicorn"))


class Patient:
    """What a worker looks like, as a test says it."""

    report = WELL

    async def look(self) -> HealthReport:
        return self.report


@asynccontextmanager
async def switch(url: str, patient: Patient | None = None) -> AsyncIterator[DeadMansSwitch]:
    """A switch whose own beats do not come before the test is over, and the first of which has come."""
    async with DeadMansSwitch(url, timedelta(days=1), (patient or Patient()).look) as made:
        await asyncio.sleep(0)
        yield made


async def test_worker_sends_heartbeats_while_its_journal_can_be_written(
    tmp_path: Path, watcher: Watcher, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They stop while it is held, come back when it is not, and the log says both."""
    caplog.set_level(logging.INFO)
    path = tmp_path / "resolute.db"
    config = WorkerConfig(engine=f"sqlite:///{path}", heartbeat_url=url, heartbeat_every=SOON)
    async with Worker(config, flows=[counting], ports=Ports(environ={})) as up, asyncio.timeout(DEADLINE_S):
        await watcher.next()
        with locked_by_another_program(path):
            starting = asyncio.create_task(up.client.start("counting"))
            await comes_true(lambda: "no heartbeats from now on, all is not well: journal: " in caplog.text)
            before = len(watcher.asked)
            await comes_true(lambda: up.engine.core.store.held_since is not None)
            assert len(watcher.asked) == before
        await starting
        await watcher.next()
        await comes_true(lambda: "heartbeats again, all is well" in caplog.text)
    assert set(watcher.asked) == {f"GET /{HIDDEN}"}
    assert HIDDEN not in logged(caplog)
    assert HIDDEN not in repr(config)


async def test_nothing_is_sent_while_all_is_not_well(
    watcher: Watcher, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is due; the reason is logged once."""
    patient = Patient()
    patient.report = ILL
    async with switch(url, patient) as made:
        assert [await made.beat() for _ in range(5)] == [False] * 5
        assert watcher.asked == []
        patient.report = WELL
        assert await made.beat()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert told == ["no heartbeats from now on, all is not well: journal: Nothing can be written."]


@pytest.mark.parametrize("status", [301, 404, 500])
async def test_outage_of_the_watcher_is_logged_once(
    watcher: Watcher, url: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """And its end; a redirect is not followed, for it would carry the secret elsewhere."""
    caplog.set_level(logging.INFO)
    watcher.headers = [(b"location", b"http://127.0.0.1:1/elsewhere")]
    async with switch(url) as made:
        await watcher.next()
        watcher.status = status
        assert [await made.beat() for _ in range(3)] == [False] * 3
        watcher.status = 200
        assert await made.beat()
    lines = [record.getMessage() for record in caplog.records if record.name == "resolute.heartbeat"]
    assert len(lines) == 2
    assert lines[0].startswith(f"heartbeats do not arrive at 127.0.0.1: the answer is {status}")
    assert lines[1] == "heartbeats arrive at 127.0.0.1 again"
    assert HIDDEN not in logged(caplog)


@pytest.mark.parametrize("address", [f"http://127.0.0.1:1/{HIDDEN}", f"http://no-such-host.invalid/{HIDDEN}"])
async def test_address_that_nobody_answers_stays_secret(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """Also with everything logged that there is, and the worker goes on."""
    caplog.set_level(logging.DEBUG)
    async with switch(address) as made:
        assert not await made.beat()
    assert "heartbeats do not arrive at " in caplog.text
    assert HIDDEN not in logged(caplog)


async def test_fault_that_nobody_foresaw_costs_one_beat(
    watcher: Watcher, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one is due all the same."""
    looks = iter([RuntimeError(f"at {url}"), WELL])

    async def look() -> HealthReport:
        found = next(looks, WELL)
        if isinstance(found, Exception):
            raise found
        return found

    async with DeadMansSwitch(url, SOON, look):
        await watcher.next()
    assert "a heartbeat failed in an unforeseen way: RuntimeError" in caplog.text
    assert HIDDEN not in logged(caplog)


@pytest.mark.parametrize(
    ("config", "environ", "told"),
    [
        ({"heartbeat_url": f"hc.example/{HIDDEN}"}, {}, "WorkerConfig(heartbeat_url=...) holds no address"),
        ({}, {"RESOLUTE_HEARTBEAT_URL": f"ftp://hc/{HIDDEN}"}, "RESOLUTE_HEARTBEAT_URL holds no address"),
        ({}, {"RESOLUTE_HEARTBEAT_URL": f"https://hc:x/{HIDDEN}"}, "write https://HOST/PATH"),
        ({}, {"RESOLUTE_HEARTBEAT_URL_FILE": "/nowhere"}, "RESOLUTE_HEARTBEAT_URL_FILE names a file that cannot be"),
        ({"heartbeat_every": timedelta(0)}, {}, "WorkerConfig(heartbeat_every=...) must be more than nothing"),
        (
            {"heartbeat_url": "https://hc/x"},
            {"RESOLUTE_HEARTBEAT_EVERY": "0"},
            "RESOLUTE_HEARTBEAT_EVERY must be more than 0 seconds",
        ),
    ],
)
def test_what_is_wrong_is_told_at_the_start(config: dict[str, Any], environ: dict[str, str], told: str) -> None:
    """Without the address."""
    made = Worker(WorkerConfig(engine="memory:", **config), flows=[counting], ports=Ports(environ=environ))
    with pytest.raises(ConfigError) as caught:
        asyncio.run(made.__aenter__())
    assert told in str(caught.value)
    assert HIDDEN not in str(caught.value)


def test_address_may_stand_in_a_file(tmp_path: Path) -> None:
    """As every secret may."""
    file = tmp_path / "heartbeat"
    file.write_text(f"https://hc.example/{HIDDEN}\n")
    made = Worker(flows=[counting], ports=Ports(environ={"RESOLUTE_HEARTBEAT_URL_FILE": str(file)}))
    assert made.problems() == []

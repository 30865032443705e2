"""The second listener on a real socket: health as it is, and nothing for those without the token."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from resolute import Worker, WorkerConfig, activity, flow, manual
from resolute.clock import monotonic
from resolute.config import DASHBOARD_TOKEN as TOKEN
from resolute.errors import ConfigError
from resolute.ports import Ports
from resolute.server.operations import LIVE
from tests.integration.sqlite_file import small_disk

SECRET = "a-long-random-text-for-the-dashboard"
PATHS = ("/health", "/health/ready")
LOOK_S, DEADLINE_S = 0.01, 30.0


@activity
async def one() -> int:
    return 1


counting = flow("counting").triggered_by(manual()).then(one()).build()


def worker(path: Path, address: str = "127.0.0.1:0", **environ: str) -> Worker:
    config = WorkerConfig(engine=f"sqlite:///{path}", dashboard=address)
    return Worker(config, flows=[counting], ports=Ports(environ=environ))


async def get(up: Worker, path: str, method: str = "GET", **headers: str) -> httpx2.Response:
    """The answer to one request, on this machine."""
    url = str(up.dashboard_url).replace("0.0.0.0", "127.0.0.1")
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        return await client.request(method, path, headers=headers)


def failing(answer: httpx2.Response) -> list[str]:
    """The names of the checks that are not well."""
    told: dict[str, Any] = answer.json()
    assert told["status"] == ("ok" if answer.status_code == 200 else "failing")
    return [check["name"] for check in told["checks"] if not check["ok"]]


async def comes_true(holds: Callable[[], bool]) -> None:
    """Return as soon as it holds."""
    deadline = monotonic() + DEADLINE_S
    while not holds():
        assert monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(LOOK_S)


@contextmanager
def locked_by_another_program(path: Path) -> Iterator[None]:
    """Nothing can be written to the store meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_worker_that_is_well_says_so(tmp_path: Path) -> None:
    """Each check with a sentence, and nothing of it is kept by a cache."""
    async with worker(tmp_path / "resolute.db") as up:
        answer = await get(up, "/health")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        names = [check["name"] for check in answer.json()["checks"] if check["ok"] and check["detail"]]
        assert sorted(names) == sorted(
            ["journal", "disk", "unsettled_pages", "due_runs", "schedules", "rejected_pages", "notices"]
        )
        ready = await get(up, "/health/ready")
        assert [check["name"] for check in ready.json()["checks"]] == ["journal", "disk"]


async def test_journal_that_cannot_be_written_is_seen_and_healing_too(tmp_path: Path) -> None:
    """What only the store knows is not known then; the loop lives all the same."""
    path = tmp_path / "resolute.db"
    async with worker(path) as up:
        with locked_by_another_program(path):
            starting = asyncio.create_task(up.client.start("counting"))
            await comes_true(lambda: up.engine.core.store.held_since is not None)
            answers = [await get(up, each) for each in PATHS]
            assert [answer.status_code for answer in answers] == [503, 503]
            assert failing(answers[0]) == ["journal", "due_runs", "schedules", "rejected_pages", "notices"]
            assert failing(answers[1]) == ["journal"]
            assert (await get(up, LIVE)).status_code == 200
        await starting
        await comes_true(lambda: up.engine.core.store.held_since is None)
        assert [(await get(up, each)).status_code for each in PATHS] == [200, 200]


async def test_disk_without_room_is_seen(tmp_path: Path) -> None:
    """Before anything is refused for lack of it."""
    with small_disk(tmp_path) as disk:
        async with worker(disk / "resolute.db") as up:
            assert failing(await get(up, "/health")) == ["disk"]
            assert failing(await get(up, "/health/ready")) == ["disk"]


async def test_engine_that_has_stopped_is_not_well(tmp_path: Path) -> None:
    """Until the process has ended, which it does with a code, health tells why it will."""
    async with worker(tmp_path / "resolute.db") as up:
        up.engine._driver.broke(RuntimeError("a fault that nobody foresaw"))
        assert "journal" in failing(await get(up, "/health"))
        assert "a fault that nobody foresaw" in (await get(up, "/health/ready")).text


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
async def test_beyond_this_machine_the_token_is_asked_for(tmp_path: Path, path: str) -> None:
    """Without it, with another one, or with another scheme nobody learns even what is there."""
    async with worker(tmp_path / "resolute.db", "0.0.0.0:0", **{TOKEN: SECRET}) as up:
        for sent in ({}, {"authorization": f"Bearer {SECRET}x"}, {"authorization": f"Basic {SECRET}"}):
            answer = await get(up, path, **sent)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert SECRET not in answer.text
        answer = await get(up, path, authorization=f"Bearer {SECRET}")
        assert answer.status_code == (404 if path == "/nothing" else 200)
        assert (await get(up, LIVE)).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8030", 200),
        ("127.0.0.1", 200),
        ("[::1]:8030", 200),
        ("ops.example", 421),
        ("127.0.0.1.example", 421),
        ("[", 421),
    ],
)
async def test_without_a_token_this_machine_is_asked_by_its_own_name(tmp_path: Path, host: str, status: int) -> None:
    """A web page that leads its name here reads nothing; a proxy that does so needs a token."""
    async with worker(tmp_path / "resolute.db") as up:
        assert (await get(up, "/health", host=host)).status_code == status
        assert (await get(up, LIVE, host=host)).status_code == 200
    async with worker(tmp_path / "resolute.db", **{TOKEN: SECRET}) as up:
        assert (await get(up, "/health", host=host, authorization=f"Bearer {SECRET}")).status_code == 200


async def test_token_that_is_changed_in_its_file_counts_at_once(tmp_path: Path) -> None:
    """And while the file cannot be read nobody is let in."""
    file = tmp_path / "token"
    file.write_text(SECRET)
    async with worker(tmp_path / "resolute.db", **{f"{TOKEN}_FILE": str(file)}) as up:
        assert (await get(up, "/health")).status_code == 401
        file.write_text(SECRET + "-new")
        assert (await get(up, "/health", authorization=f"Bearer {SECRET}")).status_code == 401
        assert (await get(up, "/health", authorization=f"Bearer {SECRET}-new")).status_code == 200
        file.unlink()
        assert (await get(up, "/health", authorization=f"Bearer {SECRET}-new")).status_code == 503


@pytest.mark.parametrize(
    ("address", "environ", "told"),
    [
        ("0.0.0.0:8030", {}, f"there is no token. Set {TOKEN}"),
        ("[::]:8030", {}, "or listen at 127.0.0.1:8030"),
        ("127.0.0.1:8030", {TOKEN: "short"}, "has 5 characters and could be guessed"),
        ("0.0.0.0:8030", {f"{TOKEN}_FILE": "/nowhere"}, "cannot be read"),
        ("8030", {}, "is no address to listen at"),
    ],
)
def test_what_is_missing_is_told_at_the_start(tmp_path: Path, address: str, environ: dict[str, str], told: str) -> None:
    """The worker does not start, and opens no store."""
    with pytest.raises(ConfigError) as caught:
        asyncio.run(worker(tmp_path / "resolute.db", address, **environ).__aenter__())
    assert told in str(caught.value)
    assert not list(tmp_path.iterdir())


async def test_only_get_is_answered(tmp_path: Path) -> None:
    """HEAD as GET without the body; whatever else is asked for is refused with what there is."""
    async with worker(tmp_path / "resolute.db") as up:
        head = await get(up, "/health", "HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert (await get(up, "/health", "POST")).status_code == 405
        answer = await get(up, "/nothing")
        assert answer.status_code == 404
        assert "/health/live" in answer.text


async def test_worker_without_an_address_shows_nothing(tmp_path: Path) -> None:
    """It comes from the environment where the code has none."""
    config = WorkerConfig(engine=f"sqlite:///{tmp_path / 'resolute.db'}")
    async with Worker(config, flows=[counting], ports=Ports(environ={})) as quiet:
        assert quiet.dashboard_url is None
    ports = Ports(environ={"RESOLUTE_DASHBOARD": "127.0.0.1:0"})
    async with Worker(config, flows=[counting], ports=ports) as up:
        assert (await get(up, LIVE)).json() == {"status": "ok"}
    assert up.dashboard_url is None


async def test_metrics_are_shown_beside_health(tmp_path: Path) -> None:
    """As Prometheus reads them, and as they are after a run."""
    pytest.importorskip("prometheus_client")
    async with worker(tmp_path / "resolute.db") as up:
        await (await up.client.start("counting")).result()
        answer = await get(up, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'resolute_runs_started_total{flow="counting"} 1.0' in answer.text

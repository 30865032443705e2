"""How a worker ends: SIGTERM, once and twice, early and on a full disk; the next start takes up what it leaves."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from resolute.engine import RunQuery
from resolute.engines.embedded.files import FileEngine
from resolute.engines.embedded.owner import Owner
from resolute.engines.embedded.sqlite.whole import index_path, log_path
from resolute.engines.embedded.store import RunRow
from resolute.errors import StoreBroken
from tests.acceptance.command import DEADLINE_S, Desk, Running
from tests.integration.sqlite_file import small_disk

pytestmark = pytest.mark.acceptance

#: Its activity writes down each attempt, then waits for a file; the page is sent after it.
FLOWS = """
import asyncio, json, pathlib
from datetime import timedelta
from resolute import Worker, WorkerConfig, activity, current, flow, manual, secret
from resolute.providers import pagerduty

@activity
async def work() -> str:
    at = current()
    with open("attempts", "a") as file:
        file.write(json.dumps([at.idempotency_key, at.repeated]) + "\\n")
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return "x" * 30_000

quick = flow("quick").triggered_by(manual()).then_sleep(timedelta(0)).build()
slow = flow("slow").triggered_by(manual()).then(work()).build()
page = (
    flow("page")
    .triggered_by(manual())
    .then(work())
    .then(pagerduty.trigger_event(routing_key=secret("OPS_KEY"), summary="down", severity="critical", dedup_key="d"))
    .build()
)
worker = Worker(
    WorkerConfig(grace=timedelta(seconds=GRACE)), flows=[quick, slow, page], providers=[pagerduty.PagerDutyProvider()]
)
"""


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """A grace that no test waits for."""
    resolute.write("flows.py", FLOWS.replace("GRACE", "3600"))
    resolute.environ |= {"RESOLUTE_MODULE": "flows.py", "OPS_KEY": resolute.key}
    return resolute


def up(desk: Desk) -> Running:
    worker = desk.start("worker")
    worker.wait_for_line("the worker is up")
    return worker


def begin(desk: Desk, flow: str) -> None:
    """Start a run that has the flow's name; returns once its attempt has begun."""
    asyncio.run(FileEngine(desk.store).start(flow, run_id=flow))
    desk.wait_for(lambda: len(attempts(desk)) == 1)


def attempts(desk: Desk) -> list[Any]:
    """Idempotency key of each attempt, and whether it repeats another."""
    file = desk.folder / "attempts"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def statuses(desk: Desk) -> dict[str, str]:
    return {row.id: row.status for row in runs(desk)}


def runs(desk: Desk) -> list[RunRow]:
    return desk.read(lambda store: store.runs(RunQuery()))


def is_closed(store: Path) -> bool:
    """Whether nothing of the store stands beside its file, and SQLite finds no fault in it."""
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        whole = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return whole and not log_path(store).exists() and not index_path(store).exists()


def test_sigterm_takes_no_new_work_and_lets_attempts_end(desk: Desk) -> None:
    """What is asked for meanwhile begins when it has ended. An attempt that ran is on record and not made again."""
    worker = up(desk)
    begin(desk, "slow")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("the worker stops")
    late = desk.start("run", "quick", "--run-id", "late")
    (desk.folder / "go").touch()
    assert worker.end().code == 0
    assert late.end().code == 0
    assert asyncio.run(FileEngine(desk.store).get("slow")).nodes[0].status == "done"
    up(desk)
    desk.wait_for(lambda: statuses(desk) == {"slow": "succeeded", "late": "succeeded"})
    assert len(attempts(desk)) == 1


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_hurries(desk: Desk, second: int) -> None:
    """The grace ends, the exit code is 130, and the store is closed all the same."""
    worker = up(desk)
    begin(desk, "slow")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("the worker stops")
    worker.signal(second)
    assert worker.end().code == 130
    assert is_closed(desk.store)


def test_end_of_the_grace_interrupts(desk: Desk) -> None:
    """An attempt that takes longer is left to the next start; the exit code is 0."""
    desk.write("flows.py", FLOWS.replace("GRACE", "0.01"))
    worker = up(desk)
    begin(desk, "slow")
    worker.signal(signal.SIGTERM)
    assert worker.end().code == 0
    assert statuses(desk)["slow"] not in ("succeeded", "failed")
    assert is_closed(desk.store)


def test_what_was_interrupted_is_repeated_under_its_key(desk: Desk) -> None:
    """The next start attempts it again, once, with the same idempotency key; the page behind it leaves once."""
    worker = up(desk)
    begin(desk, "page")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("the worker stops")
    worker.signal(signal.SIGTERM)
    worker.end()
    assert desk.alerts == []
    (desk.folder / "go").touch()
    up(desk)
    desk.wait_for(lambda: statuses(desk)["page"] == "succeeded")
    assert attempts(desk) == [["page/work", False], ["page/work", True]]
    assert desk.alerts == ["d"]
    assert desk.requests == 1


def test_idle_worker_leaves_nothing_behind(desk: Desk) -> None:
    """No write-ahead log, no index, nobody named in the lock file."""
    worker = up(desk)
    assert desk("run", "quick").code == 0
    worker.signal(signal.SIGTERM)
    assert worker.end().code == 0
    assert is_closed(desk.store)
    assert (desk.folder / "resolute.db.lock").read_bytes().strip() == b""


async def test_sigterm_while_it_waits_for_the_store(desk: Desk) -> None:
    """A worker that is not up yet ends at once, with 0, and has made nothing."""
    owner = await Owner.acquire(desk.store, wait=False)
    try:
        worker = desk.start("worker", "--verbose")
        worker.wait_for_line("which is at work on the store")
        worker.signal(signal.SIGTERM)
        told = worker.end()
    finally:
        owner.release()
    assert told.code == 0
    assert "stopped before it was up" in told.err
    assert "Traceback" not in told.err
    assert not desk.store.exists()


@pytest.fixture
def disk(desk: Desk) -> Iterator[Path]:
    """The store lies on a disk of 1 MB."""
    with small_disk(desk.folder) as place:
        desk.store = place / "resolute.db"
        desk.environ["RESOLUTE_STORE"] = f"sqlite:///{desk.store}"
        yield place
        desk._running.close()  # a disk in use cannot be taken away


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


@pytest.mark.ci_only
def test_sigterm_on_a_full_disk(disk: Path, desk: Desk) -> None:
    """It gives up what cannot be written, says so with code 3, and the next start repeats it."""
    worker = up(desk)
    begin(desk, "slow")
    filler = fill(disk)
    (desk.folder / "go").touch()
    worker.wait_for_line("cannot be written")
    worker.signal(signal.SIGTERM)
    told = worker.end()
    assert told.code == 3
    assert "not kept" in told.err
    assert "Traceback" not in told.err
    filler.unlink()
    up(desk)
    desk.wait_for(lambda: statuses(desk)["slow"] == "succeeded")
    assert attempts(desk) == [["slow/work", False], ["slow/work", True]]


@pytest.mark.ci_only
def test_page_leaves_as_soon_as_it_can_be_journalled(disk: Path, desk: Desk) -> None:
    """On a full disk nothing is sent and nothing acknowledged is lost; with room again all goes on by itself."""
    worker = up(desk)
    begin(desk, "page")
    filler = fill(disk)
    (desk.folder / "go").touch()
    worker.wait_for_line("cannot be written")
    new = desk.start("run", "quick", "--run-id", "new")
    assert desk.requests == 0
    assert new.process.poll() is None
    filler.unlink()
    worker.wait_for_line("can be written again")
    desk.wait_for(lambda: statuses(desk)["page"] == "succeeded")
    assert new.end().code == 0
    assert desk.alerts == ["d"]
    assert len(attempts(desk)) == 1
    worker.signal(signal.SIGTERM)
    assert worker.end().code == 0
    assert is_closed(desk.store)


@pytest.mark.ci_only
def test_disk_that_cannot_be_written(disk: Path, desk: Desk) -> None:
    """A worker does not start on it, and says why with code 3; what is in the store can be read all the same."""
    worker = up(desk)
    assert desk("run", "quick", "--run-id", "one").code == 0
    worker.signal(signal.SIGTERM)
    worker.end()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    told = desk("worker")
    assert told.code == 3
    assert "Read-only file system" in told.err
    assert "Traceback" not in told.err
    assert [run["id"] for run in desk("runs", "list", "--json").json] == ["one"]


def test_failing_disk_ends_the_worker(desk: Desk) -> None:
    """With code 3 and the reason; who asked is told that nothing was kept, and the next start works again."""
    worker = up(desk)
    size = log_path(desk.store).stat().st_size
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (size, size))
    with pytest.raises(StoreBroken):
        asyncio.run(FileEngine(desk.store).start("quick", run_id="one"))
    told = worker.end()
    assert told.code == 3
    assert "SQLITE_IOERR_WRITE" in told.err
    up(desk)
    assert statuses(desk) == {}
    assert desk("run", "quick").code == 0


def test_service_manager_is_told(desk: Desk) -> None:
    """systemd hears when the worker is up, that it lives, and when it begins to stop."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(desk.folder / "notify"))
        manager.settimeout(DEADLINE_S)
        desk.environ |= {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000"}
        worker = up(desk)
        assert manager.recv(1000).startswith(b"READY=1\nSTATUS=3 flows (quick, slow, page)")
        assert manager.recv(1000) == b"WATCHDOG=1"
        worker.signal(signal.SIGTERM)
        while (told := manager.recv(1000)) == b"WATCHDOG=1":
            pass
        assert told == b"STOPPING=1"
    assert worker.end().code == 0

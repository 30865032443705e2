"""What `resolute doctor` says of a store; each fault is made in real files, by real owners."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resolute.doctor import store
from resolute.doctor.finding import Finding
from resolute.doctor.subject import Subject
from resolute.engines.embedded.owner import Owner, holder, lock_path
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import SCHEMA_VERSION, RunRow
from tests.integration.sqlite_file import make_version_1

SOURCE = str(Path(store.__file__).parents[2])
#: Owns the store it is given, says where it listens, and waits to be killed.
OWN = """
import asyncio, sys
from pathlib import Path
from resolute.engines.embedded.owner import Owner
from resolute.engines.embedded.socket import SocketServer

async def main():
    owner = await Owner.acquire(Path(sys.argv[1]), wait=False)
    server = SocketServer(Path(sys.argv[2]), {})
    await server.start()
    owner.announce(sys.argv[2])
    print("owns", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def subject(path: Path) -> Subject:
    return Subject({}, store=path)


async def make(path: Path, created_at: datetime | None = None) -> None:
    """A store with one run."""
    opened = SqliteStore(path)
    await opened.open()
    at = created_at or datetime.now(UTC)
    await opened.commit([RunRow(1, "run1", "disk", "f", "succeeded", "null", "d", "manual", at)])
    await opened.close()
    path.parent.chmod(0o700)
    lock_path(path).touch(0o600)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A healthy store."""
    found = tmp_path / "resolute.db"
    await make(found)
    return found


def only(findings: list[Finding]) -> Finding:
    [finding] = findings
    return finding


def test_healthy_store_has_no_finding(path: Path) -> None:
    """Everything right is said to be right, and nothing is written."""
    before = {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()}
    for check in (store.access, store.schema, store.permissions, store.owner):
        assert only(check(subject(path))).result == "ok", check
    assert {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()} == before


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    """The command that makes it is named."""
    finding = only(store.access(subject(tmp_path / "nowhere" / "resolute.db")))
    assert finding.result == "problem"
    assert f"mkdir -p {tmp_path / 'nowhere'}" in finding.fix


def test_store_that_does_not_exist_yet(tmp_path: Path) -> None:
    """That is how every installation begins."""
    assert "the first worker makes it" in only(store.access(subject(tmp_path / "resolute.db"))).text
    assert only(store.schema(subject(tmp_path / "resolute.db"))).result == "not checked"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_store_of_another_user(path: Path) -> None:
    """Both users are named."""
    os.chown(path, 65534, -1)
    finding = only(store.access(subject(path)))
    assert finding.result == "warning"
    assert f"belongs to {store._user(65534)}, and this command runs as root" in finding.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_store_on_a_read_only_disk(path: Path) -> None:
    """The mount is told from missing permissions."""
    folder = path.parent
    if subprocess.run(["mount", "-o", "bind,ro", folder, folder], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        finding = only(store.access(subject(path)))
    finally:
        subprocess.run(["umount", folder], check=True)
    assert finding.result == "problem"
    assert "on a disk that is mounted read-only" in finding.text


def test_older_store(tmp_path: Path) -> None:
    """It will be migrated: a good moment for a copy."""
    make_version_1(tmp_path / "resolute.db")
    finding = only(store.schema(subject(tmp_path / "resolute.db")))
    assert finding.result == "warning"
    assert f"has schema version 1, expected {SCHEMA_VERSION}" in finding.text
    assert "resolute backup" in finding.fix


def test_newer_store(path: Path) -> None:
    """It was written by a newer version, which is needed again."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", (SCHEMA_VERSION + 1,))
    finding = only(store.schema(subject(path)))
    assert finding.result == "problem"
    assert "a newer Resolute wrote it" in finding.text


def test_file_that_is_no_store(tmp_path: Path) -> None:
    """Told with what it is."""
    (tmp_path / "resolute.db").write_bytes(b"Page the on-call engineer.\n" * 60)
    finding = only(store.schema(subject(tmp_path / "resolute.db")))
    assert finding.result == "problem"
    assert "not a database of SQLite" in finding.text


@pytest.mark.parametrize(("name", "mode", "fix"), [(".", 0o777, "chmod go-w"), ("resolute.db", 0o640, "chmod 600")])
def test_what_others_may_do(path: Path, name: str, mode: int, fix: str) -> None:
    """Replace the file, or read it."""
    (path.parent / name).chmod(mode)
    finding = only(store.permissions(subject(path)))
    assert finding.result == "warning"
    assert f"(mode {mode:04o}" in finding.text
    assert fix in finding.fix


def owned(path: Path) -> subprocess.Popen[str]:
    """A process that owns the store and listens."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWN, str(path), str(path.parent / "s")],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "owns\n"
    return process


def test_worker_that_answers_and_lock_that_a_killed_one_leaves(path: Path) -> None:
    """The living one is named; of the dead one nothing has to be deleted."""
    with owned(path) as process:
        finding = only(store.owner(subject(path)))
        assert finding.result == "ok"
        assert f"answers: process {process.pid}" in finding.text
        process.kill()
        process.wait()
        finding = only(store.owner(subject(path)))
    assert finding.result == "warning"
    assert f"process {process.pid}, was killed" in finding.text
    assert f"its socket {path.parent / 's'} is left over" in finding.text
    assert "Nothing has to be deleted" in finding.fix
    assert holder(path) is None


def test_worker_whose_socket_is_gone(path: Path) -> None:
    """Commands cannot reach it, as from another container."""
    with owned(path) as process:
        (path.parent / "s").unlink()
        finding = only(store.owner(subject(path)))
        process.send_signal(signal.SIGKILL)
    assert finding.result == "problem"
    assert "does not answer there: No such file or directory" in finding.text


async def test_command_that_is_at_work(path: Path) -> None:
    """It holds the store and listens nowhere; that is no fault."""
    owner = await Owner.acquire(path, wait=False)
    try:
        finding = only(store.owner(subject(path)))
    finally:
        owner.release()
    assert finding.result == "ok"
    assert f"A command is at work on the store: process {os.getpid()}" in finding.text


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(0)])
def test_clock_that_was_set_back(tmp_path: Path, ahead: timedelta) -> None:
    """The newest run tells: nothing is made in the future."""
    asyncio.run(make(tmp_path / "resolute.db", datetime.now(UTC) + ahead))
    finding = store.newest_row(subject(tmp_path / "resolute.db"))
    assert (finding is None) == (not ahead)
    assert finding is None or "this machine's clock was set back" in finding.text

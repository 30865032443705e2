"""`resolute backup`: what it says, and what it refuses to write over."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from resolute.cli import backup
from resolute.engine import RunQuery
from resolute.engines.embedded.owner import Owner
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.store import SqliteStore
from tests.contract.rows import entry, run
from tests.integration.sqlite_file import make_version_1
from tests.unit.cli.conftest import Command


@pytest.fixture
def filled(resolute: Command, tmp_path: Path) -> Command:
    """A store with two runs."""

    async def fill() -> None:
        store = SqliteStore(tmp_path / "resolute.db")
        await store.open()
        await store.commit([run(1), entry(1, 1), run(2)])
        await store.close()

    asyncio.run(fill())
    return resolute


def test_copy_is_told_in_one_line(filled: Command, tmp_path: Path) -> None:
    """With what it holds; it is its user's alone, and nothing else is left in the folder."""
    said = filled("backup", "copy.db")
    copy = tmp_path / "copy.db"
    assert (said.code, said.err) == (0, "")
    assert said.out == f"Copied {tmp_path / 'resolute.db'} to {copy}: 0.1 MB, 2 runs, schema version 3.\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy.db", "resolute.db", "resolute.db.lock"]
    assert asyncio.run(ReadOnlyStore(copy).runs(RunQuery())) == [run(2), run(1)]


def test_json_is_one_object(filled: Command, tmp_path: Path) -> None:
    """For programs."""
    said = filled("backup", "copy.db", "--json")
    copy = tmp_path / "copy.db"
    assert said.json == {"path": str(copy), "bytes": copy.stat().st_size, "runs": 2, "schema_version": 3}


def test_file_is_replaced_only_when_asked_for(filled: Command, tmp_path: Path) -> None:
    """Exit code 2, and the file is as it was."""
    copy = tmp_path / "copy.db"
    copy.write_text("precious")
    said = filled("backup", "copy.db")
    assert (said.code, copy.read_text()) == (2, "precious")
    assert "exists already" in said.err
    assert filled("backup", "copy.db", "--force").code == 0
    assert len(asyncio.run(ReadOnlyStore(copy).runs(RunQuery()))) == 2


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("folder", "is a directory"),
        ("nowhere/copy.db", "does not exist"),
        ("resolute.db", "belongs to the store itself"),
        ("link.db", "belongs to the store itself"),
        ("resolute.db-wal", "belongs to the store itself"),
        ("resolute.db.lock", "belongs to the store itself"),
        ("other.db", "other.db-wal lies beside"),
    ],
)
def test_name_that_a_copy_cannot_have(filled: Command, tmp_path: Path, name: str, told: str) -> None:
    """Exit code 2 also with --force, and no file is made or changed."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.db").symlink_to("resolute.db")
    (tmp_path / "other.db-wal").touch()
    before = {each: each.is_file() and each.read_bytes() for each in tmp_path.rglob("*")}
    said = filled("backup", name, "--force")
    assert said.code == 2
    assert told in said.err
    assert {each: each.is_file() and each.read_bytes() for each in tmp_path.rglob("*")} == before


def test_store_in_use_is_not_written_over(filled: Command, tmp_path: Path) -> None:
    """Its owner would go on with another's runs."""
    (tmp_path / "other.db").touch()
    owner = asyncio.run(Owner.acquire(tmp_path / "other.db", wait=False))
    said = filled("backup", "other.db", "--force")
    owner.release()
    assert said.code == 2
    assert f"in use by process {os.getpid()}" in said.err


def test_store_that_is_not_there(resolute: Command, tmp_path: Path) -> None:
    """Exit code 3, and no copy of nothing."""
    said = resolute("backup", "copy.db")
    assert said.code == 3
    assert "There is no store" in said.err
    assert list(tmp_path.iterdir()) == []


def test_store_in_memory_has_no_copy(resolute: Command) -> None:
    """Exit code 2."""
    assert resolute("backup", "copy.db", "--store", "memory:").code == 2


def test_store_of_an_older_version_is_copied_as_it_is(resolute: Command, tmp_path: Path) -> None:
    """So a copy can be made before the new version comes."""
    make_version_1(tmp_path / "resolute.db")
    said = resolute("backup", "copy.db", "--json")
    assert (said.code, said.json["runs"], said.json["schema_version"]) == (0, 6, 1)


def test_long_work_is_told_on_a_terminal(filled: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one line that is gone when the answer comes."""
    monkeypatch.setattr(backup, "QUIET_S", -1.0)
    screen, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        assert filled("backup", "copy.db").code == 0
    shown = b""
    with suppress(OSError):  # how a terminal ends that nobody writes to any more
        while part := os.read(screen, 4096):
            shown += part
    os.close(screen)
    assert "\rcopying … 100%\rchecking …" in shown.decode()
    assert shown.endswith(b" \r")


def test_scheduler_that_loses_patience_interrupts_it() -> None:
    """SIGTERM ends it as Ctrl-C does, with all that was half-made; afterwards it means what it meant before."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), backup._interrupted_by_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before

"""`resolute runs prune` and `resolute backup` on a store in PostgreSQL."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.postgres.desk import PostgresDesk
from tests.postgres_server import PASSWORD, PostgresServer, programs

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only, pytest.mark.timeout(300)]


@pytest.fixture
def desk(tmp_path: Path, postgres: PostgresServer) -> Iterator[PostgresDesk]:
    with PostgresDesk(tmp_path, postgres) as desk:
        yield desk
        assert not desk.tells_password


def fill(desk: PostgresDesk, *ids: str) -> None:
    """Large runs under these ids."""
    for run_id in ids:
        assert desk("run", "heavy", "--run-id", run_id).code == 0


@pytest.mark.parametrize("has_worker", [True, False])
def test_prune_keeps_the_newest(desk: PostgresDesk, has_worker: bool) -> None:
    """As on a file: what is left is listed, and what went says so."""
    fill(desk, "a", "b", "c")
    if has_worker:
        desk.start("worker").wait_for_line("the worker is up")
    said = desk("runs", "prune", "--keep", "1")
    assert said.out.startswith("Pruned 2 runs: beyond the newest 1 finished ones of each flow.\n"), said.err
    assert "What was freed is used again before it grows." in said.out
    assert [run["id"] for run in desk("runs", "list", "--json").json] == ["c"]
    assert " and was pruned on " in desk("runs", "show", "a").err


def test_what_would_be_pruned_is_counted_and_left(desk: PostgresDesk) -> None:
    """--dry-run; the keys of --json are those of a file, and what the server does not tell is null."""
    fill(desk, "a", "b")
    said = desk("runs", "prune", "--older-than", "0s", "--dry-run", "--json").json
    assert (said["runs"], said["dry_run"], said["freed_bytes"], said["free_bytes"]) == (2, True, None, None)
    assert said["file_bytes"] > 0
    assert len(desk("runs", "list", "--json").json) == 2


def test_vacuum_needs_the_store_for_itself(desk: PostgresDesk) -> None:
    """With a worker nothing is changed, without one the tables are smaller afterwards and hold what they held."""
    fill(desk, "a", "b")
    worker = desk.start("worker")
    worker.wait_for_line("the worker is up")
    said = desk("runs", "prune", "--keep", "1", "--vacuum")
    assert (said.code, "Stop the worker first" in said.err) == (3, True)
    worker.process.terminate()
    worker.end()
    before = desk("runs", "prune", "--keep", "2", "--json").json["file_bytes"]
    said = desk("runs", "prune", "--keep", "1", "--vacuum", "--json")
    assert (said.json["runs"], said.json["vacuumed"]) == (1, True)
    assert said.json["file_bytes"] < before
    assert desk("runs", "show", "b", "--json").json["output"] == {"fill": "x" * 5_000_000}


def test_store_that_is_not_there_is_not_made(desk: PostgresDesk) -> None:
    """Exit code 3, as of every command that reads."""
    said = desk("runs", "prune", "--keep", "0", "--vacuum")
    assert said.code == 3
    assert "There is no store in" in said.err


@pytest.mark.parametrize("is_shared", [False, True])
def test_backup_names_the_command_that_does_it(desk: PostgresDesk, postgres: PostgresServer, is_shared: bool) -> None:
    """Exit code 2; what it names works as it stands, given the password, and the store comes back from the copy."""
    if is_shared:
        desk.environ["RESOLUTE_DATABASE_URL"] = desk.url
    assert desk("run", "page", "-i", "host=db-1", "--run-id", "one").code == 0
    said = desk("backup", "copy of it.dump")
    assert said.code == 2
    [line] = [line.strip() for line in said.err.splitlines() if "pg_dump" in line]
    bin = programs()
    assert bin is not None
    environ = {"PATH": f"{bin}:{os.environ['PATH']}", "PGPASSWORD": PASSWORD}
    subprocess.run(line, shell=True, check=True, cwd=desk.folder, env=environ)
    schemas = [desk.address.schema, desk.address.ledger.schema][: 1 + is_shared]
    with postgres.connect() as outside:
        for schema in schemas:
            outside.execute(f"DROP SCHEMA {schema} CASCADE".encode())
    restore = ["pg_restore", f"--dbname={shlex.split(line)[-1]}", "copy of it.dump"]
    subprocess.run(restore, check=True, cwd=desk.folder, env=environ)
    assert desk("runs", "show", "one", "--json").json["status"] == "succeeded"
    assert desk("incidents", "--json").json[0]["dedup_key"] == "db-1"

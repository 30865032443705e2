"""`resolute run --job` on a Temporal server beside a worker whose store is in PostgreSQL."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.postgres.desk import PostgresDesk
from tests.postgres_server import PostgresServer
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only, pytest.mark.timeout(300)]


class JobDesk(PostgresDesk):
    """A desk with jobs, and a worker on the server and the store."""

    def begin(self) -> None:
        self.worker = self.start("worker")
        self.worker.wait_for_line("the worker is up")

    def kill(self) -> None:
        self.worker.signal(signal.SIGKILL)
        self.worker.end()


@pytest.fixture
def desk(tmp_path: Path, postgres: PostgresServer, temporal_server: TemporalServer) -> Iterator[JobDesk]:
    """Jobs whose runs are on the server and whose store is in the database, with a worker on both."""
    with JobDesk(tmp_path, postgres) as desk:
        desk.environ["RESOLUTE_ENGINE"] = f"temporal://127.0.0.1:{temporal_server.port}/{temporal_server.namespace()}"
        desk.write_jobs()
        for name in ("wait_for_file", "fill"):
            desk.write(f"jobs/{name}.toml", f'[job]\nname = "{name}"\nmain = "flows:{name}"\n')
        desk.begin()
        yield desk
        assert not desk.tells_password


def test_job_without_a_secret_is_handed_to_the_worker(desk: JobDesk) -> None:
    """It runs it on the server, and the command prints what came of it; a repeat under its id runs nothing."""
    answers = [desk("run", "--job", "Look", "--run-id", "one") for _ in range(2)]
    assert [(answer.code, answer.json) for answer in answers] == [(0, "db-7 is down")] * 2, answers[0].err
    assert desk.calls == ["db-7"]
    [run] = desk("runs", "list", "--json").json
    assert (run["id"], run["trigger"], run["status"]) == ("one", "job:Look", "succeeded")


def test_large_result_of_a_job_is_printed_whole(desk: JobDesk) -> None:
    """It is read from the store of the worker that ran it."""
    answer = desk("run", "--job", "fill")
    assert (answer.code, answer.json) == (0, "x" * 5_000_000), answer.err


@pytest.mark.parametrize("is_back", [True, False])
def test_job_of_a_worker_that_was_killed_goes_on(desk: JobDesk, is_back: bool) -> None:
    """The command that waits for it hands it to the next worker, or runs it itself where none comes."""
    command = desk.start("run", "--job", "wait_for_file", "--run-id", "one")
    desk.wait_for((desk.folder / "attempt").exists)
    desk.kill()
    if is_back:
        desk.begin()
    (desk.folder / "go").touch()
    answer = command.end()
    assert (answer.code, answer.json) == (0, "went"), answer.err


def test_job_with_a_secret_is_refused(desk: JobDesk) -> None:
    """Exit code 3 and what to do instead; nothing is written, sent, or known to the server."""
    answer = desk("run", "--job", "Create Incident")
    assert (answer.code, answer.json["name"]) == (3, "StoreOwned")
    assert "--store sqlite:///jobs.db" in answer.err
    assert (desk.rows, desk.requests, desk.holds(desk.key)) == ([], 0, False)
    assert desk("runs", "list", "--json").json == []


def test_job_with_a_secret_runs_on_a_store_of_its_own(desk: JobDesk) -> None:
    """As the refusal advises; its row stands in the log that is shared."""
    shared = {"RESOLUTE_DATABASE_URL": desk.url}
    answer = desk("run", "--job", "Create Incident", "--store", "sqlite:///jobs.db", **shared)
    assert answer.code == 0, answer.err
    [row] = desk("incidents", "--json", **shared).json
    assert (row["status"], row["dedup_key"]) == ("accepted", answer.json["dedup_key"])
    assert (desk.requests, desk.holds(desk.key)) == (1, False)

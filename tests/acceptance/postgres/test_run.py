"""`resolute run` on a store in PostgreSQL: with a worker it is handed over, without one the command runs it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolute.engine import RunQuery
from resolute.engines.embedded.store import RunRow
from tests.acceptance.command import Answer
from tests.acceptance.postgres.desk import PostgresDesk
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only, pytest.mark.timeout(300)]


@pytest.fixture
def desk(tmp_path: Path, postgres: PostgresServer) -> Iterator[PostgresDesk]:
    with PostgresDesk(tmp_path, postgres) as desk:
        desk.write_jobs()
        yield desk
        assert not desk.tells_password


def runs(desk: PostgresDesk) -> list[RunRow]:
    found: list[RunRow] = desk.read(lambda reader: reader.runs(RunQuery(limit=100)))
    return found


def worker(desk: PostgresDesk, **environ: str | None) -> None:
    desk.start("worker", **environ).wait_for_line("the worker is up")


def job(desk: PostgresDesk, *arguments: str) -> Answer:
    return desk("run", "--job", "Create Incident", *arguments)


@pytest.mark.parametrize("has_worker", [False, True])
def test_flow_is_run_to_its_end(desk: PostgresDesk, has_worker: bool) -> None:
    """The output on stdout, an alert, an accepted row; a worker reads the key from its own environment."""
    if has_worker:
        worker(desk)
    answer = desk("run", "page", "-i", "host=db-1", PAGING_KEY=None if has_worker else desk.key)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["trigger_event"]["dedup_key"] == "db-1"
    assert desk.alerts == ["db-1"]
    assert (desk.row().status, desk.row().title) == ("accepted", "db-1 is down")
    assert not desk.holds(desk.key)


def test_what_is_missing_is_told_before_anything_runs(desk: PostgresDesk) -> None:
    """Without a worker the command needs the secrets itself."""
    answer = desk("run", "page", "-i", "host=db-1", PAGING_KEY=None)
    assert answer.code == 2
    assert "PAGING_KEY" in answer.err
    assert not desk.calls


def test_run_id_makes_a_repeat_safe(desk: PostgresDesk) -> None:
    """The second command prints what the first one did; another input is a conflict."""
    first = desk("run", "page", "-i", "host=db-1", "--run-id", "one")
    assert desk("run", "page", "-i", "host=db-1", "--run-id", "one").out == first.out
    assert desk("run", "page", "-i", "host=db-2", "--run-id", "one").code == 2
    assert (desk.calls, desk.requests) == (["db-1"], 1)


def test_command_drives_no_other_run(desk: PostgresDesk) -> None:
    """What waits in the store for a worker is left alone; a parked run holds the store no longer."""
    parked = desk.start("run", "pausing", "--run-id", "parked")
    desk.wait_for(lambda: desk.calls == ["a"] and [run.status for run in runs(desk)] == ["waiting"])
    assert desk("run", "page", "-i", "host=db-1").code == 0
    parked.signal(signal.SIGINT)
    told = parked.end()
    assert (told.code, "Run parked of pausing is left to the next worker" in told.err) == (130, True)
    assert {run.id: run.status for run in runs(desk)}["parked"] == "waiting"
    assert desk.calls == ["a", "db-1"]


def test_command_waits_for_another_one_at_work(desk: PostgresDesk) -> None:
    """It names the one that it waits for, and goes on as soon as that lets go of the store."""
    first = desk.start("run", "slow", "--run-id", "one")
    desk.wait_for((desk.folder / "attempt").exists)
    second = desk.start("run", "page", "-i", "host=db-1")
    told = second.wait_for_line("waiting for command")
    assert f"command {first.process.pid} on" in told
    assert not desk.calls
    (desk.folder / "go").touch()
    assert (first.end().code, second.end().code) == (0, 0)
    assert desk.calls == ["db-1"]


def test_worker_that_appears_goes_on_with_the_run(desk: PostgresDesk) -> None:
    """It waits for the command while an attempt is in flight, however long, and the command prints the result."""
    command = desk.start("run", "slow", "--run-id", "one")
    desk.wait_for((desk.folder / "attempt").exists)
    waiting = desk.start("worker")
    waiting.wait_for_line("waiting for command")
    (desk.folder / "go").touch()
    waiting.wait_for_line("the worker is up")
    told = command.end()
    assert (told.code, json.loads(told.out)) == (0, {"wait_for_file": "went"})


def test_worker_that_is_killed_leaves_the_run_to_its_command(desk: PostgresDesk) -> None:
    """The command that waits for the result takes the run up itself, once the worker's return was waited for."""
    running = desk.start("worker")
    running.wait_for_line("the worker is up")
    command = desk.start("run", "slow", "--run-id", "one")
    desk.wait_for((desk.folder / "attempt").exists)
    running.signal(signal.SIGKILL)
    running.end()
    (desk.folder / "go").touch()
    told = command.end()
    assert told.code == 0, told.err
    assert [run.status for run in runs(desk)] == ["succeeded"]


def test_run_outlives_a_restart_of_the_server(desk: PostgresDesk, postgres: PostgresServer) -> None:
    """Worker and command both wait for it."""
    worker(desk)
    command = desk.start("run", "slow", "--run-id", "one")
    desk.wait_for((desk.folder / "attempt").exists)
    postgres.stop()
    (desk.folder / "go").touch()
    postgres.start()
    told = command.end()
    assert (told.code, json.loads(told.out)) == (0, {"wait_for_file": "went"})


def test_large_result_of_a_worker_is_printed_whole(desk: PostgresDesk) -> None:
    """Although no order is answered with so much: it is read from the store."""
    worker(desk)
    answer = desk("run", "heavy", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["output"] == {"fill": "x" * 5_000_000}


def test_job_keeps_its_key_in_memory(desk: PostgresDesk) -> None:
    """One line of JSON, one row, and the key in no file of the server, nor in its log of changes."""
    answer = job(desk, "--run-id", "first")
    assert answer.code == 0, answer.err
    assert answer.json == {
        "success": True,
        "dedup_key": desk.row().dedup_key,
        "status": "success",
        "message": "Event processed",
        "log_id": desk.row().id,
    }
    assert job(desk, "--run-id", "first").json == answer.json
    assert job(desk, "-i", "urgency=medium").code == 1
    assert [row.status for row in desk.rows] == ["accepted", "rejected"]
    assert (desk.requests, desk.holds(desk.key)) == (1, False)


def test_job_that_was_killed_is_not_sent_behind_anybodys_back(desk: PostgresDesk) -> None:
    """Its key is gone with it: the next command settles the row."""
    desk.pagerduty_says(lambda simulator: simulator.faults.script("events", ["slow"]))
    running = desk.start("run", "--job", "Create Incident")
    desk.wait_for(lambda: desk.requests == 1)
    running.signal(signal.SIGKILL)
    running.end()
    assert job(desk, "-i", "title= ").code == 1
    assert [row.status for row in desk.rows] == ["undelivered", "rejected"]
    assert desk.rows[0].message.startswith("interrupted: the process that held its key ended")


@pytest.mark.parametrize("arguments", [["--job", "Create Incident"], ["--job", "Create Incident", "--run-id", "one"]])
def test_job_with_a_secret_is_not_handed_to_a_worker(desk: PostgresDesk, arguments: list[str]) -> None:
    """Exit code 3 and what to do instead; nothing is written and nothing sent."""
    worker(desk)
    answer = desk("run", *arguments)
    assert (answer.code, answer.json["name"]) == (3, "StoreOwned")
    assert "a secret input cannot be handed to it" in answer.err
    assert "--store sqlite:///jobs.db" in answer.err
    assert (runs(desk), desk.requests, desk.holds(desk.key)) == ([], 0, False)


def test_job_runs_on_a_store_of_its_own_beside_a_worker(desk: PostgresDesk) -> None:
    """As the refusal advises; with RESOLUTE_DATABASE_URL its row stands in the log that the workers share."""
    shared = {"RESOLUTE_DATABASE_URL": desk.url}
    worker(desk, **shared)
    answer = desk("run", "--job", "Create Incident", "--store", "sqlite:///jobs.db", **shared)
    assert answer.code == 0, answer.err
    [row] = desk("incidents", "--json", **shared).json
    assert (row["status"], row["dedup_key"]) == ("accepted", answer.json["dedup_key"])
    assert not desk.holds(desk.key)


def test_job_without_a_secret_is_handed_to_a_worker(desk: PostgresDesk) -> None:
    """The same answer as without one."""
    worker(desk)
    answer = desk("run", "--job", "Look")
    assert (answer.code, answer.json) == (0, "db-7 is down")
    assert [run.trigger for run in runs(desk)] == ["job:Look"]


def test_page_by_hand_goes_through_the_store(desk: PostgresDesk) -> None:
    """Without a worker `resolute pagerduty` has its row there; beside one it says what to do."""
    send = ("pagerduty", "trigger", "Disk full", "--dedup-key", "disk")
    answer = desk(*send, PAGERDUTY_ROUTING_KEY=desk.key)
    assert answer.code == 0, answer.err
    assert (desk.row().dedup_key, desk.alerts) == ("disk", ["disk"])
    worker(desk)
    assert desk(*send, PAGERDUTY_ROUTING_KEY=desk.key).code == 3
    assert (desk.requests, desk.holds(desk.key)) == (1, False)

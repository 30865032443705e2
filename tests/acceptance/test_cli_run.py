"""`resolute run FLOW`: one run from start to end, with a worker or without one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from resolute.engine import RunQuery
from resolute.engines.embedded.store import RunRow
from tests.acceptance.command import Desk

pytestmark = pytest.mark.acceptance

FLOWS = """
import asyncio, pathlib
from datetime import timedelta
from pydantic import BaseModel
from resolute import Retry, activity, flow, input_data, manual, output, secret
from resolute.providers import pagerduty

account = pagerduty.PagerDutyProvider()

class Alarm(BaseModel):
    host: str
    level: int = 1

class Report(BaseModel):
    text: str
    load: float = float("nan")

@activity
def look(host: str, level: int = 1) -> Report:
    with open("calls", "a") as file:
        file.write(f"{host}\\n")
    return Report(text=f"{host}:{level}")

@activity(retry=Retry(attempts=1))
def refuse() -> str:
    raise ValueError("no such host")

@activity
async def wait_for_file() -> str:
    pathlib.Path("attempt").touch()
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return "went"

@activity
def fill() -> str:
    return "x" * 5_000_000

heavy = flow("heavy").triggered_by(manual()).then(fill()).build()
report = (
    flow("report").triggered_by(manual()).accepts(Alarm)
    .then(look(host=input_data("host"), level=input_data("level"))).build()
)
broken = flow("broken").triggered_by(manual()).then(refuse()).build()
slow = flow("slow").triggered_by(manual()).then(wait_for_file()).build()
pausing = (
    flow("pausing").triggered_by(manual())
    .then(look(host="a").as_("first")).then_sleep(timedelta(hours=1)).then(look(host="b").as_("second")).build()
)
page = (
    flow("page").triggered_by(manual())
    .then(look(host="db-1"))
    .when(output("look.text") == "db-1:1")
    .then(pagerduty.trigger_event(
        routing_key=secret("PAGING_KEY"), summary=output("look.text"), severity="critical", dedup_key="db-1"))
    .end_when().build()
)
"""


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """Flows in flows.py, which resolute.toml names."""
    resolute.write("flows.py", FLOWS)
    resolute.write("resolute.toml", 'module = "flows.py"\n')
    resolute.environ["PAGING_KEY"] = resolute.key
    return resolute


def runs(desk: Desk) -> list[RunRow]:
    return desk.read(lambda store: store.runs(RunQuery(limit=100)))


def calls(desk: Desk) -> list[str]:
    path = desk.folder / "calls"
    return path.read_text().split() if path.exists() else []


def test_output_is_printed_as_json(desk: Desk) -> None:
    """On stdout stands the run's result alone, so that it can be piped on."""
    answer = desk("run", "report", "--input", "host=7", "-i", "level=3")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out) == {"look": {"text": "7:3", "load": "nan"}}
    assert answer.err == ""


def test_json_prints_the_run_in_one_line(desk: Desk) -> None:
    """`--json` stands before or after the command."""
    after = desk("run", "report", "-i", "host=db", "--run-id", "one", "--json")
    before = desk("--json", "run", "report", "-i", "host=db", "--run-id", "one")
    assert after.json == before.json
    assert (after.json["id"], after.json["status"]) == ("one", "succeeded")
    assert calls(desk) == ["db"]


def test_page_goes_through_the_incident_log(desk: Desk) -> None:
    """The same ledger as with a worker: an alert, a row, and no key on disk."""
    answer = desk("run", "page")
    assert answer.code == 0, answer.err
    assert desk.alerts == ["db-1"]
    assert (desk.row().status, desk.row().flow) == ("accepted", "page")
    assert not desk.holds(desk.key)


@pytest.mark.parametrize(
    ("name", "text"),
    [("input.json", '{"host": "db", "level": 1}'), ("input.toml", 'host = "db"\nlevel = 1\n'), ("-", '{"host": "db"}')],
)
def test_input_comes_from_a_file(desk: Desk, name: str, text: str) -> None:
    """JSON, TOML or standard input; `--input` goes before it."""
    if name != "-":
        desk.write(name, text)
    answer = desk("run", "report", "--input-file", name, "--input", "level=2", stdin=text)
    assert json.loads(answer.out)["look"]["text"] == "db:2"


def test_input_that_does_not_fit_is_refused(desk: Desk) -> None:
    """Exit code 2 and the field's name; no run is made."""
    answer = desk("run", "report", "--input", "level=high", "--input", "host=db")
    assert answer.code == 2
    assert "level" in answer.err
    assert not runs(desk)


def test_failure_names_step_and_error(desk: Desk) -> None:
    """Exit code 1; the message says where it failed and what shows more."""
    answer = desk("run", "broken", "--run-id", "one")
    assert answer.code == 1
    assert answer.out == ""
    assert 'Run one of broken failed at "refuse": ValueError: no such host' in answer.err
    assert "resolute runs show one" in answer.err


def test_unknown_flow_names_a_near_one(desk: Desk) -> None:
    """Exit code 2."""
    answer = desk("run", "raport")
    assert answer.code == 2
    assert 'Did you mean "report"?' in answer.err


def test_missing_secret_is_told_before_anything_runs(desk: Desk) -> None:
    """Only what this flow needs is asked for."""
    answer = desk("run", "page", PAGING_KEY=None)
    assert answer.code == 2
    assert "PAGING_KEY" in answer.err
    assert not calls(desk)
    assert desk("run", "report", "-i", "host=db", PAGING_KEY=None).code == 0


def test_dry_run_shows_the_steps(desk: Desk) -> None:
    """Nothing runs, nothing is written, and what is missing is told."""
    answer = desk("run", "page", "--dry-run")
    assert answer.code == 0
    for text in ("1. look", "db-1:1", "trigger_event"):
        assert text in answer.out
    assert desk("run", "page", "--dry-run", "--json", PAGING_KEY=None).code == 2
    assert not calls(desk)
    assert not desk.store.exists()


def test_ctrl_c_leaves_the_run_to_a_worker(desk: Desk) -> None:
    """The message says how to look; the next worker finishes the run, without repeating what was done."""
    running = desk.start("run", "pausing", "--run-id", "one")
    desk.wait_for(lambda: calls(desk) == ["a"])
    desk.wait_for(lambda: [run.status for run in runs(desk)] == ["waiting"])
    running.signal(signal.SIGINT)
    told = running.end()
    assert told.code == 130
    assert "Run one of pausing is left to the next worker" in told.err
    assert "resolute runs show one" in told.err
    assert "Traceback" not in told.err
    assert calls(desk) == ["a"]


def test_wait_gives_up_waiting_and_not_the_run(desk: Desk) -> None:
    """Exit code 1: it is not done; it goes on."""
    answer = desk("run", "pausing", "--wait", "0.3", "--run-id", "one")
    assert answer.code == 1
    assert "left to the next worker" in answer.err
    assert runs(desk)[0].status == "waiting"


def test_worker_that_appears_goes_on_with_the_run(desk: Desk) -> None:
    """The command lets go of the store while its run is parked, and asks the worker for the result."""
    command = desk.start("run", "slow", "--run-id", "one", "--wait", "20")
    desk.wait_for((desk.folder / "attempt").exists)
    worker = desk.start("worker")
    worker.wait_for_line("waiting for process")
    (desk.folder / "go").touch()
    worker.wait_for_line("the worker is up")
    assert command.end().code == 0


def test_worker_runs_it_with_its_own_environment(desk: Desk) -> None:
    """The command needs no secret then, and prints the same."""
    desk.start("worker").wait_for_line("the worker is up")
    answer = desk("run", "page", PAGING_KEY=None)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["trigger_event"]["dedup_key"] == "db-1"


def test_large_result_of_a_worker_is_printed_whole(desk: Desk) -> None:
    """Although it is too large for an answer of the worker: the file has it."""
    desk.start("worker").wait_for_line("the worker is up")
    answer = desk("run", "heavy", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["output"] == {"fill": "x" * 5_000_000}


def test_run_that_a_worker_goes_on_with_is_not_left_to_the_next(desk: Desk) -> None:
    """Who gives up waiting is told where the run is."""
    desk.start("worker").wait_for_line("the worker is up")
    answer = desk("run", "pausing", "--wait", "0.3", "--run-id", "one")
    assert (answer.code, "goes on in the worker" in answer.err) == (1, True)


def test_flow_that_the_owner_does_not_know_is_told(desk: Desk) -> None:
    """The worker was started with other flows: the message lists them."""
    desk.write("others.py", FLOWS.replace('"report"', '"summary"'))
    desk.start("worker", "others.py").wait_for_line("the worker is up")
    answer = desk("run", "report", "-i", "host=db")
    assert answer.code == 1
    assert "summary" in answer.err


def test_store_in_memory_leaves_no_file(desk: Desk) -> None:
    """For trying things: `--store memory:`."""
    before = {path.name for path in desk.folder.iterdir()}
    assert desk("run", "report", "-i", "host=db", "--store", "memory:").code == 0
    assert {Path(path).name for path in desk.folder.iterdir()} - before <= {"calls", "__pycache__"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["report", "--job", "x"],
        ["report", "--input", "host"],
        ["report", "--input", "=1"],
        ["report", "--input-file", "none.json"],
        ["report", "--input", "host=a", "--input", "host.b=1"],
        ["report", "--wait", "0"],
        ["report", "--run-id", ""],
    ],
    ids=" ".join,
)
def test_misuse_is_code_2(desk: Desk, arguments: list[str]) -> None:
    """Each with a sentence and without a traceback."""
    answer = desk("run", *arguments)
    assert answer.code == 2, answer.err
    assert answer.err
    assert "Traceback" not in answer.err

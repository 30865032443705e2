"""`resolute worker`: one worker on a store, problems told together, and an orderly end."""

from __future__ import annotations

import json
import signal

import pytest

from resolute.engine import RunQuery
from tests.acceptance.command import Desk, Running

pytestmark = pytest.mark.acceptance

FLOWS = """
import asyncio, os, pathlib
from datetime import timedelta
from resolute import Retry, Secret, activity, current, flow, manual, schedule, secret
from typing import Annotated

@activity
async def wait_for_file() -> str:
    pathlib.Path("attempt").touch()
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return "went"

@activity(retry=Retry(attempts=1))
def tell(token: Annotated[str, Secret()]) -> str:
    current().log.warning("the token is %s", token)
    raise ValueError(f"{token} was refused")

hourly = flow("hourly").triggered_by(schedule("0 * * * *")).then(wait_for_file()).build()
slow = flow("slow").triggered_by(manual()).then(wait_for_file()).build()
chatty = flow("chatty").triggered_by(manual()).then(tell(token=secret("CHATTY_TOKEN"))).build()
"""
PAGING = """
from resolute import env, flow, manual, secret
from resolute.providers import pagerduty
{account}
first = (
    flow("first")
    .triggered_by(manual())
    .then(pagerduty.trigger_event(routing_key=secret("FIRST_KEY"), summary="down", severity="critical").as_("page"))
    .then(pagerduty.get_on_calls(escalation_policy_ids=[env("POLICY")]).as_("oncall"))
    .build()
)
second = (
    flow("second")
    .triggered_by(manual())
    .then(pagerduty.resolve_event(routing_key=secret("SECOND_KEY"), dedup_key="k").as_("resolve"))
    .build()
)
"""


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """Flows that need a secret but no PagerDuty."""
    resolute.write("flows.py", FLOWS)
    resolute.environ |= {"CHATTY_TOKEN": "chatty-token-0815", "RESOLUTE_MODULE": "flows.py"}
    return resolute


def up(desk: Desk, *arguments: str) -> Running:
    worker = desk.start("worker", *arguments)
    worker.wait_for_line("the worker is up")
    return worker


def test_start_tells_flows_store_and_next_tick(desk: Desk) -> None:
    """What an operator looks for first in a log."""
    line = up(desk).wait_for_line("the worker is up")
    assert "3 flows (hourly, slow, chatty)" in line
    assert str(desk.store) in line
    assert "next hourly at " in line
    assert ":00:00 UTC" in line


def test_second_worker_ends_at_once_and_names_the_first(desk: Desk) -> None:
    """Exit code 3; the first is not disturbed."""
    first = up(desk)
    second = desk("worker", "flows.py")
    assert second.code == 3
    assert f"process {first.process.pid}" in second.err
    assert "Traceback" not in second.err
    first.signal(signal.SIGTERM)
    assert first.end().code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_attempt_ends_in_peace(desk: Desk, number: int) -> None:
    """SIGTERM and Ctrl-C let it finish; its output is on record and the exit code 0."""
    worker = up(desk)
    run = desk.start("run", "slow", "--run-id", "one")
    desk.wait_for((desk.folder / "attempt").exists)
    worker.signal(number)
    worker.wait_for_line("the worker stops")
    (desk.folder / "go").touch()
    told = worker.end()
    assert told.code == 0
    assert run.end().code == 0
    [view] = desk.read(lambda store: store.runs(RunQuery()))
    assert view.status == "succeeded"


def test_ctrl_c_once_more_ends_it_at_once(desk: Desk) -> None:
    """Whoever is in a hurry loses nothing: the attempt is made again by the next worker."""
    worker = up(desk)
    desk.start("run", "slow", "--run-id", "one")
    desk.wait_for((desk.folder / "attempt").exists)
    worker.signal(signal.SIGINT)
    worker.wait_for_line("the worker stops")
    worker.signal(signal.SIGINT)
    assert worker.end().code == 130
    (desk.folder / "go").touch()
    up(desk)
    desk.wait_for(lambda: desk.read(lambda store: store.runs(RunQuery()))[0].status == "succeeded")


def test_logs_hold_no_secret(desk: Desk) -> None:
    """Neither as lines nor as JSON, whatever an activity writes or raises."""
    for form in ([], ["--json"]):
        worker = up(desk, *form)
        assert desk("run", "chatty").code == 1
        worker.wait_for_line("the token is")
        worker.signal(signal.SIGTERM)
        told = worker.end().err
        assert "chatty-token-0815" not in told
        assert "••••" in (told if not form else "".join(json.loads(line)["message"] for line in told.splitlines()))
    assert not desk.holds("chatty-token-0815")


def test_json_log_is_an_object_on_each_line(desk: Desk) -> None:
    """Time, level, logger, message, and the run where there is one; `--json` may stand before the command."""
    worker = desk.start("--json", "worker")
    first = json.loads(worker.wait_for_line("the worker is up"))
    assert set(first) == {"time", "level", "logger", "message"}
    desk("run", "chatty", "--run-id", "seven")
    line = json.loads(worker.wait_for_line("the token is"))
    assert (line["level"], line["run"], line["position"]) == ("warning", "seven", "tell")


def test_log_format_is_taken_from_option_and_variable(desk: Desk) -> None:
    """Every line is an object, with the run also where only the library spoke of it."""
    desk.environ["RESOLUTE_LOG_FORMAT"] = "json"
    assert not up(desk, "--log-format", "human", "--store", "memory:").wait_for_line("is up").startswith("{")
    worker = up(desk, "--verbose")
    desk("run", "chatty", "--run-id", "seven")
    worker.wait_for_line("failed at tell")
    worker.signal(signal.SIGTERM)
    lines = [json.loads(line) for line in worker.end().err.splitlines()]
    assert [line["flow"] for line in lines if "failed at tell" in line["message"]] == ["chatty"]


def test_everything_that_is_missing_is_told_at_once(desk: Desk) -> None:
    """Exit code 2, and a line for each: secrets, variables, API key."""
    desk.write("paging.py", PAGING.format(account="account = pagerduty.PagerDutyProvider()"))
    told = desk("worker", "paging.py", FIRST_KEY="too-short")
    assert told.code == 2
    for missing in ("SECOND_KEY", "POLICY", "PAGERDUTY_API_KEY", "FIRST_KEY has 9 characters"):
        assert missing in told.err, missing
    assert "Traceback" not in told.err
    assert "too-short" not in told.err
    assert not desk.store.exists()


def test_provider_that_the_module_lacks_is_told_with_the_line_to_add(desk: Desk) -> None:
    """Flows use PagerDuty, but nothing in the module says through which account."""
    desk.write("paging.py", PAGING.format(account=""))
    told = desk("worker", "paging.py", FIRST_KEY=desk.key, SECOND_KEY=desk.key, POLICY="P1")
    assert told.code == 2
    assert "account = pagerduty.PagerDutyProvider() at its top level" in told.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("x = (1,\ny = 2\n", "line 1", id="a syntax error"),
        pytest.param(
            "import nothing_of_that_name\n", "imports nothing_of_that_name, which is not installed", id="import"
        ),
        pytest.param("1 / 0\n", "line 1 of", id="an exception"),
        pytest.param("x = 1\n", "holds neither a Worker nor a flow", id="nothing"),
        pytest.param('from resolute import flow\nf = flow("f").build()\n', "line 2 of", id="a flow with faults"),
    ],
)
def test_module_with_a_fault_names_the_line(desk: Desk, text: str, told: str) -> None:
    """Exit code 2 and no traceback; `--debug` shows it."""
    desk.write("broken.py", text)
    answer = desk("worker", "broken.py")
    assert answer.code == 2
    assert "broken.py" in answer.err
    assert told in answer.err
    assert "Traceback" not in answer.err


def test_debug_shows_the_traceback(desk: Desk) -> None:
    """For whoever has to look deeper; the sentence still comes last."""
    desk.write("broken.py", "1 / 0\n")
    answer = desk("worker", "broken.py", "--debug")
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1].startswith("resolute: ")


def test_store_that_cannot_be_made_is_code_3(desk: Desk) -> None:
    """A folder that does not exist, named with its path."""
    told = desk("worker", "--store", "sqlite:///nowhere/resolute.db")
    assert told.code == 3
    assert "nowhere" in told.err


def test_module_may_bring_its_own_worker(desk: Desk) -> None:
    """Its settings count, but for `--store`."""
    desk.write(
        "own.py",
        FLOWS + "\nfrom resolute import Worker, WorkerConfig\n"
        'worker = Worker(WorkerConfig(engine="sqlite:///own.db"), flows=[slow])\n',
    )
    up(desk, "own.py").signal(signal.SIGTERM)
    desk.wait_for((desk.folder / "own.db").exists)
    up(desk, "own.py", "--store", "sqlite:///other.db")
    assert (desk.folder / "other.db").exists()

"""`resolute runs cancel | retry | signal` beside a worker: what they say, and what becomes of the run."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from resolute import Client
from resolute.engine import RunView
from resolute.engines.embedded.files import FileEngine
from resolute.errors import RunNotFound, StoreError
from tests.acceptance.command import Answer, Desk, Running

pytestmark = pytest.mark.acceptance

FLOWS = """
import asyncio, pathlib
from datetime import timedelta
from resolute import Retry, activity, flow, input_data, item, manual, output, steps

@activity
def block(host: str) -> str:
    return host

@activity(retry=Retry(attempts=1))
def unblock(host: str) -> str:
    if host == "db-2":
        raise RuntimeError("the firewall does not answer")
    return f"{host} is open"

@activity(retry=Retry(attempts=1))
def need_file() -> str:
    return pathlib.Path("needed").read_text()

@activity
async def wait_for_file() -> str:
    pathlib.Path("attempt").touch()
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return "went"

@activity
async def undo_slowly() -> None:
    await wait_for_file.fn()

blocked = (
    flow("blocked").triggered_by(manual())
    .then_each("hosts", over=input_data(""), body=block(host=item()).undo(unblock(host=output("block"))))
    .then_gate("approve").build()
)
needing = flow("needing").triggered_by(manual()).then(need_file()).build()
slow = flow("slow").triggered_by(manual()).then(wait_for_file()).then_gate("approve").build()
patient = flow("patient").triggered_by(manual()).then_gate("approve", timeout=timedelta(hours=1)).build()
endless = flow("endless").triggered_by(manual()).then_gate("approve").build()
sticky = flow("sticky").triggered_by(manual()).then(block(host="a").undo(undo_slowly())).then_gate("approve").build()
"""


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """Flows in flows.py, which resolute.toml names."""
    resolute.write("flows.py", FLOWS)
    resolute.write("resolute.toml", 'module = "flows.py"\n')
    return resolute


def up(desk: Desk) -> Running:
    worker = desk.start("worker")
    worker.wait_for_line("the worker is up")
    return worker


def look(desk: Desk, run_id: str = "one") -> RunView:
    return desk.read(lambda store: FileEngine(store.path).look(run_id))


def look_if_there(desk: Desk) -> str:
    """The status of the run "one", "" while there is none."""
    try:
        return look(desk).status
    except (RunNotFound, StoreError):
        return ""


def start(desk: Desk, flow: str, *given: str) -> None:
    """Hand a run with the id "one" to the worker."""

    async def start() -> None:
        async with Client.connect(f"sqlite:///{desk.store}") as client:
            await client.start(flow, list(given), run_id="one")

    asyncio.run(start())


def at_its_gate(desk: Desk, flow: str, *given: str) -> Running:
    """A worker, and the run "one" that waits at its gate."""
    worker = up(desk)
    start(desk, flow, *given)
    desk.wait_for(lambda: look(desk).status == "waiting")
    return worker


def test_answer_lets_the_run_go_on(desk: Desk) -> None:
    """`--wait` stays and prints what the run returns."""
    at_its_gate(desk, "blocked", "db-1")
    answer = desk("runs", "signal", "one", "--approve", "--by", "ann", "--reason", "looks good", "--wait")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["approve"]["by"] == "ann"


@pytest.mark.parametrize("flow", ["patient", "endless"])
def test_command_that_waits_at_a_gate_hears_the_answer_without_a_worker(desk: Desk, flow: str) -> None:
    """It looks at the file while its run is parked."""
    running = desk.start("run", flow, "--run-id", "one")
    desk.wait_for(lambda: look_if_there(desk) == "waiting")
    assert desk("runs", "signal", "one", "--approve", "--by", "ann").code == 0
    told = running.end()
    assert (told.code, json.loads(told.out)["approve"]["by"]) == (0, "ann")


def test_answer_without_a_worker_is_taken_by_the_next(desk: Desk) -> None:
    """Also at a gate that waits for ever."""
    running = desk.start("run", "endless", "--run-id", "one")
    desk.wait_for(lambda: look_if_there(desk) == "waiting")
    running.signal(signal.SIGKILL)
    running.end()
    assert desk("runs", "signal", "one", "--approve").code == 0
    up(desk)
    desk.wait_for(lambda: look(desk).status == "succeeded")


def test_answer_says_whether_the_run_waits_for_it(desk: Desk) -> None:
    """One that comes early is kept, and the text says that."""
    up(desk)
    start(desk, "slow")
    desk.wait_for((desk.folder / "attempt").exists)
    early = desk("runs", "signal", "one", "approve", "--reject", "--by", "bob")
    assert early.out.splitlines() == [
        'The gate "approve" of run one is answered: rejected by bob.',
        "The run has not come to it yet: the answer is kept until then.",
    ]
    (desk.folder / "go").touch()
    desk.wait_for(lambda: look(desk).status == "failed")
    assert "rejected by bob" in look(desk).error


def test_unknown_gate_names_a_near_one(desk: Desk) -> None:
    """The worker knows the gates of its flows; exit code 1."""
    at_its_gate(desk, "blocked", "db-1")
    answer = desk("runs", "signal", "one", "aprove", "--approve")
    assert (answer.code, 'Did you mean "approve"?' in answer.err) == (1, True)


def test_cancel_stays_until_all_is_undone(desk: Desk) -> None:
    """And names what was undone; exit code 0."""
    at_its_gate(desk, "blocked", "db-1")
    answer = desk("runs", "cancel", "one", "--by", "ann", "--reason", "wrong host")
    assert (answer.code, answer.out.splitlines()) == (
        0,
        ["Run one of blocked: cancelled by ann: wrong host", "undone:      hosts[0]/block (by unblock)"],
    )


def test_cancel_tells_what_could_not_be_undone(desk: Desk) -> None:
    """With its error; exit code 1, for somebody has to see to it."""
    at_its_gate(desk, "blocked", "db-1", "db-2")
    answer = desk("runs", "cancel", "one", "--json")
    assert answer.code == 1
    assert {each["position"]: each["status"] for each in answer.json["undo"]} == {
        "hosts[0]/block": "done",
        "hosts[1]/block": "failed",
    }
    assert "the firewall does not answer" in desk("runs", "show", "one").out


def test_cancel_can_be_left_alone(desk: Desk) -> None:
    """`--no-wait` returns once it is on disk; the undo goes on."""
    at_its_gate(desk, "sticky")
    answer = desk("runs", "cancel", "one", "--no-wait")
    assert (answer.code, "is being cancelled" in answer.out) == (0, True)
    (desk.folder / "go").touch()
    desk.wait_for(lambda: look(desk).status == "cancelled")


def test_ctrl_c_during_a_cancel_does_not_take_it_back(desk: Desk) -> None:
    """Exit code 130; the text says that the run goes on, and how to look."""
    at_its_gate(desk, "sticky")
    command = desk.start("runs", "cancel", "one")
    desk.wait_for((desk.folder / "attempt").exists)
    command.signal(signal.SIGINT)
    told = command.end()
    assert (told.code, "runs show one --follow" in told.err) == (130, True)
    (desk.folder / "go").touch()
    desk.wait_for(lambda: look(desk).status == "cancelled")


def test_cancel_without_a_worker_is_carried_out_by_the_next(desk: Desk) -> None:
    """What was done is undone under the flow, which only a worker knows."""
    worker = at_its_gate(desk, "blocked", "db-1")
    worker.signal(signal.SIGTERM)
    worker.end()
    assert "the next one does it" in desk("runs", "cancel", "one", "--by", "ann").out
    up(desk)
    desk.wait_for(lambda: look(desk).status == "cancelled")
    assert look(desk).error == "cancelled by ann"


def test_failed_run_is_taken_up_again(desk: Desk) -> None:
    """`--wait` makes the command end as the run does."""
    up(desk)
    start(desk, "needing")
    desk.wait_for(lambda: look(desk).status == "failed")
    again: Answer = desk("runs", "retry", "one", "--wait")
    assert (again.code, "needed" in again.err) == (1, True)
    desk.write("needed", "found")
    assert "goes on" in desk("runs", "retry", "one").out
    desk.wait_for(lambda: look(desk).status == "succeeded")
    refused = desk("runs", "retry", "one")
    assert (refused.code, "has not failed" in refused.err) == (1, True)

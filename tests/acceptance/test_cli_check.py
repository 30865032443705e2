"""`resolute flows check` before a deploy: runs that sleep in a store, and the module as it is now."""

from __future__ import annotations

import asyncio
import signal

import pytest

from resolute import Client
from resolute.engine import RunQuery
from tests.acceptance.command import Desk

pytestmark = pytest.mark.acceptance

FLOWS = """
from datetime import timedelta
from resolute import activity, flow, manual

@activity
def look() -> str:
    return "db is up"

watch = flow("watch").triggered_by(manual()).then(look()).then_sleep(timedelta(hours=1), key="pause").build()
"""


def statuses(desk: Desk) -> dict[str, str]:
    """Run id → status."""
    return {run.id: run.status for run in desk.read(lambda store: store.runs(RunQuery()))}


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """Two runs that sleep; nothing runs."""
    resolute.write("flows.py", FLOWS)
    resolute.write("resolute.toml", 'module = "flows.py"\n')
    worker = resolute.start("worker")
    worker.wait_for_line("the worker is up")

    async def start() -> None:
        async with Client.connect(f"sqlite:///{resolute.store}") as client:
            for run_id in ("run-1", "run-2"):
                await client.start("watch", run_id=run_id)

    asyncio.run(start())
    resolute.wait_for(lambda: statuses(resolute) == {"run-1": "waiting", "run-2": "waiting"})
    worker.signal(signal.SIGTERM)
    worker.end()
    return resolute


def test_what_is_told_before_the_deploy_is_what_happens_after_it(desk: Desk) -> None:
    """A renamed step would park its runs: the check changes nothing, and the worker parks one when it wakes."""
    desk.write("flows.py", FLOWS.replace("look()).then", 'look().as_("looked")).then'))
    told = desk("flows", "check")
    assert told.code == 1
    assert "watch: run-1, run-2 would be parked:" in told.out
    assert statuses(desk) == {"run-1": "waiting", "run-2": "waiting"}
    desk.start("worker").wait_for_line("the worker is up")
    assert "needs attention and was not cancelled" in desk("runs", "cancel", "run-1").out
    assert statuses(desk) == {"run-1": "needs_attention", "run-2": "waiting"}


def test_change_behind_the_sleep_is_fine(desk: Desk) -> None:
    """Exit code 0, and the summary says that the flow has changed; a worker that runs does not matter."""
    desk.write("flows.py", FLOWS.replace(".build()", '.then(look().as_("again")).build()'))
    desk.start("worker").wait_for_line("the worker is up")
    told = desk("flows", "check", "--config")
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[1].split() == ["watch", "changed", "2"]
    assert "2 unfinished runs can go on." in told.out


def test_programs_get_every_run_with_its_reason(desk: Desk) -> None:
    """Also those of a flow that is gone."""
    desk.write("flows.py", FLOWS.replace('"watch"', '"watching"'))
    told = desk("flows", "check", "--json")
    assert told.code == 1
    gone = {each["flow"]: each for each in told.json["flows"]}["watch"]
    assert (gone["state"], [run["run_id"] for run in gone["parked"]]) == ("gone", ["run-1", "run-2"])

"""`resolute backup`: a worker goes on from the copy where the other one stood."""

from __future__ import annotations

import asyncio
import signal

import pytest

from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from tests.acceptance.command import Desk

pytestmark = pytest.mark.acceptance

FLOWS = """
import pathlib
from datetime import timedelta
from resolute import Retry, activity, flow, manual

@activity
async def first() -> str:
    with open("calls", "a") as calls:
        calls.write("first\\n")
    return "seen"

@activity(retry=Retry(initial=timedelta(seconds=0.1), coefficient=1, attempts=10_000))
async def second() -> str:
    if not pathlib.Path("go").exists():
        raise OSError("not yet")
    return "done"

two = flow("two").triggered_by(manual()).then(first()).then(second()).build()
"""


def status(desk: Desk, name: str) -> str:
    """What became of the run, as that store knows it."""
    path = desk.folder / name
    run = asyncio.run(ReadOnlyStore(path).find("r1")) if path.exists() else None
    return "" if run is None else run.status


def test_worker_goes_on_from_a_copy(resolute: Desk) -> None:
    """It was made beside a worker; the run that waited in it comes to its end, and what was done is not done again."""
    resolute.write("flows.py", FLOWS)
    worker = resolute.start("worker", "flows.py")
    worker.wait_for_line("the worker is up")
    running = resolute.start("run", "two", "--run-id", "r1", "--module", "flows.py")
    resolute.wait_for(lambda: status(resolute, "resolute.db") == "waiting")
    said = resolute("backup", "copy.db", "--json")
    assert (said.code, said.json["runs"]) == (0, 1)
    for process in (worker, running):
        process.signal(signal.SIGKILL)
        process.end()
    resolute.write("go", "")
    resolute.start("worker", "flows.py", "--store", "sqlite:///copy.db").wait_for_line("the worker is up")
    resolute.wait_for(lambda: status(resolute, "copy.db") == "succeeded")
    assert (resolute.folder / "calls").read_text() == "first\n"
    assert status(resolute, "resolute.db") != "succeeded"

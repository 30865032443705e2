"""A flow that was changed under a run that waits, on a Temporal server: told before the deploy, parked after it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from resolute import Client
from tests.acceptance.command import Desk

pytestmark = pytest.mark.ci_only

SOON = timedelta(seconds=30)

OLD = """
from pathlib import Path
from resolute import activity, flow, manual

@activity
async def note(line: str) -> str:
    with Path("notes").open("a") as notes:
        notes.write(line + "\\n")
    return line

change = (
    flow("change")
    .triggered_by(manual())
    .then(note(line="prepared").as_("prepare"))
    .then_gate("ok")
    .then(note(line="changed").as_("apply"))
    .build()
)
"""
NEW = OLD.replace('as_("prepare")', 'as_("plan")')


@pytest.fixture
def desk(resolute: Desk, address: str) -> Desk:
    """Commands whose engine is a namespace of the server."""
    resolute.environ["RESOLUTE_ENGINE"] = address
    return resolute


@contextmanager
def deployed(desk: Desk, text: str) -> Iterator[None]:
    """A worker with this module."""
    desk.write("flows.py", text)
    running = desk.start("worker", "flows.py")
    running.wait_for_line("the worker is up")
    yield
    running.signal(signal.SIGTERM)
    assert running.end().code == 0


def ask(address: str, question: Any) -> Any:
    """The answer of a client of the server."""

    async def asked() -> Any:
        async with Client.connect(address) as client:
            return await question(client)

    return asyncio.run(asked())


def status(address: str) -> str:
    return str(ask(address, lambda client: client.get("r")).status)


@pytest.mark.parametrize("answered_under", ["the old flow", "the new flow"])
def test_a_changed_flow_is_told_before_and_parks_its_run_after_the_deploy(
    desk: Desk, address: str, answered_under: str
) -> None:
    """`flows check` names run and step, `runs show` the reason; with the old flow back the run goes on at its gate."""
    with deployed(desk, OLD):
        ask(address, lambda client: client.start("change", run_id="r"))
        desk.wait_for(lambda: status(address) == "waiting")
        assert desk("--module", "flows.py", "flows", "check").code == 0

    desk.write("flows.py", NEW)
    told = desk("--module", "flows.py", "flows", "check")
    assert told.code == 1
    assert "r cannot be walked" in told.out + told.err
    assert "prepare" in told.out + told.err
    [checked] = desk("--module", "flows.py", "flows", "check", "--json").json["flows"]
    assert (checked["state"], checked["unfinished"]) == ("changed", 1)

    with deployed(desk, NEW):
        desk.wait_for(lambda: status(address) == "needs_attention")
        shown = desk("runs", "show", "r", "--json").json
        assert "prepare" in shown["error"]
        [listed] = desk("runs", "list", "--status", "needs_attention", "--json").json
        assert listed["id"] == "r"
        if answered_under == "the new flow":
            assert desk("runs", "signal", "r", "ok", "--approve").code == 0
            desk.wait_for(lambda: status(address) == "needs_attention")  # a task that has just failed is no reason yet

    with deployed(desk, OLD):
        if answered_under == "the old flow":
            assert desk("runs", "signal", "r", "ok", "--approve").code == 0
        desk.wait_for(lambda: status(address) == "succeeded")
        result = ask(address, lambda client: client.run("r").result(SOON))
    assert result["apply"] == "changed"
    assert (desk.folder / "notes").read_text().splitlines() == ["prepared", "changed"]


def test_a_parked_run_is_cancelled_at_once(desk: Desk, address: str) -> None:
    """It can neither be undone nor come to its end by itself, and says who has cancelled it."""
    with deployed(desk, OLD):
        ask(address, lambda client: client.start("change", run_id="r"))
        desk.wait_for(lambda: status(address) == "waiting")
    with deployed(desk, NEW):
        assert desk("runs", "cancel", "r", "--by", "ann").code == 0
        assert status(address) == "cancelled"

"""A job on a real Temporal server: its secret inputs stay in the process that was given them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from resolute import activity
from resolute.engine import RunQuery
from resolute.engines.temporal.address import TemporalAddress, temporal_address
from resolute.engines.temporal.order import OWN_QUEUE
from resolute.engines.temporal.runs import TemporalRuns
from resolute.errors import EngineError
from resolute.jobs import Job, prepare_call
from resolute.oneshot import Once, run_once
from resolute.ports import Ports
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.simulator import PagerDutySimulator, SimulatorTransport

pytestmark = pytest.mark.ci_only

MAIN = "create_pagerduty_incident"


@activity
async def double(number: int) -> int:
    """Twice the number."""
    if number < 0:
        raise ValueError("too small")
    return 2 * number


def job(server: TemporalAddress, main: str, given: dict[str, Any], ports: Ports) -> tuple[Once, PagerDutySimulator]:
    """A run of a job on this server, its store in memory, and where its pages go."""
    account = PagerDutySimulator(ports.clock, randomness=random.Random(1))
    call = prepare_call(Job("j", main, {"service_key": account.routing_key, **given} if main == MAIN else given))
    provider = PagerDutyProvider(PagerDutyConfig(), transport=SimulatorTransport(account))
    once = Once(
        None,
        call.flow,
        "r",
        call.input,
        providers=[provider],
        secrets=call.secrets,
        server=(server, "tests"),
        trigger=call.flow.name,
    )
    return once, account


async def test_the_key_of_a_job_is_in_no_history(address: str) -> None:
    """Its run is on the server, with a task queue of its own, and holds the name of the key alone."""
    ports, server = Ports(environ={}), temporal_address(address, {})
    once, account = job(server, MAIN, {"title": "on fire"}, ports)
    run = await run_once(once, ports)
    assert run.output["success"] is True
    runs = TemporalRuns(server, "tests", ports.secrets)
    handle = (await runs.engine()).client.get_workflow_handle("r")
    history = await handle.fetch_history()
    text = history.to_json() + "".join(str(event) for event in history.events)
    assert account.routing_key not in text
    assert "input:service_key" in text
    assert (await handle.describe()).task_queue == f"tests{OWN_QUEUE}r"


async def test_a_job_is_listed_and_is_repeated_by_its_command_alone(address: str) -> None:
    """Nobody else could go on with it, so nobody else may take it up again."""
    ports, server = Ports(environ={}), temporal_address(address, {})
    once, _ = job(server, f"{__name__}:double", {"number": -1}, ports)
    assert (await run_once(once, ports)).error == "ValueError: too small"
    runs = TemporalRuns(server, "tests", ports.secrets)
    while not (listed := await runs.runs(RunQuery())):  # a list may lack the newest second
        continue
    assert [(run.id, run.status) for run in listed] == [("r", "failed")]
    with pytest.raises(EngineError, match="--run-id r"):
        await runs.retry("r")

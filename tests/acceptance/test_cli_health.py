"""`resolute health`, and failures that are told, with a worker that is a process of its own."""

from __future__ import annotations

import signal
import socket

import pytest

from tests.acceptance.command import Desk, Running

pytestmark = pytest.mark.acceptance

FLOWS = """
from resolute import Worker, activity, flow, input_data, manual, secret
from resolute.providers import pagerduty

@activity
async def check() -> None:
    raise ValueError("no route")

checking = flow("checking").triggered_by(manual()).then(check()).build()
paging = (
    flow("paging")
    .triggered_by(manual())
    .then(pagerduty.trigger_event(routing_key=secret("OPS_ROUTING_KEY"), summary="down", severity="critical"))
    .build()
)
worker = Worker(
    flows=[checking, paging],
    providers=[pagerduty.PagerDutyProvider()],
    on_failure=pagerduty.trigger_event(
        routing_key=secret("OPS_ROUTING_KEY"),
        summary=input_data("summary"),
        severity="error",
        dedup_key=input_data("run_id"),
    ),
)
"""
TOKEN = "a-long-random-text-for-the-dashboard"


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """A worker's module, an address for its dashboard, and a token."""
    resolute.write("flows.py", FLOWS)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    resolute.environ |= {
        "RESOLUTE_MODULE": "flows.py",
        "RESOLUTE_DASHBOARD": f"127.0.0.1:{port}",
        "RESOLUTE_DASHBOARD_TOKEN": TOKEN,
        "OPS_ROUTING_KEY": resolute.key,
    }
    return resolute


def up(desk: Desk, **environ: str) -> Running:
    worker = desk.start("worker", **environ)
    worker.wait_for_line("the worker is up")
    return worker


def test_worker_that_is_well_ends_the_command_with_0(desk: Desk) -> None:
    """For people a line for each check, for programs one object."""
    assert f"dashboard at http://{desk.environ['RESOLUTE_DASHBOARD']}" in up(desk).wait_for_line("the worker is up")
    answer = desk("health")
    assert (answer.code, answer.err) == (0, "")
    assert "✓ journal" in answer.out
    assert desk("health", "--json").json["status"] == "ok"
    ready = desk("health", "--ready", "--json").json
    assert [check["name"] for check in ready["checks"]] == ["journal", "disk"]
    assert not desk.holds(TOKEN)


def test_worker_that_is_not_well_ends_it_with_1(desk: Desk) -> None:
    """With the reason; it is ready all the same, for it can keep what it is given."""
    up(desk, OPS_ROUTING_KEY="0" * 32)
    assert desk("run", "paging").code == 1
    answer = desk("health")
    assert answer.code == 1
    assert "✗ rejected_pages" in answer.out
    assert desk("health", "--ready").code == 0


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({}, 1, "No worker answers at 127.0.0.1:"),
        ({"RESOLUTE_DASHBOARD": ""}, 2, "Set RESOLUTE_DASHBOARD=127.0.0.1:8030, here and for the worker"),
        ({"RESOLUTE_DASHBOARD": "8030"}, 2, "is no address to listen at"),
    ],
)
def test_nobody_to_ask_is_told(desk: Desk, change: dict[str, str], code: int, told: str) -> None:
    """As what happened and how to mend it."""
    answer = desk("health", **change)
    assert answer.code == code
    assert told in answer.err


def test_wrong_listener_and_wrong_token_are_told(desk: Desk) -> None:
    """One is another program, the other a worker that does not know us."""
    answer = desk("health", RESOLUTE_DASHBOARD=desk.server.url.removeprefix("http://"))
    assert (answer.code, "is no worker: it answered 401 without a report" in answer.err) == (1, True)
    up(desk)
    answer = desk("health", RESOLUTE_DASHBOARD_TOKEN="another-random-text")
    assert (answer.code, "asks for its token. Set RESOLUTE_DASHBOARD_TOKEN" in answer.err) == (2, True)


def test_failure_is_paged_once_though_the_worker_is_killed(desk: Desk) -> None:
    """Before the page could leave."""
    desk.pagerduty_says(lambda simulator: simulator.faults.outage(kind="503"))
    worker = up(desk)
    assert desk("run", "checking", "--run-id", "r").code == 1
    desk.wait_for(lambda: desk.requests > 0)
    worker.signal(signal.SIGKILL)
    worker.end()
    desk.pagerduty_says(lambda simulator: simulator.faults.outage(False))
    up(desk)
    desk.wait_for(lambda: desk.alerts != [])
    assert desk.alerts == ["r"]
    desk.wait_for(lambda: desk.row().status == "accepted")
    assert desk.row().title == "Run r of checking failed at check: ValueError: no route"
    assert desk("runs", "list", "--flow", "~worker-failure").out.count("~worker-failure") == 2

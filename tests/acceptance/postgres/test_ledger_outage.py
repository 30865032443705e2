"""The server of the shared incident log crashes in mid-flight and is away for half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from resolute.clock import monotonic
from tests.acceptance.machine import Machine
from tests.acceptance.postgres.fleet import Fleet, start
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only, pytest.mark.timeout(300)]

OUTAGE_S = 30.0
OPEN = ("acknowledged", "resolved", "both")  # alerts that are open when the server goes


@pytest.fixture
def fleet(tmp_path: Path, postgres: PostgresServer) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, postgres, stack)


def keys(fleet: Fleet, when: str) -> dict[Machine, dict[str, str]]:
    """Machine → run id → dedup key of three pages that each of them is to send."""
    named = zip(fleet.machines, "ab", strict=True)
    return {machine: {f"{when}-{name}-{n}": f"{when}-{name}-{n}" for n in range(3)} for machine, name in named}


def page(runs: dict[Machine, dict[str, str]]) -> None:
    for machine, own in runs.items():
        machine.ask(lambda client, own=own: start(client, "page", own))


def ledger_of(machine: Machine, run_id: str) -> str:
    """What the output of a page says about its row."""
    run = machine.result(run_id)
    assert run.status == "succeeded", run.error
    output: Any = run.output
    return str(output["trigger_event"]["ledger"])


def in_flight(machine: Machine) -> int:
    """How many events were tried and wait for their next attempt."""
    return sum(row.attempts > 0 and not row.is_settled for row in machine.rows())


def test_pages_leave_what_needs_the_order_waits_and_all_is_written_in_the_end(
    fleet: Fleet, postgres: PostgresServer
) -> None:
    """Also when a worker is killed meanwhile: each row is settled, none was sent twice, and no alert out of order."""
    a, b = fleet.machines
    page({a: {f"old-{key}": key for key in OPEN}})
    assert {ledger_of(a, f"old-{key}") for key in OPEN} == {"written"}
    before, meanwhile = keys(fleet, "before"), keys(fleet, "meanwhile")
    fleet.pagerduty.call(lambda sim: sim.faults.outage(kind="503", scope="events"))
    page(before)
    for machine in fleet.machines:
        machine.wait_for(lambda machine=machine: in_flight(machine) == 3)
    postgres.stop("immediate")
    try:
        ends_s = monotonic() + OUTAGE_S
        fleet.pagerduty.call(lambda sim: sim.faults.outage(False))
        page(meanwhile)
        page({a: {"same-a": "same"}, b: {"same-b": "same"}})
        b.ask(lambda client: start(client, "acknowledge", {"ack": "acknowledged", "ack-both": "both"}))
        a.ask(lambda client: start(client, "resolve", {"resolve": "resolved", "resolve-both": "both"}))
        for machine in fleet.machines:
            assert {ledger_of(machine, run) for run in (*before[machine], *meanwhile[machine])} == {"deferred"}
        b.kill()
        b.start()
        for machine, waits in ((a, ("resolve", "resolve-both")), (b, ("ack", "ack-both"))):
            machine.wait_for(lambda: monotonic() >= ends_s)
            assert {machine.run(run).status for run in waits} <= {"running", "waiting"}
        assert [fleet.applied(key) for key in OPEN] == [["trigger"]] * 3
    finally:
        postgres.start()
    for machine, run in ((b, "ack"), (a, "resolve"), (b, "ack-both"), (a, "resolve-both")):
        assert machine.result(run).status == "succeeded"
    check(fleet, [key for runs in (before, meanwhile) for own in runs.values() for key in own.values()])


def check(fleet: Fleet, paged: list[str]) -> None:
    """Every event stands in the shared log, settled, and PagerDuty got it once and in its order."""
    a, b = fleet.machines
    count = len(paged) + len(OPEN) + 2 + 4
    a.wait_for(lambda: len(fleet.rows()) == count and fleet.statuses().keys() <= {"accepted", "superseded"})
    assert {row.status for row in fleet.rows() if row.action == "trigger"} == {"accepted"}
    assert {key: fleet.applied(key) for key in paged} == {key: ["trigger"] for key in paged}
    assert fleet.applied("same") == ["trigger", "trigger"]  # one by each worker, which PagerDuty folds
    assert fleet.applied("acknowledged") == ["trigger", "acknowledge"]
    assert fleet.applied("resolved") == ["trigger", "resolve"]
    assert fleet.applied("both") in (["trigger", "acknowledge", "resolve"], ["trigger", "resolve"])
    page({b: {"after": "after"}})
    assert ledger_of(b, "after") == "written"
    assert [machine.stop() for machine in fleet.machines] == [0, 0]

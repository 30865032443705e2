"""Two workers, each with a journal of its own, on one incident log in PostgreSQL: killed, and without the server."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.postgres.fleet import Fleet, start
from tests.postgres_server import PASSWORD, QUOTED, PostgresServer

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

FAULTS = {"503": 0.1, "cut_before": 0.06, "apply_then_cut": 0.08, "429": 0.04}


@pytest.fixture
def fleet(tmp_path: Path, postgres: PostgresServer) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, postgres, stack)


@pytest.mark.parametrize("runs", [30, pytest.param(250, marks=pytest.mark.ci_only)])
def test_pages_once_for_each_run_however_often_a_worker_is_killed(fleet: Fleet, runs: int) -> None:
    """Every run of either worker ends, with one alert and one accepted row in the shared ledger."""
    draw = random.Random(runs)
    fleet.machines[0].pagerduty.faults.mix(FAULTS, random.Random(1))
    ids = [[f"{name}-{number}" for number in range(runs)] for name in "ab"]
    for begin in range(0, runs, 15):
        for machine, own in zip(fleet.machines, ids, strict=True):
            batch = {run_id: f"key-{run_id}" for run_id in own[begin : begin + 15]}
            machine.ask(lambda client, batch=batch: start(client, "page", batch))
        victim = draw.choice(fleet.machines)
        seen = fleet.pagerduty.call(lambda sim: len(sim.requests)) + draw.randint(1, 8)
        victim.wait_for(lambda seen=seen: fleet.pagerduty.call(lambda sim: len(sim.requests)) >= seen)
        victim.kill()
        victim.start()
    for machine, own in zip(fleet.machines, ids, strict=True):
        assert {machine.result(run_id).status for run_id in own} == {"succeeded"}
        assert machine.stop() == 0
    fleet.machines[0].wait_for(lambda: fleet.pagerduty.call(lambda sim: sim.pending) == 0)
    alerts = fleet.pagerduty.call(lambda sim: Counter(alert.alert_key for alert in sim.alerts))
    assert alerts == Counter(f"key-{run_id}" for own in ids for run_id in own)
    assert Counter(row.run_id for row in fleet.rows()) == Counter(run_id for own in ids for run_id in own)
    assert fleet.statuses() == {"accepted": 2 * runs}
    stored = b"".join(machine.bytes_of_files() for machine in fleet.machines)
    assert PASSWORD.encode() not in stored
    assert QUOTED.encode() not in stored


def test_order_of_an_alert_holds_over_both_workers(fleet: Fleet) -> None:
    """A page by the one, its acknowledge by the other, its resolve by the first: PagerDuty gets them in this order."""
    a, b = fleet.machines
    keys = [f"alert-{number}" for number in range(5)]
    fleet.pagerduty.call(lambda sim: sim.faults.mix(FAULTS, random.Random(2)))
    for machine, flow in ((a, "page"), (b, "acknowledge"), (a, "resolve")):
        runs = {f"{flow}-{key}": key for key in keys}
        machine.ask(lambda client, flow=flow, runs=runs: start(client, flow, runs))
        for run_id in runs:
            assert machine.result(run_id).status == "succeeded"
    for key in keys:
        first_of_each = list(dict.fromkeys(fleet.applied(key)))
        assert first_of_each == ["trigger", "acknowledge", "resolve"]
    a.wait_for(lambda: fleet.statuses() == {"accepted": 15})


def test_pages_leave_while_the_ledger_is_away_and_stand_in_it_later(fleet: Fleet, postgres: PostgresServer) -> None:
    """An acknowledge waits, for it needs the order; nothing is lost or sent twice."""
    a, b = fleet.machines
    a.ask(lambda client: start(client, "page", {"before": "one"}))
    a.result("before")
    postgres.stop()
    try:
        a.ask(lambda client: start(client, "page", {"a-1": "two", "a-2": "three"}))
        b.ask(lambda client: start(client, "page", {"b-1": "four"}))
        b.ask(lambda client: start(client, "acknowledge", {"b-2": "two"}))
        for machine, run_id in ((a, "a-1"), (a, "a-2"), (b, "b-1")):
            assert machine.result(run_id).status == "succeeded"
        assert b.run("b-2").status in ("running", "waiting")
        assert {"deferred" in " ".join(row.remarks) for row in a.rows() if row.run_id != "before"} == {True}
        a.kill()
        a.start()  # also without the ledger
    finally:
        postgres.start()
    assert b.result("b-2").status == "succeeded"
    a.wait_for(lambda: fleet.statuses() == {"accepted": 5})
    assert fleet.applied("two") == ["trigger", "acknowledge"]
    assert [fleet.applied(key) for key in ("one", "three", "four")] == [["trigger"]] * 3


def test_resolve_of_the_other_worker_takes_the_place_of_a_page_that_waits(fleet: Fleet) -> None:
    """PagerDuty was away: what is over is not paged any more, and the run that meant to page ends well."""
    a, b = fleet.machines
    fleet.pagerduty.call(lambda sim: sim.faults.outage(True))
    a.ask(lambda client: start(client, "page", {"page": "disk"}))
    a.wait_for(lambda: any(row.due_at for row in fleet.rows()))
    a.kill()
    b.ask(lambda client: start(client, "resolve", {"resolve": "disk"}))
    b.wait_for(lambda: len(fleet.rows()) == 2)
    fleet.pagerduty.call(lambda sim: sim.faults.outage(False))
    assert b.result("resolve").status == "succeeded"
    b.wait_for(lambda: fleet.rows()[1].status == "accepted")
    a.start()
    assert a.result("page").status == "succeeded"
    assert [row.status for row in fleet.rows()] == ["superseded", "accepted"]
    assert fleet.applied("disk") == ["resolve"]

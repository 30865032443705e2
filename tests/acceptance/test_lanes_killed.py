"""The order of sends for one alert, over a worker that is killed and comes back when the clock has moved on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.acceptance.machine import Machine

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]
KEY = {"key": "database"}


@pytest.fixture(params=[True, False], ids=["api key", "no api key"])
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine whose worker has a REST key, and one without."""
    with Machine(tmp_path, api_key=request.param) as machine:
        yield machine


def _outage(machine: Machine, on: bool) -> None:
    machine.server.call(lambda sim: sim.faults.outage(on))


def _lose_the_answer(machine: Machine) -> None:
    """Let the next send be applied without an answer, and none after it arrive until the faults are cleared."""
    machine.server.call(lambda sim: sim.faults.script("events", ["apply_then_cut", *["refused"] * 1000]))


def _begin(machine: Machine, flow: str, run_id: str, attempts: int = 1) -> None:
    """Start a run and wait until its send was tried, or waits for its turn."""
    machine.ask(lambda client: client.start(flow, KEY, run_id=run_id))
    machine.wait_for(lambda: any(row.run_id == run_id and row.attempts >= attempts for row in machine.rows()))


def _come_back(machine: Machine, **later: float) -> None:
    """Kill the worker and start it again when so much time has passed."""
    machine.kill()
    machine.clock.ahead += timedelta(**later)
    machine.start()


def _statuses(machine: Machine) -> list[tuple[str, str]]:
    return [(row.action, row.status) for row in machine.rows()]


def _incidents(machine: Machine) -> list[str]:
    """What became of each incident, events still on their way included."""
    machine.wait_for(lambda: machine.server.call(lambda sim: sim.pending) == 0)
    return machine.server.call(lambda sim: [incident.status for incident in sim.incidents])


def test_an_old_resolve_does_not_close_a_newer_incident(machine: Machine) -> None:
    """A resolve decided at 10:00 and first possible at 11:10 leaves the incident of 11:00 open."""
    machine.start()
    _outage(machine, True)
    _begin(machine, "resolve", "at-10-00")
    _come_back(machine, minutes=60)
    _begin(machine, "page", "at-11-00")
    _come_back(machine, minutes=10)
    _outage(machine, False)
    machine.result("at-10-00")
    machine.result("at-11-00")
    assert _statuses(machine) == [("resolve", "superseded"), ("trigger", "accepted")]
    assert _incidents(machine) == ["triggered"]


def test_an_acknowledge_over_a_pending_page_still_pages(machine: Machine) -> None:
    """The page goes first, then the acknowledge."""
    machine.start()
    _outage(machine, True)
    _begin(machine, "page", "page")
    machine.ask(lambda client: client.start("acknowledge", KEY, run_id="acknowledge"))
    machine.wait_for(lambda: len(machine.rows()) == 2)
    _come_back(machine, minutes=3)
    _outage(machine, False)
    machine.result("page")
    machine.result("acknowledge")
    assert _statuses(machine) == [("trigger", "accepted"), ("acknowledge", "accepted")]
    assert _incidents(machine) == ["acknowledged"]


def test_a_resolve_over_a_page_whose_answer_was_lost_leaves_nothing_open(machine: Machine) -> None:
    """The resolve is sent, and once more a minute later."""
    machine.start()
    _lose_the_answer(machine)
    machine.ask(lambda client: client.start("page", KEY, run_id="page"))
    machine.wait_for(lambda: machine.server.call(lambda sim: len(sim.incidents)) == 1)
    _come_back(machine, seconds=1)
    _begin(machine, "resolve", "resolve")
    machine.server.call(lambda sim: sim.faults.clear())
    machine.result("resolve")
    _come_back(machine, minutes=2)
    machine.wait_for(lambda: machine.rows()[-1].repeat_at is None)
    first, second = machine.rows()
    assert (first.status, first.is_unknown) == ("superseded", True)
    assert second.status == "accepted"
    resolves = machine.server.call(lambda sim: [r for r in sim.requests if r.action == "resolve" and r.applied])
    assert len(resolves) == 2
    assert _incidents(machine) == ["resolved"]


def test_a_page_that_a_person_has_resolved_meanwhile_is_not_sent_again(machine: Machine) -> None:
    """With a REST key the look-up finds it; without one it is sent again, and the row says so."""
    machine.start()
    _lose_the_answer(machine)
    machine.ask(lambda client: client.start("page", KEY, run_id="page"))
    machine.wait_for(lambda: machine.server.call(lambda sim: len(sim.incidents)) == 1)
    machine.kill()
    machine.clock.ahead += timedelta(seconds=2)  # the service's times are whole seconds
    machine.server.call(lambda sim: sim.resolve(sim.incidents[0].id))
    machine.server.call(lambda sim: sim.faults.clear())
    machine.clock.ahead += timedelta(hours=1)
    machine.start()
    assert machine.result("page").status == "succeeded"
    (row,) = machine.rows()
    has_key = "PAGERDUTY_API_KEY" in machine.environ
    assert (row.status, row.may_repeat) == ("accepted", not has_key)
    assert _incidents(machine) == (["resolved"] if has_key else ["resolved", "triggered"])

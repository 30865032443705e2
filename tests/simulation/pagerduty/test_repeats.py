"""Changes over REST happen once, whatever becomes of the answers: each test runs a flow on virtual time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest

from resolute import Node, activity, flow, input_data, manual, secret, steps
from resolute.providers import pagerduty
from resolute.simulator import PagerDutySimulator
from resolute.testing import FlowResult, FlowTester

#: What hides an answer: each of these was applied.
APPLIED = ["apply_then_cut", "500_applied", "html_502_applied", "504_applied"]
#: After each of these nothing was applied.
LOST = ["cut_before", "503", "429", "refused", "html_502"]

noted = (
    flow("noted")
    .triggered_by(manual("note"))
    .then(pagerduty.add_note(incident_id=input_data("id"), content="Disk usage 97 %"))
    .build()
)
made = (
    flow("made")
    .triggered_by(manual("make"))
    .then(pagerduty.create_incident(title="Failover failed", service_id=input_data("service"), urgency="high"))
    .build()
)
paged = (
    flow("paged")
    .triggered_by(manual("page"))
    .then(pagerduty.trigger_event(routing_key=secret("KEY"), summary="Disk full", dedup_key="disk"))
    .then(pagerduty.find_incident(dedup_key="disk").as_("found"))
    .build()
)


def incident_in(tester: FlowTester) -> str:
    """The id of an incident that was opened by an event."""
    found = tester.run(paged)["found"].incident
    assert found is not None
    return str(found.id)


def notes_in(pagerduty: PagerDutySimulator) -> list[str]:
    """What stands on all incidents."""
    return [note.content for incident in pagerduty.incidents for note in incident.notes]


@pytest.mark.parametrize("kind", [*APPLIED, *LOST])
def test_a_note_is_written_once_whatever_became_of_the_answer(kind: str) -> None:
    """What may have been applied is looked for before it is written again."""
    tester = FlowTester()
    incident = incident_in(tester)
    tester.simulator.faults.script("rest", [kind])
    state = tester.run(noted, {"id": incident})
    assert notes_in(tester.simulator) == ["Disk usage 97 %"]
    assert state["add_note"].created is (kind not in APPLIED)
    assert state["add_note"].note_id


def test_the_same_note_of_an_earlier_run_is_another_note() -> None:
    """Five minutes later the same words are news; only what this run may have written counts."""
    tester = FlowTester()
    incident = incident_in(tester)
    tester.run(noted, {"id": incident})
    tester.advance(timedelta(minutes=5))
    tester.simulator.faults.script("rest", ["503"])
    assert tester.run(noted, {"id": incident})["add_note"].created
    assert notes_in(tester.simulator) == ["Disk usage 97 %"] * 2


@pytest.mark.parametrize("kind", [*APPLIED, *LOST])
def test_an_incident_is_made_once_whatever_became_of_the_answer(kind: str) -> None:
    """Its key is fixed before the first attempt."""
    tester = FlowTester()
    service = next(iter(tester.simulator.world.services))
    tester.simulator.faults.script("rest", [kind])
    state = tester.run(made, {"service": service}, run_id="r1")
    [incident] = tester.simulator.incidents
    assert (incident.title, incident.urgency) == ("Failover failed", "high")
    assert state["create_incident"].incident.id == incident.id
    assert state["create_incident"].incident_key == "resolute/r1/create_incident"


def test_an_open_incident_of_the_same_key_is_taken_for_this_one() -> None:
    """PagerDuty refuses the second with code 2002, which is no failure."""
    tester = FlowTester()
    node = pagerduty.create_incident(title="Again", service_id=input_data("service"), incident_key="failover")
    again = flow("again").triggered_by(manual("make")).then(node).build()
    service = {"service": next(iter(tester.simulator.world.services))}
    first, second = (tester.run(again, service)["create_incident"] for _ in range(2))
    assert (first.created, second.created) == (True, False)
    assert first.incident.id == second.incident.id
    assert len(tester.simulator.incidents) == 1


def meanwhile(tester: FlowTester, node: Node[Any], incident: str | None = None) -> FlowResult:
    """A run of the node in which a person resolves the incident between the first attempt and the second."""

    @activity
    async def resolve_by_hand() -> None:
        tester.simulator.resolve(incident or tester.simulator.incidents[-1].id)

    person = steps().then_sleep(timedelta(seconds=0.1)).then(resolve_by_hand())
    tester.simulator.faults.script("rest", ["apply_then_cut"])
    return tester.run(flow("meanwhile").triggered_by(manual("go")).then_parallel("both", node, person).build())


def test_an_incident_that_was_resolved_meanwhile_is_not_made_again() -> None:
    """The answer of the first attempt was lost, and a person was quicker than the second."""
    tester = FlowTester()
    service = next(iter(tester.simulator.world.services))
    state = meanwhile(tester, pagerduty.create_incident(title="Failover failed", service_id=service))
    assert state["create_incident"].created is False
    assert [incident.status for incident in tester.simulator.incidents] == ["resolved"]


def test_an_incident_that_a_person_has_resolved_is_not_opened_again() -> None:
    """The acknowledgement was applied, then somebody resolved: repeating it would page everybody anew."""
    tester = FlowTester()
    incident = incident_in(tester)
    state = meanwhile(tester, pagerduty.update_incident(id=incident, status="acknowledged"), incident)
    assert state["update_incident"].incident.status == "resolved"
    assert [incident.status for incident in tester.simulator.incidents] == ["resolved"]


@pytest.mark.parametrize("status", ["acknowledged", "resolved"])
@pytest.mark.parametrize("kind", [*APPLIED, *LOST])
def test_a_status_is_set_whatever_became_of_the_answer(kind: str, status: Literal["acknowledged", "resolved"]) -> None:
    """Also where PagerDuty refuses a repeated status with 1001 or 1002."""
    tester = FlowTester()
    tester.simulator.rules.repeats_are_errors = True
    incident = incident_in(tester)
    tester.simulator.faults.script("rest", [kind])
    node = pagerduty.update_incident(id=incident, status=status)
    state = tester.run(flow("set").triggered_by(manual("go")).then(node).build())
    assert state["update_incident"].incident.status == status
    assert [incident.status for incident in tester.simulator.incidents] == [status]

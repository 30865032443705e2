"""Each PagerDuty activity in a flow, from its inputs through the journal to its output."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from typing import Any

import pytest

from resolute import FlowError, Node, flow, input_data, manual, output, run_id, secret
from resolute.model.activity import Activity
from resolute.providers import pagerduty
from resolute.providers.pagerduty import PagerDutyProvider
from resolute.providers.pagerduty.change_event import mend_change
from resolute.simulator import PagerDutySimulator, SimRequest
from resolute.testing import FlowFailed, FlowResult, FlowTester

ACTIVITIES = {name: found for name, found in vars(pagerduty).items() if isinstance(found, Activity)}
KEY = {"KEY": "0123456789abcdef0123456789abcdef"}
OTHER = {"OTHER": "fedcba9876543210fedcba9876543210"}


def run(tester: FlowTester, *nodes: Node[Any], input: Any = None) -> FlowResult:
    """What a flow of these nodes comes to."""
    return tester.run(flow("tried").triggered_by(manual("go")).then(*nodes).build(), input)


def page(key: str = "disk") -> Node[Any]:
    """A page of this alert."""
    node = pagerduty.trigger_event(routing_key=secret("KEY"), summary=f"Problem {key}", dedup_key=key, severity="error")
    return node.as_(f"page_{key}")


def open_many(simulator: PagerDutySimulator, count: int) -> None:
    """So many incidents, opened by events of another tool in one moment."""
    payload = {"summary": "Problem", "source": "elsewhere", "severity": "error"}
    for number in range(count):
        event = {"routing_key": simulator.routing_key, "event_action": "trigger", "dedup_key": str(number)}
        body = json.dumps({**event, "payload": payload}).encode()
        simulator.handle(SimRequest("POST", "/v2/enqueue", {"Content-Type": "application/json"}, body))


@pytest.fixture
def tester() -> FlowTester:
    """A PagerDuty on which the incident of the alert "disk" is open."""
    tester = FlowTester(secrets={**KEY, **OTHER})
    run(tester, page())
    return tester


@pytest.mark.parametrize("name", sorted(ACTIVITIES))
def test_every_input_is_given_by_name(name: str) -> None:
    """A line of a flow says what each value is."""
    assert {parameter.kind for parameter in ACTIVITIES[name].signature.parameters.values()} <= {
        inspect.Parameter.KEYWORD_ONLY
    }
    assert ACTIVITIES[name].name in (f"pagerduty.{name}", name)
    assert inspect.getdoc(ACTIVITIES[name].fn)


def test_an_incident_is_found_read_annotated_and_resolved(tester: FlowTester) -> None:
    """The usual way of a flow through one incident; references into the outputs keep their types."""
    state = run(
        tester,
        pagerduty.find_incident(dedup_key="disk").as_("found"),
        pagerduty.get_incident(id=output("found.incident.id")).as_("read"),
        pagerduty.add_note(incident_id=output("read.incident.id"), content="on it"),
        pagerduty.update_incident(id=output("read.incident.id"), status="resolved", resolution="made room"),
        pagerduty.list_alerts(incident_id=output("read.incident.id")).as_("alerts"),
        pagerduty.list_log_entries(incident_id=output("read.incident.id")).as_("history"),
    )
    assert state["found"].found
    assert state["read"].incident.title == "Problem disk"
    assert state["update_incident"].incident.status == "resolved"
    assert [(alert.alert_key, alert.status) for alert in state["alerts"].alerts] == [("disk", "resolved")]
    assert "made room" in [entry.note for entry in state["history"].log_entries]


def test_of_several_incidents_of_a_key_the_open_one_is_found(tester: FlowTester) -> None:
    """Older and newer ones may be resolved: of the same alert before, or of another service that has the same key."""
    world = tester.simulator.world
    world.add_integration(world.add_service("Other", next(iter(world.policies.values()))), routing_key=OTHER["OTHER"])
    resolve = pagerduty.resolve_event(routing_key=secret("KEY"), dedup_key="disk")
    again = page().as_("again")
    elsewhere = pagerduty.trigger_event(routing_key=secret("OTHER"), summary="Elsewhere", dedup_key="disk")
    over = pagerduty.resolve_event(routing_key=secret("OTHER"), dedup_key="disk").as_("over")
    find = pagerduty.find_incident(dedup_key="disk").as_("found")
    found = run(tester, resolve, again, elsewhere, over, find)["found"].incident
    assert [incident.status for incident in tester.simulator.incidents] == ["resolved", "triggered", "resolved"]
    assert (found.incident_number, found.status) == (2, "triggered")


def test_lists_of_incidents_and_services(tester: FlowTester) -> None:
    """One page, and all of them; a filter that nothing fits gives nothing."""
    since = tester.now - timedelta(days=400)
    state = run(
        tester,
        page("cpu"),
        pagerduty.list_incidents(statuses=["triggered"], limit=1, with_total=True).as_("first"),
        pagerduty.list_all_incidents(since=since).as_("all"),
        pagerduty.list_incidents(urgencies=["low"]).as_("none"),
        pagerduty.list_services(query="check").as_("services"),
        pagerduty.list_priorities().as_("priorities"),
    )
    assert (len(state["first"].incidents), state["first"].total, state["first"].more) == (1, 2, True)
    assert [incident.title for incident in state["all"]] == ["Problem disk", "Problem cpu"]
    assert (state["none"].incidents, state["none"].total) == ([], None)
    assert [service.name for service in state["services"].services] == ["Checkout"]
    assert [priority.order for priority in state["priorities"].priorities][:2] == [0, 1]


@pytest.mark.parametrize("kind", ["503", "apply_then_cut", "html_502"])
def test_a_long_list_goes_on_at_the_page_where_it_failed(kind: str) -> None:
    """What was read is kept; each incident comes once, over pages, failures and restarts."""
    tester = FlowTester(secrets=KEY)
    tester.simulator.rules.events_per_minute = None
    open_many(tester.simulator, 250)
    asked = len(tester.simulator.requests)
    tester.simulator.faults.script("rest", ["ok", kind, "ok", kind])
    state = run(tester, pagerduty.list_all_incidents(since=tester.now - timedelta(days=1)).as_("all"))
    assert [incident.incident_number for incident in state["all"]] == list(range(1, 251))
    assert len(tester.simulator.requests) - asked <= 4 + 2


def test_an_incident_is_made_and_snoozed(tester: FlowTester) -> None:
    """Over REST, where the urgency can be said."""
    service = next(iter(tester.simulator.world.services))
    state = run(
        tester,
        pagerduty.create_incident(
            title="Failover", service_id=service, urgency="low", body="db-1", incident_key=run_id()
        ),
        pagerduty.update_incident(id=output("create_incident.incident.id"), status="acknowledged"),
        pagerduty.snooze_incident(id=output("create_incident.incident.id"), duration=timedelta(hours=2)),
    )
    assert state["create_incident"].incident.urgency == "low"
    assert state["snooze_incident"].incident.status == "acknowledged"


def test_a_change_is_told_and_pages_nobody(tester: FlowTester) -> None:
    """Content is mended as that of a page, and the flow's name is its source."""
    node = pagerduty.send_change_event(
        routing_key=secret("KEY"), summary=input_data("what"), custom_details={"load": float("nan")},
        links=[{"href": "https://ci.example.com/1", "text": "build"}, {"text": "nowhere"}],  # type: ignore[list-item]
    )  # fmt: skip
    sent = run(tester, node, input={"what": "Deployed " + "x" * 2_000})["send_change_event"]
    assert sent.status == "success"
    assert len(sent.remarks) == 3
    [change] = [r for r in tester.simulator.requests if r.path == "/v2/change/enqueue"]
    assert change.status == 202
    assert len(tester.simulator.alerts) == 1


def test_a_change_with_too_many_links_is_told_with_as_many_as_it_may_have() -> None:
    """PagerDuty refuses the fifty-first; there is no severity, no dedup key and no action in it."""
    links = [{"href": f"https://ci.example.com/{number}"} for number in range(60)]
    mended = mend_change({"summary": "Deployed", "links": links}, flow="deploy")
    assert mended.event["links"] == links[:50]
    assert mended.event["payload"] == {"summary": "Deployed", "source": "deploy"}
    assert mended.remarks == ("10 links left out, a change event holds 50",)


def test_an_update_of_nothing_is_a_fault_of_the_flow() -> None:
    """Told by `build()`, before there is an incident."""
    node = pagerduty.update_incident(id=input_data("id"), title="", from_email="ada@example.com")
    with pytest.raises(FlowError, match="changes nothing"):
        flow("tried").triggered_by(manual("go")).then(node).build()


def test_an_update_that_turns_out_to_be_nothing_fails_and_is_not_repeated(tester: FlowTester) -> None:
    """A reference may lead to an empty text."""
    node = pagerduty.update_incident(id="1", title=input_data("title"))
    with pytest.raises(FlowFailed, match="nothing to change"):
        run(tester, node, input={"title": " "})
    assert all(request.method == "GET" or request.api == "events" for request in tester.simulator.requests)


def test_a_worker_names_all_that_is_missing_for_its_nodes() -> None:
    """The API key for what asks, an address for what changes, a routing key for what sends."""
    nodes: list[Node[Any]] = [
        pagerduty.get_incident(id="1"),
        pagerduty.add_note(incident_id="1", content="text"),
        pagerduty.send_change_event(summary="Deployed"),
        page(),
    ]
    problems = "\n".join(PagerDutyProvider().problems(nodes, KEY))
    assert problems.count("PAGERDUTY_API_KEY") == 2
    assert problems.count("PAGERDUTY_FROM") == 1
    assert problems.count("PAGERDUTY_SERVICE_KEY") == 1
    complete = {
        **KEY,
        "PAGERDUTY_API_KEY": "k",
        "PAGERDUTY_FROM": "ada@example.com",
        "PAGERDUTY_SERVICE_KEY": KEY["KEY"],
    }
    assert PagerDutyProvider().problems(nodes, complete) == []


def test_a_sender_may_stand_in_the_environment_of_the_run(tester: FlowTester) -> None:
    """`from_email` takes references like any other input."""
    other = list(tester.simulator.world.users.values())[1]
    node = pagerduty.add_note(incident_id="1", content="on it", from_email=input_data("who"))
    run(tester, node, input={"who": other.email})
    [note] = tester.simulator.incidents[0].notes
    assert note.user_id == other.id

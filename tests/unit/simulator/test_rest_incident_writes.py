"""Creating, updating and snoozing incidents by REST, and what belongs to an incident."""

from __future__ import annotations

from typing import Any

import pytest

from resolute.simulator import SimAnswer
from tests.unit.simulator.account import Account


def create(account: Account, **fields: object) -> SimAnswer:
    """A new incident of the first service, on behalf of Ada."""
    service = {"id": next(iter(account.sim.world.services)), "type": "service_reference"}
    wanted = {"type": "incident", "title": "By hand", "service": service} | fields
    return account.write("POST", "/incidents", {"incident": wanted})


def user(account: Account, name: str) -> dict[str, Any]:
    """An assignment to this user."""
    found = account.sim.world.find_user(f"{name}@example.com")
    assert found
    return {"assignee": {"id": found.id, "type": "user_reference"}}


def test_incident_is_made_without_an_alert(account: Account) -> None:
    """Assigned by the policy of its service, by REST in its log."""
    body = {"type": "incident_body", "details": "All of it."}
    made = create(account, urgency="low", incident_key="k", body=body).json()["incident"]
    assert (made["urgency"], made["incident_key"], made["alert_counts"]["all"]) == ("low", "k", 0)
    assert [each["assignee"]["summary"] for each in made["assignments"]] == ["Ada Moreno"]
    shown = account.get(f"/incidents/{made['id']}", include=["body"])["incident"]
    assert shown["body"]["details"] == "All of it."


def test_assigning_it_to_oneself_acknowledges_it(account: Account) -> None:
    """To another it does not."""
    mine = create(account, assignments=[user(account, "ada")]).json()["incident"]
    theirs = create(account, assignments=[user(account, "ben")]).json()["incident"]
    assert [mine["status"], theirs["status"]] == ["acknowledged", "triggered"]
    assert theirs["assigned_via"] == "direct_assignment"


def test_key_of_an_open_incident_is_refused(account: Account) -> None:
    """Once it is resolved the key is free again."""
    create(account, incident_key="k")
    again = create(account, incident_key="k")
    words = "Open incident with matching dedup key already exists on this service"
    assert (again.status, again.json()["error"]["code"], again.json()["error"]["errors"]) == (400, 2002, [words])
    account.update("1", status="resolved")
    assert create(account, incident_key="k").status == 201


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "problem"}, "Type must be incident."),
        ({"title": ""}, "Title cannot be empty."),
        ({"service": {"id": "PNONE"}}, "Service not found"),
        ({"urgency": "critical"}, "Urgency must be high or low."),
        ({"priority": None}, "Priority id cannot be empty."),
        ({"priority": {"id": "PNONE"}}, "Priority not found"),
        ({"escalation_policy": {"id": "PNONE"}}, "Escalation policy not found"),
        ({"assignments": [{"assignee": {"id": "PNONE"}}]}, "Assignee not found"),
        ({"body": {"type": "incident_body"}}, None),
        ({"conference_bridge": "call me"}, None),
        ({"incident_type": 7}, None),
        ({"incident_key": 7}, "Incident key must be a string."),
    ],
)
def test_bad_incident_is_refused(account: Account, change: dict[str, Any], words: str | None) -> None:
    """400 with the words that users know, and nothing is made."""
    answer = create(account, **change)
    assert answer.status == 400
    assert words is None or answer.json()["error"]["errors"] == [words]
    assert account.sim.incidents == []


def test_many_are_updated_or_none(account: Account) -> None:
    """One unknown id refuses all of them."""
    for key in ("a", "b"):
        account.send(key=key)
    wanted = [{"id": number, "type": "incident_reference", "status": "acknowledged"} for number in ("1", "2", "9")]
    assert account.write("PUT", "/incidents", {"incidents": wanted}).status == 404
    assert [each.status for each in account.sim.incidents] == ["triggered", "triggered"]
    assert account.write("PUT", "/incidents", {"incidents": wanted[:2]}).status == 200
    assert [each.status for each in account.sim.incidents] == ["acknowledged", "acknowledged"]


def test_fields_are_changed_and_logged(account: Account) -> None:
    """Each of them once; what is the same already is not."""
    account.send()
    world = account.sim.world
    other = world.add_service("Mail")
    change: dict[str, Any] = {
        "title": "Disk nearly full",
        "urgency": "low",
        "priority": "P2",
        "service": {"id": other.id, "type": "service_reference"},
        "escalation_level": 2,
        "incident_type": {"name": "major_incident"},
        "conference_bridge": {"conference_url": "https://example.com/call"},
    }
    shown = account.update("1", **change).json()["incident"]
    assert (shown["title"], shown["urgency"], shown["priority"]["summary"]) == ("Disk nearly full", "low", "P2")
    assert shown["service"]["summary"] == "Mail"
    assert [each["assignee"]["summary"] for each in shown["assignments"]] == ["Chris Lindqvist"]
    before = account.log()
    account.update("1", **change)
    assert account.log() == before


def test_fields_that_nobody_can_change_are_ignored(account: Account) -> None:
    """As a client sends back the whole incident; a remark says so."""
    account.send()
    assert account.update("1", created_at="2020-01-01T00:00:00Z", html_url="x").status == 200
    assert account.sim.requests[-1].remarks == ("fields that cannot be updated are ignored: created_at, html_url",)


@pytest.mark.parametrize(
    ("duration", "code"), [(0, 1013), (604_801, 1013), ("60", 1013), (True, 1013), (None, 1013), (60, 1012)]
)
def test_bad_snooze_is_refused(account: Account, duration: object, code: int) -> None:
    """No second to a week, and only what is acknowledged."""
    account.send()
    answer = account.write("POST", "/incidents/1/snooze", {"duration": duration})
    assert (answer.status, answer.json()["error"]["code"]) == (400, code)


def test_notes_are_kept_in_order(account: Account) -> None:
    """Also on a resolved incident, and not paged."""
    account.send()
    account.update("1", status="resolved")
    for number in range(30):
        account.write("POST", "/incidents/1/notes", {"note": {"content": f"{number}"}})
    assert [note["content"] for note in account.get("/incidents/1/notes")["notes"]] == [str(n) for n in range(30)]


@pytest.mark.parametrize("content", ["", "  ", None, 7, "x" * 65_536])
def test_bad_note_is_refused(account: Account, content: object) -> None:
    """Empty, too long, or no text."""
    account.send()
    assert account.write("POST", "/incidents/1/notes", {"note": {"content": content}}).status == 400


def test_alerts_are_filtered(account: Account) -> None:
    """By key and by status, with the event's details."""
    service = next(iter(account.sim.world.services.values()))
    from_two = {"component": "db", "custom_details": {"free": "1%"}}
    account.send(key="a", **from_two)
    [alert] = account.get("/incidents/1/alerts", alert_key="a", statuses=["triggered"])["alerts"]
    assert (alert["body"]["details"], alert["body"]["cef_details"]["source_component"]) == ({"free": "1%"}, "db")
    assert alert["service"]["id"] == service.id
    assert account.get("/incidents/1/alerts", alert_key="b")["alerts"] == []
    assert account.get("/incidents/1/alerts", statuses=["resolved"])["alerts"] == []


def test_log_is_newest_first_and_can_be_cut(account: Account) -> None:
    """The overview leaves out who was notified; a range takes a part."""
    account.send()
    account.wait(minutes=31)
    kinds = [each["type"] for each in account.get("/incidents/1/log_entries")["log_entries"]]
    assert (kinds[0], kinds[-1]) == ("notify_log_entry", "trigger_log_entry")
    brief = [each["type"] for each in account.get("/incidents/1/log_entries", is_overview="true")["log_entries"]]
    assert brief == ["escalate_log_entry", "assign_log_entry", "trigger_log_entry"]
    since = account.get("/incidents/1/log_entries", since="2026-03-31T12:10:00Z")["log_entries"]
    assert [each["type"] for each in since] == ["notify_log_entry", "escalate_log_entry"]


def test_service_is_made_with_a_routing_key_of_its_own(account: Account) -> None:
    """The key of its integration takes events at once."""
    policy = {"id": next(iter(account.sim.world.policies)), "type": "escalation_policy_reference"}
    wanted = {"name": "Mail", "escalation_policy": policy, "acknowledgement_timeout": 600}
    service = account.write("POST", "/services", {"service": wanted}).json()["service"]
    assert (service["acknowledgement_timeout"], service["auto_resolve_timeout"]) == (600, None)
    kind = {"type": "events_api_v2_inbound_integration", "name": "Monitor"}
    answer = account.write("POST", f"/services/{service['id']}/integrations", {"integration": kind})
    key = answer.json()["integration"]["integration_key"]
    event = {"routing_key": key, "event_action": "trigger", "payload": {"summary": "s", "source": "x"}}
    assert account.post(event | {"payload": event["payload"] | {"severity": "info"}}).status == 202
    account.wait(seconds=1)
    assert account.sim.incidents[0].service_id == service["id"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Checkout"},
        {"name": " "},
        {"escalation_policy": None},
        {"acknowledgement_timeout": -1},
        {"auto_resolve_timeout": "4h"},
        {"alert_creation": "never"},
        {"incident_urgency_rule": {"type": "constant", "urgency": "medium"}},
    ],
)
def test_bad_service_is_refused(account: Account, change: dict[str, Any]) -> None:
    """A name that is taken, a policy that is none, settings that mean nothing."""
    policy = {"id": next(iter(account.sim.world.policies)), "type": "escalation_policy_reference"}
    answer = account.write("POST", "/services", {"service": {"name": "Mail", "escalation_policy": policy} | change})
    assert answer.status == 400
    assert len(account.sim.world.services) == 1

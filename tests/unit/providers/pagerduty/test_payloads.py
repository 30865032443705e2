"""PagerDuty's objects are read whatever it leaves out, sends as null or adds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter

from resolute.model.codec import decode_output, encode_output
from resolute.model.refs import output
from resolute.providers.pagerduty.payloads import (
    AcknowledgeEventOutput,
    Event,
    EventImage,
    EventLink,
    EventPayload,
    GetOnCallsOutput,
    Incident,
    OnCall,
    Priority,
    ServiceRef,
    TriggerEventOutput,
)

# As documented: PagerDuty REST API v2, "List incidents" and "List all of the on-calls", examples (2026-08).
INCIDENT: dict[str, Any] = {
    "id": "PT4KHLK",
    "type": "incident",
    "summary": "[#1234] The server is on fire.",
    "incident_number": 1234,
    "title": "The server is on fire.",
    "created_at": "2015-10-06T21:30:42Z",
    "updated_at": "2015-10-06T21:40:23Z",
    "status": "resolved",
    "incident_key": None,
    "service": {"id": "PIJ90N7", "type": "service_reference", "summary": "My Mail Service"},
    "assignments": None,
    "acknowledgements": None,
    "last_status_change_at": "2015-10-06T21:38:23Z",
    "escalation_policy": {"id": "PT20YPA", "type": "escalation_policy_reference", "summary": "Another Policy"},
    "urgency": "high",
    "priority": None,
    "resolved_at": None,
    "a_field_of_tomorrow": {"x": 1},
}
ON_CALL: dict[str, Any] = {
    "user": {"id": "PT23IWX", "type": "user_reference", "summary": "Tim Wright"},
    "schedule": None,
    "escalation_policy": {"id": "PT20YPA", "type": "escalation_policy_reference", "summary": "Engineering"},
    "escalation_level": 2,
    "start": None,
    "end": None,
}


def test_an_incident_is_read_with_its_nulls() -> None:
    """Null stands for whatever is absent, also where a list is promised; unknown fields are ignored."""
    incident = Incident.model_validate(INCIDENT)
    assert incident.assignments == []
    assert incident.priority is None
    assert incident.resolved_at is None
    assert incident.created_at == datetime(2015, 10, 6, 21, 30, 42, tzinfo=UTC)


def test_a_reference_is_named_by_its_summary() -> None:
    """References carry no name; whole objects carry both."""
    incident = Incident.model_validate(INCIDENT)
    assert incident.service == ServiceRef(id="PIJ90N7", name="My Mail Service")
    assert ServiceRef.model_validate({"id": "P1", "name": "Mail", "summary": "other"}).name == "Mail"


def test_an_incident_without_description_shows_its_title() -> None:
    """The description is an older copy of the title, which REST leaves out."""
    assert Incident.model_validate(INCIDENT).description == "The server is on fire."
    assert Incident.model_validate({**INCIDENT, "description": "kept"}).description == "kept"


def test_a_permanent_on_call_has_no_times_and_no_schedule() -> None:
    """Null start and end mean always; a null schedule means the user stands on the policy itself."""
    oncall = OnCall.model_validate(ON_CALL)
    assert (oncall.schedule, oncall.start, oncall.end) == (None, None, None)
    assert (oncall.user.name, oncall.user.email) == ("Tim Wright", None)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T14:00:00+02:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("yesterday", None),
        ({}, None),
    ],
)
def test_times_are_always_aware(given: object, read: datetime | None) -> None:
    """A time that cannot be read is None rather than the loss of the whole list."""
    assert OnCall.model_validate({**ON_CALL, "start": given}).start == read


def test_a_null_inside_a_list_is_dropped() -> None:
    """Nothing can be done with an assignment that is null."""
    incident = Incident.model_validate({**INCIDENT, "assignments": [None, {"at": None, "assignee": {"id": "U1"}}]})
    assert [assignment.assignee.id for assignment in incident.assignments if assignment.assignee] == ["U1"]


def test_a_priority_has_an_order_only_where_one_was_derived() -> None:
    """PagerDuty sends no such field."""
    assert Priority.model_validate({"id": "P1", "summary": "P1"}).order is None


@pytest.mark.parametrize(
    "value",
    [
        Incident.model_validate(INCIDENT),
        GetOnCallsOutput(oncalls=[OnCall.model_validate(ON_CALL)], more=True),
        TriggerEventOutput(message="Event processed", dedup_key="k", log_id=3, remarks=["folded"]),
        Event(
            routing_key="k" * 32,
            event_action="trigger",
            payload=EventPayload(summary="s", source="s", severity="info", class_="disk"),
        ),
    ],
)
def test_outputs_survive_the_journal(value: Any) -> None:
    """What a flow sees after a restart is what it saw before."""
    adapter = TypeAdapter(type(value))
    text, decoded = encode_output(value, adapter, "test")
    assert decoded == value
    assert decode_output(text, adapter, "test") == value


def test_an_output_may_be_mocked_with_what_the_specification_names() -> None:
    """Tests of flows give status, message and key; the rest has defaults."""
    trigger = TriggerEventOutput.model_validate({"status": "success", "message": "ok", "dedup_key": "k"})
    assert (trigger.ledger_status, trigger.log_id, trigger.remarks) == ("accepted", None, [])
    assert AcknowledgeEventOutput.model_validate({"status": "success", "message": "ok"}).dedup_key == ""


def test_class_is_written_without_the_underscore() -> None:
    """`class` is a word of Python; in JSON it is PagerDuty's."""
    payload = EventPayload(summary="s", source="s", severity="info", class_="disk")
    assert payload.model_dump(exclude_none=True)["class"] == "disk"
    assert EventPayload.model_validate({"summary": "s", "source": "s", "severity": "info", "class": "x"}).class_ == "x"


def test_a_link_takes_anything() -> None:
    """A wrong or missing part of a link is mended when it is sent; it never costs the page."""
    assert EventLink().href is None
    assert EventLink.model_validate({"href": 5, "text": "half \ud800", "more": 1}).model_dump() == {
        "href": 5,
        "text": "half \ud800",
    }
    assert EventImage(src=output("health.graph"), alt=None).src.path == "health.graph"  # type: ignore[union-attr]


def test_an_event_hides_its_routing_key() -> None:
    """Models are printed in logs."""
    assert "secret" not in repr(Event(routing_key="secret", event_action="resolve"))

"""Webhooks of PagerDuty: who sent them, what they hold, and which start a run."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolute import secret
from resolute.errors import InputError
from resolute.model.codec import decode_output, encode_output
from resolute.model.webhook import Delivery, Signature
from resolute.providers.pagerduty import (
    IncidentData,
    NoteData,
    OtherData,
    is_signed,
    parse_webhook,
    read_webhook,
    webhook,
)
from resolute.providers.pagerduty.webhook import PagerDutySignature
from resolute.providers.pagerduty.webhook_types import DATA_TYPES
from resolute.server.content import run_id_of
from tests.unit.providers.pagerduty.conftest import NOW

SECRET = "facts-sheet-secret"
BODY = '{"event":{"id":"EVT1","event_type":"pagey.ping","data":{"message":"café","type":"ping"}}}'.encode()
DIGEST = "930eb0994d67a6f29b510662cc693767f5274ec498db9a6307fde1d3334fb0c3"


def envelope(kind: str, data: Any = None, **more: Any) -> dict[str, Any]:
    """What PagerDuty sends for an event of this type."""
    resource = kind.partition(".")[0]
    event = {"id": "01EVENT", "event_type": kind, "resource_type": resource, "occurred_at": "2026-03-01T12:00:00.123Z"}
    return {"event": {**event, "agent": None, "client": None, "data": data, **more}}


def test_the_documented_digest_is_accepted() -> None:
    """Ninety bytes with a character outside ASCII, signed as PagerDuty signs them."""
    assert len(BODY) == 90
    assert is_signed(BODY, f"v1={DIGEST}", [SECRET])


@pytest.mark.parametrize(
    "header",
    [
        f"v1={'0' * 64},v1={DIGEST}",
        f"v1={DIGEST} , v1={'0' * 64}",
        f"v2=whatever, v1={DIGEST}",
        f"v1={DIGEST.upper()}",
    ],
)
def test_one_match_among_several_signatures_is_enough(header: str) -> None:
    """While a secret is replaced the header holds a digest for each; unknown versions are skipped."""
    assert is_signed(BODY, header, [SECRET])


@pytest.mark.parametrize(
    "header", ["", "v1=", DIGEST, f"v0={DIGEST}", f"v1={'0' * 64}", f"v1={DIGEST[:-1]}", "é, v1=ü"]
)
def test_any_other_header_is_refused(header: str) -> None:
    """A digest without its version is none."""
    assert not is_signed(BODY, header, [SECRET])


@pytest.mark.parametrize("secrets", [["old", SECRET], [f"old,{SECRET}"], [f"{SECRET} new"]])
def test_each_configured_secret_may_have_signed(secrets: list[str]) -> None:
    """A secret is replaced without losing a delivery: both stand in the variable for a while."""
    assert is_signed(BODY, f"v1={DIGEST}", secrets)
    assert not is_signed(BODY, f"v1={DIGEST}", ["old"])


@given(body=st.binary(max_size=200), key=st.from_regex(r"[!-+\--~]{1,40}", fullmatch=True), flip=st.integers(0, 255))
def test_a_changed_body_is_refused(body: bytes, key: str, flip: int) -> None:
    """Whatever is signed is accepted, and one more byte is not."""
    digest = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    assert is_signed(body, f"v1={digest}", [key])
    assert not is_signed(body + bytes([flip]), f"v1={digest}", [key])


def test_the_trigger_is_a_webhook_with_its_own_check() -> None:
    """The secret is PAGERDUTY_WEBHOOK_SECRET unless others are named; the signature is never recorded."""
    check = webhook("/pagerduty").signature
    assert isinstance(check, Signature)
    assert check.secrets == ("PAGERDUTY_WEBHOOK_SECRET",)
    assert check.reads == ("x-pagerduty-signature",)
    both = webhook("/pagerduty", secrets=[secret("OLD"), secret("NEW")]).signature
    assert both is not None
    assert both.secrets == ("OLD", "NEW")


def test_a_repeated_delivery_is_the_same_run() -> None:
    """X-Webhook-Id stays the same through all attempts, whatever else changes."""
    trigger = webhook("/pagerduty")
    first, again = (Delivery({"x-webhook-id": "abc-1", "x-attempt": n}, BODY) for n in "12")
    other = Delivery({"x-webhook-id": "abc-2"}, BODY)
    assert run_id_of("hook", trigger, first, None) == run_id_of("hook", trigger, again, None)
    assert run_id_of("hook", trigger, first, None) != run_id_of("hook", trigger, other, None)


def test_two_subscriptions_may_be_one_source_of_events() -> None:
    """While a secret is replaced both deliver each event, under ids of their own; the signed id of the event is one."""
    trigger, body = webhook("/pagerduty", event_id="event.id"), envelope("incident.triggered")
    old, new = (Delivery({"x-webhook-id": each}, b"") for each in ("old", "new"))
    assert trigger.problems() == []
    assert run_id_of("hook", trigger, old, body) == run_id_of("hook", trigger, new, body)


@pytest.mark.parametrize(
    ("kind", "starts_a_run"),
    [("pagey.ping", False), ("incident.triggered", True), ("incident.resolved", False), ("incident.unheard_of", False)],
)
def test_what_starts_no_run_is_answered_with_success(kind: str, starts_a_run: bool) -> None:
    """Refusing it three times would have PagerDuty disable the subscription."""
    check = PagerDutySignature(events=("incident.triggered",))
    assert (check.reply(envelope(kind)) is None) is starts_a_run


def test_an_unknown_type_starts_a_run_where_no_types_are_named() -> None:
    """The list of types grows. A test event starts none, whatever types are named."""
    assert PagerDutySignature().reply(envelope("incident.unheard_of")) is None
    assert PagerDutySignature().reply(envelope("pagey.ping")) == "pong"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"secrets": ["plain text"]}, 'secret("PAGERDUTY_WEBHOOK_SECRET")'),
        ({"events": ["incident.trigered"]}, 'Did you mean "incident.triggered"'),
        ({"events": ["triggered"]}, "expected types such as"),
    ],
)
def test_mistakes_are_told_when_the_flow_is_built(given: dict[str, Any], words: str) -> None:
    """Before a delivery is lost to them."""
    assert words in " ".join(webhook("/pagerduty", **given).problems())


@pytest.mark.parametrize(("kind", "data_type"), DATA_TYPES.items())
def test_every_documented_type_is_read_and_kept_whole(kind: str, data_type: str) -> None:
    """Also through the journal: what a flow sees after a restart is what it saw before."""
    reference = {"id": "Q1", "type": "incident_reference", "summary": "Disk full"}
    data = {"id": "X1", "type": data_type, "incident": reference, "unheard_of": {"deep": [1, None]}}
    event = read_webhook(envelope(kind, data))
    assert (event.type, event.event_type, event.data.type) == (kind, kind, data_type)
    assert not isinstance(event.data, OtherData)
    assert event.data.model_dump()["unheard_of"] == {"deep": [1, None]}
    text, seen = encode_output(event, parse_webhook.output_adapter, "parse_webhook")
    assert decode_output(text, parse_webhook.output_adapter, "parse_webhook") == seen == event


def test_an_incident_is_read_in_the_shape_of_webhooks() -> None:
    """Number and assignees are called otherwise than in REST, and much may be null."""
    data = {
        "id": "Q1", "type": "incident", "number": 7, "title": "Disk full", "status": "triggered", "priority": None,
        "assignees": [{"id": "U1", "summary": "Ada"}], "service": {"id": "S1", "summary": "Shop"}, "incident_key": None,
    }  # fmt: skip
    event = read_webhook(envelope("incident.triggered", data))
    assert (event.incident_id, event.incident_title, event.service_id) == ("Q1", "Disk full", "S1")
    assert isinstance(event.data, IncidentData)
    assert (event.data.number, event.data.assignees[0].name, event.data.priority) == (7, "Ada", None)
    assert event.occurred_at is not None
    assert event.occurred_at.date() == NOW.date()


def test_a_note_belongs_to_its_incident() -> None:
    """The id of the data is that of the note."""
    data = {"id": "N1", "type": "incident_note", "content": "on it", "incident": {"id": "Q1", "summary": "Disk full"}}
    event = read_webhook(envelope("incident.annotated", data))
    assert isinstance(event.data, NoteData)
    assert (event.incident_id, event.incident_title, event.data.content) == ("Q1", "Disk full", "on it")


@pytest.mark.parametrize("data", [None, [], "text", {"type": 5}, {"type": "incident_dream", "id": "D1"}])
def test_data_of_an_unknown_shape_is_no_failure(data: Any) -> None:
    """PagerDuty adds types at any time."""
    event = read_webhook(envelope("incident.dreamt", data))
    assert (event.type, event.incident_id) == ("incident.dreamt", "")


@pytest.mark.parametrize("body", [None, [], {}, {"event": None}, {"event": {}}, {"event": {"event_type": 5}}])
def test_what_is_no_envelope_is_refused_with_the_fix(body: Any) -> None:
    """Reading one field of the input instead of the whole is the usual mistake."""
    with pytest.raises(InputError, match="Give the whole input"):
        read_webhook(body)
    assert read_webhook({"body": envelope("pagey.ping"), "headers": {}}).type == "pagey.ping"

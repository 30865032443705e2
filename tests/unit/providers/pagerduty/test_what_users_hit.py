"""What users of other PagerDuty tools have run into, each as the better behaviour here.

One test for each line of the collected reports; its docstring names one of the threads.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from resolute import FlowError, flow, input_data, manual, schedule, secret
from resolute.errors import InputError, ProviderRejected, ProviderUnavailable
from resolute.providers import pagerduty
from resolute.providers.pagerduty import Incident, PagerDutyClient, PagerDutyConfig, PagerDutyProvider
from resolute.providers.pagerduty.errors import read_answer
from resolute.providers.pagerduty.mend import EVENT_BYTES, encode_event
from resolute.providers.pagerduty.webhook import PagerDutySignature
from resolute.testing import FlowTester
from tests.simulation.pagerduty.test_incidents import Desk
from tests.unit.providers.pagerduty.conftest import NOW
from tests.unit.providers.pagerduty.test_mend import mend, payload_of

HOUR = timedelta(hours=1)
MakeClient = Callable[..., PagerDutyClient]
#: A REST key has 20 characters.
REST_KEY = "u+RestKeyRestKey1234"


def trigger(**fields: Any) -> pagerduty.TriggerEventOutput:
    """A page with these fields, sent through flow, ledger and client, as the simulated PagerDuty accepted it."""
    tester = FlowTester()
    given = {"summary": "Disk full", **fields}
    node = pagerduty.trigger_event(routing_key=secret("KEY"), **{name: input_data(name) for name in given})
    state = tester.run(flow("disk-check").triggered_by(manual("go")).then(node.as_("page")).build(), given)
    assert len(tester.simulator.alerts) == 1
    output: pagerduty.TriggerEventOutput = state["page"]
    return output


def test_01_a_long_summary_is_cut_and_pages() -> None:
    """Alertmanager 1700: refused with a 400, the page lost. Cut at 1,024 code points, and told."""
    output = trigger(summary="ü" * 3_000)
    assert output.status == "success"
    assert output.remarks == ["summary cut from 3000 to 1024 characters, the whole is in custom_details"]


def test_02_an_event_over_the_limit_pages_without_its_details() -> None:
    """Alertmanager 2178: a 400 for ever. Measured in bytes as they are sent, the details replaced by a marker."""
    output = trigger(custom_details={"log": "€" * 300_000})
    assert any("details left out" in remark for remark in output.remarks)
    event = mend(custom_details={"log": "€" * 300_000}).event
    assert len(encode_event(event, "0" * 32)) <= EVENT_BYTES


@pytest.mark.parametrize(("severity", "sent"), [("CRITICAL", "critical"), ("none", "error"), ("", "error")])
def test_03_a_severity_that_pagerduty_refuses_is_mended(severity: str, sent: str) -> None:
    """Robusta 1153: "none" or capitals were a 400. Mended, and a missing source is the flow's name."""
    assert payload_of(mend(severity=severity, source=""))["severity"] == sent
    output = trigger(severity=severity, source="")
    assert 'source missing, sent as "disk-check"' in output.remarks


def test_04_a_rest_key_as_routing_key_is_named_before_anything_is_sent() -> None:
    """Tenderduty 10: the two kinds of key are easily exchanged. The worker does not start, and says which is which."""
    node = pagerduty.trigger_event(routing_key=secret("KEY"), summary="s")
    [problem] = PagerDutyProvider().problems([node], {"KEY": REST_KEY})
    assert "looks like a REST API key, not an integration key" in problem
    assert REST_KEY not in problem


def test_05_a_refusal_in_plain_text_is_read() -> None:
    """Robusta 571: "Invalid routing key" is no JSON, and the parser fell over it. Status, reasons and no key."""
    key = "f" * 32
    body = f"Invalid routing key {key}".encode()
    with pytest.raises(ProviderRejected, match="Invalid routing key") as caught:
        read_answer("events", 400, {}, body, request="POST /v2/enqueue", now=NOW, secrets=[key])
    assert (caught.value.status, len(caught.value.errors)) == (400, 1)
    assert key not in f"{caught.value} {caught.value.errors}"


def test_06_a_missing_sender_is_told_when_the_worker_starts() -> None:
    """pdpyras 78: a 400 in the middle of the night. The node and the variable are named before the first run."""
    node = pagerduty.add_note(incident_id=input_data("id"), content="text")
    environ = {"PAGERDUTY_API_KEY": REST_KEY}
    [problem] = PagerDutyProvider().problems([node], environ)
    assert "PAGERDUTY_FROM" in problem
    assert '"add_note"' in problem
    assert PagerDutyProvider().problems([node], {**environ, "PAGERDUTY_FROM": "ada@example.com"}) == []
    own = pagerduty.add_note(incident_id="Q1", content="text", from_email="ada@example.com")
    assert PagerDutyProvider().problems([own], environ) == []


async def test_07_since_alone_reaches_until_now() -> None:
    """pdpyras 46: PagerDuty looks at one month from there. Both ends are sent, and naive times are refused."""
    desk = Desk()
    made = await desk.make()
    page = await desk.client.list_incidents(since=NOW - timedelta(days=100))
    assert [incident.id for incident in page.incidents] == [made.id]
    with pytest.raises(InputError, match="account's time zone"):
        await desk.client.list_incidents(since=datetime(2026, 1, 1))


async def test_08_a_list_is_never_cut_in_silence() -> None:
    """api-schema 252: 25 rows, and people missing. Everybody comes, or `more` says that there are others."""
    desk = Desk()
    world = desk.simulator.world
    for number in range(40):
        world.add_user(f"Person {number}", f"p{number}@example.com")
    assert len([user async for user in desk.client.iter_users()]) == len(world.users)
    assert (await desk.client.get_on_calls(limit=1)).more is True


def test_09_a_429_is_waited_for_as_long_as_pagerduty_says() -> None:
    """pdpyras 139: retried without end and without looking at the reset. Each wait is the one that was named."""
    with pytest.raises(ProviderUnavailable) as caught:
        read_answer("rest", 429, {"ratelimit-reset": "42"}, b"", request="GET /incidents", now=NOW)
    assert caught.value.retry_after == timedelta(seconds=42)
    tester = FlowTester()
    tester.simulator.faults.script("rest", ["429_retry_after"] * 3)
    begun = tester.now
    tester.run(flow("who").triggered_by(manual("go")).then(pagerduty.get_on_calls()).build())
    assert timedelta(seconds=20) < tester.now - begun < timedelta(minutes=2)
    assert [request.status for request in tester.simulator.requests][-1] == 200


@pytest.mark.parametrize(
    "body",
    [
        {"error": "text"},
        {"error": ["one", "two"]},
        {"error": {"errors": "text"}},
        {"error": {"errors": {"field": ["bad"]}}},
        {"error": {"message": "text"}},
        ["text"],
        "text",
        None,
    ],
)
def test_10_an_error_of_any_shape_is_read(body: object) -> None:
    """go-pagerduty 339, 478, 469: decoders that crash hide what was wrong."""
    with pytest.raises(ProviderRejected, match="400"):
        read_answer("rest", 400, {}, json.dumps(body).encode(), request="GET /incidents", now=NOW)


def test_11_an_account_in_europe_has_its_own_hosts() -> None:
    """python-pagerduty 75: US hosts answer 401. One setting turns both, and a 401 names it."""
    settings = PagerDutyConfig(region="eu").resolve({})
    assert (settings.api_url, settings.events_url) == (
        "https://api.eu.pagerduty.com",
        "https://events.eu.pagerduty.com",
    )
    with pytest.raises(ProviderRejected, match="PAGERDUTY_REGION=eu"):
        read_answer("rest", 401, {}, b"", request="GET /incidents", now=NOW)


def test_12_the_incident_of_a_dedup_key_is_found() -> None:
    """keep 5246: no way from the event to its incident, which appears a moment later. Waited for, and found."""
    tester = FlowTester()
    tester.simulator.rules.processing_delay = timedelta(seconds=4)
    page = pagerduty.trigger_event(routing_key=secret("KEY"), summary="Disk full", dedup_key="disk")
    find = pagerduty.find_incident(dedup_key="disk").as_("found")
    none = pagerduty.find_incident(dedup_key="other", wait=timedelta(seconds=2)).as_("none")
    state = tester.run(flow("paged").triggered_by(manual("go")).then(page, find, none).build())
    assert state["found"].incident.title == "Disk full"
    assert (state["none"].found, state["none"].incident) == (False, None)


async def test_13_an_empty_key_never_matches_everything() -> None:
    """streamalert 567: an empty filter listed every incident. Refused where it is the question, else not sent."""
    desk = Desk()
    with pytest.raises(InputError):
        await desk.client.find_incidents("", since=NOW - HOUR, until=NOW)
    with pytest.raises(InputError, match="second incident"):
        await desk.make("")
    assert desk.sent() == []


def test_14_a_scheduled_page_says_what_its_alert_is() -> None:
    """console 8389: one constant key folds what is unrelated, a random one pages at each tick. `build()` asks."""
    node = pagerduty.trigger_event(routing_key=secret("KEY"), summary="Disk full")
    with pytest.raises(FlowError, match="every tick would open a new alert"):
        flow("disk-check").triggered_by(schedule("*/5 * * * *")).then(node).build()


def test_15_accepted_is_not_called_an_incident() -> None:
    """pdpyras 94: 202, and nothing appears. The output says accepted, a look-up says whether there is an incident."""
    tester = FlowTester()
    service = next(iter(tester.simulator.world.services.values()))
    service.disabled = True
    page = pagerduty.trigger_event(routing_key=secret("KEY"), summary="Disk full", dedup_key="disk").as_("page")
    find = pagerduty.find_incident(dedup_key="disk", wait=timedelta(seconds=5)).as_("found")
    state = tester.run(flow("paged").triggered_by(manual("go")).then(page, find).build())
    assert state["page"].ledger_status == "accepted"
    assert state["found"].found is False


def test_16_the_second_signature_counts_and_an_unknown_type_is_welcome() -> None:
    """superplane 6494, zulip 22339: only the first was read; a 4xx to a new type disabled the subscription."""
    body = b'{"event": {"event_type": "incident.dreamt"}}'
    digest = hmac.new(b"new", body, hashlib.sha256).hexdigest()
    assert pagerduty.is_signed(body, f"v1={'0' * 64},v1={digest}", ["new"])
    assert pagerduty.read_webhook(json.loads(body)).type == "incident.dreamt"
    assert PagerDutySignature(events=("incident.triggered",)).reply(json.loads(body)) is not None


async def test_17_nulls_are_read_and_never_sent(make_client: MakeClient) -> None:
    """api-schema 412, go-pagerduty 135: nulls broke strict models, and a null priority is a 400."""
    sent: list[Any] = []
    nulls = dict.fromkeys(Incident.model_fields) | {"id": "Q1", "assignments": None, "acknowledgements": [None]}

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        return httpx2.Response(200, json={"incident": nulls})

    incident = await make_client(answer, default_from="ada@example.com").update_incident("Q1", title="t", urgency=None)
    assert (incident.priority, incident.assignments, incident.resolved_at) == (None, [], None)
    assert sent == [{"incident": {"type": "incident_reference", "title": "t"}}]

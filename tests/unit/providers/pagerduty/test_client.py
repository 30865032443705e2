"""What is sent to PagerDuty, and what comes back when the network does as it likes."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx2
import pytest

from resolute.errors import (
    ConfigError,
    InputError,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderRejected,
    ProviderUnavailable,
)
from resolute.jsontypes import JsonObject
from resolute.providers.pagerduty.client import ANSWER_BYTES, EventAnswer, PagerDutyClient
from resolute.providers.pagerduty.config import PagerDutySettings
from resolute.providers.pagerduty.mend import mend_event
from tests.unit.providers.pagerduty.conftest import API_KEY, NOW, StoppedClock

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
EVENT: JsonObject = {"event_action": "resolve", "dedup_key": "disk"}
ACCEPTED = {"status": "success", "message": "Event processed", "dedup_key": "disk"}
MakeClient = Callable[..., PagerDutyClient]


class Recorder:
    """Answers requests one after the other with what it was given, and keeps them."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def params(self, number: int = 0) -> list[tuple[str, str]]:
        return list(self.requests[number].url.params.multi_items())


def page(name: str, rows: list[Any], more: bool | None) -> httpx2.Response:
    data: dict[str, Any] = {name: rows, "limit": 100, "offset": 0, "total": None}
    return httpx2.Response(200, json=data if more is None else {**data, "more": more})


def oncall(number: int) -> dict[str, Any]:
    return {"user": {"id": f"U{number}", "name": f"User {number}", "email": "u@example.com"}, "escalation_level": 1}


async def test_an_event_is_posted_with_its_key_in_the_body(make_client: MakeClient) -> None:
    """Events knows no Authorization header; the REST key has no business there."""
    recorder = Recorder(httpx2.Response(202, json=ACCEPTED))
    mended = mend_event("resolve", {}, dedup_key="disk", flow="f")
    assert await make_client(recorder).enqueue(mended.event, f" {ROUTING_KEY}\n") == EventAnswer(
        "success", "Event processed", "disk"
    )
    (request,) = recorder.requests
    assert (request.method, str(request.url)) == ("POST", "https://events.pagerduty.com/v2/enqueue")
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers
    assert json.loads(request.content) == {"routing_key": ROUTING_KEY, **EVENT}


async def test_an_answer_without_key_and_message_is_still_acceptance(make_client: MakeClient) -> None:
    """Only the status counts; the key is the one that was sent."""
    client = make_client(Recorder(httpx2.Response(202, json={"status": "success", "message": None})))
    assert await client.enqueue(EVENT, ROUTING_KEY) == EventAnswer("success", "", "disk")


@pytest.mark.parametrize(
    ("key", "words"), [(API_KEY, "looks like a REST API key"), ("", "0 characters"), (ROUTING_KEY + "é", "33")]
)
async def test_a_routing_key_that_is_none_is_not_sent(make_client: MakeClient, key: str, words: str) -> None:
    """The mistake is named on the spot, without the key."""
    recorder = Recorder()
    with pytest.raises(ProviderRejected, match=words) as caught:
        await make_client(recorder).enqueue(EVENT, key)
    assert recorder.requests == []
    assert not key or key not in str(caught.value)


async def test_the_addresses_of_the_settings_are_used(make_client: MakeClient) -> None:
    """A simulator or gateway may serve both under a path."""
    recorder = Recorder(httpx2.Response(202, json=ACCEPTED), page("incidents", [], False))
    client = make_client(recorder, events_url="http://127.0.0.1:1/pd", api_url="http://127.0.0.1:2")
    await client.enqueue(EVENT, ROUTING_KEY)
    await client.find_incidents("k", since=NOW, until=NOW)
    assert [str(request.url.copy_with(query=None)) for request in recorder.requests] == [
        "http://127.0.0.1:1/pd/v2/enqueue",
        "http://127.0.0.1:2/incidents",
    ]


async def test_an_incident_is_looked_up_in_every_status_and_with_both_ends(make_client: MakeClient) -> None:
    """One end alone would mean one month from there; a time without offset the account's time zone."""
    recorder = Recorder(page("incidents", [{"id": "Q1", "title": "Disk"}, {"id": "Q1", "title": "Disk"}], False))
    since = datetime(2026, 3, 1, 12, 59, 0, 900_000, tzinfo=timezone(timedelta(hours=1)))
    (incident,) = await make_client(recorder).find_incidents("a&b", since=since, until=NOW)
    assert incident.id == "Q1"
    assert recorder.params() == [
        ("incident_key", "a&b"),
        ("statuses[]", "triggered"),
        ("statuses[]", "acknowledged"),
        ("statuses[]", "resolved"),
        ("since", "2026-03-01T11:59:00+00:00"),
        ("until", "2026-03-01T12:00:00+00:00"),
        ("sort_by", "created_at:asc"),
        ("limit", "100"),
        ("offset", "0"),
    ]
    headers = recorder.requests[0].headers
    assert headers["authorization"] == f"Token token={API_KEY}"
    assert headers["accept"] == "application/vnd.pagerduty+json;version=2"
    assert "content-type" not in headers


async def test_an_empty_dedup_key_is_never_looked_up(make_client: MakeClient) -> None:
    """PagerDuty takes an empty filter for none and lists every open incident."""
    with pytest.raises(InputError, match="every open incident"):
        await make_client(Recorder()).find_incidents(" ", since=NOW, until=NOW)


async def test_rest_without_a_key_says_what_to_set(make_client: MakeClient) -> None:
    """Paging alone needs none, so its absence shows only here."""
    with pytest.raises(ConfigError, match="Set PAGERDUTY_API_KEY"):
        await make_client(Recorder(), api_key=None).get_on_calls()


async def test_on_calls_are_read_with_addresses(make_client: MakeClient) -> None:
    """References hold no e-mail address; without times PagerDuty means now."""
    recorder = Recorder(page("oncalls", [oncall(1)], False))
    found = await make_client(recorder).get_on_calls(
        escalation_policy_ids=["P1", " P2 "], schedule_ids="S1", user_ids=("U1",), earliest=True
    )
    assert [(entry.user.name, entry.user.email) for entry in found.oncalls] == [("User 1", "u@example.com")]
    assert recorder.params() == [
        ("include[]", "users"),
        ("schedule_ids[]", "S1"),
        ("escalation_policy_ids[]", "P1"),
        ("escalation_policy_ids[]", "P2"),
        ("user_ids[]", "U1"),
        ("earliest", "true"),
        ("limit", "100"),
        ("offset", "0"),
    ]


@pytest.mark.parametrize(
    ("since", "until", "sent"),
    [
        (None, None, None),
        (NOW - timedelta(hours=1), None, ("2026-03-01T11:00:00+00:00", "2026-03-01T12:00:00+00:00")),
        (NOW + timedelta(hours=1), None, ("2026-03-01T13:00:00+00:00", "2026-03-01T13:00:00+00:00")),
        (None, NOW - timedelta(hours=1), ("2026-03-01T11:00:00+00:00", "2026-03-01T11:00:00+00:00")),
        (None, NOW + timedelta(seconds=0.5), ("2026-03-01T12:00:00+00:00", "2026-03-01T12:00:01+00:00")),
    ],
)
async def test_a_missing_end_of_the_range_is_filled(
    make_client: MakeClient, since: datetime | None, until: datetime | None, sent: tuple[str, str] | None
) -> None:
    """PagerDuty fills it with now, and refuses an end before the beginning."""
    recorder = Recorder(page("oncalls", [], False))
    await make_client(recorder).get_on_calls(since=since, until=until)
    params = dict(recorder.params())
    assert (params.get("since"), params.get("until")) == (sent or (None, None))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"since": datetime(2026, 3, 1)}, "without an offset"),
        ({"since": NOW, "until": NOW - timedelta(days=1)}, "is before since"),
        ({"escalation_policy_ids": [""]}, "would list everything"),
        ({"user_ids": [None]}, "would list everything"),
        ({"limit": 0}, "expected 1 or more"),
    ],
)
async def test_on_calls_refuse_inputs_that_would_answer_another_question(
    make_client: MakeClient, inputs: dict[str, Any], words: str
) -> None:
    """An empty id from a missing variable must not notify the whole company."""
    with pytest.raises(InputError, match=words):
        await make_client(Recorder()).get_on_calls(**inputs)


async def test_pages_advance_by_the_rows_that_came(make_client: MakeClient) -> None:
    """A page may be shorter than asked for; more=false or an empty page is the end."""
    recorder = Recorder(
        page("oncalls", [oncall(1), oncall(2)], True), page("oncalls", [oncall(3)], None), page("oncalls", [], True)
    )
    found = await make_client(recorder).get_on_calls()
    assert [entry.user.id for entry in found.oncalls] == ["U1", "U2", "U3"]
    assert found.more is False
    assert [dict(recorder.params(number))["offset"] for number in range(3)] == ["0", "2", "3"]


@pytest.mark.parametrize(("limit", "more_of_page", "more"), [(2, False, True), (3, True, True), (3, False, False)])
async def test_a_list_that_is_cut_says_so(make_client: MakeClient, limit: int, more_of_page: bool, more: bool) -> None:
    """Nobody is left out in silence."""
    recorder = Recorder(page("oncalls", [oncall(1), oncall(2), oncall(3)], more_of_page))
    found = await make_client(recorder).get_on_calls(limit=limit)
    assert (len(found.oncalls), found.more, len(recorder.requests)) == (limit, more, 1)


async def test_the_10000_row_wall_is_reported(make_client: MakeClient) -> None:
    """PagerDuty reaches no row past it; asking would be a 400."""
    recorder = Recorder(*(page("oncalls", [oncall(number) for number in range(100)], True) for _ in range(101)))
    found = await make_client(recorder).get_on_calls(limit=20_000)
    assert (len(found.oncalls), found.more, len(recorder.requests)) == (10_000, True, 100)


@pytest.mark.parametrize("answer", [{}, {"oncalls": None}, {"oncalls": ["x"]}, {"oncalls": [{"user": None}]}])
async def test_a_list_that_cannot_be_read_is_no_empty_list(make_client: MakeClient, answer: dict[str, Any]) -> None:
    """ "Nobody is on call" must not come from a misunderstanding."""
    client = make_client(Recorder(httpx2.Response(200, json={**answer, "more": False})))
    with pytest.raises(ProviderOutcomeUnknown, match="GET /oncalls"):
        await client.get_on_calls()


async def test_a_redirect_is_not_followed(make_client: MakeClient) -> None:
    """The body holds a key, which goes where it was meant to go and nowhere else."""
    recorder = Recorder(httpx2.Response(307, headers={"location": "https://elsewhere/"}))
    with pytest.raises(ProviderUnavailable, match="Redirects are not followed"):
        await make_client(recorder).enqueue(EVENT, ROUTING_KEY)
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [
        (httpx2.ConnectError("refused"), ProviderUnavailable),
        (httpx2.ReadTimeout("silence"), ProviderOutcomeUnknown),
        (httpx2.InvalidURL("bad"), ProviderUnavailable),
        (OSError("odd"), ProviderOutcomeUnknown),
    ],
)
async def test_a_failure_is_tried_once_and_mapped(
    make_client: MakeClient, failure: Exception, verdict: type[ProviderError]
) -> None:
    """The one place that repeats is the engine."""
    recorder = Recorder(failure)
    with pytest.raises(ProviderError) as caught:
        await make_client(recorder).enqueue(EVENT, ROUTING_KEY)
    assert type(caught.value) is verdict
    assert len(recorder.requests) == 1


async def test_no_error_carries_a_key(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    """Neither its text, nor what it was raised from, nor the log of the HTTP library."""
    caplog.set_level(logging.DEBUG)
    echo = f"bad key {ROUTING_KEY} and {API_KEY}"
    for answer in (httpx2.ReadError(echo), httpx2.Response(400, text=echo), httpx2.Response(500, json=echo)):
        client = make_client(Recorder(answer, answer))
        for call in (client.enqueue(EVENT, ROUTING_KEY), client.get_on_calls()):
            with pytest.raises(ProviderError) as caught:
                await call
            assert caught.value.__context__ is None
            shown = "".join(traceback.format_exception(caught.value)) + str(vars(caught.value)) + caplog.text
            assert API_KEY not in shown
            assert f"•••• {API_KEY[-4:]}" in shown


class Stream(httpx2.AsyncByteStream):
    """A body that comes in pieces, then fails if told so."""

    def __init__(self, *pieces: bytes, failure: Exception | None = None) -> None:
        self._pieces = pieces
        self._failure = failure

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._failure:
            raise self._failure


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (202, ProviderOutcomeUnknown),
        (400, ProviderOutcomeUnknown),
        (429, ProviderUnavailable),
        (500, ProviderOutcomeUnknown),
    ],
)
async def test_half_an_answer_counts_only_by_its_status(
    make_client: MakeClient, status: int, verdict: type[ProviderError]
) -> None:
    """A refusal or acceptance must be read to its end to be believed."""
    stream = Stream(json.dumps(ACCEPTED).encode(), failure=httpx2.ReadError("cut"))
    with pytest.raises(ProviderError) as caught:
        await make_client(Recorder(httpx2.Response(status, stream=stream))).enqueue(EVENT, ROUTING_KEY)
    assert type(caught.value) is verdict
    assert caught.value.status == status


async def test_an_answer_over_10_mib_is_not_read_on(make_client: MakeClient) -> None:
    """A stray stream must not fill the memory."""
    pieces = [b" " * 1024 * 1024] * 11
    stream = Stream(*pieces, failure=AssertionError("read on"))
    with pytest.raises(ProviderOutcomeUnknown, match="no answer of that length is read") as caught:
        await make_client(Recorder(httpx2.Response(200, stream=stream))).get_on_calls()
    assert f"{11 * 1024 * 1024:,}" in str(caught.value)
    assert ANSWER_BYTES < 11 * 1024 * 1024


async def test_compressed_answers_are_read(make_client: MakeClient) -> None:
    """None is asked for, yet a gateway may compress; what is not what it says leaves the outcome open."""
    headers = {"content-encoding": "gzip"}
    good = httpx2.Response(202, headers=headers, stream=Stream(gzip.compress(json.dumps(ACCEPTED).encode())))
    bad = httpx2.Response(202, headers=headers, stream=Stream(b"no gzip"))
    client = make_client(Recorder(good, bad))
    assert (await client.enqueue(EVENT, ROUTING_KEY)).dedup_key == "disk"
    with pytest.raises(ProviderOutcomeUnknown, match="DecodingError"):
        await client.enqueue(EVENT, ROUTING_KEY)


async def test_the_whole_request_has_a_bound(clock: StoppedClock) -> None:
    """A server that sends a byte now and then would hold a page for ever."""

    async def never(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    settings = PagerDutySettings(total_timeout=timedelta(milliseconds=20))
    client = PagerDutyClient(settings, clock=clock, transport=httpx2.MockTransport(never))
    with pytest.raises(ProviderOutcomeUnknown, match="the time for one request ran out"):
        await client.enqueue(EVENT, ROUTING_KEY)


async def test_a_cancelled_request_stays_cancelled(clock: StoppedClock) -> None:
    """Cancelling is the engine's word and no failure of the service."""
    started = asyncio.Event()

    async def never(request: httpx2.Request) -> httpx2.Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    client = PagerDutyClient(PagerDutySettings(), clock=clock, transport=httpx2.MockTransport(never))
    task = asyncio.create_task(client.enqueue(EVENT, ROUTING_KEY))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_proxy_that_cannot_be_used_means_nothing_was_sent(
    clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page waits until the operator has mended the variable."""
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:hunter2@proxy")
    client = PagerDutyClient(PagerDutySettings(), clock=clock)
    with pytest.raises(ProviderUnavailable, match="HTTPS_PROXY") as caught:
        await client.enqueue(EVENT, ROUTING_KEY)
    assert "hunter2" not in str(caught.value)


async def test_no_cookie_is_kept(make_client: MakeClient) -> None:
    """Requests are independent of each other."""
    accepted = [httpx2.Response(202, json=ACCEPTED, headers={"set-cookie": "session=1"}) for _ in range(2)]
    recorder = Recorder(*accepted)
    client = make_client(recorder)
    await client.enqueue(EVENT, ROUTING_KEY)
    await client.enqueue(EVENT, ROUTING_KEY)
    assert "cookie" not in recorder.requests[1].headers


async def test_a_closed_client_opens_again(make_client: MakeClient) -> None:
    """Closing twice, or before the first request, is allowed."""
    client = make_client(Recorder(httpx2.Response(202, json=ACCEPTED)))
    await client.aclose()
    await client.enqueue(EVENT, ROUTING_KEY)
    await client.aclose()
    await client.aclose()


async def test_a_retry_after_date_is_measured_by_the_clock(make_client: MakeClient) -> None:
    """On the virtual clock of a test as on the real one."""
    moment = datetime(2026, 3, 1, 12, 0, 9, tzinfo=UTC)
    headers = {"retry-after": moment.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    with pytest.raises(ProviderUnavailable) as caught:
        await make_client(Recorder(httpx2.Response(503, headers=headers))).enqueue(EVENT, ROUTING_KEY)
    assert caught.value.retry_after == timedelta(seconds=9)

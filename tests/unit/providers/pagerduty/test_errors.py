"""What each answer means, that none breaks the reader, and that no key gets out."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from resolute.errors import ProviderError, ProviderOutcomeUnknown, ProviderRejected, ProviderUnavailable
from resolute.providers.pagerduty.errors import (
    NOT_SENT,
    TRANSPORT_ERRORS,
    Host,
    mask_secrets,
    read_answer,
    read_failure,
    retry_after,
)
from tests.unit.providers.pagerduty.conftest import NOW

KEY = "0123456789abcdef0123456789abcdef"
HTML = b"<!DOCTYPE html><html><head><title>502\n Bad Gateway</title></head></html>"
JSON = b'{"error": {"message": "Not Found", "code": 2100}}'


def answer(host: Host, status: int, body: bytes = b"", **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(host, status, names, body, request="POST /v2/enqueue", now=NOW, secrets=[KEY])


def error_of(host: Host, status: int, body: bytes = b"", **headers: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        answer(host, status, body, **headers)
    return caught.value


def body_of(data: object) -> bytes:
    return json.dumps(data).encode()


def test_202_with_success_is_acceptance() -> None:
    """The one answer of Events that counts as done."""
    data = {"status": "success", "message": "Event processed", "dedup_key": "k"}
    assert answer("events", 202, body_of(data)) == data


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_with_an_object_is_success_of_rest(status: int) -> None:
    """Notes answer 200 in the schema and 201 elsewhere."""
    assert answer("rest", status, b'\xef\xbb\xbf{"note": {}}') == {"note": {}}


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (400, body_of({"status": "invalid event", "errors": ["x"]}), ProviderRejected),
        (400, b"Invalid routing key", ProviderRejected),
        (400, b"", ProviderRejected),
        (400, HTML, ProviderUnavailable),
        (401, JSON, ProviderUnavailable),
        (403, HTML, ProviderUnavailable),
        (404, JSON, ProviderUnavailable),
        (407, b"", ProviderUnavailable),
        (408, b"", ProviderUnavailable),
        (413, b"", ProviderUnavailable),
        (429, b"", ProviderUnavailable),
        (301, b"", ProviderUnavailable),
        (307, HTML, ProviderUnavailable),
        (503, HTML, ProviderUnavailable),
        (500, JSON, ProviderOutcomeUnknown),
        (500, HTML, ProviderOutcomeUnknown),
        (502, HTML, ProviderOutcomeUnknown),
        (504, b"", ProviderOutcomeUnknown),
        (202, b"", ProviderOutcomeUnknown),
        (202, HTML, ProviderOutcomeUnknown),
        (202, b'{"status": "throttle exceeded"}', ProviderOutcomeUnknown),
        (202, b'["success"]', ProviderOutcomeUnknown),
        (200, b'{"status": "success"}', ProviderOutcomeUnknown),
        (599, b"", ProviderOutcomeUnknown),
        (101, b"", ProviderOutcomeUnknown),
    ],
)
def test_events_rejects_by_400_alone(status: int, body: bytes, verdict: type[ProviderError]) -> None:
    """A page is given up for the service's own refusal and for nothing else."""
    error = error_of("events", status, body)
    assert type(error) is verdict
    assert error.status == status


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        *((status, JSON, ProviderRejected) for status in (400, 401, 402, 403, 404, 409, 413, 422)),
        (401, b"", ProviderRejected),
        (401, b"HTTP Token: Access denied.\n", ProviderRejected),
        *((status, HTML, ProviderUnavailable) for status in (400, 401, 403, 404, 413)),
        *((status, JSON, ProviderUnavailable) for status in (302, 407, 408, 425, 429, 503)),
        *((status, JSON, ProviderOutcomeUnknown) for status in (500, 501, 502, 504)),
        (200, HTML, ProviderOutcomeUnknown),
        (200, b"[]", ProviderOutcomeUnknown),
    ],
)
def test_rest_rejects_by_4xx_of_its_own(status: int, body: bytes, verdict: type[ProviderError]) -> None:
    """A 404 with a page of HTML is a proxy's word, not the service's."""
    assert type(error_of("rest", status, body)) is verdict


@pytest.mark.parametrize(
    ("body", "message", "code", "errors"),
    [
        (body_of({"error": {"message": "Bad", "code": 2001, "errors": ["a", "b"]}}), "Bad: a; b", 2001, ("a", "b")),
        (body_of({"error": {"message": "Bad", "code": "2001"}}), "Bad", 2001, ()),
        (body_of({"error": {"message": "Bad", "errors": "a"}}), "Bad: a", None, ("a",)),
        (body_of({"error": {"message": "Bad", "errors": {"from": ["x"]}}}), "Bad: from: x", None, ("from: x",)),
        (body_of({"error": "Account key"}), "Account key", None, ("Account key",)),
        (body_of({"error": ["links: 50"]}), "links: 50", None, ("links: 50",)),
        (body_of({"status": "invalid event", "message": "Bad", "errors": ["e"]}), "Bad: e", None, ("e",)),
        (body_of({"status": "throttle exceeded"}), "throttle exceeded", None, ()),
        (body_of({"errors": None, "message": None}), "no reason given", None, ()),
        (body_of(["a", 3, None]), "a; 3", None, ("a", "3")),
        (body_of("text"), "text", None, ("text",)),
        (body_of({"error": {"message": {"x": 1}, "code": True}}), "no reason given", None, ()),
        (b"Invalid routing key", "Invalid routing key", None, ("Invalid routing key",)),
        (b"", "no reason given", None, ()),
        (b"\xff\xfe", "\ufffd\ufffd", None, ("\ufffd\ufffd",)),
        (b'{"error": "\\ud800"}', "\ufffd", None, ("\ufffd",)),
        (HTML, 'an HTML page titled "502 Bad Gateway", which the API itself does not send', None, ()),
        (b"[" * 100_000, "[" * 100, None, ("[" * 2_000,)),
    ],
)
def test_every_known_shape_of_an_error_is_read(
    body: bytes, message: str, code: int | None, errors: tuple[str, ...]
) -> None:
    """Clients of others crashed on most of these."""
    error = error_of("rest", 422 if body is not HTML else 500, body)
    assert f": {message}" in str(error)
    assert (error.code, error.errors) == (code, errors)


def test_at_most_2000_characters_are_kept() -> None:
    """A service that repeats a whole request must not fill the journal."""
    error = error_of("rest", 400, body_of({"error": {"message": "m" * 9_000, "errors": ["e" * 9_000] * 90}}))
    assert len(str(error)) <= 2_000
    assert sum(map(len, error.errors)) <= 2_000


def test_the_message_says_what_happened_what_was_expected_and_what_to_do() -> None:
    """Read by somebody at three in the morning."""
    body = body_of({"status": "invalid event", "message": "Event object is invalid", "errors": ["'x' is missing"]})
    assert str(error_of("events", 400, body)) == (
        "PagerDuty answered 400 to POST /v2/enqueue, expected 202 with status success: "
        "Event object is invalid: 'x' is missing. Repeating it cannot help."
    )
    assert str(error_of("events", 429, b"", retry_after="7")) == (
        "PagerDuty answered 429 to POST /v2/enqueue, expected 202 with status success: no reason given. "
        "Nothing was done; it can be sent again in 7 s. PagerDuty takes about 120 events a minute for one routing key."
    )


@pytest.mark.parametrize(
    ("host", "status", "body", "words"),
    [
        ("events", 400, b"Invalid routing key", "a REST API key (20 characters) is none"),
        ("events", 400, body_of({"errors": ["Length of 'routing_key' is incorrect"]}), "Integration Key"),
        ("events", 403, b"", "proxy or firewall"),
        ("events", 302, b"", "Redirects are not followed"),
        ("rest", 401, b"", "PAGERDUTY_REGION=eu"),
        ("rest", 403, JSON, "a read-only key cannot write"),
        ("rest", 404, HTML, "login page"),
        ("rest", 400, body_of({"error": {"message": 'Malformed "From" header'}}), "PAGERDUTY_FROM"),
        ("rest", 400, body_of({"error": {"message": "Requester User Not Found"}}), "PAGERDUTY_FROM"),
    ],
)
def test_usual_mistakes_come_with_their_remedy(host: Host, status: int, body: bytes, words: str) -> None:
    """The wrong kind of key, the wrong region, no From: most failures are one of these."""
    assert words in str(error_of(host, status, body))


def test_a_redirect_names_its_target_without_the_query() -> None:
    """A query may hold tokens."""
    error = error_of("rest", 302, location="https://login.example/sso?token=abc")
    assert "https://login.example/sso." in str(error)
    assert "abc" not in str(error)


def test_the_request_id_is_kept() -> None:
    """PagerDuty's support asks for it."""
    assert error_of("rest", 500, X_Request_Id="abc-1").request_id == "abc-1"
    assert error_of("rest", 500).request_id is None


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, timedelta(seconds=7)),
        ({"retry-after": "1.5"}, timedelta(seconds=1.5)),
        ({"retry-after": "0"}, timedelta(0)),
        ({"retry-after": "86400"}, timedelta(hours=1)),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, timedelta(seconds=30)),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, timedelta(0)),
        ({"retry-after": "Fri, 01 Mar 2999 12:00:00 GMT"}, timedelta(hours=1)),
        ({"ratelimit-reset": "42"}, timedelta(seconds=42)),
        ({"retry-after": "soon", "ratelimit-reset": "42"}, timedelta(seconds=42)),
        ({"retry-after": "5", "ratelimit-reset": "42"}, timedelta(seconds=5)),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "99999999999999999999"}, None),
        ({"retry-after": "32 Foo 2026 GMT"}, None),
        ({"ratelimit-reset": "Sun, 01 Mar 2026 12:00:30 GMT"}, None),
        ({}, None),
    ],
)
def test_the_servers_own_delay_is_read(headers: dict[str, str], wait: timedelta | None) -> None:
    """Seconds or a date, an hour at most; nonsense is ignored."""
    assert retry_after(headers, NOW) == wait


def test_a_delay_comes_with_the_error() -> None:
    """Header names are of any case."""
    assert error_of("rest", 429, Ratelimit_Reset="3").retry_after == timedelta(seconds=3)


def test_a_routing_key_that_is_used_up_rests_though_no_time_is_named() -> None:
    """The Events API names none; each new page would otherwise be one more request that it refuses."""
    assert error_of("events", 429, body_of({"status": "throttle exceeded"})).retry_after == timedelta(seconds=5)
    assert error_of("events", 503).retry_after is None


@pytest.mark.parametrize("text", [KEY, KEY.upper()])
@pytest.mark.parametrize(
    "wrap", [lambda key: key, lambda key: f"bad {key}!", lambda key: body_of({"message": key, "errors": [{"k": key}]})]
)
def test_a_key_that_the_service_repeats_is_masked(text: str, wrap: Any) -> None:
    """Errors are stored, logged and shown."""
    body = wrap(text)
    error = error_of("events", 400, body if isinstance(body, bytes) else body.encode(), x_request_id=text)
    shown = f"{error} {error.errors} {error.request_id}"
    assert KEY not in shown.lower()
    assert "•••• cdef" in shown


def test_no_part_of_a_key_survives_a_cut() -> None:
    """Masked first, cut afterwards."""
    error = error_of("events", 400, b"x" * 1_990 + KEY.encode())
    assert "0123" not in error.errors[0]


def test_very_short_secrets_do_not_mask_ordinary_words() -> None:
    """An empty or three-letter secret stands in every text."""
    assert mask_secrets("nothing was sent", ["", "sent"]) == "nothing was sent"


def transport_error_classes() -> list[type[Exception]]:
    """Every exception of the library, so that a new one of a later version gets a case by itself."""
    found = {
        value
        for value in vars(httpx2).values()
        if inspect.isclass(value) and issubclass(value, httpx2.TransportError | httpx2.StreamError)
    }
    found |= {httpx2.InvalidURL, httpx2.DecodingError, httpx2.TooManyRedirects}
    return sorted(found, key=lambda cls: cls.__name__)


NOTHING_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "InvalidURL"}


@pytest.mark.parametrize("cls", transport_error_classes(), ids=lambda cls: cls.__name__)
def test_every_error_of_the_http_library_is_mapped(cls: type[Exception]) -> None:
    """Before the first byte means nothing happened; anything later may have come too late."""
    error = cls() if issubclass(cls, httpx2.StreamError) and cls is not httpx2.StreamError else cls("the reason")
    mapped = read_failure(error, request="POST /v2/enqueue", secrets=[KEY])
    assert isinstance(error, TRANSPORT_ERRORS)
    assert type(mapped) is (ProviderUnavailable if cls.__name__ in NOTHING_SENT else ProviderOutcomeUnknown)
    assert cls.__name__ in str(mapped)


def test_no_class_of_the_table_was_forgotten() -> None:
    """The table and the cases above name the same classes."""
    assert {cls.__name__ for cls in NOT_SENT} == NOTHING_SENT


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError("reset"), OSError(5, "Input/output error")])
def test_errors_of_the_operating_system_leave_the_outcome_open(error: Exception) -> None:
    """What the library does not wrap is mapped too."""
    assert type(read_failure(error, request="POST /v2/enqueue")) is ProviderOutcomeUnknown


def test_a_failure_keeps_neither_the_request_nor_a_key() -> None:
    """The library's exception holds the request with its headers."""
    request = httpx2.Request("GET", "https://api.pagerduty.com", headers={"Authorization": f"Token token={KEY}"})
    mapped = read_failure(httpx2.ReadError(f"lost {KEY}", request=request), request="GET /", secrets=[KEY])
    assert mapped.__cause__ is None
    assert mapped.__context__ is None
    assert KEY not in f"{mapped} {vars(mapped)}"

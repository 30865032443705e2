"""What a delivery says: its input and the id of its run."""

from __future__ import annotations

import pytest

from resolute import github, secret, slack, unsigned, webhook
from resolute.model.webhook import Delivery, Webhook
from resolute.server.content import MAX_DEPTH, MAX_FIELDS, Unusable, input_of, read_content, run_id_of

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def delivery(body: bytes = b"{}", kind: str | None = JSON, **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery({**named, **({} if kind is None else {"content-type": kind})}, body)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("kind", "body", "content"),
    [
        (JSON, b'{"a": [1, 2.5, null, true, "\xc3\xa9"]}', {"a": [1, 2.5, None, True, "é"]}),
        ("application/vnd.pagerduty+json; charset=UTF-8", b"[1]", [1]),
        (JSON, b"", None),
        (JSON, nested(MAX_DEPTH), pytest.approx),
        (JSON, b'{"text": "' + b"[{" * 500 + b'\\""}', {"text": "[{" * 500 + '"'}),
        (FORM, b"a=1&b=x+y&a=2&empty=&a=3", {"a": ["1", "2", "3"], "b": "x y", "empty": ""}),
        ("text/plain", b"disk full", "disk full"),
        (None, b'{"a": 1}', '{"a": 1}'),
    ],
)
def test_body_is_read_as_its_type_says(kind: str | None, body: bytes, content: object) -> None:
    """JSON data, a form's fields, or the text."""
    found = read_content(delivery(body, kind))
    assert found == content or content is pytest.approx


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, delivery(b"{")),
        (400, delivery(b"not json")),
        (400, delivery(b'{"a": NaN}')),
        (400, delivery(b"[1] [2]")),
        (400, delivery(b"\xff\xfe")),
        (400, delivery(b"\xef\xbb\xbf{}")),
        (400, delivery(b"9" * 5000)),
        (400, delivery(nested(MAX_DEPTH + 1))),
        (400, delivery(b'{"a":' * 100_000)),
        (400, delivery(b'["' + b'",["' * MAX_DEPTH)),
        (400, delivery(b"&".join([b"a=1"] * (MAX_FIELDS + 1)), FORM)),
        (400, delivery(b"a=%ff", FORM)),
        (415, delivery(kind="multipart/form-data; boundary=x")),
        (415, delivery(kind="application/json; charset=utf-16")),
        (415, delivery(content_encoding="gzip")),
    ],
)
def test_body_that_cannot_be_read_is_refused(status: int, sent: Delivery) -> None:
    """With a status that tells the sender what to send instead."""
    with pytest.raises(Unusable) as caught:
        read_content(sent)
    assert caught.value.status == status


def test_deep_json_is_refused_in_time() -> None:
    """A megabyte of brackets, or of quotes and brackets, costs no more than reading it."""
    for body in (b"[" * 1_000_000, b'"[' * 500_000, b'"\\' * 500_000, b"[" * 100 + b'"' + b"\\" * 900_000):
        with pytest.raises(Unusable):
            read_content(delivery(body))


def test_headers_come_beside_the_body_where_they_are_asked_for() -> None:
    """Only those that are named, in lower case; one that did not come is not there."""
    sent = delivery(x_github_event="push", x_other="kept out")
    trigger = webhook("/github", signature=github(secret("S")), headers=["X-GitHub-Event", "X-Absent"])
    assert input_of(trigger, sent, {"a": 1}) == {"body": {"a": 1}, "headers": {"x-github-event": "push"}}
    assert input_of(webhook("/github", signature=unsigned), sent, {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("trigger", "event"),
    [
        (webhook("/a", signature=unsigned, event_id="header:X-Id"), "from-header"),
        (webhook("/a", signature=unsigned, event_id="event.id"), "from-body"),
        (webhook("/a", signature=unsigned, event_id="list.1"), "7"),
        (webhook("/a", signature=slack(secret("S"))), "Ev123"),
        (webhook("/a", signature=github(secret("S"))), "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
    ],
)
def test_run_is_named_after_the_event(trigger: Webhook, event: str) -> None:
    """By the place that the webhook names, or where that sender puts it."""
    body = {"event": {"id": "from-body"}, "list": [0, 7], "event_id": "Ev123"}
    sent = delivery(x_id="from-header", x_github_delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    run_id = run_id_of("flow", trigger, sent, body)
    assert run_id.split(":")[0::2] == ["flow", event]


@pytest.mark.parametrize("event", ["", None, True, {}, []])
def test_event_without_an_id_is_known_by_its_bytes(event: object) -> None:
    """And by the path: the same bytes for another webhook are another event."""
    one, other = (webhook(path, signature=unsigned, event_id="id") for path in ("/a", "/b"))
    body = {"id": event}
    first = run_id_of("flow", one, delivery(b"1"), body)  # type: ignore[arg-type]
    assert first == run_id_of("flow", one, delivery(b"1"), body)  # type: ignore[arg-type]
    assert first != run_id_of("flow", one, delivery(b"2"), body)  # type: ignore[arg-type]
    assert first.rpartition(":")[0] != run_id_of("flow", other, delivery(b"1"), body).rpartition(":")[0]  # type: ignore[arg-type]


def test_signed_time_tells_equal_bytes_apart() -> None:
    """The same body at another time is another event, where the time is signed."""
    trigger = webhook("/slack", signature=slack(secret("S")))
    ids = {run_id_of("flow", trigger, delivery(x_slack_request_timestamp=at), {}) for at in ("1", "2", "2")}
    assert len(ids) == 2


@pytest.mark.parametrize("event", ["x" * 500, "a b", "ä", "../etc", "a:b", "\ud800", "~" + "0" * 64, "\n"])
def test_any_event_id_gives_a_run_id_that_can_be_typed(event: str) -> None:
    """One that is long or has other characters stands as its digest, and no two are the same."""
    trigger = webhook("/a", signature=unsigned, event_id="id")
    run_id = run_id_of("f" * 100, trigger, delivery(), {"id": event})
    assert run_id.isascii()
    assert run_id.isprintable()
    assert len(run_id) <= 200
    assert run_id != run_id_of("f" * 100, trigger, delivery(), {"id": event + "x"})
    assert not run_id.endswith(f":{event}")

"""What `/v2/enqueue` refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.simulator.account import PAYLOAD, Account

SEVERITY = "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
LENGTH = "Length of 'routing_key' is incorrect (should be 32 characters)"
LETTERS = "'routing_key' cannot contain non-alphanumeric characters."

REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"routing_key": None}, ["'routing_key' cannot be blank"]),
    ({"routing_key": "  "}, ["'routing_key' cannot be blank"]),
    ({"routing_key": "u" * 20}, [LENGTH]),
    ({"routing_key": "-" * 32}, [LETTERS]),
    ({"routing_key": "a-b"}, [LETTERS, LENGTH]),
    ({"event_action": None}, ["'event_action' is missing or blank"]),
    (
        {"event_action": "Trigger"},
        ["'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"],
    ),
    ({"event_action": "acknowledge", "dedup_key": None}, ["'dedup_key' is missing or blank"]),
    ({"event_action": "resolve", "dedup_key": ""}, ["'dedup_key' is missing or blank"]),
    ({"dedup_key": "k" * 256}, ["'dedup_key' is too long (maximum is 255 characters)"]),
    ({"dedup_key": 7}, ["'dedup_key' is invalid (must be a string)"]),
    (
        {"payload": {"summary": "Disk"}},
        ["'payload.source' is missing or blank", "'payload.severity' is missing or blank"],
    ),
    ({"payload": "Disk"}, ["'payload' is invalid (must be an object)"]),
    ({"payload": PAYLOAD | {"summary": ""}}, ["'payload.summary' is missing or blank"]),
    ({"payload": PAYLOAD | {"summary": "é" * 1025}}, ["'summary' is too long (maiximum is 1024 characters)"]),
    ({"payload": PAYLOAD | {"severity": "high"}}, [SEVERITY]),
    ({"payload": PAYLOAD | {"severity": "Critical"}}, [SEVERITY]),
    ({"event_action": "resolve", "payload": PAYLOAD | {"summary": ""}}, ["'payload.summary' is missing or blank"]),
    (
        {"payload": PAYLOAD | {"timestamp": "2021-10-22 5:01:32"}},
        ["'payload.timestamp' is invalid (must be ISO 8601, as in 2015-07-17T08:42:58Z)"],
    ),
    (
        {"payload": PAYLOAD | {"timestamp": "2021-02-30T05:01:32Z"}},
        ["'payload.timestamp' is invalid (must be ISO 8601, as in 2015-07-17T08:42:58Z)"],
    ),
    ({"payload": PAYLOAD | {"custom_details": "df -h"}}, ["'payload.custom_details' is invalid (must be an object)"]),
    ({"payload": PAYLOAD | {"class": 5}}, ["'payload.class' is invalid (must be a string)"]),
    ({"client_url": 5}, ["'client_url' is invalid (must be a string)"]),
    ({"links": [{"text": "graph"}, {"href": ""}]}, ["'link href' is missing or blank"] * 2),
    ({"images": [{"alt": "graph"}]}, ["'image src' is missing or blank"]),
    ({"images": [{"src": "http://x.invalid/a.png"}]}, ["'image src' is invalid (must be served over HTTPS)"]),
    ({"links": "https://x.invalid"}, ["'links' is invalid (must be a list of objects)"]),
]


@pytest.mark.parametrize(("change", "errors"), REFUSED)
def test_refusal_names_every_broken_rule(account: Account, change: dict[str, Any], errors: list[str]) -> None:
    """A client sees PagerDuty's own words for what is wrong, all of it in one answer."""
    event = {"routing_key": account.sim.routing_key, "event_action": "trigger", "dedup_key": "k", "payload": PAYLOAD}
    answer = account.post(event | change)
    assert answer.status == 400
    assert answer.json() == {"status": "invalid event", "message": "Event object is invalid", "errors": errors}


@pytest.mark.parametrize(
    "change",
    [
        {"payload": PAYLOAD | {"summary": "é" * 1024}},
        {"payload": PAYLOAD | {"timestamp": "2015-07-17T08:42:58.315+0000"}},
        {"payload": PAYLOAD | {"timestamp": "2015-07-17T08:42:58Z", "custom_details": None, "group": "g"}},
        {"event_action": "acknowledge", "payload": None},
        {"dedup_key": "k" * 255},
        {"links": [{"href": "https://x.invalid"}], "images": [{"src": "https://x.invalid/a.png"}]},
        {"field_of_the_future": 1},
    ],
)
def test_limits_are_not_drawn_too_tight(account: Account, change: dict[str, Any]) -> None:
    """What the documentation allows is accepted."""
    event = {"routing_key": account.sim.routing_key, "event_action": "trigger", "dedup_key": "k", "payload": PAYLOAD}
    assert account.post(event | change).status == 202


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"text"', b'{"a": NaN}', b"\xff\xfe", b"[" * 100_000])
def test_anything_but_a_json_object_is_unrecognized(account: Account, body: bytes) -> None:
    """Broken JSON has a body of its own."""
    answer = account.post(body)
    assert answer.status == 400
    assert answer.json() == {
        "status": "Unrecognized object",
        "message": "Event object format is unrecognized",
        "errors": ["JSON parse error"],
    }

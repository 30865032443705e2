"""No content costs a page: one test for each way in which PagerDuty refused somebody's event."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from resolute.providers.pagerduty.mend import (
    EVENT_BYTES,
    MendedEvent,
    encode_event,
    late_summary,
    mend_dedup_key,
    mend_event,
)
from resolute.providers.pagerduty.payloads import EventImage, EventLink

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
GOOD: dict[str, object] = {"summary": "Disk full", "source": "db-1", "severity": "critical"}


def mend(**fields: object) -> MendedEvent:
    return mend_event("trigger", {**GOOD, **fields}, dedup_key="disk", flow="disk-check")


def payload_of(mended: MendedEvent) -> dict[str, Any]:
    payload = mended.event["payload"]
    assert isinstance(payload, dict)
    return payload


def size_of(mended: MendedEvent) -> int:
    return len(encode_event(mended.event, ROUTING_KEY))


def test_a_good_event_is_sent_as_it_is() -> None:
    """Nothing is changed and nothing remarked where PagerDuty would take it."""
    details = {"metrics": {"cpu": 0.97}, "hosts": ["a", "b"]}
    mended = mend(
        component="disk",
        group="db",
        class_="space",
        custom_details=details,
        links=[EventLink(href="https://runbook", text="Runbook")],
        images=[EventImage(src="https://graph/1.png")],
        client="resolute",
        client_url="https://resolute",
        timestamp=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    assert mended.event == {
        "event_action": "trigger",
        "dedup_key": "disk",
        "payload": {
            "summary": "Disk full",
            "source": "db-1",
            "severity": "critical",
            "timestamp": "2026-03-01T12:00:00+00:00",
            "component": "disk",
            "group": "db",
            "class": "space",
            "custom_details": details,
        },
        "links": [{"href": "https://runbook", "text": "Runbook"}],
        "images": [{"src": "https://graph/1.png"}],
        "client": "resolute",
        "client_url": "https://resolute",
    }
    assert (mended.title, mended.dedup_key, mended.remarks) == ("Disk full", "disk", ())


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_acknowledge_and_resolve_carry_no_content(action: Any) -> None:
    """PagerDuty checks a payload there too, and refused resolves for an empty summary."""
    mended = mend_event(action, {**GOOD, "client": "c", "summary": ""}, dedup_key="disk", flow="f")
    assert mended.event == {"event_action": action, "dedup_key": "disk"}
    assert (mended.title, mended.remarks) == (f"{action} disk", ())


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (503, "503"),
        (True, "true"),
        (float("nan"), "NaN"),
        (["a", 1], '["a", 1]'),
        ("  Disk full\n", "Disk full"),
        ("<missing health.message>", "<missing health.message>"),
    ],
)
def test_a_summary_of_any_type_becomes_text(given: object, sent: str) -> None:
    """A status code makes a poor summary and a good page."""
    assert payload_of(mend(summary=given))["summary"] == sent


@pytest.mark.parametrize("given", ["", None, " \n\t "])
def test_an_empty_summary_is_replaced(given: object) -> None:
    """PagerDuty answers 'payload.summary' is missing or blank, and nobody is paged."""
    mended = mend(summary=given)
    assert payload_of(mended)["summary"] == "(no summary)"
    assert mended.remarks == ('summary missing, sent as "(no summary)"',)


def test_a_long_summary_is_cut_and_kept_whole_in_the_details() -> None:
    """PagerDuty refuses more than 1,024 characters, it never cuts. They are code points: an emoji is one."""
    text = "\U0001f525" * 2_000
    mended = mend(summary=text, custom_details={"cpu": 1})
    assert payload_of(mended)["summary"] == text[:1024]
    assert payload_of(mended)["custom_details"] == {"cpu": 1, "full_summary": text}
    assert mended.remarks == ("summary cut from 2000 to 1024 characters, the whole is in custom_details",)


def test_a_full_summary_does_not_overwrite_a_detail() -> None:
    """The flow's own entry of that name stays."""
    details = payload_of(mend(summary="x" * 1025, custom_details={"full_summary": "mine"}))["custom_details"]
    assert details == {"full_summary": "mine", "resolute_full_summary": "x" * 1025}


def test_a_summary_of_600_kilobytes_is_paged() -> None:
    """A whole log as summary exceeds the limit of the event; as much as fits is kept."""
    mended = mend(summary="x" * 600_000, custom_details={"cpu": 1})
    details = payload_of(mended)["custom_details"]
    assert details["cpu"] == 1
    assert len(details["full_summary"]) > 380_000
    assert size_of(mended) <= EVENT_BYTES
    assert len(mended.remarks) == 2


def test_nan_metrics_become_text() -> None:
    """NaN is no JSON: PagerDuty answers JSON parse error."""
    mended = mend(custom_details={"metrics": {"cpu": float("nan"), "load": float("inf")}})
    assert payload_of(mended)["custom_details"] == {"metrics": {"cpu": "NaN", "load": "Infinity"}}
    assert mended.remarks == ("custom_details: 2 numbers that JSON cannot hold sent as text (first at metrics.cpu)",)


def test_a_lone_surrogate_is_mended() -> None:
    """File names and cut UTF-16 bring half characters, which cannot be encoded."""
    mended = mend(summary="disk \ud800 full", custom_details={"pa\udcffth": "x"})
    assert payload_of(mended)["summary"] == "disk \ufffd full"
    assert payload_of(mended)["custom_details"] == {"pa\ufffdth": "x"}
    assert len(mended.remarks) == 2


@pytest.mark.parametrize(
    ("given", "sent", "remark"),
    [
        ("CRITICAL", "critical", 'severity "CRITICAL" sent as "critical"'),
        (" Warning ", "warning", 'severity " Warning " sent as "warning"'),
        ("info", "info", None),
        ("none", "error", 'severity "none" is none of critical, error, warning, info, sent as "error"'),
        (2, "error", 'severity "2" is none of critical, error, warning, info, sent as "error"'),
        (None, "error", 'no severity, sent as "error"'),
    ],
)
def test_severity_is_one_of_four(given: object, sent: str, remark: str | None) -> None:
    """PagerDuty takes exactly four words in lower case."""
    mended = mend(severity=given)
    assert payload_of(mended)["severity"] == sent
    assert mended.remarks == ((remark,) if remark else ())


@pytest.mark.parametrize(("flow", "source"), [("disk-check", "disk-check"), ("", "resolute")])
def test_an_empty_source_is_the_name_of_the_flow(flow: str, source: str) -> None:
    """An event without source is refused."""
    mended = mend_event("trigger", {**GOOD, "source": " "}, dedup_key="k", flow=flow)
    assert payload_of(mended)["source"] == source
    assert mended.remarks == (f'source missing, sent as "{source}"',)


def test_empty_optional_texts_are_left_out() -> None:
    """Empty means not given; other types become text."""
    payload = payload_of(mend(component="", group=None, class_=7))
    assert "component" not in payload
    assert "group" not in payload
    assert payload["class"] == "7"


@pytest.mark.parametrize(
    ("given", "sent", "remarked"),
    [
        ("2026-03-01T12:00:00.123Z", "2026-03-01T12:00:00.123Z", False),
        ("2026-03-01 12:00:00+00:00", "2026-03-01T12:00:00+00:00", False),
        (datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))), "2026-03-01T10:00:00+00:00", False),
        (datetime(2026, 3, 1, 12), "2026-03-01T12:00:00+00:00", True),
        ("2026-03-01", "2026-03-01T00:00:00+00:00", True),
        (date(2026, 3, 1), "2026-03-01T00:00:00+00:00", True),
        ("2021-10-22 5:01:32", None, True),
        (1_700_000_000, None, True),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), None, True),
        (None, None, False),
    ],
)
def test_a_timestamp_is_iso_8601_with_offset_or_left_out(given: object, sent: str | None, remarked: bool) -> None:
    """PagerDuty refuses the whole event for an hour of one digit."""
    mended = mend(timestamp=given)
    assert payload_of(mended).get("timestamp") == sent
    assert bool(mended.remarks) is remarked


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("text", {"details": "text"}),
        ([1, 2], {"details": [1, 2]}),
        (float("nan"), {"details": "NaN"}),
        (0, {"details": 0}),
    ],
)
def test_details_that_are_no_object_are_put_into_one(given: object, sent: object) -> None:
    """PagerDuty takes an object only."""
    mended = mend(custom_details=given)
    assert payload_of(mended)["custom_details"] == sent
    assert "not an object" in mended.remarks[-1]


@pytest.mark.parametrize("given", [None, {}, "", []])
def test_empty_details_are_left_out(given: object) -> None:
    """There is nothing to show, and nothing to remark."""
    mended = mend(custom_details=given)
    assert "custom_details" not in payload_of(mended)
    assert mended.remarks == ()


def test_links_and_images_that_are_incomplete_are_left_out() -> None:
    """One link without href would have the whole event refused."""
    mended = mend(
        links=[EventLink(text="no address"), {"href": "https://a"}, "https://b", None, 5, EventLink(href="https://c")],
        images=[EventImage(alt="x"), {"src": "http://plain"}, {"src": "HTTPS://ok", "alt": 3}],
    )
    assert mended.event["links"] == [{"href": "https://a"}, {"href": "https://b"}, {"href": "5"}, {"href": "https://c"}]
    assert mended.event["images"] == [{"src": "HTTPS://ok", "alt": "3"}]
    assert mended.remarks == ("2 links without href left out", "2 images without an https src left out")


def test_one_link_need_not_be_a_list() -> None:
    """What is meant is plain."""
    assert mend(links={"href": "https://a"}).event["links"] == [{"href": "https://a"}]
    assert "links" not in mend(links="").event


def test_details_of_600_kilobytes_are_replaced_by_a_marker() -> None:
    """Over 512 KB PagerDuty refuses the event for ever: the page matters more than its attachment."""
    mended = mend(custom_details={"log": "x" * 612_335})
    note = "details left out: 612,345 bytes, the limit is 512,000"
    assert payload_of(mended)["custom_details"] == {"resolute": note}
    assert mended.remarks == (f"custom_{note} for the whole event",)


def test_a_full_summary_stays_when_details_go() -> None:
    """It is what the person who is paged reads first."""
    mended = mend(summary="y" * 3_000, custom_details={"log": "x" * 600_000})
    assert set(payload_of(mended)["custom_details"]) == {"resolute", "full_summary"}


def test_everything_large_at_once_still_fits() -> None:
    """Details first, then pictures, links and the short texts."""
    mended = mend(
        summary="\U0001f525" * 600_000,
        custom_details={"log": "\U0001f525" * 600_000},
        links=[{"href": "https://" + "x" * 100_000}] * 9,
        images=[{"src": "https://" + "x" * 100_000}] * 9,
        **dict.fromkeys(("source", "component", "group", "class_", "client", "client_url"), "\U0001f525" * 100_000),
    )
    assert size_of(mended) <= EVENT_BYTES
    assert payload_of(mended)["source"] == "\U0001f525" * 1024
    assert len(mended.remarks) == 11


def test_details_just_under_the_limit_are_kept() -> None:
    """Measured with the routing key, as PagerDuty measures."""
    mended = mend(custom_details={"log": "x" * 511_600})
    assert EVENT_BYTES - 400 < size_of(mended) <= EVENT_BYTES
    assert mended.remarks == ()


def test_a_dedup_key_of_400_characters_is_shortened() -> None:
    """The same key every time, another one for another text: an alert must be found again."""
    mended = mend_event("resolve", {}, dedup_key="k" * 400, flow="f")
    assert len(mended.dedup_key) == 255
    assert mended.dedup_key.startswith("k" * 190 + ":")
    assert mended.event["dedup_key"] == mended.dedup_key == mend_dedup_key("k" * 400)[0]
    assert mended.dedup_key != mend_dedup_key("k" * 401)[0]
    assert mended.remarks == ("dedup_key of 400 characters replaced by one of 255, its end the SHA-256 of the whole",)


@pytest.mark.parametrize("key", ["k" * 255, " padded ", "é:/"])
def test_other_dedup_keys_are_not_touched(key: str) -> None:
    """It is the caller's name for the alert."""
    assert mend_dedup_key(key) == (key, None)


def test_dedup_keys_with_half_characters_stay_apart() -> None:
    """Mended alone, two of them would become one alert."""
    assert mend_dedup_key("a\ud800")[0] != mend_dedup_key("a\ud801")[0]


@pytest.mark.parametrize(
    ("late", "prefix"),
    [
        (timedelta(seconds=59), ""),
        (timedelta(minutes=48, seconds=10), "[48 min late] "),
        (timedelta(hours=3, minutes=5), "[3 h 5 min late] "),
        (timedelta(days=2, hours=1), "[2 d 1 h late] "),
        (-timedelta(hours=1), ""),
    ],
)
def test_a_late_page_says_so(late: timedelta, prefix: str) -> None:
    """Who is paged must not take an old alarm for a new one."""
    event = mend().event
    late_event = late_summary(event, late)
    assert late_event["payload"] == {**GOOD, "summary": f"{prefix}Disk full"}
    assert event == mend().event


def test_a_late_summary_is_cut_again_and_fits() -> None:
    """The words in front may not push the event over a limit."""
    mended = mend(summary="x" * 1_024, custom_details={"log": "x" * 510_500})
    late = late_summary(mended.event, timedelta(days=400, hours=23))
    assert isinstance(late["payload"], dict)
    assert len(str(late["payload"]["summary"])) == 1_024
    assert len(encode_event(late, ROUTING_KEY)) <= EVENT_BYTES


def test_a_late_resolve_is_unchanged() -> None:
    """It has no summary."""
    event = mend_event("resolve", {}, dedup_key="k", flow="f").event
    assert late_summary(event, timedelta(hours=1)) == event


def test_the_body_is_ascii_json_with_the_routing_key() -> None:
    """Counted bytes are then the bytes sent."""
    body = encode_event(mend(summary="Plattenspeicher läuft über").event, ROUTING_KEY)
    assert body.isascii()
    assert json.loads(body)["routing_key"] == ROUTING_KEY

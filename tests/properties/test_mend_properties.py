"""No content costs a page: properties of the mending that take longer than the unit floor allows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolute.providers.pagerduty.mend import EVENT_BYTES, encode_event, late_summary, mend_event
from resolute.providers.pagerduty.payloads import EventLink
from resolute.providers.pagerduty.plain import MAX_VALUES, Mends, PlainMaker, TooManyValues
from tests.unit.providers.pagerduty.test_mend import ROUTING_KEY, mend, payload_of, size_of


def test_a_structure_that_unfolds_without_end_is_given_up() -> None:
    """Sharing makes small objects huge in JSON: ten lists of ten lists of ten …"""
    many: Any = ["x"]
    for _ in range(12):
        many = [many] * 10
    with pytest.raises(TooManyValues):
        PlainMaker(Mends()).plain(many, "details")
    assert PlainMaker(Mends()).text(many, "summary") == f"({MAX_VALUES:,} values or more)"


def test_details_that_unfold_without_end_are_replaced_by_a_marker() -> None:
    """Shared parts make a small object larger than any event."""
    many: Any = ["x"]
    for _ in range(12):
        many = [many] * 10
    mended = mend(custom_details={"many": many}, links=many)
    assert "more than 512,000 bytes" in payload_of(mended)["custom_details"]["resolute"]
    assert len(mended.remarks) == 2


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.decimals()
    | st.builds(object)
    | st.builds(ValueError, st.text()),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.none() | st.integers() | st.text(st.characters(codec=None)), inner)
        | st.tuples(inner, inner)
        | st.builds(EventLink, href=inner, text=inner)
        | st.fixed_dictionaries({"src": inner, "href": inner})
    ),
    max_leaves=20,
)
NAMES = (
    *("summary", "source", "severity", "component", "group", "class_", "custom_details"),
    *("links", "images", "client", "client_url", "timestamp"),
)


@settings(max_examples=100, deadline=None)
@given(fields=st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, anything)), key=st.text(max_size=600))
def test_whatever_is_given_the_event_is_one_that_pagerduty_takes(fields: dict[str, object], key: str) -> None:
    """The documented limits hold for any content, and the same content gives the same event."""
    mended = mend_event("trigger", fields, dedup_key=key, flow="flow")
    body = encode_event(mended.event, ROUTING_KEY)
    event = json.loads(body, parse_constant=pytest.fail)
    payload = event["payload"]
    assert len(body) <= EVENT_BYTES
    assert 1 <= len(payload["summary"].strip()) <= 1_024
    assert payload["source"].strip()
    assert payload["severity"] in ("critical", "error", "warning", "info")
    assert isinstance(payload.get("custom_details", {}), dict)
    assert all(link["href"] for link in event.get("links", []))
    assert all(image["src"].lower().startswith("https://") for image in event.get("images", []))
    assert len(event.get("dedup_key", "")) <= 255
    "".join(mended.remarks).encode()
    assert mend_event("trigger", fields, dedup_key=key, flow="flow") == mended


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 700_000), st.integers(0, 700_000), st.sampled_from("xé\U0001f525\x00"))
def test_whatever_the_size_the_event_fits(summary: int, details: int, character: str) -> None:
    """Characters of one, six and twelve bytes, in both places at once."""
    mended = mend(summary=character * summary, custom_details={"log": character * details}, component=character * 9_999)
    assert size_of(mended) <= EVENT_BYTES
    assert len(encode_event(late_summary(mended.event, timedelta(days=99)), ROUTING_KEY)) <= EVENT_BYTES

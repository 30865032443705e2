"""`RateLimit`: its faults, and limits that share a name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute.model.limit import RateLimit, limit_clashes

NO_COUNT = "takes a whole number of attempts from 1: RateLimit(5, per=...)."


@pytest.mark.parametrize(
    ("limit", "problems"),
    [
        (RateLimit(1), []),
        (RateLimit(5, timedelta(minutes=1), "chat"), []),
        (RateLimit(0), [f"RateLimit(0) {NO_COUNT}"]),
        (RateLimit(2.5), [f"RateLimit(2.5) {NO_COUNT}"]),
        (RateLimit(True), [f"RateLimit(True) {NO_COUNT}"]),
        (RateLimit("5"), [f"RateLimit('5') {NO_COUNT}"]),
        (
            RateLimit(5, 60),
            ["RateLimit(per=...) takes a timedelta of more than nothing, not 60: timedelta(minutes=1)."],
        ),
        (
            RateLimit(5, timedelta(0)),
            [
                "RateLimit(per=...) takes a timedelta of more than nothing, not datetime.timedelta(0): "
                "timedelta(minutes=1)."
            ],
        ),
        (
            RateLimit(0, name=""),
            [
                f"RateLimit(0) {NO_COUNT}",
                "RateLimit(name=...) takes a text, or None for a limit of its own, not ''.",
            ],
        ),
    ],
    ids=repr,
)
def test_numbers_that_make_no_sense_are_told(limit: Any, problems: list[str]) -> None:
    """Each fault says what is expected."""
    assert limit.problems() == problems


def test_limits_of_one_name_must_be_equal() -> None:
    """Without a name a limit is the node's own, whatever its numbers are."""
    chat, more = RateLimit(5, name="chat"), RateLimit(6, name="chat")

    assert limit_clashes([('"a"', chat), ('"b"', chat), ('"c"', RateLimit(5)), ('"d"', RateLimit(6))]) == []
    assert limit_clashes([('"a"', chat), ('"b"', RateLimit(6, name="mail")), ('"c"', more)]) == [
        'Two rate limits are named "chat": 5 in 0:00:01 for "a", 6 in 0:00:01 for "c". '
        "Make them equal, or give one another name."
    ]

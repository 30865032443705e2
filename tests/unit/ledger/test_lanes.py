"""The rules of a lane, one row of a table each: who takes whose place, what is done next, what is late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from resolute.ledger import lanes
from resolute.ledger.row import Action, Row
from tests.unit.ledger.desk import START, make_row, minutes, seconds

NOW = START + minutes(30)
UNKNOWN = {"status": "sending", "unknown_since": START + seconds(1), "attempts": 1}


@pytest.mark.parametrize(
    ("older", "newer", "superseded"),
    [
        ("trigger", "trigger", True),
        ("trigger", "resolve", True),
        ("acknowledge", "trigger", True),
        ("acknowledge", "resolve", True),
        ("resolve", "trigger", True),
        ("resolve", "resolve", True),
        ("trigger", "acknowledge", False),
        ("acknowledge", "acknowledge", False),
        ("resolve", "acknowledge", False),
    ],
)
@pytest.mark.parametrize("is_unknown", [False, True])
def test_who_takes_whose_place(older: Action, newer: Action, superseded: bool, is_unknown: bool) -> None:
    """A trigger or a resolve takes the place of everything older and unsettled; an acknowledge of nothing."""
    old = make_row(1, older, **(UNKNOWN if is_unknown else {}))
    settled, _ = lanes.supersede([old], make_row(2, newer, at=NOW), NOW)
    assert [(row.id, row.status, row.superseded_by, row.settled_at) for row in settled] == (
        [(1, "superseded", 2, NOW)] if superseded else []
    )


@pytest.mark.parametrize("status", ["accepted", "rejected", "undelivered", "superseded", "expired", "cancelled"])
def test_settled_rows_stay_as_they_are(status: Any) -> None:
    """What is settled is never settled again."""
    settled, newer = lanes.supersede([make_row(1, status=status)], make_row(2, at=NOW), NOW)
    assert settled == []
    assert newer.since == NOW


@pytest.mark.parametrize("newer", ["trigger", "resolve"])
def test_superseded_row_says_why_and_whether_its_outcome_is_unknown(newer: Action) -> None:
    """Whoever reads the row learns which decision took its place, and whether a request of it may have arrived."""
    old, unknown = make_row(1), make_row(2, **UNKNOWN)
    settled, _ = lanes.supersede([old, unknown], make_row(3, newer, at=NOW), NOW)
    assert [row.message for row in settled] == [
        f"a newer {newer} (row 3) took its place",
        f"a newer {newer} (row 3) took its place (outcome unknown)",
    ]


@pytest.mark.parametrize(
    ("action", "changes", "is_open"),
    [("trigger", {}, False), ("trigger", UNKNOWN, True), ("resolve", UNKNOWN, False), ("acknowledge", UNKNOWN, False)],
)
def test_superseded_trigger_of_unknown_outcome_may_have_opened_an_alert(
    action: Action, changes: dict[str, Any], is_open: bool
) -> None:
    """Only a trigger that may have arrived leaves an alert that may be open."""
    settled, _ = lanes.supersede([make_row(1, action, **changes)], make_row(2, "resolve", at=NOW), NOW)
    assert [row.is_open for row in settled] == [is_open]


@pytest.mark.parametrize(
    ("older", "newer", "since"),
    [
        (["trigger"], "trigger", START),
        (["trigger", "trigger"], "trigger", START),
        (["resolve"], "trigger", NOW),
        (["acknowledge"], "trigger", NOW),
        (["trigger"], "resolve", NOW),
        (["resolve", "trigger"], "trigger", START + minutes(1)),
    ],
)
def test_trigger_takes_over_the_earliest_time_of_the_triggers_before_it(
    older: list[Action], newer: Action, since: Any
) -> None:
    """A page counts its lateness from the first time that somebody should have been told."""
    rows = [make_row(number, action, at=START + minutes(number - 1)) for number, action in enumerate(older, 1)]
    _, row = lanes.supersede(rows, make_row(9, newer, at=NOW), NOW)
    assert row.since == since
    assert row.created_at == NOW


@pytest.mark.parametrize(
    ("row", "after", "may"),
    [
        (make_row(status="superseded", unknown_since=START), seconds(5), True),
        (make_row(status="undelivered", unknown_since=START), timedelta(hours=24), True),
        (make_row(status="accepted", attempts=1, sent_at=START), seconds(5), False),
        (make_row(status="accepted", attempts=2, sent_at=START), seconds(59), True),
        (make_row(status="accepted", attempts=2, sent_at=START), seconds(60), False),
    ],
)
def test_request_of_a_lost_answer_may_still_arrive(row: Row, after: timedelta, may: bool) -> None:
    """The service works asynchronously: it may take effect after the resolve that follows it."""
    assert lanes.may_still_arrive(row, START + after) == may


@pytest.mark.parametrize(
    ("statuses", "first"),
    [([], None), (["accepted"], None), (["accepted", "pending", "sending"], 2), (["sending", "pending"], 1)],
)
def test_head_is_the_oldest_unsettled_row(statuses: list[Any], first: int | None) -> None:
    """Oldest first."""
    found = lanes.head([make_row(number, status=status) for number, status in enumerate(statuses, 1)])
    assert (found.id if found else None) == first


ATTEMPTED = {"status": "pending", "attempts": 3, "error_message": "503"}
THREE_ATTEMPTS = (1.0, 2.0, 60.0, 0.0, 3)


@pytest.mark.parametrize(
    ("row", "after", "move"),
    [
        (make_row(), seconds(0), lanes.Send()),
        (make_row(), timedelta(hours=23, minutes=59), lanes.Send()),
        (make_row(due_at=START + seconds(8)), seconds(7), lanes.Turn(START + seconds(8))),
        (make_row(due_at=START + seconds(8)), seconds(8), lanes.Send()),
        # the day is over, whatever the row waits for
        (make_row(), timedelta(hours=24), lanes.Settle("undelivered", "not accepted within 24 h")),
        (make_row(deadline_s=30), seconds(30), lanes.Settle("undelivered", "not accepted within 30 s")),
        (
            make_row(**ATTEMPTED, deadline_s=5400, due_at=START + timedelta(hours=3)),
            minutes(90),
            lanes.Settle("undelivered", "not accepted within 90 min; the last answer was: 503"),
        ),
        (
            make_row(since=START - timedelta(hours=23)),
            timedelta(hours=1),
            lanes.Settle("undelivered", "not accepted within 24 h"),
        ),
        # a limit of attempts
        (
            make_row(**ATTEMPTED, retry=THREE_ATTEMPTS),
            seconds(1),
            lanes.Settle("undelivered", "not accepted in 3 attempts; the last answer was: 503"),
        ),
        (make_row(retry=THREE_ATTEMPTS, attempts=2), seconds(1), lanes.Send()),
        # a resolve of a scheduled run is worth a quarter of an hour
        (make_row(1, "resolve", scheduled=True), minutes(15), lanes.Send()),
        (
            make_row(1, "resolve", scheduled=True),
            minutes(16),
            lanes.Settle("expired", "decided 16 min ago and not sent since; the next check decides anew"),
        ),
        (make_row(1, "resolve"), minutes(16), lanes.Send()),
        (make_row(1, "trigger", scheduled=True), minutes(16), lanes.Send()),
        (make_row(1, "acknowledge", scheduled=True), minutes(16), lanes.Send()),
        # outcome unknown: blindly for a minute, then only after a look
        (make_row(**UNKNOWN), seconds(61), lanes.Send()),
        (make_row(**UNKNOWN), seconds(61.1), lanes.LookUp(START + seconds(1) - minutes(5))),
        (make_row(1, "resolve", **UNKNOWN), seconds(90), lanes.Send()),
        (make_row(1, "acknowledge", **UNKNOWN), seconds(90), lanes.Send()),
        (make_row(**UNKNOWN, due_at=START + seconds(95)), seconds(90), lanes.Turn(START + seconds(95))),
    ],
)
def test_what_is_done_next_with_the_head_of_a_lane(row: Row, after: timedelta, move: lanes.Move) -> None:
    """Settle what is over, wait for its time, look before a late repeat, else send."""
    assert lanes.next_move(row, START + after) == move


def test_how_long_a_resolve_is_worth_sending_is_a_setting() -> None:
    """15 minutes are the default, not a law."""
    row = make_row(1, "resolve", scheduled=True)
    assert isinstance(lanes.next_move(row, START + minutes(20), resolve_expires=minutes(30)), lanes.Send)


def test_clock_that_was_set_back_does_not_lengthen_a_wait() -> None:
    """A page that backs off for a second does not wait an hour because somebody mended the clock."""
    row = make_row(status="pending", attempts=1, sent_at=START, due_at=START + seconds(1))
    assert lanes.next_move(row, START - timedelta(hours=1)) == lanes.Send()


@pytest.mark.parametrize(
    ("row", "after", "late"),
    [
        (make_row(), minutes(5), timedelta(0)),
        (make_row(), minutes(6), minutes(6)),
        (make_row(since=START - minutes(10)), minutes(0), minutes(10)),
        (make_row(1, "resolve"), minutes(60), timedelta(0)),
        (make_row(1, "acknowledge"), minutes(60), timedelta(0)),
    ],
)
def test_page_is_late_after_five_minutes(row: Row, after: timedelta, late: timedelta) -> None:
    """Only a page says that it is late, and only when that matters."""
    assert lanes.lateness(row, START + after) == late


@pytest.mark.parametrize(
    ("action", "changes", "keeps"),
    [
        ("trigger", {"status": "pending"}, True),
        ("trigger", {"status": "sending"}, True),
        ("trigger", {"status": "accepted", "is_open": True}, True),
        ("trigger", {"status": "accepted"}, False),
        ("trigger", {"status": "superseded", "is_open": True}, True),
        ("trigger", {"status": "rejected"}, False),
        ("resolve", {"status": "pending"}, False),
        ("acknowledge", {"status": "sending"}, False),
    ],
)
def test_row_keeps_an_alert_open(action: Action, changes: dict[str, Any], keeps: bool) -> None:
    """An alert is, or may be, open from the decision to page until a resolve is accepted."""
    assert replace(make_row(1, action), **changes).keeps_alert_open == keeps

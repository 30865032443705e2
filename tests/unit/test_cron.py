"""Cron expressions: which instants they mean, on the days of change above all."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from resolute.cron import expand, problem_with, tick_before, ticks_after

BERLIN = "Europe/Berlin"
# On 2026-03-29 Berlin's clocks go from 02:00 to 03:00; on 2026-10-25 they go from 03:00 back to 02:00.
GAP, FOLD = datetime(2026, 3, 29, tzinfo=ZoneInfo(BERLIN)), datetime(2026, 10, 25, tzinfo=ZoneInfo(BERLIN))


def ticks(expression: str, after: datetime, count: int, timezone: str = BERLIN) -> list[str]:
    """The next ticks as that zone's clocks show them, with the offset from UTC."""
    found = islice(ticks_after(expression, timezone, after), count)
    return [tick.astimezone(ZoneInfo(timezone)).strftime("%m-%d %H:%M %z") for tick in found]


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("30 2 * * *", GAP, ["03-29 03:00 +0200", "03-30 02:30 +0200"]),
        ("30 2 * * *", FOLD, ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        ("0 3 * * *", GAP, ["03-29 03:00 +0200", "03-30 03:00 +0200"]),
        ("0 3 * * *", FOLD, ["10-25 03:00 +0100", "10-26 03:00 +0100"]),
        (
            "*/30 1-3 * * *",
            FOLD,
            [
                "10-25 01:00 +0200",
                "10-25 01:30 +0200",
                "10-25 02:00 +0200",
                "10-25 02:30 +0200",
                "10-25 02:00 +0100",
                "10-25 02:30 +0100",
                "10-25 03:00 +0100",
                "10-25 03:30 +0100",
                "10-26 01:00 +0100",
            ],
        ),
        (
            "*/30 1-3 * * *",
            GAP,
            ["03-29 01:00 +0100", "03-29 01:30 +0100", "03-29 03:00 +0200", "03-29 03:30 +0200", "03-30 01:00 +0200"],
        ),
        ("0 * * * *", GAP.replace(hour=1), ["03-29 03:00 +0200", "03-29 04:00 +0200"]),
        ("0 * * * *", FOLD.replace(hour=1), ["10-25 02:00 +0200", "10-25 02:00 +0100", "10-25 03:00 +0100"]),
    ],
)
def test_days_of_change_lose_and_repeat_no_fixed_time(expression: str, after: datetime, expected: list[str]) -> None:
    """A fixed time fires once a day, repeated and skipped hours or not; a repeating one follows the clock."""
    assert ticks(expression, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 13 * 5", ["02-06 00:00", "02-13 00:00", "02-20 00:00"]),
        ("0 0 13 * *", ["02-13 00:00", "03-13 00:00"]),
        ("0 0 * * 5#3", ["02-20 00:00", "03-20 00:00"]),
        ("0 0 L * *", ["02-28 00:00", "03-31 00:00"]),
        ("0 0 * * 5L", ["02-27 00:00", "03-27 00:00"]),
        ("0 9 * * MON-FRI", ["02-02 09:00", "02-03 09:00"]),
        ("0 9 1 jan,mar *", ["03-01 09:00", "01-01 09:00"]),
        ("*/20 9-10 * * *", ["02-01 09:00", "02-01 09:20", "02-01 09:40", "02-01 10:00"]),
        ("0 0 29 2 *", ["02-29 00:00"]),
        ("  0   0 1 * *  ", ["03-01 00:00"]),
    ],
)
def test_fields_mean_what_debians_cron_means(expression: str, expected: list[str]) -> None:
    """Day and weekday are joined by "or"; `#` and `L` pick weekdays and last days."""
    found = ticks(expression, datetime(2026, 2, 1, tzinfo=UTC), len(expected), timezone="UTC")

    assert [tick.removesuffix(" +0000") for tick in found] == expected


def test_six_fields_begin_with_seconds() -> None:
    """`*/20 * * * * *` is every twenty seconds, not every twenty minutes of something."""
    found = islice(ticks_after("*/20 * * * * *", "UTC", datetime(2026, 2, 1, tzinfo=UTC)), 3)

    assert [tick.strftime("%M:%S") for tick in found] == ["00:20", "00:40", "01:00"]


def test_a_tick_that_is_now_has_passed() -> None:
    """The next tick lies after the instant, so that no tick is taken twice."""
    at_a_tick = datetime(2026, 2, 1, 9, 5, tzinfo=UTC)

    assert next(ticks_after("*/5 * * * *", "UTC", at_a_tick)) == datetime(2026, 2, 1, 9, 10, tzinfo=UTC)


def test_ticks_are_told_in_utc_whatever_the_zones() -> None:
    """The zone of the expression and of the instant may differ; the answer is UTC."""
    after = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Asia/Kolkata"))

    tick = next(ticks_after("0 9 * * *", "America/New_York", after))

    assert tick == datetime(2026, 7, 1, 13, tzinfo=UTC)
    assert tick.tzinfo is UTC


@pytest.mark.parametrize(
    ("nickname", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        (" @Daily ", "0 0 * * *"),
        ("*/5 * * * *", "*/5 * * * *"),
    ],
)
def test_nicknames_are_written_out(nickname: str, expression: str) -> None:
    """Every nickname of crontab that names a time is known."""
    assert expand(nickname) == expression
    assert problem_with(nickname, "UTC") is None


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "Wrong number of fields"),
        ("* * * *", "Wrong number of fields"),
        ("* * * * * * *", "Wrong number of fields"),
        ("@reboot", "Wrong number of fields"),
        ("every 5 minutes", "Wrong number of fields"),
        ("61 * * * *", "Bad minute"),
        ("* 24 * * *", "Bad hour"),
        ("* * 32 * *", "Bad day-of-month"),
        ("* * * 13 *", "Bad month"),
        ("* * * * 8", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
        ("5-1 * * * *", "Bad minute"),
        ("0 0 30 2 *", "Bad day-of-month"),
    ],
)
def test_an_expression_that_is_none_is_told_with_the_fix(expression: str, reason: str) -> None:
    """Times that never come, like the 30th of February, are among them."""
    assert problem_with(expression, "UTC") == (
        f'"{expression}" is not a cron expression: {reason}. '
        'Write five fields (minute hour day month weekday), e.g. "*/5 * * * *".'
    )


@pytest.mark.parametrize("timezone", ["", "Europe", "Europe/Nowhere", "../etc/passwd", "CEST+2", "/etc/localtime"])
def test_a_time_zone_that_is_none_is_told_with_the_fix(timezone: str) -> None:
    """A folder or path is not taken for a zone either."""
    assert problem_with("* * * * *", timezone) == (
        f'The time zone "{timezone}" is not known. Use a name such as "Europe/Berlin" or "UTC".'
    )


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kathmandu"])
def test_zones_are_known_by_their_iana_names(timezone: str) -> None:
    """The tzdata package knows them where the machine does not."""
    assert problem_with("* * * * *", timezone) is None


@pytest.mark.parametrize(
    "expression", ["*/5 * * * *", "30 2 * * *", "*/30 1-3 * * *", "0 9 * * 1-5", "0 0 29 2 *", "@monthly"]
)
@pytest.mark.parametrize("after", [GAP, FOLD], ids=["gap", "fold"])
def test_time_before_a_tick_is_the_one_that_came_before_it(expression: str, after: datetime) -> None:
    """On days of change too, and over years where it is rare."""
    found = list(islice(ticks_after(expression, BERLIN, after), 8))
    assert [tick_before(expression, BERLIN, tick) for tick in found[1:]] == found[:-1]
    assert tick_before(expression, BERLIN, found[-1], 7) == found[0]

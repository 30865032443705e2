"""Tables and JSON: nothing that a value holds can spoil them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from resolute.cli.terminal import pretty, print_json, shown, table, took, when

ROWS = [("1", "Database connection timeout on the primary", "accepted"), ("22", "ok", "rejected")]
HEADS = ("ID", "TITLE", "STATUS")


def plain(lines: list[str]) -> list[str]:
    """The lines without colours."""
    return [line.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "").rstrip() for line in lines]


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    """Without a width nothing is cut: a pipe gets everything."""
    assert plain(table(HEADS, ROWS)) == [
        "ID  TITLE                                       STATUS",
        "1   Database connection timeout on the primary  accepted",
        "22  ok                                          rejected",
    ]


def test_column_that_may_be_cut_gives_way_to_the_terminal() -> None:
    """What was cut ends in an ellipsis; an id stays whole, to be copied."""
    lines = plain(table(HEADS, ROWS, 30, cut=["TITLE"]))
    assert lines[1] == "1   Database connec…  accepted"
    assert max(map(len, lines)) <= 30


def test_terminal_too_small_for_a_table_still_gets_one() -> None:
    """Columns keep a least width; the terminal wraps."""
    assert plain(table(HEADS, ROWS, 5, cut=["TITLE"]))[1] == "1   Databas…  accepted"
    assert plain(table(HEADS, ROWS, 5)) == plain(table(HEADS, ROWS))


def test_wide_characters_take_two_columns() -> None:
    """Chinese and emoji are aligned; accents are not counted."""
    lines = plain(table(("A", "B"), [("数据库", "x"), ("e\u0301", "y"), ("🔥🔥🔥🔥🔥🔥", "z")], 14, cut="A"))
    assert lines[1:] == ["数据库       x", "e\u0301            y", "🔥🔥🔥🔥🔥…  z"]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("a\nb", "a\\nb"), ("\x1b[31mred", "\\x1b[31mred"), ("half \ud83d", "half \\ud83d"), ("ü →", "ü →"), (None, "")],
)
def test_text_cannot_move_the_cursor(text: str | None, escaped: str) -> None:
    """A title comes from outside and must not paint over the terminal."""
    assert shown(text) == escaped


def test_json_is_strict_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """Every JSON reader takes it, NaN and half characters included."""
    print_json(
        {"load": float("nan"), "most": float("inf"), "title": "ü \ud83d", "at": datetime(2026, 3, 1, tzinfo=UTC)}
    )
    line = capsys.readouterr().out
    assert line.isascii()
    assert json.loads(line) == {"load": "nan", "most": "inf", "title": "ü \ud83d", "at": "2026-03-01T00:00:00+00:00"}
    assert "ü" in pretty({"title": "ü"})


def test_times_are_shown_in_utc() -> None:
    """Whatever zone they come in; none is nothing."""
    assert when(datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))) == "2026-02-28 23:30:00"
    assert when(None) == ""


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(milliseconds=140), "0.1 s"),
        (timedelta(seconds=59), "59.0 s"),
        (timedelta(minutes=90), "1.5 h"),
        (timedelta(days=2), "2.0 d"),
        (timedelta(seconds=-1), "0.0 s"),
        (None, ""),
    ],
)
def test_time_taken_is_short(passed: timedelta | None, text: str) -> None:
    """A number and a unit; a clock that was set back takes nothing away."""
    begun = datetime(2026, 3, 1, tzinfo=UTC)
    assert took(begun, None if passed is None else begun + passed) == text

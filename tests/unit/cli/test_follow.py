"""Following: a terminal is drawn over, anything else never, and what does not change is not told."""

from __future__ import annotations

import io

import pytest

from resolute.cli import follow
from resolute.cli.follow import Screen, changes


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal of a person, with 5 lines."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LINES", "5")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_lines_take_the_place_of_those_before() -> None:
    """The cursor goes up as many lines as were drawn."""
    stream = Terminal()
    screen = Screen(stream)
    screen.draw(["one", "two"])
    screen.draw(["three"])
    screen.clear()
    assert stream.getvalue().split("\x1b[J") == [
        "\x1b[?7lone\ntwo\n\x1b[?7h\x1b[2F",
        "\x1b[?7lthree\n\x1b[?7h\x1b[1F",
        "",
    ]


def test_what_the_terminal_has_no_room_for_is_counted() -> None:
    """The top stays in sight, and the end; a scrolled line could not be drawn over."""
    stream = Terminal()
    Screen(stream).draw([f"line {number}" for number in range(9)], top=1)
    assert stream.getvalue().splitlines()[:4] == [
        "\x1b[?7lline 0",
        "(6 lines are not shown here)",
        "line 7",
        "line 8",
    ]


def test_colours_are_left_out_where_nobody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR holds here as for all output."""
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    Screen(stream).draw(["\x1b[32mdone\x1b[0m"])
    assert "\x1b[32m" not in stream.getvalue()


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO(), "xterm"), (Terminal(), "dumb")])
def test_nothing_is_drawn_where_it_cannot_be_taken_back(
    stream: io.StringIO, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe, or a terminal that knows no cursor."""
    monkeypatch.setenv("TERM", term)
    screen = Screen(stream)
    screen.draw(["one"])
    screen.clear()
    assert (screen.can_draw, stream.getvalue()) == (False, "")


async def test_only_what_differs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks go on between; the first one is always told."""
    monkeypatch.setattr(follow, "LOOK_EVERY_S", 0)
    seen = iter([1, 1, 2, 2, 2, 1, 0])

    async def look() -> int:
        return next(seen)

    told = []
    async for found in changes(look):
        told.append(found)
        if not found:
            break
    assert told == [1, 2, 1, 0]

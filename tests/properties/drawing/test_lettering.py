"""Lines of text: each fits, there are no more than asked for, and nothing is lost unseen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolute.drawing.lettering import Font

PLAIN = Font(10, 14)


@given(st.text(max_size=80), st.integers(30, 200), st.integers(1, 4), st.booleans(), st.booleans())
def test_wrapped_lines_fit(text: str, width: int, lines: int, bold: bool, code: bool) -> None:
    """And what they do not show ends in an ellipsis."""
    font = Font(10, 14, bold, code)
    found = font.wrapped(text, width, lines)
    assert len(found) <= lines
    assert all(font.width(line) <= width for line in found)
    assert "".join("".join(found).split()) == "".join(text.split()) or found[-1].endswith("…")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("notify_on_call_slack", ("notify_on_", "call_slack")),
        ("wait for 12 h", ("wait for", "12 h")),
        ("wait for an answer", ("wait for an", "answer")),
        ("a" * 30, ("a" * 10, "a" * 10, "a" * 10)),
        ("", ()),
    ],
)
def test_text_is_broken_where_it_reads_best(text: str, lines: tuple[str, ...]) -> None:
    """Between words, else after punctuation, else anywhere."""
    assert PLAIN.wrapped(text, 65, 4) == lines


def test_what_is_left_out_is_marked_though_there_were_room() -> None:
    """The next word begins a line of its own, so the one before may be short."""
    assert PLAIN.wrapped("a service.everybody_else", 100, 1) == ("a service.…",)


def test_line_of_code_begins_with_its_operator() -> None:
    """As it does where code is written over several lines."""
    code = Font(10, 14, code=True)
    assert code.wrapped('state["a"] == "critical" and not is_quiet(state)', 100, 4) == (
        'state["a"]',
        '== "critical"',
        "and not",
        "is_quiet(state)",
    )


def test_width_knows_wide_narrow_and_combining_signs() -> None:
    """A Chinese sign takes two places, an accent none."""
    assert PLAIN.width("日") > PLAIN.width("W") > PLAIN.width("e") > PLAIN.width("i")
    assert PLAIN.width("e\u0301") == PLAIN.width("e")
    assert Font(10, 14, code=True).width("iW") == 2 * Font(10, 14, code=True).width("i")

"""`text(...)`: templates filled with recorded values, which are never scanned again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolute.model.reference import MissingValue, resolve
from resolute.model.refs import TextRef, env, input_data, now, output, secret, text

Recorded = Callable[..., Any]

OUTPUTS = {
    "health": {"component": "db", "load": 0.987, "disks": ["/", "/var"], "braces": "{health.load} {0} }{"},
    "at": datetime(2026, 7, 1, 9, 5, tzinfo=UTC),
    "none": None,
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (text("plain"), "plain"),
        (text(""), ""),
        (text("{{braces}}"), "{braces}"),
        (text("Disk at {health.component}"), "Disk at db"),
        (text("{health.disks.1} and {health.disks}"), "/var and ['/', '/var']"),
        (text("{h}", h="web-1"), "web-1"),
        (text("{h}", h=input_data("host")), "web-9"),
        (text("{h.0}", h=["first"]), "first"),
        (text("{h.disks.0}", h=output("health")), "/"),
        (text("{health}", health="a keyword wins"), "a keyword wins"),
        (text("{template}", template="a free name"), "a free name"),
        (text("{health.load:.1%}"), "98.7%"),
        (text("{h:>5}|", h="ab"), "   ab|"),
        (text("{at:%H:%M}"), "09:05"),
        (text("{t:%Y}", t=now()), "2026"),
        (text("{health.component!r} {h!s:>3} {a!a}", h=1, a="ü"), "'db'   1 '\\xfc'"),
        (text("{none} {n}", n=None), "None None"),
        (text("{e}", e=env("HOST", default="nowhere")), "nowhere"),
        (text("{inner}", inner=text("<{health.component}>")), "<db>"),
    ],
    ids=repr,
)
def test_a_text_is_filled_with_keywords_and_outputs(recorded: Recorded, template: str, expected: str) -> None:
    """Names are keywords first, then paths of outputs; format specs and conversions work as in `str.format`."""
    assert resolve(template, recorded(outputs=OUTPUTS, given={"host": "web-9"})) == expected


def test_values_are_never_scanned_again(recorded: Recorded) -> None:
    """An alert whose message holds braces comes through letter by letter."""
    filled = resolve(text("{health.braces} {h}", h="{health.load}"), recorded(outputs=OUTPUTS))

    assert filled == "{health.load} {0} }{ {health.load}"


@given(st.text(), st.text())
def test_any_text_comes_through_as_a_value(before: str, value: str) -> None:
    """Whatever stands in a keyword stands in the text, whatever stands around it."""
    template = before.replace("{", "{{").replace("}", "}}") + "{v}"

    assert resolve(text(template, v=value), None) == before + value


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (text("a {nope}"), 'There is no output "nope".'),
        (text("a {health.nope}"), '"health" has no key "nope". Known here: "component", "load", "disks", "braces".'),
        (text("a {h.x}", h={}), '"h" has no key "x". Known here: none, it is empty.'),
        (
            text("{h.x.y}", h=output("health")),
            '"h" has no key "x". Known here: "component", "load", "disks", "braces".',
        ),
        (text("{t}", t=secret("TOKEN")), 'secret("TOKEN") cannot stand inside text(...).'),
        (
            text("{none:.1f}"),
            '"none" is None and does not fit its format ":.1f": '
            "unsupported format string passed to NoneType.__format__.",
        ),
        (
            text("{health.component:d}"),
            '"health.component" is of type str and does not fit its format ":d": '
            "Unknown format code 'd' for object of type 'str'.",
        ),
    ],
    ids=repr,
)
def test_a_text_that_cannot_be_filled_says_which_value_and_why(recorded: Recorded, template: str, reason: str) -> None:
    """A value that is missing or does not fit its format is told apart from a fault of the program."""
    with pytest.raises(MissingValue) as caught:
        resolve(template, recorded(outputs=OUTPUTS))

    assert caught.value.reason == reason


def test_a_value_that_does_not_fit_its_format_can_be_marked_in_place(recorded: Recorded) -> None:
    """A page with `{load:.1f}` goes out although the load is None this time."""
    filled = resolve(
        text("{h}: load {none:.1f}, {k:d}", h="web-1", k="x"),
        recorded(outputs=OUTPUTS),
        lambda ref, error: f"<{error.path}>",
    )

    assert filled == "web-1: load <none>, <k>"


def test_the_pieces_of_a_text_come_in_order() -> None:
    """`build()` looks at literal, value, format spec and conversion of each piece."""
    template = TextRef("a {x.y:>3} b {k!r} c", {"k": 1})

    assert [(literal, repr(value), spec, conversion) for literal, value, spec, conversion in template.parts()] == [
        ("a ", 'output("x.y")', ">3", None),
        (" b ", "1", "", "r"),
        (" c", "None", "", None),
    ]

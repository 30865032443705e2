"""The source of a test: quoted where it is certain, and never guessed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from resolute.drawing.predicate import UNKNOWN, source_of

LIMIT = 3


class Asks:
    """A test with a memory."""

    def __call__(self, state: Any) -> bool:
        return True

    def is_up(self, state: Any) -> bool:
        return True


def two_on_one_line() -> list[Callable[..., Any]]:
    return [lambda s: s["a"] == 1, lambda s: s["b"] == 1]


def long_one() -> Callable[..., Any]:
    names = "one", "two"
    return lambda state: [
        *(state[f"of the first kind, {name}"] for name in names if name not in state["to be left out"]),
        *(state[f"of the second kind, {name}"] for name in names if name not in state["to be left out"]),
        *(state[f"of the third kind, {name}"] for name in names if name in state["to be taken"]),
    ]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda state: state["health"].status == "critical", 'state["health"].status == "critical"'),
        (lambda state: (state.a or state.b) and not state.c, "(state.a or state.b) and not state.c"),
        (lambda state: any(x > LIMIT for x in state.all("x")), 'any(x > LIMIT for x in state.all("x"))'),
        (lambda state: True, "True"),
        (lambda state: "ü" in state, '"ü" in state'),
        (lambda state: (lambda inner: inner.a)(state), "(lambda inner: inner.a)(state)"),
        *zip(two_on_one_line(), ['s["a"] == 1', 's["b"] == 1'], strict=True),
        (two_on_one_line, "two_on_one_line(state)"),
        (Asks().is_up, "is_up(state)"),
    ],
)
def test_short_lambda_and_name_are_quoted(function: Callable[..., Any], text: str) -> None:
    """The right lambda, also beside another on its line."""
    assert source_of(function) == text


def over_several_lines() -> Callable[..., Any]:
    return lambda state: (
        two_on_one_line(state)  # why
        and LIMIT
    )


def test_lambda_over_several_lines_is_put_on_one() -> None:
    """Without its comments and line breaks."""
    assert source_of(over_several_lines()) == "two_on_one_line(state) and LIMIT"


@pytest.mark.parametrize(
    "function",
    [Asks(), partial(two_on_one_line, 1), long_one(), eval("lambda state: state.a"), len],
    ids=["object", "partial", "long", "without a file", "built-in"],
)
def test_what_cannot_be_quoted_is_a_function_of_the_state(function: Callable[..., Any]) -> None:
    """No text is better than a wrong one."""
    assert source_of(function) == UNKNOWN


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that can be imported as `quoted`."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "quoted.py"
    sys.modules.pop("quoted", None)


@pytest.mark.parametrize("now", ["test = lambda state: state.other\n", "test = (\n", "\n", ""])
def test_file_that_has_changed_is_not_quoted(module: Path, now: str) -> None:
    """What stands there now is not what runs."""
    module.write_text("test = lambda state: state.first\n")
    test = import_module("quoted").test
    assert source_of(test) == "state.first"
    module.write_text(now)
    assert source_of(test) == UNKNOWN

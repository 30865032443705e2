"""`Finding`: what a check has found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Result = Literal["problem", "warning", "not checked", "ok"]

#: The worst first, as they are shown.
RESULTS: Final[tuple[Result, ...]] = ("problem", "warning", "not checked", "ok")


@dataclass(frozen=True)
class Finding:
    """One answer of a check.

    Attributes:
        result: a problem keeps flows from running or pages from leaving, a warning may once do so.
        text: what was found and what was expected; of "not checked" why.
        fix: what to do; "" when there is nothing to do.
    """

    result: Result
    text: str
    fix: str = ""


@dataclass(frozen=True)
class Named:
    """A finding with the name of its check."""

    check: str
    finding: Finding


def ok(text: str) -> Finding:
    """All is well."""
    return Finding("ok", text)


def problem(text: str, fix: str) -> Finding:
    """It does not work like this."""
    return Finding("problem", text, fix)


def warning(text: str, fix: str) -> Finding:
    """It works, but not for ever or not for everybody."""
    return Finding("warning", text, fix)


def not_checked(why: str) -> Finding:
    """It could not be found out."""
    return Finding("not checked", why)

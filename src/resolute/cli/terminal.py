"""How values are shown: JSON for programs, tables and times for people."""

from __future__ import annotations

import json
import math
import shutil
import sys
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

#: Columns that may be cut are not made narrower than this.
NARROWEST: Final = 8
GAP: Final = "  "
COLOURS: Final[Mapping[str, str]] = {
    "accepted": "green",
    "succeeded": "green",
    "done": "green",
    "pending": "yellow",
    "sending": "yellow",
    "waiting": "yellow",
    "running": "yellow",
    "queued": "yellow",
    "failed": "red",
    "rejected": "red",
    "undelivered": "red",
    "needs_attention": "red",
}


def print_json(value: Any) -> None:
    """One line of JSON in ASCII."""
    click.echo(json.dumps(_strict(value), ensure_ascii=True, allow_nan=False))


def pretty(value: Any) -> str:
    """JSON for people, over several lines."""
    return json.dumps(_strict(value), ensure_ascii=False, allow_nan=False, indent=2)


def _strict(value: Any) -> Any:
    """The value without what JSON does not know: NaN and infinities as texts, times in ISO 8601."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return {str(key): _strict(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_strict(inner) for inner in value]
        case _:
            return value


def when(at: datetime | None) -> str:
    """A time for people, in UTC; "" for none."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def took(begun: datetime, ended: datetime | None) -> str:
    """How long something took, for people; "" while it has not ended."""
    if ended is None:
        return ""
    seconds = max(0.0, (ended - begun).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def note(text: str) -> None:
    """Say something that is not the result, on stderr."""
    click.echo(f"resolute: {text}", err=True)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]], *, cut: Collection[str] = ()) -> None:
    """A table as wide as the terminal; see `table`. In a pipe nothing is cut."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table(heads, rows, width, cut=cut):
        click.echo(line)


def table(
    heads: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None, *, cut: Collection[str] = ()
) -> list[str]:
    """The lines of a table.

    Args:
        width: columns of the terminal; None cuts nothing.
        cut: the heads of the columns that give way when it is narrow. What is copied from, such as ids, does not.
    """
    cells = [list(heads), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(_columns(row[place]) for row in cells) for place in range(len(heads))]
    wide = [place for place, head in enumerate(heads) if head in cut]
    while width is not None and sum(widths) + len(GAP) * (len(widths) - 1) > width:
        place = max(wide, key=lambda place: widths[place], default=None)
        if place is None or widths[place] <= NARROWEST:
            break
        widths[place] -= 1
    return [GAP.join(map(_cell, row, widths)).rstrip() for row in cells]


def shown(value: object) -> str:
    """A value on one line; what would move the cursor or change colours is escaped."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _cell(text: str, width: int) -> str:
    cut = text
    if _columns(text) > width:
        while cut and _columns(cut) > width - 1:
            cut = cut[:-1]
        cut += "…"
    padded = cut + " " * (width - _columns(cut))
    colour = COLOURS.get(text)
    return click.style(padded, fg=colour) if colour else padded


def _columns(text: str) -> int:
    """How many columns a terminal needs for it."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)

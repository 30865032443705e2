"""Rows on their way to the server and back: JSON for what is put, and texts that PostgreSQL can hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from resolute.engines.embedded.sqlite.reads import Query
from resolute.engines.embedded.sqlite.rows import Values
from resolute.engines.embedded.sqlite.statements import put
from resolute.postgres.text import read, written

#: What JSON makes of the two characters that `written` replaces.
_ODD: Final = ("\\u0000", "\\u0010")


def as_json(name: str, rows: Sequence[Values]) -> str:
    """The rows of a statement that puts some, as an array of objects by column."""
    columns = put(name).columns
    text = _text(columns, rows)
    if text.isascii() and not any(mark in text for mark in _ODD):
        return text
    return _text(columns, [tuple(map(written, row)) for row in rows])


def given(query: Query) -> Any:
    """The parameters of a query as they are sent."""
    _, parameters = query
    if isinstance(parameters, dict):
        return {name: written(value) for name, value in parameters.items()}
    return tuple(map(written, parameters)) or None


def found(rows: Iterable[Values]) -> list[Values]:
    """What a query found; times are ISO texts, as SQLite keeps those of the incident log."""
    return [tuple(map(_value, row)) for row in rows]


def _value(value: Any) -> Any:
    if type(value) is str:
        return read(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _text(columns: Sequence[str], rows: Iterable[Values]) -> str:
    return json.dumps([dict(zip(columns, row, strict=True)) for row in rows], ensure_ascii=False)

"""The SQL of this folder by name: `schema.sql` whole, `migrations/` by version, and the statements of `queries.sql`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

_PUT: Final = re.compile(r"(INSERT INTO (\w+) \((.*?)\)) VALUES \(\?\)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Put:
    """A statement that puts rows into a table, each new or in the place of an older one.

    Attributes:
        columns: what a row holds, in order.
    """

    table: str
    columns: tuple[str, ...]
    head: str
    tail: str

    def of(self, count: int) -> str:
        """The statement for that many rows at once; it takes their values one row after the other."""
        row = f"({', '.join('?' * len(self.columns))})"
        return f"{self.head} VALUES {', '.join([row] * count)}{self.tail}"


def schema() -> list[str]:
    """The statements that make an empty database ours."""
    return _split(_read("schema.sql"))


def migrations() -> dict[int, list[str]]:
    """Schema version → the statements that lead to it from the one before; the files are named `0002_<what>.sql`."""
    folder = files(__package__).joinpath("migrations")
    found = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".sql")}
    return {int(name.partition("_")[0]): _split(text) for name, text in sorted(found.items())}


@cache
def statements() -> dict[str, str]:
    """Name → statement."""
    named = re.split(r"^-- name: (\w+)\n", _read("queries.sql"), flags=re.MULTILINE)[1:]
    return {name: text.strip() for name, text in zip(named[::2], named[1::2], strict=True)}


@cache
def put(name: str) -> Put:
    """A statement that puts rows, by name."""
    found = _PUT.search(statements()[name])
    if found is None:
        raise LookupError(f'"{name}" puts no rows')
    head, table, columns, tail = found.groups()
    return Put(table, tuple(re.findall(r"\w+", columns)), head, tail)


def _split(text: str) -> list[str]:
    """The statements of a file that holds neither a comment mark nor a semicolon in its texts."""
    text = re.sub(r"--.*", "", text)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")

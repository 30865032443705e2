"""The SQL of a package by name: the statements of `queries.sql`, and its migrations by number."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def statements(package: str) -> dict[str, str]:
    """Name → statement."""
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    named = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: statement.strip() for name, statement in zip(named[::2], named[1::2], strict=True)}


@cache
def migrations(package: str) -> dict[int, str]:
    """Version → what leads to it from the one before; the files are named `0002_<what>.sql`, 0001 makes all."""
    folder = files(package).joinpath("migrations")
    found = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".sql")}
    return {int(name.partition("_")[0]): text for name, text in sorted(found.items())}

"""The run of `five_steps.py` on DBOS: the same steps as async functions, its system database a SQLite file.

DBOS is left as it comes, but for the level of its log, and is not among this project's requirements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from five_steps import NUMBER, RunOne, Subject, check

MISSING = "DBOS is not installed, so Resolute is compared with nothing. To compare: python -m pip install dbos"
#: Enough for its rate; it only falls when there are more.
RUNS_AT_MOST = 400


def subjects() -> list[Subject]:
    """DBOS as it comes, and on a file that an operator has set to WAL beforehand; nothing where it is not installed."""
    if find_spec("dbos") is None:
        return []
    dbos: Any = import_module("dbos").DBOS
    five_steps = _five_steps(dbos)

    @asynccontextmanager
    async def as_it_comes(path: Path, in_flight: int) -> AsyncIterator[RunOne]:
        dbos(config={"name": "benchmark", "system_database_url": f"sqlite:///{path}", "log_level": "ERROR"})
        dbos.launch()

        async def run() -> None:
            check(await five_steps(NUMBER))  # quicker than a handle and its result, and as durable

        try:
            yield run
        finally:
            dbos.destroy()

    @asynccontextmanager
    async def with_wal(path: Path, in_flight: int) -> AsyncIterator[RunOne]:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        async with as_it_comes(path, in_flight) as run:
            yield run

    # Its connections set neither journal_mode nor synchronous, so that any connection is set as they are.
    name = f"DBOS {version('dbos')}"
    return [
        Subject(name, as_it_comes, sqlite3.connect, at_most=RUNS_AT_MOST),
        Subject(f"{name} on a file set to WAL", with_wal, sqlite3.connect, at_most=RUNS_AT_MOST),
    ]


def find(name: str) -> Subject | None:
    """The subject of this name, None where it is not one of DBOS; then DBOS is not loaded."""
    return next((subject for subject in subjects() if subject.name == name), None) if "DBOS" in name else None


def _five_steps(dbos: Any) -> Any:
    """The workflow: DBOS records what each step returns and repeats the branch from that."""

    async def do_nothing(number: int) -> int:
        return number

    step = dbos.step(name="step")(do_nothing)

    async def five_steps(number: int) -> Any:
        number = await step(number)
        number = await step(number)
        if number == NUMBER:
            number = await step(number)
        number = await step(number)
        return await step(number)

    return dbos.workflow(name="five-steps")(five_steps)

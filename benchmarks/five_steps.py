"""The run that `storm.py` and `latency.py` measure, five activities that do nothing and one branch, on Resolute.

A subject is an engine that can be opened on a database file; `dbos_peer.py` has the same run as another subject.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from resolute import Worker, WorkerConfig, activity, flow, input_data, manual, output
from resolute.engines.embedded.sqlite.database import open_to_write
from resolute.worker import collect_less

T = TypeVar("T")

#: What every step takes and returns.
NUMBER = 1

#: Starts one run and returns once its result is there.
RunOne = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Subject:
    """An engine that is measured.

    Attributes:
        open: brings it up on a database file, which may hold runs already, for so many runs at the same time.
        connect: a connection to such a file that is set as the engine's own are.
        at_most: runs of one round; a slow engine shows its rate with fewer.
        path: the file of every round; None takes a new one each time.
    """

    name: str
    open: Callable[[Path, int], AbstractAsyncContextManager[RunOne]]
    connect: Callable[[Path], sqlite3.Connection]
    at_most: int | None = None
    path: Path | None = None

    def durability(self, path: Path) -> str:
        """How the engine writes its file, in SQLite's words."""
        with closing(self.connect(path)) as connection:
            journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
            level = connection.execute("PRAGMA synchronous").fetchone()[0]
        return f"journal_mode={str(journal).upper()}, synchronous={('OFF', 'NORMAL', 'FULL', 'EXTRA')[level]}"


@activity
async def step(number: int) -> int:
    return number


five_steps = (
    flow("five-steps")
    .triggered_by(manual("benchmark"))
    .then(step(number=input_data("number")).as_("first"))
    .then(step(number=output("first")).as_("second"))
    .when(output("second") == NUMBER)
    .then(step(number=output("second")).as_("third"))
    .end_when()
    .then(step(number=output("third", default=0)).as_("fourth"))
    .then(step(number=output("fourth")).as_("fifth"))
    .returns(output("fifth"))
    .build()
)


@asynccontextmanager
async def _resolute(path: Path, in_flight: int) -> AsyncIterator[RunOne]:
    """Resolute as an application uses it: a worker, in a process set as `Worker.run` sets it, and its client."""
    collect_less()
    config = WorkerConfig(engine=f"sqlite:///{path}", max_concurrent=in_flight)
    async with Worker(config, flows=[five_steps]) as worker:
        client = worker.client

        async def run() -> None:
            begun = await client.start(five_steps, {"number": NUMBER})
            check(await begun.result())

        yield run


RESOLUTE = Subject("Resolute", _resolute, open_to_write)


def in_its_own_process(measure: Callable[..., Coroutine[Any, Any, T]], *given: Any) -> T:
    """What a coroutine of a benchmark returns in a new process.

    So no engine pays for another's imports: the garbage collector would look through them in every round.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_run, measure, given).result()


def _run(measure: Callable[..., Coroutine[Any, Any, T]], given: tuple[Any, ...]) -> T:
    return asyncio.run(measure(*given))


def check(result: object) -> None:
    """Refuse a figure for runs that did not do their work."""
    if result != NUMBER:
        raise RuntimeError(f"A run returned {result!r}, expected {NUMBER}: do not measure an engine that is broken.")


def percentile(seconds: list[float], percent: int) -> float:
    """The waiting time under which so many percent stay."""
    waits_s = sorted(seconds)
    return waits_s[min(len(waits_s) - 1, len(waits_s) * percent // 100)]

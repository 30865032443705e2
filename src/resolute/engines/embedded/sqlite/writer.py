"""`Writer`: the one thread with the one connection that writes.

What is handed in during one turn of the event loop waits in a queue together. The thread takes all of it at once and
writes it in one transaction (group commit), then reads what was asked for; so reads see every batch that came before
them. A group that cannot be written at the moment is repeated until it can, and everything behind it waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from resolute.clock import Clock, monotonic
from resolute.engines.embedded.sqlite.database import BUSY_MS, open_to_write
from resolute.engines.embedded.sqlite.reads import Query, answer, unreadable
from resolute.engines.embedded.sqlite.rows import REMOVES, SWEEPS, Prepared, Unreadable, Values, escaped, staged
from resolute.engines.embedded.sqlite.statements import put, statements
from resolute.engines.embedded.sqlite.verdict import broken_at_work, judge, named
from resolute.errors import StoreBroken, StoreError, StoreUnavailable

log = logging.getLogger("resolute.store")

T = TypeVar("T")

#: Most batches of one transaction.
GROUP: Final = 1000
#: The write-ahead log is moved into the database when nothing came for this long.
IDLE_S: Final = 1.0
#: Pauses between two tries at a group that cannot be written.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
#: Rows that one statement puts: each statement costs the thread a wait for the interpreter's lock.
ROWS_AT_ONCE: Final = (256, 128, 64, 32, 16, 8, 4, 2, 1)
#: In a storm, when groups hold so many batches, the file is looked at this often: each look costs the same wait.
STORM: Final = 16
CHECK_S: Final = 0.02
#: SQLite holds a copy of what a statement puts while it runs, and these may be 100 MB each.
ONE_BY_ONE: Final = "put_large"

#: Looks up what one id has → the same for many ids, and where the id stands in what is found.
LOOK_UPS: Final = {"run_by_id": ("runs_by_ids", 1), "pruned": ("pruned_by_ids", 0)}


@dataclass(slots=True)
class Work:
    """A batch to be written, or queries to be answered from one state of the database."""

    done: asyncio.Future[Any]
    batch: list[Prepared] = field(default_factory=list)
    queries: tuple[Query, ...] = ()


Answer = tuple[asyncio.Future[Any], Any, StoreError | None]


class Writer:
    """Owns the connection from `start` to `stop`.

    Attributes:
        held_since: since when batches are held, None while all is well.
        broke: its result says why nothing can be written any more.
    """

    def __init__(self, path: Path, clock: Clock, check: Callable[[], None]) -> None:
        self.held_since: datetime | None = None
        self._path = path
        self._clock = clock
        self._check_owner = check
        self._handed_in: list[Work] = []
        self._queue: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._ended.add_done_callback(self._refuse_the_rest)
        self.broke: asyncio.Future[StoreError] = self._loop.create_future()
        self._give_up = threading.Event()
        self._closing = False
        self._broken: StoreError | None = None
        self._lost = 0
        self._checked_s = 0.0
        self._inode = (0, 0)

    async def start(self) -> None:
        """Open the database; raises StoreError."""
        threading.Thread(target=self._run, name="resolute store", daemon=True).start()
        await self._started

    def end(self) -> None:
        """Take nothing more, and close when what was handed in is written."""
        self._closing = True
        self._hand_over()
        self._queue.put(None)

    async def stop(self, patience_s: float) -> None:
        """Wait for the end; raises StoreUnavailable when the rest cannot be written for so long."""
        self.end()
        timer = self._loop.call_later(patience_s, self._give_up.set)
        await asyncio.shield(self._ended)
        timer.cancel()
        if self._lost:
            raise StoreUnavailable(
                f"The store {self._path} was closed while it could not be written: {self._lost} "
                f"batch{'es were' if self._lost > 1 else ' was'} not kept. Nothing in them had been acknowledged. "
                "Make room on the disk, or end what locks the file, and start again."
            )

    def hand_in(self, batch: list[Prepared], queries: tuple[Query, ...]) -> asyncio.Future[Any]:
        """What becomes of a batch, or what queries find; fails with StoreError."""
        if self._broken is not None:
            raise _anew(self._broken)
        if self._closing:
            raise StoreError(f"The store {self._path} is closed.")
        done: asyncio.Future[Any] = self._loop.create_future()
        if not self._handed_in:  # waking the thread costs more than all else here, so it is done once for a crowd
            self._loop.call_soon(self._hand_over)
        self._handed_in.append(Work(done, batch, queries))
        return done

    def _hand_over(self) -> None:
        if self._handed_in:
            self._queue.put(self._handed_in)
            self._handed_in = []

    def _refuse_the_rest(self, _: asyncio.Future[None]) -> None:
        """Tell those who handed something in while the thread was ending."""
        self._hand_over()
        late, _ended = self._left([])
        _settle((work.done, None, _anew(self._broken)) for work in late if self._broken)

    # From here on in the thread

    def _run(self) -> None:
        """The thread: whatever ends it, everybody who waits for it is told."""
        ended = StoreBroken(f"The thread that writes the store {self._path} has ended.")
        failed: StoreError = ended
        try:
            with closing(open_to_write(self._path)) as connection:
                self._inode = self._inode_now()
                self._tell([(self._started, None, None)])
                self._serve(connection)
        except StoreError as error:
            failed = error
        finally:
            self._broken = self._broken or ended
            left: list[Answer] = [(work.done, None, _anew(self._broken)) for work in self._left([])[0]]
            self._tell([(self._started, None, failed), *left, (self._ended, None, None)])

    def _serve(self, connection: sqlite3.Connection) -> None:
        """Do what is handed in until told to stop."""
        to_move = True
        while True:
            try:
                first = self._queue.get(timeout=IDLE_S if to_move else None)
            except Empty:
                to_move = not self._move_log(connection)
                continue
            if first is None:
                return
            works, ended = self._left(first, GROUP)
            self._tell(self._answers(connection, works))
            to_move = to_move or any(work.batch for work in works)
            if ended:
                return

    def _left(self, works: list[Work], limit: float = math.inf) -> tuple[list[Work], bool]:
        """These and what else waits, about so many, and whether nothing comes after them."""
        while len(works) < limit:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                return works, True
            works = works + more
        return works, False

    def _answers(self, connection: sqlite3.Connection, works: list[Work]) -> list[Answer]:
        answers: list[Answer] = []
        batches = [work for work in works if work.batch]
        if batches:
            answers.extend(self._written(connection, batches))
        asked = [work for work in works if work.queries]
        looked_up = [(work, id) for work in asked if (id := _id_looked_up(work)) is not None]
        if len(looked_up) > 1:
            answers.extend(self._found(connection, looked_up))
            asked = [work for work in asked if _id_looked_up(work) is None]
        answers.extend(self._answered(connection, work) for work in asked)
        return answers

    def _found(self, connection: sqlite3.Connection, looked_up: list[tuple[Work, str]]) -> list[Answer]:
        """Look many ids up together: each statement costs a wait for the interpreter's lock."""
        ids = (json.dumps([id for _, id in looked_up]),)
        queries = [(statement, ids) for statement, _ in LOOK_UPS.values()]
        _, found, error = self._try(connection, looked_up[0][0], lambda: answer(connection, queries))
        if error is not None:  # each on its own says which of them cannot be read
            return [self._answered(connection, work) for work, _ in looked_up]
        rows = {
            (name, row[place]): [row]
            for (name, (_, place)), of_name in zip(LOOK_UPS.items(), found, strict=True)
            for row in of_name
        }
        return [(work.done, [rows.get((name, id), []) for name, _ in work.queries], None) for work, id in looked_up]

    def _answered(self, connection: sqlite3.Connection, work: Work) -> Answer:
        return self._try(connection, work, lambda: answer(connection, work.queries))

    def _written(self, connection: sqlite3.Connection, works: list[Work]) -> list[Answer]:
        """Write batches in one transaction; when one of them is refused, each in its own."""
        together = self._try(connection, works[0], lambda: self._write(connection, [work.batch for work in works]))
        error = together[2]
        if error is None or isinstance(error, StoreUnavailable | StoreBroken) or len(works) == 1:
            if isinstance(error, StoreUnavailable):
                self._lost += len(works)
            return [(work.done, None, None if error is None else _anew(error)) for work in works]
        return [answer for work in works for answer in self._written(connection, [work])]

    def _try(self, connection: sqlite3.Connection, work: Work, do: Callable[[], Any]) -> Answer:
        """Do something until it works or never can."""
        pause_s = FIRST_PAUSE_S
        while self._broken is None:
            try:
                value = do()
            except StoreBroken as error:
                _roll_back(connection)
                self._broke(error)
            except Unreadable as error:  # who asked for it cannot go on; others can
                return work.done, None, unreadable(self._path, error)
            except (OverflowError, ValueError) as error:  # a value that SQLite cannot hold
                _roll_back(connection)
                return work.done, None, StoreError(f"The store {self._path} refused this: {error}.")
            except sqlite3.Error as error:
                _roll_back(connection)
                verdict = judge(error, self._path)
                if verdict == "refused":
                    return work.done, None, StoreError(f"The store {self._path} refused this: {named(error)}.")
                if verdict == "broken":
                    self._broke(broken_at_work(error, self._path))
                    continue
                self._hold(error)
                if self._give_up.wait(pause_s):
                    self._broken = StoreUnavailable(f"The store {self._path} cannot be written: {named(error)}.")
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
            else:
                if self.held_since is not None:
                    log.warning("the store %s can be written again; it was held since %s", self._path, self.held_since)
                    self.held_since = None
                return work.done, value, None
        return work.done, None, _anew(self._broken)

    def _broke(self, error: StoreBroken) -> None:
        log.critical("%s", error)
        self._broken = error
        self._tell([(self.broke, _anew(error), None)])

    def _hold(self, error: sqlite3.Error) -> None:
        if self.held_since is None:
            self.held_since = self._clock.now()
            log.warning(
                "the store %s cannot be written: %s. Everything waits and is repeated until it can: "
                "make room on the disk, or end what locks the file",
                self._path,
                named(error),
            )

    def _write(self, connection: sqlite3.Connection, batches: list[list[Prepared]]) -> None:
        """One transaction."""
        self._check_file(len(batches))
        connection.execute("BEGIN IMMEDIATE")
        for stage in staged(batches):
            for name, rows in stage.items():
                _write_rows(connection, name, list(rows.values()))
        connection.execute("COMMIT")

    def _check_file(self, batches: int) -> None:
        """Raise StoreBroken when the file is not the one that was opened, or belongs to another owner by now."""
        now_s = monotonic()
        if batches >= STORM and now_s - self._checked_s < CHECK_S:
            return
        self._checked_s = now_s
        self._check_owner()
        if self._inode_now() != self._inode:
            raise StoreBroken(
                f"The store {self._path} was moved or deleted while it was in use. Put it back together with its "
                "-wal file, then start again."
            )

    def _inode_now(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino

    def _move_log(self, connection: sqlite3.Connection) -> bool:
        """Move the write-ahead log into the database and empty it; False when a reader is in the way."""
        try:
            connection.execute("PRAGMA busy_timeout = 0")  # a batch that comes now is not to wait for a reader
            try:
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        except sqlite3.Error as error:
            if judge(error, self._path) == "broken":
                self._broke(broken_at_work(error, self._path))
            return False
        return not busy

    def _tell(self, answers: list[Answer]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:
            log.debug("the event loop of %s ended before its store", self._path)


def _id_looked_up(work: Work) -> str | None:
    """The id that a work looks up, None when it asks for anything else."""
    asked = {given[0] for name, given in work.queries if name in LOOK_UPS and isinstance(given, tuple)}
    return asked.pop() if len(asked) == 1 and all(name in LOOK_UPS for name, _ in work.queries) else None


def _write_rows(connection: sqlite3.Connection, name: str, rows: list[Values]) -> None:
    for statement in SWEEPS.get(name, ()):
        connection.executemany(statements()[statement], rows)
    if name in SWEEPS:
        return
    if name in REMOVES and (gone := [row[:2] for row in rows if row[2] is None]):
        connection.executemany(statements()[REMOVES[name]], gone)
        rows = [row for row in rows if row[2] is not None]
    _put(connection, name, rows)


def _put(connection: sqlite3.Connection, name: str, rows: list[Values]) -> None:
    at = 0
    for size in (1,) if name == ONE_BY_ONE else ROWS_AT_ONCE:
        while len(rows) - at >= size:
            statement, values = put(name).of(size), tuple(chain.from_iterable(rows[at : at + size]))
            try:
                connection.execute(statement, values)
            except UnicodeEncodeError:
                connection.execute(statement, tuple(map(escaped, values)))
            at += size


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _settle(answers: Iterable[Answer]) -> None:
    for done, value, error in answers:
        if done.done():  # who waited for it has been cancelled
            continue
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)


def _anew(error: StoreError) -> StoreError:
    """The error once more: each that waits gets its own, for each adds its traceback."""
    return type(error)(str(error))

"""`Writer`: the one thread with the one session that writes.

What is handed in during one turn of the event loop waits in a queue together. The thread takes all of it at once and
writes it in one transaction (group commit) of one round trip, then reads what was asked for; so reads see every batch
that came before them. What cannot be written at the moment, be the server away, is held and repeated until it can.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any, Final

import psycopg

from resolute.clock import Clock
from resolute.engines.embedded.postgres.hold import Hold
from resolute.engines.embedded.postgres.holder import PACKAGE
from resolute.engines.embedded.postgres.rows import as_json, found, given
from resolute.engines.embedded.postgres.verdict import judge, named
from resolute.engines.embedded.sqlite.reads import Found, Query
from resolute.engines.embedded.sqlite.rows import REMOVES, SWEEPS, Prepared, Values, staged
from resolute.errors import StoreBroken, StoreError, StoreUnavailable
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import Connection, unreachable
from resolute.postgres.statements import statements
from resolute.postgres.text import written

log = logging.getLogger("resolute.store")

#: Most batches of one transaction.
GROUP: Final = 1000
#: Most rows of one statement.
ROWS_AT_ONCE: Final = 2000
#: The session is looked at when nothing came for this long.
IDLE_S: Final = 2.0
#: Pauses between two tries at a group that cannot be written.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
#: Put with a parameter for each value: these may be 100 MB each, or two of them are for one row.
ONE_BY_ONE: Final = frozenset({"put_large", "put_pause"})


@dataclass(slots=True)
class Work:
    """A batch to be written, or queries to be answered from one state of the database."""

    done: asyncio.Future[Any]
    batch: list[Prepared] = field(default_factory=list)
    queries: tuple[Query, ...] = ()


Answer = tuple[asyncio.Future[Any], Any, StoreError | None]


class Writer:
    """Holds the store from `start` to `stop`.

    Attributes:
        held_since: since when batches are held, None while all is well.
        broke: its result says why nothing can be written any more.
    """

    def __init__(self, address: PostgresAddress, clock: Clock, *, listens: bool, patience_s: float) -> None:
        self.held_since: datetime | None = None
        self._address = address
        self._clock = clock
        self.broke: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
        self._give_up = threading.Event()
        self._hold = Hold(address, listens=listens, patience_s=patience_s, give_up=self._give_up)
        self._handed_in: list[Work] = []
        self._queue: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._ended.add_done_callback(self._refuse_the_rest)
        self._closing = False
        self._broken: StoreError | None = None
        self._lost = 0

    async def start(self) -> None:
        """Take the store; raises StoreError."""
        threading.Thread(target=self._run, name="resolute store", daemon=True).start()
        try:
            await asyncio.shield(self._started)
        except asyncio.CancelledError:
            self._give_up.set()  # nobody waits for the store any more
            raise

    def end(self) -> None:
        """Take nothing more, and let go when what was handed in is written."""
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
                f"The store {self._address} was closed while it could not be written: {self._lost} "
                f"batch{'es were' if self._lost > 1 else ' was'} not kept. Nothing in them had been acknowledged. "
                "Start the server, or make room on its disk, and start again."
            )

    def hand_in(self, batch: list[Prepared], queries: tuple[Query, ...]) -> asyncio.Future[Any]:
        """What becomes of a batch, or what queries find; fails with StoreError."""
        if self._broken is not None:
            raise _anew(self._broken)
        if self._closing:
            raise StoreError(f"The store {self._address} is closed.")
        done: asyncio.Future[Any] = self._loop.create_future()
        if not self._handed_in:  # waking the thread is done once for a crowd
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
        ended = StoreBroken(f"The thread that writes the store {self._address} has ended.")
        failed: StoreError = ended
        try:
            self._hold.take()
            self._tell([(self._started, None, None)])
            self._serve()
        except StoreError as error:
            failed = error
        except psycopg.Error as error:
            failed = unreachable(self._address, error)
        finally:
            self._hold.let_go()
            self._broken = self._broken or ended
            left: list[Answer] = [(work.done, None, _anew(self._broken)) for work in self._left([])[0]]
            self._tell([(self._started, None, failed), *left, (self._ended, None, None)])

    def _serve(self) -> None:
        """Do what is handed in until told to stop."""
        while True:
            try:
                first = self._queue.get(timeout=IDLE_S)
            except Empty:  # an idle worker has to see as well that its session was lost, for others wait for its return
                self._try(lambda connection: connection.execute("SELECT 1"))
                continue
            if first is None:
                return
            works, ended = self._left(first, GROUP)
            self._tell(self._written([work for work in works if work.batch]))
            self._tell(self._answered([work for work in works if work.queries]))
            if ended:
                return

    def _left(self, works: list[Work], limit: float = math.inf) -> tuple[list[Work], bool]:
        """These and what else waits, about so many, and whether nothing comes after them."""
        while len(works) < limit and not self._queue.empty():
            more = self._queue.get_nowait()
            if more is None:
                return works, True
            works = works + more
        return works, False

    def _written(self, works: list[Work]) -> list[Answer]:
        """Write batches in one transaction; when one of them is refused, each in its own."""
        if not works:
            return []
        _, error = self._try(lambda connection: _write(connection, [work.batch for work in works]))
        if error is not None and type(error) is StoreError and len(works) > 1:
            return [answer for work in works for answer in self._written([work])]
        if isinstance(error, StoreUnavailable):
            self._lost += len(works)
        return [(work.done, None, None if error is None else _anew(error)) for work in works]

    def _answered(self, works: list[Work]) -> list[Answer]:
        """Answer all queries in one round trip; when one of them is refused, each in its own."""
        if not works:
            return []
        answers, error = self._try(lambda connection: _ask(connection, [work.queries for work in works]))
        if error is None:
            return [(work.done, answer, None) for work, answer in zip(works, answers, strict=True)]
        if type(error) is StoreError and len(works) > 1:
            return [answer for work in works for answer in self._answered([work])]
        return [(work.done, None, _anew(error)) for work in works]

    def _try(self, do: Callable[[Connection], Any]) -> tuple[Any, StoreError | None]:
        """Do something until it works or never can."""
        pause_s = FIRST_PAUSE_S
        while self._broken is None:
            try:
                value = do(self._hold.connection or self._hold.take_again())
            except StoreBroken as error:
                self._broke(error)
            except psycopg.Error as error:
                self._roll_back()
                verdict = judge(error)
                if verdict == "refused":
                    told = named(error, self._address)
                    return None, StoreError(f"The store {self._address} refused this: {told}.")
                if verdict == "broken" and self._hold.connection is not None:
                    self._broke(broken_at_work(error, self._address))
                    continue
                if verdict == "lost":
                    self._hold.drop()
                self._held(error)
                if self._give_up.wait(pause_s):
                    told = named(error, self._address)
                    self._broken = StoreUnavailable(f"The store {self._address} cannot be written: {told}.")
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
            else:
                if self.held_since is not None:
                    log.warning("the store %s is there again; it was held since %s", self._address, self.held_since)
                    self.held_since = None
                return value, None
        return None, self._broken

    def _roll_back(self) -> None:
        """End a transaction that failed; a session in which that cannot be done is let go."""
        connection = self._hold.connection
        if connection is None:
            return
        try:
            if connection.closed:
                self._hold.drop()
            elif connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.rollback()
        except psycopg.Error as error:
            log.debug("no rollback in the session of %s: %s", self._address, named(error, self._address))
            self._hold.drop()

    def _broke(self, error: StoreBroken) -> None:
        log.critical("%s", error)
        self._broken = error
        self._tell([(self.broke, _anew(error), None)])

    def _held(self, error: psycopg.Error) -> None:
        if self.held_since is None:
            self.held_since = self._clock.now()
            log.warning(
                "the store %s cannot be written: %s. Everything waits and is repeated until it can: start the server, "
                "or make room on its disk",
                self._address,
                named(error, self._address),
            )

    def _tell(self, answers: list[Answer]) -> None:
        if not answers:
            return
        try:
            self._loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:
            log.debug("the event loop of %s ended before its store", self._address)


def broken_at_work(error: psycopg.Error, address: PostgresAddress) -> StoreBroken:
    """What an error that is judged "broken" means to the operator of a store that was in use."""
    return StoreBroken(
        f"The store {address} failed: {named(error, address)}. Expected the tables as this process found them and a "
        "sound server. Mend or restore them, then start again; what was acknowledged was on the server's disk."
    )


def _write(connection: Connection, batches: Sequence[list[Prepared]]) -> None:
    with connection.pipeline():
        connection.execute("BEGIN")
        for stage in staged(batches):
            for name, rows in stage.items():
                _write_rows(connection, name, list(rows.values()))
        connection.execute("COMMIT")


def _write_rows(connection: Connection, name: str, rows: list[Values]) -> None:
    if name in SWEEPS:
        for statement in SWEEPS[name]:
            for row in rows:
                _execute(connection, statement, row)
        return
    if name in REMOVES:
        for row in rows:
            if row[2] is None:
                _execute(connection, REMOVES[name], tuple(map(written, row[:2])))
        rows = [row for row in rows if row[2] is not None]
    if name in ONE_BY_ONE:
        for row in rows:
            _execute(connection, name, tuple(map(written, row)))
        return
    for first in range(0, len(rows), ROWS_AT_ONCE):
        _execute(connection, name, (as_json(name, rows[first : first + ROWS_AT_ONCE]),))


def _execute(connection: Connection, name: str, values: Values) -> None:
    connection.execute(statements(PACKAGE)[name].encode(), values)


def _ask(connection: Connection, asked: Sequence[tuple[Query, ...]]) -> list[Found]:
    """The rows of each query of each asker, in one round trip."""
    with connection.pipeline():
        cursors = [
            [connection.execute(statements(PACKAGE)[query[0]].encode(), given(query)) for query in queries]
            for queries in asked
        ]
    return [[found(cursor.fetchall()) for cursor in of_one] for of_one in cursors]


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

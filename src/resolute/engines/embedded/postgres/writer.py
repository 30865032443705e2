"""`Writer`: the one session that writes the store, each group commit in one round trip."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg

from resolute.clock import Clock
from resolute.engines.embedded.group_writer import Answer, GroupWriter, Meaning, Work
from resolute.engines.embedded.postgres.hold import Hold
from resolute.engines.embedded.postgres.holder import PACKAGE
from resolute.engines.embedded.postgres.rows import as_json, found, given
from resolute.engines.embedded.postgres.verdict import judge
from resolute.engines.embedded.sqlite.reads import Found, Query
from resolute.engines.embedded.sqlite.rows import REMOVES, SWEEPS, Prepared, Values, staged
from resolute.errors import StoreBroken, StoreError, StoreUnavailable
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import Connection, named, unreachable
from resolute.postgres.statements import statements
from resolute.postgres.text import written

log = logging.getLogger("resolute.store")

#: Most rows of one statement.
ROWS_AT_ONCE: Final = 2000
#: Put with a parameter for each value: these may be 100 MB each, or two of them are for one row.
ONE_BY_ONE: Final = frozenset({"put_large", "put_pause"})


class Writer(GroupWriter):
    """Holds the store of a schema, also through the loss of its session.

    Args:
        listens: whether it is a worker, which takes orders.
        patience_s: for how long another holder is waited for.
    """

    errors = (psycopg.Error,)
    remedy = "start the server, or make room on its disk"
    idle_s = 2.0

    def __init__(self, address: PostgresAddress, clock: Clock, *, listens: bool, patience_s: float) -> None:
        super().__init__(address, clock)
        self._address = address
        self._hold = Hold(address, listens=listens, patience_s=patience_s, give_up=self._give_up)

    @contextmanager
    def _taken(self) -> Iterator[None]:
        try:
            self._hold.take()
            yield
        except psycopg.Error as error:
            raise unreachable(self._address, error) from error
        finally:
            self._hold.let_go()

    @property
    def _connection(self) -> Connection:
        """The session; raises psycopg.Error when there is none now, StoreBroken when another has the store."""
        return self._hold.connection or self._hold.take_again()

    def _write(self, batches: Sequence[list[Prepared]]) -> None:
        connection = self._connection
        with connection.pipeline():
            connection.execute("BEGIN")
            for stage in staged(batches):
                for name, rows in stage.items():
                    _write_rows(connection, name, list(rows.values()))
            connection.execute("COMMIT")

    def _answered(self, works: list[Work]) -> list[Answer]:
        """Answer all queries in one round trip; when one of them is refused, each in its own."""
        answers, error = self._try(lambda: _ask(self._connection, [work.queries for work in works]))
        if error is None:
            return [(work.done, answer, None) for work, answer in zip(works, answers, strict=True)]
        if type(error) is StoreError and len(works) > 1:
            return [answer for work in works for answer in self._answered([work])]
        return [(work.done, None, type(error)(str(error))) for work in works]

    def _look_after(self) -> bool:
        """An idle worker has to see as well that its session was lost, for others wait for its return."""
        self._try(lambda: self._connection.execute("SELECT 1"))
        return True

    def _failed(self, error: Exception) -> tuple[Meaning, StoreError]:
        if not isinstance(error, psycopg.Error):  # none of those that are caught
            raise error
        self._roll_back()
        verdict, told = judge(error), named(error, self._address)
        if verdict == "refused":
            return verdict, StoreError(f"The store {self._address} refused this: {told}.")
        if verdict == "broken" and self._hold.connection is not None:
            return verdict, broken_at_work(error, self._address)
        if verdict == "lost":
            self._hold.drop()
        return "repeat", StoreUnavailable(f"The store {self._address} cannot be written: {told}.")

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


def broken_at_work(error: psycopg.Error, address: PostgresAddress) -> StoreBroken:
    """What an error that is judged "broken" means to the operator of a store that was in use."""
    return StoreBroken(
        f"The store {address} failed: {named(error, address)}. Expected the tables as this process found them and a "
        "sound server. Mend or restore them, then start again; what was acknowledged was on the server's disk."
    )


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

"""`Hold`: the session that holds the store and writes it. Lost, it is made anew unless another has come meanwhile."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from typing import Any

import psycopg

from resolute.clock import monotonic
from resolute.engines.embedded.postgres.holder import PACKAGE, PostgresHolder, holder_now, last_holder
from resolute.errors import StoreBroken, StoreOwned
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import OWNER_LOCK, Connection, connect, migrate, named
from resolute.postgres.statements import migrations, statements

log = logging.getLogger("resolute.store")

#: Pause between two tries at a lock that another holds.
LOOK_S = 0.25


class Hold:
    """One opening of the store. What is written in its session is written by its holder, or not at all.

    Args:
        listens: whether it is a worker, which takes orders.
        patience_s: for how long another worker is waited for: the server needs some seconds to see that a machine is
            gone. A command is waited for as long as it is at work, unless there is no patience at all.
        give_up: ends that wait when it is set.
    """

    def __init__(self, address: PostgresAddress, *, listens: bool, patience_s: float, give_up: threading.Event) -> None:
        self._address = address
        self._listens = listens
        self._patience_s = patience_s
        self._give_up = give_up
        self._token = secrets.token_hex(16)
        self._backend = 0
        self.connection: Connection | None = None

    def take(self) -> Connection:
        """The session that holds the store, with its tables as they are known here.

        Raises:
            psycopg.Error: the server cannot be reached, or does not let us.
            StoreOwned: another holds the store.
            StoreBroken: the tables are not ours, or of a newer version.
        """
        connection = connect(self._address, self._name)
        try:
            self._wait_for_lock(connection)
            migrate(connection, self._address, migrations(PACKAGE))
            self._say_so(connection)
        except BaseException:
            connection.close()
            raise
        self.connection = connection
        return connection

    def take_again(self) -> Connection:
        """The same in a new session after the last one was lost.

        Raises:
            psycopg.Error: not yet.
            StoreBroken: another has held the store meanwhile, and may have written what ours knows nothing of.
        """
        self.drop()
        connection = connect(self._address, self._name)
        try:
            if not self._try_lock(connection):
                ask = statements(PACKAGE)["end_session"].encode()
                connection.execute(ask, (OWNER_LOCK, self._address.schema, self._backend))
                if not self._try_lock(connection):
                    raise self._taken_over(holder_now(connection, self._address) or PostgresHolder())
            last = last_holder(connection)
            if last.token != self._token:
                raise self._taken_over(last)
            self._say_so(connection)
        except BaseException:
            connection.close()
            raise
        self.connection = connection
        return connection

    def let_go(self) -> None:
        """End the hold and the session; whoever looks sees at once that nobody holds the store."""
        connection = self.connection
        if connection is None:
            return
        try:  # the end of a session alone is seen a little later
            if not connection.closed and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                connection.execute(statements(PACKAGE)["remove_owner"].encode(), (self._token,))
                _one(connection, "unlock", OWNER_LOCK, self._address.schema)
        except psycopg.Error as error:
            log.debug("the session with %s ended without a word: %s", self._address, named(error, self._address))
        finally:
            self.drop()

    def drop(self) -> None:
        """End the session as if it had been lost: the store still goes by our name."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    @property
    def _name(self) -> str:
        return "resolute worker" if self._listens else "resolute command"

    def _wait_for_lock(self, connection: Connection) -> None:
        ends_s, told = monotonic() + self._patience_s, ""
        while not self._try_lock(connection):
            found = holder_now(connection, self._address) or PostgresHolder()
            if found.token and not found.listens:
                ends_s = monotonic() + self._patience_s
            if monotonic() >= ends_s or self._give_up.wait(LOOK_S):
                raise StoreOwned(
                    f"The store {self._address} is owned by {found}. Expected to own it alone. "
                    "Stop that process, or name another schema for the store: ?schema=NAME."
                )
            if str(found) != told:
                told = str(found)
                log.info("waiting for %s, which holds the store %s", told, self._address)

    def _try_lock(self, connection: Connection) -> bool:
        return bool(_one(connection, "try_lock", OWNER_LOCK, self._address.schema))

    def _say_so(self, connection: Connection) -> None:
        self._backend = connection.info.backend_pid
        connection.execute(
            statements(PACKAGE)["put_owner"].encode(), (self._token, socket.gethostname(), os.getpid(), self._listens)
        )

    def _taken_over(self, other: PostgresHolder) -> StoreBroken:
        return StoreBroken(
            f"The session with the store {self._address} was lost, and meanwhile {other} took the store. This process "
            "writes nothing more: what it had under way is taken up by the other. Keep one worker on a store."
        )


def _one(connection: psycopg.Connection[Any], name: str, *given: Any) -> Any:
    [found] = connection.execute(statements(PACKAGE)[name].encode(), given).fetchone() or (None,)
    return found

"""Gives back to the disk what is free in a store's tables: each is written anew while nobody else holds the store."""

from __future__ import annotations

import threading

import psycopg
from psycopg import sql

from resolute.engines.embedded.postgres.hold import Hold
from resolute.engines.embedded.postgres.holder import PACKAGE
from resolute.engines.embedded.postgres.verdict import judge
from resolute.errors import StoreUnavailable
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import named, unreachable
from resolute.postgres.statements import statements


def vacuum(address: PostgresAddress) -> None:
    """Write the tables anew without their free room, one after the other; raises StoreOwned, StoreUnavailable."""
    hold = Hold(address, listens=False, patience_s=0.0, give_up=threading.Event())
    try:
        connection = hold.take()
        connection.execute("SET lock_timeout = 0")  # whoever reads a table is waited for
        for (table,) in connection.execute(statements(PACKAGE)["tables"].encode()).fetchall():
            connection.execute(sql.SQL("VACUUM (FULL) {}").format(sql.Identifier(table)), prepare=False)
    except psycopg.Error as error:
        if judge(error) == "lost":
            raise unreachable(address, error) from error
        raise StoreUnavailable(
            f"The store {address} was not made smaller: {named(error, address)}. What it holds is as it was; make room "
            "for another copy of its largest table on the server's disk, then repeat this."
        ) from error
    finally:
        hold.let_go()

"""Sessions with the server: opened, set up, and the schema in them brought to the version that is known here."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

from resolute.errors import StoreBroken, StoreError, StoreUnavailable
from resolute.postgres.address import PostgresAddress

log = logging.getLogger("resolute.store")

Connection = psycopg.Connection[tuple[Any, ...]]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]

OLDEST_SERVER: Final = 13_00_00
#: For how long a connection is tried.
CONNECT_S: Final = 5
#: A peer that does not answer is given up after about this time, on either side: a lock of a machine that is gone is
#: free again, and a machine that lost its server knows.
SILENT_S: Final = 10
#: First of the two numbers of our advisory locks, "RESO"; the second is made of the schema's name.
OWNER_LOCK: Final = 0x5245534F
MIGRATION_LOCK: Final = OWNER_LOCK + 1
#: How long a statement waits for what locks its rows or tables.
LOCK_MS: Final = 2000

#: What the session of a store or ledger goes by; those of an idle or dead client are ended by the server.
_SET_UP: Final = f"""
SET TIME ZONE 'UTC';
SET client_encoding = 'UTF8';
SET lock_timeout = {LOCK_MS};
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 60000;
SET tcp_keepalives_idle = 4;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET default_transaction_isolation = 'read committed';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""


def connect(address: PostgresAddress, name: str) -> Connection:
    """A session in the address's schema, whether that is there or not; each statement is a transaction of its own.

    Args:
        name: what the server shows of it (`application_name`).

    Raises:
        psycopg.Error: the server cannot be reached, or refuses.
        StoreError: it is not one that we can use.
    """
    connection = psycopg.connect(address.url, **_given(name))
    try:
        _check_server(connection.info, address)
        connection.execute(_SET_UP.encode(), prepare=False)
        connection.execute(_in_schema(address))
    except BaseException:
        connection.close()
        raise
    return connection


async def connect_async(address: PostgresAddress, name: str) -> AsyncConnection:
    """The same for who lives in an event loop."""
    connection = await psycopg.AsyncConnection.connect(address.url, **_given(name))
    try:
        _check_server(connection.info, address)
        await connection.execute(_SET_UP.encode(), prepare=False)
        await connection.execute(_in_schema(address))
    except BaseException:
        await connection.close()
        raise
    return connection


def _given(name: str) -> dict[str, Any]:
    return {
        "autocommit": True,
        "prepare_threshold": 0,
        "connect_timeout": CONNECT_S,
        "keepalives_idle": 4,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENT_S * 1000,
        "application_name": name,
    }


def _check_server(info: psycopg.ConnectionInfo, address: PostgresAddress) -> None:
    if info.server_version < OLDEST_SERVER:
        raise StoreBroken(
            f"{address} is PostgreSQL {info.server_version // 10000}, expected {OLDEST_SERVER // 10000} or newer. "
            "Upgrade the server, or name another."
        )
    if info.parameter_status("server_encoding") != "UTF8":
        raise StoreBroken(f"The database {address} is not in UTF-8. Make one: createdb -E UTF8 -T template0 NAME.")


def _in_schema(address: PostgresAddress) -> sql.Composed:
    return sql.SQL("SET search_path = {}").format(sql.Identifier(address.schema))


def named(error: psycopg.Error, address: PostgresAddress) -> str:
    """The error in one line of the server's words, with its code, without a password."""
    text = str(error).strip() or type(error).__name__
    return address.scrub(f"{' '.join(text.split())}{f' ({error.sqlstate})' if error.sqlstate else ''}")


def unreachable(address: PostgresAddress, error: psycopg.Error) -> StoreUnavailable:
    """What it means to the operator that there is no session to be had."""
    return StoreUnavailable(
        f"The database {address} cannot be reached: {address.scrub(str(error)).strip()}. "
        "Start the server, or mend the address; the user needs the right to connect and to create in the database."
    )


def version(connection: Connection, address: PostgresAddress) -> int:
    """The version of the tables in the address's schema, 0 when there are none; raises StoreBroken."""
    [has_meta] = _row(connection, "SELECT to_regclass('meta') IS NOT NULL")
    if not has_meta:
        return 0
    found = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    if found is None or not found[0].isdigit():
        raise StoreBroken(
            f'The schema "{address.schema}" of {address} holds the tables of another program, or is damaged. Name '
            "another: ?schema=NAME; or restore it from a dump."
        )
    return int(found[0])


def check_version(found: int, known: Mapping[int, str], address: PostgresAddress) -> None:
    """Raise StoreError unless the tables have the newest version that is known here."""
    newest = max(known)
    if found > newest:
        raise StoreBroken(
            f"The tables in {address} have version {found}, expected {newest}: a newer Resolute made them. "
            "Install that version again, or name another schema: ?schema=NAME."
        )
    if found == 0:
        raise StoreError(f"There is no store in {address}. A worker makes it; or name another.")
    if found < newest:
        raise StoreError(
            f"The tables in {address} have version {found}, expected {newest}: an older Resolute made them. The next "
            "worker on it, or any command that writes, brings them to this version: start one."
        )


def migrate(connection: Connection, address: PostgresAddress, known: Mapping[int, str], key: bytes = b"") -> None:
    """Bring the tables to the newest version that is known here: all in one transaction, one process after the other.

    Args:
        key: of the digests in a schema that is made now; a random one unless it is given.

    Raises:
        psycopg.Error: it cannot be done now, or not by this user.
        StoreBroken: a newer version made them.
    """
    with connection.transaction():
        # However many workers start at once, one makes the tables and the others find them. The wait has no end of
        # its own: a server that is slow to make an index is no reason to give up.
        connection.execute("SET LOCAL lock_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (MIGRATION_LOCK, address.schema))
        [is_there] = _row(connection, "SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL", address.schema)
        if not is_there:  # asked first: IF NOT EXISTS needs the right to create one also where there is one
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(address.schema)))
        found = version(connection, address)
        for number, text in known.items():
            if number <= found:
                continue
            connection.execute(text.encode(), prepare=False)
            if number == 1:
                add = "INSERT INTO meta (name, value) VALUES ('version', '1'), ('digest_key', %s)"
                connection.execute(add, ((key or secrets.token_bytes(32)).hex(),))
            connection.execute("UPDATE meta SET value = %s WHERE name = 'version'", (str(number),))
            log.info("the tables in %s were brought to version %d", address, number)
        if found > max(known):
            check_version(found, known, address)


def digest_key(connection: Connection, address: PostgresAddress) -> bytes:
    """The random key of the digests in this schema; raises StoreBroken when it is lost."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'digest_key'").fetchone()
    if found is None:
        raise StoreBroken(f"The tables in {address} have lost the key of their digests. Restore them from a dump.")
    return bytes.fromhex(found[0])


def _row(connection: Connection, statement: str, *given: Any) -> tuple[Any, ...]:
    found = connection.execute(statement.encode(), given or None).fetchone()
    assert found is not None
    return found

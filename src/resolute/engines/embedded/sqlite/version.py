"""The schema version of a store: which one a file has, whether it is known here, and what leads to this one."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from pathlib import Path

from resolute.engines.embedded.sqlite.statements import migrations, put, schema, statements
from resolute.engines.embedded.sqlite.whole import RESTORE
from resolute.engines.embedded.store import SCHEMA_VERSION
from resolute.errors import StoreBroken, StoreError

log = logging.getLogger("resolute.store")


def make_tables(connection: sqlite3.Connection) -> None:
    """Make an empty database ours; the caller's transaction."""
    for statement in schema():
        connection.execute(statement)
    add = put("put_meta").of(1)
    connection.execute(add, ("schema_version", SCHEMA_VERSION))
    connection.execute(add, ("digest_key", secrets.token_bytes(32)))


def migrate(connection: sqlite3.Connection, path: Path, found: int) -> None:
    """Bring a file of an older version to this one, a version after the other.

    No copy is made before: a version is reached in one transaction or not at all, whatever ends the process.
    """
    for version, steps in migrations().items():
        if version <= found:
            continue
        connection.execute("BEGIN IMMEDIATE")
        for statement in steps:
            connection.execute(statement)
        connection.execute(statements()["set_schema_version"], (version,))
        connection.execute("COMMIT")
        log.info("the store %s was brought to schema version %d", path, version)


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the database holds no tables at all."""
    return connection.execute(statements()["tables"]).fetchone() is None


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file, known here or not; raises StoreError when it is no store."""
    tables = {name for (name,) in connection.execute(statements()["tables"])}
    if not tables:
        raise StoreError(f"The store {path} is empty: nothing was ever written to it.")
    if not {"meta", "runs", "journal"} <= tables:
        raise StoreError(
            f"{path} is a database of another program (tables: {', '.join(sorted(tables)[:5])}). "
            f"Name another file for the store. If it was ours, it is damaged. {RESTORE}"
        )
    found = connection.execute(statements()["meta"], ("schema_version",)).fetchone()
    if found is None or not isinstance(found[0], int) or found[0] < 1:
        raise StoreBroken(f"The store {path} does not say its schema version, expected {SCHEMA_VERSION}. {RESTORE}")
    return found[0]


def check_to_write(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file, this one or older; raises StoreError."""
    version = schema_version(connection, path)
    if version > SCHEMA_VERSION:
        raise StoreBroken(
            f"The store {path} has schema version {version}, expected {SCHEMA_VERSION}: a newer Resolute wrote it. "
            "Install that version again, or name another file for the store."
        )
    return version


def check_to_read(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError unless the file has this version: who only reads cannot change it."""
    version = check_to_write(connection, path)
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"The store {path} has schema version {version}, expected {SCHEMA_VERSION}: an older Resolute wrote it. "
            "The next worker on it, or any command that writes, brings it to this version: start one."
        )

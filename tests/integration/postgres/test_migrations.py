"""The versions of the tables in PostgreSQL: made and brought up once, whole or not at all, and never brought down."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

import psycopg
import pytest

from resolute.engines.embedded.postgres.holder import PACKAGE as JOURNAL
from resolute.engines.embedded.postgres.reader import PostgresReader
from resolute.engines.embedded.sqlite.statements import put, statements
from resolute.engines.embedded.store import SCHEMA_VERSION, LedgerQuery
from resolute.engines.temporal.postgres.values import PACKAGE as VALUES
from resolute.errors import StoreBroken, StoreError
from resolute.ledger.postgres.ledger import PACKAGE as LEDGER
from resolute.ledger.postgres.ledger import LedgerReader, PostgresLedger
from resolute.postgres.address import PostgresAddress
from resolute.postgres.session import connect, migrate, version
from resolute.postgres.statements import migrations
from resolute.postgres.statements import statements as postgres_statements
from tests.contract.rows import row
from tests.postgres_server import PostgresServer

#: Version of the journal in PostgreSQL → the SQLite schema version that holds the same.
SAME_AS: Final = {1: 3}
#: Beginnings of the SHA-256 of what has been released: a database that was through it would not get a change.
RELEASED: Final = {
    JOURNAL: {1: "70d5d27534e2462b"},
    LEDGER: {1: "e1ec3a82e58b8400", 2: "0eebb11cb070cb30"},
    VALUES: {1: "b57386c4ce052783"},
}
KEY = b"k" * 32


def seen_version(address: PostgresAddress) -> int:
    with closing(connect(address, "test")) as outside:
        return version(outside, address)


def bring(address: PostgresAddress, known: dict[int, str]) -> None:
    with closing(connect(address, "test")) as connection:
        migrate(connection, address, known, KEY)


@pytest.mark.parametrize("package", [JOURNAL, LEDGER, VALUES])
def test_migration_that_was_released_is_never_changed(package: str) -> None:
    """What changes comes in a file of its own, the next by number."""
    known = migrations(package)
    assert list(known) == list(range(1, len(known) + 1))
    found = {number: hashlib.sha256(text.encode()).hexdigest()[:16] for number, text in known.items()}
    assert found == RELEASED[package]


def test_journal_holds_what_it_holds_in_sqlite(postgres: PostgresServer) -> None:
    """Table by table the same columns in the same order; a new schema version of the one is one of the other."""
    address = postgres.address()
    bring(address, migrations(JOURNAL))
    assert SAME_AS[seen_version(address)] == SCHEMA_VERSION
    for name in statements():
        if not name.startswith("put_") or name == "put_meta":
            continue
        table = put(name).table
        with postgres.connect() as outside:
            query = f"SELECT * FROM {address.schema}.{table} LIMIT 0"
            columns = [column.name for column in outside.execute(query.encode()).description or ()]
        assert columns[: len(put(name).columns)] == list(put(name).columns), table


@pytest.mark.parametrize(
    ("package", "begun"),
    [(JOURNAL, 0), (VALUES, 0), (LEDGER, 0), *((LEDGER, number) for number in list(migrations(LEDGER))[:-1])],
)
def test_many_that_start_at_once_migrate_once(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture, package: str, begun: int
) -> None:
    """Whoever is first brings the tables to each version, the others find them there; from nothing or an older one."""
    address, known = postgres.address(), migrations(package)
    if begun:
        bring(address, {number: text for number, text in known.items() if number <= begun})
    caplog.clear()
    with caplog.at_level(logging.INFO, "resolute.store"), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: bring(address, known), range(16)))
    told = Counter(record.args[-1] for record in caplog.records if "brought to version" in record.msg)  # type: ignore[index]
    assert told == {number: 1 for number in known if number > begun}
    assert seen_version(address) == max(known)


async def test_newer_ledger_is_refused_and_left_alone(postgres: PostgresServer) -> None:
    """By workers and by readers, with what to do."""
    address = postgres.address()
    bring(address.ledger, migrations(LEDGER) | {99: "CREATE TABLE of_the_future ()"})
    with pytest.raises(StoreBroken, match="have version 99, expected 2: a newer Resolute made them"):
        await PostgresLedger(address).open("worker", KEY)
    with pytest.raises(StoreBroken, match="Install that version again"):
        await LedgerReader(address).ledger(LedgerQuery())
    assert seen_version(address.ledger) == 99


async def test_older_tables_are_not_changed_by_who_only_reads(postgres: PostgresServer) -> None:
    """It says who brings them to the version that it knows; the next worker does, and what was in them stays."""
    address = postgres.address()
    bring(address.ledger, {1: migrations(LEDGER)[1]})
    kept = row(1)
    with closing(connect(address.ledger, "test")) as outside:
        objects = json.loads(PostgresLedger(address)._json([kept]))
        outside.execute(postgres_statements(LEDGER)["put_rows"].encode(), (json.dumps(objects),))
    with pytest.raises(StoreError, match=r"an older Resolute made them\. The next worker on it"):
        await LedgerReader(address).ledger(LedgerQuery())
    ledger = PostgresLedger(address)
    assert await ledger.open("worker", b"another" * 4) == KEY
    await ledger.close()
    assert await LedgerReader(address).ledger(LedgerQuery()) == [kept]


@pytest.mark.parametrize("package", [JOURNAL, LEDGER])
def test_migration_that_fails_changes_nothing(postgres: PostgresServer, package: str) -> None:
    """Neither the tables nor the version, whatever of it was done already; the next start tries again."""
    address, known = postgres.address(), migrations(package)
    bring(address, known)
    with pytest.raises(psycopg.errors.DivisionByZero):
        bring(address, known | {max(known) + 1: "CREATE TABLE half_made (); SELECT 1 / 0"})
    assert seen_version(address) == max(known)
    with postgres.connect() as outside:
        found = outside.execute("SELECT to_regclass(%s) IS NULL", (f"{address.schema}.half_made",)).fetchone()
    assert found == (True,)


async def test_reader_of_a_newer_journal_says_so(postgres: PostgresServer) -> None:
    """As the worker does."""
    address = postgres.address()
    bring(address, migrations(JOURNAL) | {99: "CREATE TABLE of_the_future ()"})
    with pytest.raises(StoreBroken, match="a newer Resolute made them"):
        await PostgresReader(address).find("run1")

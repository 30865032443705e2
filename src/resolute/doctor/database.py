"""A look at a store in PostgreSQL: whether the server answers, whether the tables are ours, and who holds them."""

from __future__ import annotations

import asyncio

from resolute.doctor.finding import Finding, ok, problem
from resolute.engine import RunQuery
from resolute.errors import StoreError
from resolute.postgres.address import PostgresAddress, extra_missing


def in_database(address: PostgresAddress) -> Finding:
    """Whether the store can be reached and read; nothing in it is changed."""
    if missing := extra_missing():
        return problem("PostgreSQL needs the postgres extra, which is not installed.", missing.partition(": ")[2])
    from resolute.engines.embedded.postgres.reader import PostgresReader  # needs the extra

    reader = PostgresReader(address)
    try:
        found = reader.holder()
        asyncio.run(reader.runs(RunQuery(limit=1)))
    except StoreError as error:
        what, _, fix = str(error).partition(". ")
        if what.startswith("There is no store in"):
            return ok(f"{what} yet; the first worker makes it.")
        return problem(f"{what}.", fix)
    return ok(f"The store {address} answers; {f'{found} holds it' if found else 'nobody holds it'}.")

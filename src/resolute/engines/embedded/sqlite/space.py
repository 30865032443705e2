"""The room that a store takes on the disk: what of it is free for new runs, and giving that back to the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from resolute.engines.embedded.owner import Owner, reading
from resolute.engines.embedded.space import Space
from resolute.engines.embedded.sqlite.database import open_to_write
from resolute.engines.embedded.sqlite.reader import opened_to_read
from resolute.engines.embedded.sqlite.verdict import READ_ERRORS, judge, named, opening_failed
from resolute.errors import StoreUnavailable


def space(path: Path) -> Space:
    """How large a store is now, also beside its owner; raises StoreError."""
    try:
        with reading(path) as unowned, opened_to_read(path.resolve(), unowned) as connection:
            [page], [pages], [free] = (
                connection.execute(f"PRAGMA {name}").fetchone()
                for name in ("page_size", "page_count", "freelist_count")
            )
    except READ_ERRORS as error:
        raise opening_failed(error, path) from error
    return Space(page * pages, page * free)


async def vacuum(path: Path) -> None:
    """Write the file anew without its free room; it is the old one or the new one whatever happens meanwhile.

    For a while that takes room for another copy of what the store holds, in the store's folder and in that of SQLite's
    temporary files (`SQLITE_TMPDIR`).

    Raises:
        StoreOwned: a worker or another command holds the store.
        StoreUnavailable: there is no room for it.
    """
    owner = await Owner.acquire(path, wait=False)
    try:
        with closing(open_to_write(path)) as connection:
            connection.execute("PRAGMA temp_store = FILE")  # a store may be larger than the memory
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        if judge(error, path) == "repeat":
            raise StoreUnavailable(
                f"The store {path} was not made smaller: {named(error)}. It is as it was; make room for another copy "
                "of it on the disk and in the folder for temporary files, then repeat this."
            ) from error
        raise opening_failed(error, path) from error
    finally:
        owner.release()

"""`resolute backup`: a copy of the store, which a worker may be writing meanwhile."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from resolute.postgres.address import PostgresAddress

#: Work that takes no longer is done without a word.
QUIET_S: Final = 0.5
MEGABYTE: Final = 1_000_000


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE when it exists.")
@click.pass_obj
def backup(common: Common, file: Path, force: bool) -> None:
    """Copy the store to FILE as it is at this moment, whether a worker runs or not. (In PostgreSQL pg_dump does it.)

    The copy is checked, and is a store by itself: to go back to it, stop the worker, put the copy in the place of the
    store and delete the -wal and -shm files beside it.
    """
    from resolute.cli.project import settings, store_file
    from resolute.cli.terminal import print_json
    from resolute.config import store_place
    from resolute.engines.embedded.sqlite.backup import back_up
    from resolute.errors import ConfigError
    from resolute.postgres.address import PostgresAddress

    found = settings(common)
    place = store_place(found.store, found.folder)
    if isinstance(place, PostgresAddress):
        raise ConfigError(
            f"The store {place} is in PostgreSQL, whose own program copies it, whether a worker runs or not:\n"
            f"  {dump_command(place, found.database, file)}\n"
            "Give the password to it as libpq takes it: PGPASSWORD, or ~/.pgpass. pg_restore brings the copy back."
        )
    path = store_file(common)
    with _interrupted_by_sigterm(), _progress() as progress:
        copy = back_up(path, file, overwrite=force, progress=progress)
    if common.json:
        print_json(
            {
                "path": str(copy.path),
                "bytes": copy.bytes,
                "runs": copy.runs,
                "schema_version": copy.schema_version,
            }
        )
    else:
        size, runs = f"{copy.bytes / MEGABYTE:,.1f} MB", f"{copy.runs:,} run{'' if copy.runs == 1 else 's'}"
        click.echo(f"Copied {path} to {copy.path}: {size}, {runs}, schema version {copy.schema_version}.")


def dump_command(place: PostgresAddress, database: str, file: Path) -> str:
    """What copies a store in PostgreSQL to a file, without its password; with the shared log where that is beside it.

    Args:
        database: the address of the incident log that several workers share, "" for none.
    """
    from resolute.postgres.address import postgres_address

    schemas = [place.schema]
    ledger = postgres_address(database).ledger if database else None
    if ledger is not None and ledger.open_url == place.open_url:
        schemas.append(ledger.schema)
    words = ["pg_dump", "--format=custom", *(f"--schema={name}" for name in schemas), f"--file={file}", place.open_url]
    return shlex.join(words)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, so that nothing half-made is left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress() -> Iterator[Callable[[str, float | None], None]]:
    """Tells on a terminal how far the work is, on one line that is gone in the end."""
    from resolute.clock import monotonic

    begun, shown = monotonic(), ""

    def tell(doing: str, share: float | None) -> None:
        nonlocal shown
        text = f"{doing} …" if share is None else f"{doing} … {share:.0%}"
        if sys.stderr.isatty() and text != shown and monotonic() - begun > QUIET_S:
            click.echo(f"\r{text:<{len(shown)}}", err=True, nl=False)
            shown = text

    try:
        yield tell
    finally:
        if shown:
            click.echo(f"\r{'':<{len(shown)}}\r", err=True, nl=False)

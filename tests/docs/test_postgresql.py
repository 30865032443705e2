"""What the page on PostgreSQL says of commands is what the commands say."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolute.cli.backup import dump_command
from resolute.postgres.address import postgres_address
from tests.docs.page import ROOT

PAGE = (ROOT / "docs" / "howto" / "postgresql.md").read_text(encoding="utf-8")
STORE = "postgresql://resolute:PASSWORD@db.example:5432/resolute"


def test_page_shows_the_command_that_backup_names() -> None:
    """Word for word, for the store that the page sets up."""
    assert dump_command(postgres_address(STORE), "", Path("resolute.dump")) in PAGE.splitlines()


@pytest.mark.parametrize(("database", "is_named"), [(STORE, True), ("postgresql://me@elsewhere/log", False)])
def test_shared_log_is_copied_along_where_it_is_beside_the_store(database: str, is_named: bool) -> None:
    """With the option that the page names; one in another database needs a copy of its own."""
    command = dump_command(postgres_address(STORE), database, Path("resolute.dump"))
    assert ("--schema=resolute_ledger" in command) is is_named
    assert "`--schema=resolute_ledger`" in PAGE

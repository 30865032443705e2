"""Addresses of databases: what they mean, what is no address, and that none shows its password."""

from __future__ import annotations

import pytest

from resolute import WorkerConfig
from resolute.config import Settings
from resolute.errors import ConfigError
from resolute.postgres.address import postgres_address
from resolute.postgres.text import read, written

URL = "postgresql://me:p%40ss/word@db.example:5433/alerts?sslmode=require&schema=ours".replace("/word", "%2Fword")


@pytest.mark.parametrize(
    ("text", "shown", "schema"),
    [
        (URL, "postgresql://me@db.example:5433/alerts?schema=ours", "ours"),
        ("postgres://db/alerts", "postgresql://db/alerts", "resolute"),
        ("postgresql://u:p@[::1]:5432/d?password=other", "postgresql://u@[::1]:5432/d", "resolute"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d", "resolute"),
    ],
)
def test_address_is_shown_without_its_password(text: str, shown: str, schema: str) -> None:
    """What is shown names the place; schema and password are ours to know."""
    address = postgres_address(text)
    assert (str(address), address.schema) == (shown, schema)
    assert "schema=" not in address.url
    assert address.scrub(" ".join(address.passwords)) in ("", "••••", "•••• ••••")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:half@pass@/word@host/d",
        "postgresql://u:pass@host:port/d",
        "postgresql://u:pass@host/d?schema=Robert'); DROP",
        "postgresql://u:pass#word@host/d",
        "mysql://u:pass@host/d",
    ],
)
def test_what_is_no_address_is_not_repeated(text: str) -> None:
    """The error says how to write one and keeps a password that was quoted wrongly to itself."""
    with pytest.raises(ConfigError) as refused:
        postgres_address(text)
    assert "pass" not in str(refused.value).replace("a password as", "")


def test_settings_do_not_show_the_password() -> None:
    """Whoever prints a configuration prints no secret."""
    assert "p%40ss" not in repr(WorkerConfig(engine=URL)) + repr(Settings(None, store=URL)) + repr(
        postgres_address(URL)
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "plain", "\0", "\x10", "a\x100b\0\x10\x10", "\x10\0", "ä\0😀"])
def test_every_text_comes_back(text: str) -> None:
    """Also with the character that PostgreSQL cannot hold, and with the one that stands for it."""
    assert read(written(text)) == text
    assert "\0" not in written(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s%40cret@db:5432/name?schema=mine", "postgresql://me@db:5432/name"),
        ("postgres://me@db/name?sslmode=require&password=secret", "postgres://me@db/name?sslmode=require"),
        ("postgresql:///name?host=/run/pg", "postgresql:///name?host=%2Frun%2Fpg"),
    ],
)
def test_address_for_another_program_holds_no_password(text: str, shown: str) -> None:
    """It is what libpq takes, all but the password and our own schema."""
    assert postgres_address(text).open_url == shown

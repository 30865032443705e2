"""What every test starts from: an environment that says nothing about this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

KEPT = "RESOLUTE_PAGERDUTY_SCHEMA"  # folder of PagerDuty's published schemas; tests that compare with them skip without
PREFIXES = ("PAGERDUTY_", "RESOLUTE_", "TEMPORAL_", "PG")
PROXIES = ("all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, secret or proxy of this machine reaches a test, nor a process that it starts."""
    for name in list(os.environ):
        if (name.startswith(PREFIXES) and name != KEPT) or name.lower() in PROXIES:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, the same for all tests of this process; each takes a schema of its own."""
    if find_spec("psycopg") is None:
        missing = 'psycopg is not installed here: pip install "resolute[postgres]"'
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    from tests.postgres_server import running_server  # needs psycopg

    with running_server() as server:
        yield server


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a command sets up to log in this process ends with the test that gave it."""
    loggers = [logging.getLogger(name) for name in ("", "resolute", "resolute.activity")]
    levels, handlers = [logger.level for logger in loggers], list(loggers[0].handlers)
    yield
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)

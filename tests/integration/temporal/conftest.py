"""What the tests of a worker on a Temporal server start from."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from tests.acceptance.conftest import resolute
from tests.integration.temporal import flows
from tests.temporal_server import TemporalServer, temporal_server

__all__ = ["resolute", "temporal_server"]

#: What cannot be read without the extras. Its tests are marked ci_only, and CI fails where a server cannot be used.
collect_ignore = [] if find_spec("psycopg") or os.environ.get("CI") else ["test_postgres.py"]
if not find_spec("temporalio"):
    collect_ignore += ["test_connection.py", "test_jobs.py", "test_observers.py", "test_schedules.py"]


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nothing was attempted, and nothing is broken."""
    flows.attempts.clear()
    flows.broken.clear()


@pytest.fixture
def address(temporal_server: TemporalServer) -> str:
    """The address of a namespace that no other test has used."""
    return f"temporal://127.0.0.1:{temporal_server.port}/{temporal_server.namespace()}"

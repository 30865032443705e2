"""Servers and workers for these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.acceptance.temporal.fleet import Fleet
from tests.temporal_server import TemporalServer, lasting_server, temporal_server

__all__ = ["lasting_server", "temporal_server"]

#: What cannot be read without psycopg. CI has it.
_WITH_PSYCOPG = ["test_jobs_beside_workers.py", "test_ledger_away.py", "test_lost_pages.py", "test_storm.py"]
collect_ignore = [] if find_spec("psycopg") or os.environ.get("CI") else _WITH_PSYCOPG


@pytest.fixture
def fleet(tmp_path: Path, temporal_server: TemporalServer) -> Iterator[Fleet]:
    """Machines for workers of one namespace that no other test has used, none of them up."""
    with Fleet(tmp_path, temporal_server) as fleet:
        yield fleet

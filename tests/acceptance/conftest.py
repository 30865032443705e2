"""A desk for every test that gives commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Desk


@pytest.fixture
def resolute(tmp_path: Path) -> Iterator[Desk]:
    """The command, in an empty folder and beside a healthy PagerDuty."""
    with Desk(tmp_path) as desk:
        yield desk

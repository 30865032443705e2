"""The page on Temporal tells of everything that a test of the engine's contract is left out for."""

from __future__ import annotations

import re
from pathlib import Path

from tests.contract.engine.lacks import LACKS, TEST_SERVER_LACKS

ROOT = Path(__file__).parents[2]


def lines() -> list[str]:
    """The first cells of the table "What differs"."""
    page = (ROOT / "docs/howto/temporal.md").read_text()
    table = page.partition("## What differs")[2]
    return re.findall(r"^\| (.+?) \|", table, re.MULTILINE)


def needed() -> set[str]:
    """What tests of the contract say that they need."""
    tests = (ROOT / "tests/contract/engine").glob("test_*.py")
    return {name for test in tests for name in re.findall(r'\.needs\("([^"]+)"\)', test.read_text())}


def test_what_is_left_out_stands_in_the_table() -> None:
    """Under one line each."""
    told = lines()
    assert [name for name, line in LACKS.items() if told.count(line) != 1] == []


def test_only_what_is_lacking_is_left_out() -> None:
    """A word that nobody knows leaves nothing out, and one that no test needs tells of nothing."""
    assert needed() == LACKS.keys() | TEST_SERVER_LACKS.keys()

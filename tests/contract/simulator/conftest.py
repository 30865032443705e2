"""One account per test."""

from __future__ import annotations

import pytest

from tests.unit.simulator.account import Account


@pytest.fixture
def account() -> Account:
    """The default account on a clock that stands still."""
    return Account()

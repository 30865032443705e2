"""The client whose requests a test answers itself, as the unit tests have it."""

from __future__ import annotations

from tests.unit.providers.pagerduty.conftest import clock, make_client

__all__ = ["clock", "make_client"]

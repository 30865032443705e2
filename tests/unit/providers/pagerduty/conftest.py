"""Keys, a clock that stands still, and a client whose requests a test answers itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx2
import pytest

from resolute.providers.pagerduty.client import PagerDutyClient
from resolute.providers.pagerduty.config import PagerDutySettings

API_KEY = "u+RestKeyRestKey1234"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

Handler = Callable[[httpx2.Request], httpx2.Response]


class StoppedClock:
    """A clock that always says the same."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def clock() -> StoppedClock:
    """The clock of every client here; it shows 12:00 UTC on 1 March 2026."""
    return StoppedClock()


@pytest.fixture
def make_client(clock: StoppedClock) -> Callable[..., PagerDutyClient]:
    """Makes a client for an account with an API key, answered by a function."""

    def make(handler: Handler, **changes: object) -> PagerDutyClient:
        settings = PagerDutySettings(**{"api_key": API_KEY, **changes})  # type: ignore[arg-type]
        return PagerDutyClient(settings, clock=clock, transport=httpx2.MockTransport(handler))

    return make

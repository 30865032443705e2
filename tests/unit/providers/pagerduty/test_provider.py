"""One PagerDuty account in a worker: what it is ready for once it is open."""

from __future__ import annotations

import httpx2
import pytest

from resolute.errors import ConfigError
from resolute.ledger.confirmation import can_confirm
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from tests.unit.providers.pagerduty.conftest import API_KEY, StoppedClock

NOWHERE = httpx2.MockTransport(lambda request: httpx2.Response(500))


def opened(provider: PagerDutyProvider) -> PagerDutyProvider:
    """The provider as a worker opens it."""
    provider.open({}, StoppedClock(), Secrets({}))
    return provider


@pytest.mark.parametrize(
    ("provider", "is_looked_up"),
    [
        (PagerDutyProvider(PagerDutyConfig(api_key=API_KEY)), True),
        (PagerDutyProvider(PagerDutyConfig()), False),
        (PagerDutyProvider(PagerDutyConfig(api_key=API_KEY, confirm=False)), False),
        (PagerDutyProvider(PagerDutyConfig(api_key=API_KEY), transport=NOWHERE), False),
        (PagerDutyProvider(PagerDutyConfig(api_key=API_KEY, confirm=True), transport=NOWHERE), True),
        (PagerDutyProvider(PagerDutyConfig(confirm=True)), False),
    ],
)
def test_accepted_pages_are_looked_up_where_there_is_a_key_and_a_network(
    provider: PagerDutyProvider, is_looked_up: bool
) -> None:
    """By default; a test with a transport of its own asks for it."""
    assert can_confirm(opened(provider).paging) is is_looked_up


def test_an_account_is_ready_once_it_is_open() -> None:
    """Whoever takes its client before that is told what opens it."""
    provider = PagerDutyProvider(PagerDutyConfig(api_key=API_KEY))
    with pytest.raises(ConfigError, match="Give it to a Worker"):
        _ = provider.client
    assert opened(provider).client is provider.client


def test_every_secret_of_the_account_is_kept_out_of_what_is_written() -> None:
    """Also each of several webhook secrets in one variable."""
    secrets = Secrets({})
    environ = {"PAGERDUTY_API_KEY": API_KEY, "PAGERDUTY_WEBHOOK_SECRET": "first-secret,second-secret"}
    PagerDutyProvider().open(environ, StoppedClock(), secrets)
    assert secrets.scrub(f"{API_KEY} first-secret second-secret").split() == ["••••"] * 3

"""The PagerDuty account of a command: that of the PAGERDUTY_ variables, for as long as the command asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from resolute.cli.logs import set_up_logging
from resolute.cli.options import Common
from resolute.cli.project import run_to_end
from resolute.ports import Ports
from resolute.providers.pagerduty.client import PagerDutyClient
from resolute.providers.pagerduty.config import PagerDutyConfig

T = TypeVar("T")


def machine(common: Common) -> Ports:
    """What the machine gives, with every secret that is read kept out of what the command says."""
    ports = Ports()
    common.scrub = ports.secrets.scrub
    set_up_logging(common, quiet=not common.verbose)
    return ports


def asked(ports: Ports, question: Callable[[PagerDutyClient], Awaitable[T]]) -> T:
    """What the account answers.

    Raises:
        ConfigError: the account is not set up right.
        ProviderError: PagerDuty did not do what was asked.
    """

    async def ask() -> T:
        settings = PagerDutyConfig().resolve(ports.environ)
        for value in settings.secrets:
            ports.secrets.remember(value)
        client = PagerDutyClient(settings, clock=ports.clock)
        try:
            return await question(client)
        finally:
            await client.aclose()

    return run_to_end(ask())

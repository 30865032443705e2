"""`Ports`: what a worker takes from the machine, and the providers that it opens with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Final

from resolute.clock import Clock, Randomness, SystemClock, SystemRandomness
from resolute.config import database_place
from resolute.engines.embedded.threads import ThreadPerAttempt, Threads
from resolute.ledger.intent import PagingService
from resolute.ledger.shared import SharedLedger
from resolute.providers.base import Provider
from resolute.secrets import Secrets

#: How long a request may take of a service that does not say.
LONGEST_REQUEST: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class Ports:
    """What a worker takes from the machine; tests and simulations give their own."""

    clock: Clock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=SystemRandomness)
    threads: Threads = field(default_factory=ThreadPerAttempt)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def secrets(self) -> Secrets:
        """Reads secrets from the environment; knows every value that is to be scrubbed."""
        return Secrets(self.environ)


def shared_ledger(url: str, services: Iterable[PagingService], secrets: Secrets) -> SharedLedger | None:
    """The incident log at this address, not yet opened; None where there is no address.

    Args:
        services: what sends: a lane is claimed for twice as long as the longest of their requests takes.

    Raises:
        ConfigError: it is no address, or the extra is missing.
    """
    address = database_place(url)
    if address is None:
        return None
    for password in address.passwords:
        secrets.remember(password)  # should it ever be in an error, it is not shown
    from resolute.ledger.postgres.ledger import PostgresLedger  # needs the extra

    requests = [getattr(service, "longest_request", LONGEST_REQUEST) for service in services]
    return PostgresLedger(address, lease=2 * max(requests, default=LONGEST_REQUEST))


def open_providers(
    providers: Sequence[Provider], ports: Ports, stack: AsyncExitStack
) -> dict[tuple[str, str], PagingService]:
    """Open every provider; they are closed with the stack. Returns the parts that send events."""
    paging: dict[tuple[str, str], PagingService] = {}
    for provider in providers:
        provider.open(ports.environ, ports.clock, ports.secrets)
        stack.push_async_callback(provider.close)
        if provider.paging is not None:
            paging[provider.kind, provider.name] = provider.paging
    return paging

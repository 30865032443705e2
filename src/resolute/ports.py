"""`Ports`: what a worker takes from the machine, and the providers that it opens with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property

from resolute.clock import Clock, Randomness, SystemClock, SystemRandomness
from resolute.engines.embedded.threads import ThreadPerAttempt, Threads
from resolute.ledger.intent import PagingService
from resolute.providers.base import Provider
from resolute.secrets import Secrets


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

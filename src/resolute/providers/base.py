"""The provider port: a named family of activities, its configuration, and what it opens in a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Final, Protocol

from resolute.clock import Clock
from resolute.errors import ConfigError
from resolute.ledger.intent import PagingService
from resolute.model.activity import Node
from resolute.secrets import Secrets


class Provider(Protocol):
    """One account of a service outside.

    Attributes:
        kind: the family, e.g. "pagerduty"; activities ask for it by this name.
        name: the instance, "" for the one that nodes use unless they say `.via(name)`.
    """

    kind: str
    name: str

    def problems(self, nodes: Iterable[Node[Any]], environ: Mapping[str, str]) -> list[str]:
        """What is missing or wrong in the configuration for these nodes, a sentence each; reads nothing but this."""
        ...

    def open(self, environ: Mapping[str, str], clock: Clock, secrets: Secrets) -> None:
        """Read the configuration and make ready; raises ConfigError."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    @property
    def paging(self) -> PagingService | None:
        """The part that sends events, None for a provider that pages nobody."""
        ...


#: Families by name, and where the class of an account stands; imported on first use.
PROVIDERS: Final[Mapping[str, tuple[str, str]]] = {"pagerduty": ("resolute.providers.pagerduty", "PagerDutyProvider")}


def default_provider(kind: str) -> Provider:
    """An account of this family that takes everything from the environment; raises ConfigError."""
    if kind not in PROVIDERS:
        raise ConfigError(f'There is no provider "{kind}". Known: {", ".join(PROVIDERS)}.')
    module, name = PROVIDERS[kind]
    made: Provider = getattr(import_module(module), name)()
    return made

"""`Subject`: the installation that is examined: settings in force, flows, accounts, environment, store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from resolute.clock import Clock, SystemClock
from resolute.config import Sourced
from resolute.errors import ConfigError
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.postgres.address import PostgresAddress
from resolute.providers.base import Provider
from resolute.providers.pagerduty.config import PagerDutySettings
from resolute.providers.pagerduty.provider import PagerDutyProvider
from resolute.worker import Worker


@dataclass(frozen=True)
class Account:
    """One PagerDuty account: its settings, or why there are none.

    Attributes:
        name: the provider's instance name, "" for the one without.
    """

    name: str
    settings: PagerDutySettings | None
    fault: str = ""

    @property
    def label(self) -> str:
        """Before texts about this account, where there may be several."""
        return f'Account "{self.name}": ' if self.name else ""


@dataclass(frozen=True)
class Subject:
    """What is examined.

    Attributes:
        in_force: the value of each setting with its source, by its name.
        settings_fault: why the settings cannot be read, "" when they can.
        database: where the store is, when it is in PostgreSQL.
        store: the store's file; None for one in memory or in PostgreSQL, or when the settings cannot be read.
        worker: what the module holds; None without a module, or when it cannot be loaded: `module_fault` says why.
    """

    environ: Mapping[str, str]
    in_force: Mapping[str, Sourced] = field(default_factory=dict)
    settings_fault: str = ""
    store: Path | None = None
    database: PostgresAddress | None = None
    worker: Worker | None = None
    module_fault: str = ""
    clock: Clock = field(default_factory=SystemClock)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The module's flows."""
        return () if self.worker is None else tuple(self.worker.flows)

    @property
    def nodes(self) -> list[Node[object]]:
        """Every node of the flows."""
        return [node for flow in self.flows for node in flow.nodes()]

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The module's accounts; without a module, the one that the environment describes, if it does."""
        if self.worker is not None:
            return tuple(self.worker.providers)
        has_account = any(name.startswith("PAGERDUTY_") and value for name, value in self.environ.items())
        return (PagerDutyProvider(),) if has_account else ()

    @cached_property
    def accounts(self) -> list[Account]:
        """The PagerDuty accounts among them."""
        return [self._account(each) for each in self.providers if isinstance(each, PagerDutyProvider)]

    def _account(self, provider: PagerDutyProvider) -> Account:
        try:
            return Account(provider.name, provider.config.resolve(self.environ))
        except ConfigError as error:
            return Account(provider.name, None, str(error))

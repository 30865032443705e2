"""What a test or a person may see and switch over HTTP: `/_simulator/state`, `/faults`, `/clock` and more."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.faults import Scope, check_rates, find_kind
from resolute.simulator.pagerduty.rules_table import RulesTable


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Mix(_Strict):
    """A random mix: kinds to probabilities; `seed` makes it repeatable."""

    rates: dict[str, float]
    seed: int = 0
    scope: Scope = "any"


class Outage(_Strict):
    """An outage, on or off."""

    on: bool = True
    kind: str = "503"
    scope: Scope = "any"


class FaultOrder(_Strict):
    """The body of `POST /_simulator/faults`; every part is optional and applied in this order."""

    clear: bool = False
    slow_s: float | None = Field(default=None, ge=0)
    late_s: float | None = Field(default=None, ge=0)
    wait_s: int | None = Field(default=None, ge=0)
    webhook_duplicates: int | None = Field(default=None, ge=0)
    script: dict[Scope, list[str]] = {}
    mix: Mix | None = None
    outage: Outage | None = None


class ClockOrder(_Strict):
    """The body of `POST /_simulator/clock`: how far time is put forward."""

    advance_s: float = Field(ge=0, le=10 * 365 * 86_400)


def apply_clock_order(simulator: PagerDutySimulator, order: ClockOrder) -> None:
    """Put time forward; ConfigError when this simulator's clock is not its own."""
    simulator.advance(timedelta(seconds=order.advance_s))


def apply_rules(simulator: PagerDutySimulator, order: RulesTable) -> None:
    """Change rules; ConfigError when one of them means nothing."""
    order.apply(simulator.rules)


def apply_fault_order(simulator: PagerDutySimulator, order: FaultOrder) -> None:
    """Switch faults as ordered, all of it or nothing.

    Raises:
        ConfigError: an unknown kind, or rates that sum up to more than 1.
    """
    faults = simulator.faults
    for kinds in order.script.values():
        for kind in kinds:
            if kind != "ok":
                find_kind(kind)
    if order.outage:
        find_kind(order.outage.kind)
    if order.mix:
        check_rates(order.mix.rates)
    if order.clear:
        faults.clear()
    faults.slow_s = faults.slow_s if order.slow_s is None else order.slow_s
    faults.late_s = faults.late_s if order.late_s is None else order.late_s
    faults.wait_s = faults.wait_s if order.wait_s is None else order.wait_s
    if order.webhook_duplicates is not None:
        faults.webhook_duplicates = order.webhook_duplicates
    for scope, kinds in order.script.items():
        faults.script(scope, kinds)
    if order.mix:
        faults.mix(order.mix.rates, random.Random(order.mix.seed), scope=order.mix.scope)
    if order.outage:
        faults.outage(order.outage.on, kind=order.outage.kind, scope=order.outage.scope)


def describe_state(simulator: PagerDutySimulator, url: str) -> dict[str, Any]:
    """The account, its incidents and alerts, and how many requests had which outcome.

    The only place where whole keys are shown; they open nothing but this simulator.
    """
    world = simulator.world
    return {
        "url": url,
        "services": [
            {
                "id": service.id,
                "name": service.name,
                "routing_keys": [each.routing_key for each in service.integrations],
            }
            for service in world.services.values()
        ],
        "api_keys": [{"token": key.token, "read_only": key.read_only} for key in world.api_keys.values()],
        "users": [{"id": user.id, "name": user.name, "email": user.email} for user in world.users.values()],
        "incidents": [_readable(asdict(incident)) for incident in simulator.incidents],
        "alerts": [_readable(asdict(alert)) for alert in simulator.alerts],
        "webhooks": dict(Counter(delivery.state for delivery in simulator.deliveries)),
        "now": simulator.now().isoformat(),
        "pending": simulator.pending,
        "requests": dict(Counter(f"{record.api} {record.outcome}" for record in simulator.requests)),
        "scripted_faults": simulator.faults.scripted,
    }


def _readable(value: Any) -> Any:
    """The same data without `alert.routing_key`, instants as ISO 8601, spans in seconds."""
    if isinstance(value, dict):
        return {key: _readable(each) for key, each in value.items() if key != "routing_key"}
    if isinstance(value, list | tuple):
        return [_readable(each) for each in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, datetime) else value

"""Webhook subscriptions: who is told what, and with which secrets it is signed.

Source: PagerDuty Webhooks V3, "Overview" and "Webhook Subscriptions".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from resolute.simulator.pagerduty.ids import Ids

FilterType = Literal["account_reference", "service_reference", "team_reference"]
FILTER_TYPES: tuple[FilterType, ...] = ("account_reference", "service_reference", "team_reference")
PER_SCOPE = 10
"""Most subscriptions of one scope. Source: PagerDuty Webhooks V3, "Overview"."""

EVENT_TYPES = frozenset(
    f"incident.{name}"
    for name in (
        *("triggered", "acknowledged", "unacknowledged", "resolved", "reopened", "escalated", "delegated"),
        *("reassigned", "priority_updated", "service_updated", "incident_type.changed", "annotated"),
        *("status_update_published", "responder.added", "responder.replied", "role.assigned"),
        *("conference_bridge.updated", "custom_field_values.updated", "task.created", "task.updated"),
        *("task.completed", "action_invocation.created", "action_invocation.updated"),
        *("action_invocation.terminated", "workflow.started", "workflow.completed"),
    )
) | {"service.created", "service.updated", "service.deleted", "service.custom_field_values.updated"}


@dataclass(slots=True)
class Subscription:
    """One subscription.

    Attributes:
        secrets: what deliveries are signed with, newest first; two while one is being replaced.
        filter_id: of the service or team, None for the account.
        disabled_until: set after three deliveries in a row were dropped.
        drops: dropped deliveries since the last one that arrived.
    """

    id: str
    method_id: str
    url: str
    events: list[str]
    filter_type: FilterType
    filter_id: str | None
    secrets: list[str] = field(repr=False)
    description: str = ""
    custom_headers: list[tuple[str, str]] = field(default_factory=list)
    active: bool = True
    disabled_until: datetime | None = None
    drops: int = 0

    def is_disabled(self, at: datetime) -> bool:
        """Whether it is switched off for a while, as its receiver refused too much."""
        return self.disabled_until is not None and at < self.disabled_until

    def rotate(self, secret: str, *, keep_old: bool = True) -> None:
        """Sign with a new secret, and with the one before it as well until `keep_old` is False."""
        self.secrets = [secret, *(self.secrets[:1] if keep_old else [])]

    def signature(self, body: bytes) -> str:
        """The value of `X-PagerDuty-Signature`: one `v1=` per secret.

        Source: PagerDuty Webhooks V3, "Verifying Signatures".
        """
        digests = (hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in self.secrets)
        return ",".join(f"v1={digest}" for digest in digests)


class Subscriptions:
    """All webhook subscriptions of the account, by id."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self.all: dict[str, Subscription] = {}

    def add(
        self,
        url: str,
        events: Iterable[str] = (),
        *,
        filter_type: FilterType = "account_reference",
        filter_id: str | None = None,
        description: str = "",
        custom_headers: Iterable[tuple[str, str]] = (),
        secret: str | None = None,
    ) -> Subscription:
        """A new subscription; without `events` it is told all of them, without `secret` it gets one of its own."""
        subscription = Subscription(
            id=self._ids.new("P"),
            method_id=self._ids.new("P"),
            url=url,
            events=list(events) or sorted(EVENT_TYPES),
            filter_type=filter_type,
            filter_id=filter_id,
            secrets=[secret or self._ids.hex(64)],
            description=description,
            custom_headers=list(custom_headers),
        )
        self.all[subscription.id] = subscription
        return subscription

    def in_scope(self, filter_type: str, filter_id: str | None) -> list[Subscription]:
        """Those with exactly this filter."""
        return [each for each in self.all.values() if (each.filter_type, each.filter_id) == (filter_type, filter_id)]

    def told_of(self, event_type: str, service_id: str, team_ids: Iterable[str], at: datetime) -> list[Subscription]:
        """Those that get an event of this type from this service now."""
        scopes = {
            ("account_reference", None),
            ("service_reference", service_id),
            *(("team_reference", team_id) for team_id in team_ids),
        }
        return [
            each
            for each in self.all.values()
            if each.active
            and not each.is_disabled(at)
            and event_type in each.events
            and (each.filter_type, each.filter_id if each.filter_type != "account_reference" else None) in scopes
        ]

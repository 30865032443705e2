"""Webhooks V3 of the account: what happens is put into envelopes and queued for every subscription that is told.

`deliveries` holds the queues; whoever sends them is the courier's or the test's choice.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.deliveries import Deliveries
from resolute.simulator.pagerduty.faults import Faults
from resolute.simulator.pagerduty.history import History
from resolute.simulator.pagerduty.ids import Ids
from resolute.simulator.pagerduty.lifecycle import Announcement
from resolute.simulator.pagerduty.resources import Service
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.subscriptions import Subscription, Subscriptions
from resolute.simulator.pagerduty.webhook_events import PING, announced, envelope, service_data
from resolute.simulator.pagerduty.world import World


class Webhooks:
    """Subscriptions and deliveries; `tell_*` queues what subscriptions want to know."""

    def __init__(self, world: World, rules: Rules, faults: Faults, ids: Ids, history: History) -> None:
        self._world = world
        self._ids = ids
        self.subscriptions = Subscriptions(ids)
        self.deliveries = Deliveries(self.subscriptions, rules, faults, ids, history)

    def tell(self, announcement: Announcement) -> None:
        """A change of an incident."""
        incident = announcement.incident
        service = self._world.services[incident.service_id]
        told = self.subscriptions.told_of(announcement.event_type, service.id, service.team_ids, announcement.at)
        if told:
            body = announced(self._world, announcement, self._ids.event())
            self._queue(told, announcement.event_type, incident.id, body, announcement.at)

    def tell_service(self, event_type: str, service: Service, at: datetime, agent: dict[str, Any] | None) -> None:
        """A change of a service."""
        told = self.subscriptions.told_of(event_type, service.id, service.team_ids, at)
        if told:
            data = service_data(self._world, service)
            body = envelope(self._ids.event(), event_type, at, agent=agent, client=None, data=data)
            self._queue(told, event_type, service.id, body, at)

    def ping(self, subscription: Subscription, at: datetime) -> None:
        """A test event for one subscription, whatever it is told otherwise."""
        body = envelope(self._ids.event(), "pagey.ping", at, agent=None, client=None, data=PING)
        self._queue([subscription], "pagey.ping", f"ping of {subscription.id}", body, at)

    def remove(self, subscription: Subscription) -> None:
        """Delete a subscription with all that waits for it."""
        self.deliveries.forget(subscription.id, "the subscription was deleted")
        del self.subscriptions.all[subscription.id]

    def _queue(
        self, told: list[Subscription], event_type: str, resource_id: str, body: dict[str, Any], at: datetime
    ) -> None:
        encoded = json.dumps(body, ensure_ascii=False).encode("utf-8", errors="replace")
        for subscription in told:
            self.deliveries.add(subscription, event_type, resource_id, encoded, at)

"""The queue of webhook deliveries: order, repeats, drops, and when a subscription is switched off.

It sends nothing: a courier takes what is due, sends it, and reports what became of it.

Source: PagerDuty Webhooks V3, "Overview" (Webhook Behaviour); how long repeats wait is not documented.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from resolute.simulator.pagerduty.faults import Faults
from resolute.simulator.pagerduty.history import History
from resolute.simulator.pagerduty.ids import Ids
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.subscriptions import Subscription, Subscriptions

DROPS_UNTIL_DISABLED = 3
DISABLED_FOR = timedelta(hours=24)
LARGEST_BYTES = 256 * 1024

State = Literal["waiting", "in_flight", "delivered", "dropped"]


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A delivery as it goes out: a POST of `body` to `url`."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class WebhookReply:
    """What the receiver did with a delivery.

    Attributes:
        status: HTTP status, None when there was no answer.
        error: why there was none: "timeout", "connect" (also DNS and an expired certificate) or "tls".
        took_s: seconds until the answer.
    """

    status: int | None = None
    error: Literal["timeout", "connect", "tls"] | None = None
    took_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the delivery has arrived."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_final(self) -> bool:
        """Whether the delivery is dropped without another attempt."""
        if self.status is None:
            return self.error == "tls"
        return not self.is_good and self.status < 500 and self.status != 429


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a delivery and its outcome."""

    at: datetime
    outcome: str


@dataclass(slots=True)
class Delivery:
    """One event for one subscription.

    Attributes:
        id: the same on every attempt, in `X-Webhook-Id`.
        resource_id: deliveries of one subscription and one resource keep their order.
        why_dropped: None unless it was.
    """

    id: str
    subscription_id: str
    event_type: str
    resource_id: str
    body: bytes = field(repr=False)
    created_at: datetime
    due: datetime
    state: State = "waiting"
    attempts: list[Attempt] = field(default_factory=list)
    why_dropped: str | None = None
    duplicates: int = 0


class Deliveries:
    """All deliveries, and the queues of those that wait.

    Attributes:
        on_queued: called whenever one is to be attempted; a courier puts its own function here.
    """

    def __init__(self, subscriptions: Subscriptions, rules: Rules, faults: Faults, ids: Ids, history: History) -> None:
        self._subscriptions = subscriptions
        self._rules = rules
        self._faults = faults
        self._ids = ids
        self._history = history
        self._queues: defaultdict[tuple[str, str], deque[Delivery]] = defaultdict(deque)
        self._heap: list[tuple[datetime, int, Delivery]] = []
        self._count = 0
        self.all: list[Delivery] = []
        self.on_queued: Callable[[], None] = lambda: None

    # --- the sender's side ------------------------------------------------------------------

    def add(self, subscription: Subscription, event_type: str, resource_id: str, body: bytes, at: datetime) -> Delivery:
        """Queue a delivery behind those of the same subscription and resource; one that is too large is dropped."""
        delivery = Delivery(self._ids.uuid(), subscription.id, event_type, resource_id, body, at, at)
        self.all.append(delivery)
        if len(body) > LARGEST_BYTES:
            delivery.state, delivery.why_dropped = "dropped", f"larger than {LARGEST_BYTES} bytes"
            return delivery
        queue = self._queues[subscription.id, resource_id]
        queue.append(delivery)
        if len(queue) == 1:
            self._schedule(delivery, at)
        return delivery

    def forget(self, subscription_id: str, why: str) -> None:
        """Throw away what waits for a subscription."""
        for (owner, _), queue in self._queues.items():
            if owner == subscription_id:
                for delivery in queue:
                    delivery.state, delivery.why_dropped = "dropped", why
                queue.clear()

    # --- the courier's side -----------------------------------------------------------------

    @property
    def next_due(self) -> datetime | None:
        """When the next delivery is to be attempted."""
        while self._heap and (self._heap[0][2].state != "waiting" or self._heap[0][0] != self._heap[0][2].due):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> Delivery | None:
        """The next delivery that is due, which is in flight from now on; None when there is none."""
        due = self.next_due
        if due is None or due > now:
            return None
        delivery = heapq.heappop(self._heap)[2]
        delivery.state = "in_flight"
        return delivery

    def request_of(self, delivery: Delivery) -> WebhookRequest:
        """What to send, signed with the secrets of this moment."""
        subscription = self._subscriptions.all[delivery.subscription_id]
        headers = (
            ("Content-Type", "application/json"),
            ("User-Agent", "PagerDuty-Webhook/V3.0"),
            ("X-PagerDuty-Signature", subscription.signature(delivery.body)),
            ("X-Webhook-Id", delivery.id),
            ("X-Webhook-Subscription", subscription.id),
            *subscription.custom_headers,
        )
        return WebhookRequest(subscription.url, headers, delivery.body)

    def finish(self, delivery: Delivery, reply: WebhookReply, at: datetime) -> None:
        """Note the outcome of an attempt: delivered, dropped, or to be repeated later."""
        outcome = str(reply.status) if reply.status is not None else reply.error or "no answer"
        delivery.attempts.append(Attempt(at, outcome))
        self._history.add_webhook(at, delivery.id, delivery.subscription_id, delivery.event_type, outcome)
        if delivery.state != "in_flight":
            return  # its subscription has been deleted or switched off meanwhile
        subscription = self._subscriptions.all[delivery.subscription_id]
        if reply.is_good:
            self._arrived(delivery, subscription, at)
        elif reply.is_final:
            self._drop(delivery, subscription, f"answered with {outcome}", at)
        elif at - delivery.attempts[0].at >= self._rules.webhook_patience:
            self._drop(delivery, subscription, f"no good answer in {self._rules.webhook_patience}", at)
        else:
            pause = self._rules.webhook_pause * 2 ** min(len(delivery.attempts) - 1, 20)
            self._schedule(delivery, at + min(pause, self._rules.webhook_longest_pause))

    # --- inside -----------------------------------------------------------------------------

    def _arrived(self, delivery: Delivery, subscription: Subscription, at: datetime) -> None:
        subscription.drops = 0
        if self._faults.webhook_duplicates > 0 and delivery.duplicates == 0:
            self._faults.webhook_duplicates -= 1
            delivery.duplicates += 1
            self._schedule(delivery, at)
            return
        delivery.state = "delivered"
        self._next(delivery, at)

    def _drop(self, delivery: Delivery, subscription: Subscription, why: str, at: datetime) -> None:
        delivery.state, delivery.why_dropped = "dropped", why
        self._next(delivery, at)
        subscription.drops += 1
        if subscription.drops >= DROPS_UNTIL_DISABLED:
            subscription.disabled_until, subscription.drops = at + DISABLED_FOR, 0
            self.forget(subscription.id, "the subscription was disabled")

    def _next(self, delivery: Delivery, at: datetime) -> None:
        queue = self._queues[delivery.subscription_id, delivery.resource_id]
        queue.popleft()
        if queue:
            self._schedule(queue[0], max(at, queue[0].due))

    def _schedule(self, delivery: Delivery, due: datetime) -> None:
        delivery.state, delivery.due = "waiting", due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, delivery))
        self.on_queued()

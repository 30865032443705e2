"""The Events API: `POST /v2/enqueue` accepts events, which take effect a little later.

202 means accepted. Until the processing delay has passed nothing of the event can be seen. Change events go to
`POST /v2/change/enqueue` and are kept, nothing more.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.change_events import LINKS, ChangeEvent, find_change_faults, has_too_many_links
from resolute.simulator.pagerduty.event_rules import Event, find_event_faults, to_event
from resolute.simulator.pagerduty.history import History, ProcessedEvent
from resolute.simulator.pagerduty.ids import Ids, masked
from resolute.simulator.pagerduty.ratewindow import RateWindow
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest, json_answer, read_json, text_answer
from resolute.simulator.pagerduty.world import World

CHANGES = "/v2/change/enqueue"
PATHS = ("/v2/enqueue", CHANGES)
THROTTLED = {
    "status": "throttle exceeded",
    "message": "Requests for this service are arriving too quickly.  Please retry later.",
}


class EventsApi:
    """Checks, accepts and queues events, and applies them to the book when their time has come.

    Source: PagerDuty Events API v2, "Send an event" and "Send a change event".

    Attributes:
        changes: every accepted change event, oldest first.
    """

    def __init__(self, world: World, rules: Rules, book: IncidentBook, ids: Ids, history: History) -> None:
        self._world = world
        self._rules = rules
        self._book = book
        self._ids = ids
        self._history = history
        self._queue: list[tuple[datetime, int, datetime, Event, str]] = []
        self._accepted = 0
        self.changes: list[ChangeEvent] = []
        self._last_due: dict[str, datetime] = {}
        self._windows: defaultdict[str, RateWindow] = defaultdict(RateWindow)

    @property
    def pending(self) -> int:
        """How many accepted events have not taken effect yet."""
        return len(self._queue)

    @property
    def next_due(self) -> datetime | None:
        """When the next accepted event takes effect."""
        return self._queue[0][0] if self._queue else None

    def handle(self, request: SimRequest, now: datetime) -> SimAnswer:
        """Answer a request for the Events host."""
        if request.path not in PATHS:
            return text_answer(404, "Not Found")
        if request.method != "POST":
            return text_answer(405, "Method Not Allowed").with_headers(("allow", "POST"))
        if len(request.body) > self._rules.max_event_bytes:
            limit = f"Request is too large (maximum is {self._rules.max_event_bytes} bytes)"
            return _invalid(limit, status=self._rules.oversize_status)
        try:
            event = read_json(request.body)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            return json_answer(
                400,
                {
                    "status": "Unrecognized object",
                    "message": "Event object format is unrecognized",
                    "errors": ["JSON parse error"],
                },
            )
        if request.path == CHANGES:
            return self._accept_change(event, now)
        faults = find_event_faults(event)
        return _invalid(*faults) if faults else self._accept(to_event(event), now)

    def _accept_change(self, event: dict[str, Any], now: datetime) -> SimAnswer:
        if has_too_many_links(event):
            return json_answer(400, {"error": [f"links should have at most {LINKS} item(s)"]})
        if faults := find_change_faults(event):
            return _invalid(*faults)
        key: str = event["routing_key"]
        if refusal := self._refuse_key(key, now):
            return refusal
        service = self._world.service_of(key)
        change = ChangeEvent(
            at=now,
            routing_key=masked(key),
            service_id=service.id if service else None,
            payload=event["payload"],
            links=event.get("links") or [],
            images=event.get("images") or [],
        )
        self.changes.append(change)
        self._history.add_change_event(now, change.routing_key, change.service_id, change.payload)
        return json_answer(202, {"status": "success", "message": "Change event processed"})

    def _refuse_key(self, routing_key: str, now: datetime) -> SimAnswer | None:
        if self._world.service_of(routing_key) is None and self._rules.unknown_key == "reject":
            return text_answer(400, "Invalid routing key")
        limit = self._rules.events_per_minute
        if limit is not None and not self._windows[routing_key].take(now, limit):
            return json_answer(429, THROTTLED)
        return None

    def _accept(self, event: Event, now: datetime) -> SimAnswer:
        if refusal := self._refuse_key(event.routing_key, now):
            return refusal
        dedup_key = event.dedup_key or self._ids.hex()
        due = now + self._rules.processing_delay
        due = max(due, self._last_due.get(event.routing_key, due))  # a routing key's events keep their order
        self._last_due[event.routing_key] = due
        self._accepted += 1
        heapq.heappush(self._queue, (due, self._accepted, now, event, dedup_key))
        return json_answer(202, {"status": "success", "message": "Event processed", "dedup_key": dedup_key})

    def process_next(self) -> None:
        """Let the next accepted event take effect, as of the moment it was due."""
        due, _, accepted_at, event, dedup_key = heapq.heappop(self._queue)
        effect, alert = self._book.apply(event, dedup_key, due)
        self._history.add_processed(
            ProcessedEvent(
                at=due,
                accepted_at=accepted_at,
                action=event.action,
                dedup_key=dedup_key,
                routing_key=masked(event.routing_key),
                effect=effect,
                alert_id=alert.id if alert else None,
                incident_id=alert.incident_id if alert else None,
            )
        )


def _invalid(*faults: str, status: int = 400) -> SimAnswer:
    return json_answer(
        status, {"status": "invalid event", "message": "Event object is invalid", "errors": list(faults)}
    )

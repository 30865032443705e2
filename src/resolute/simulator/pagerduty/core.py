"""`PagerDutySimulator`: the account, both APIs, the fault switches and the records, behind one method.

Plain and synchronous: no I/O, no threads, no waiting. Time is what the given clock says, chance is what the
given randomness says; so the same requests at the same times give the same answers, byte for byte.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from resolute.clock import Clock, Randomness
from resolute.errors import ConfigError
from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.change_events import ChangeEvent
from resolute.simulator.pagerduty.deliveries import Delivery, WebhookReply, WebhookRequest
from resolute.simulator.pagerduty.events import EventsApi
from resolute.simulator.pagerduty.faults import Fault, Faults
from resolute.simulator.pagerduty.history import History, ProcessedEvent, RequestRecord
from resolute.simulator.pagerduty.ids import Ids, masked
from resolute.simulator.pagerduty.incidents import Agent, Alert, Incident, Status
from resolute.simulator.pagerduty.movable_clock import MovableClock
from resolute.simulator.pagerduty.resources import Service, User
from resolute.simulator.pagerduty.rest import RestApi
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.seed import checkout_account
from resolute.simulator.pagerduty.webhooks import Webhooks
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest, read_json
from resolute.simulator.pagerduty.world import World

_NEVER = datetime.max.replace(tzinfo=UTC)


class PagerDutySimulator:
    """A PagerDuty account in memory.

    Give it a clock that does not jump: it stands for PagerDuty's, not for that of a machine under test.

    Attributes:
        world: users, schedules, policies, services and keys; its `add_*` methods make more.
        rules: limits and doubtful points as switches.
        faults: fault switches.
        webhooks: subscriptions and deliveries.
        receiver: answers webhooks as they fall due, in the process. Without it they wait for a courier, such as the
            one of a server.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        randomness: Randomness | None = None,
        processing_delay: timedelta = timedelta(milliseconds=200),
        seed: Callable[[World], None] = checkout_account,
    ) -> None:
        """`seed` fills the new account; `empty_account` leaves it empty."""
        source = randomness or random.Random(0)
        ids, self._request_ids, fault_source = (random.Random(source.getrandbits(64)) for _ in range(3))
        self._clock = clock
        self._history = History()
        self._late: list[tuple[datetime, int, SimRequest]] = []
        self._late_count = 0
        self.rules = Rules(processing_delay=processing_delay)
        self.faults = Faults(fault_source)
        made = Ids(ids)
        self.world = World(clock, made)
        self._book = IncidentBook(self.world, made, self._history)
        self._events = EventsApi(self.world, self.rules, self._book, made, self._history)
        self.webhooks = Webhooks(self.world, self.rules, self.faults, made, self._history)
        self._book.life.listeners.append(self.webhooks.tell)
        self._rest = RestApi(self.world, self.rules, self._book, self.webhooks)
        self.receiver: Callable[[WebhookRequest], WebhookReply] | None = None
        self._settling = False
        seed(self.world)

    # --- the account's first keys -----------------------------------------------------------

    @property
    def routing_key(self) -> str:
        """The routing key of the first service that has one."""
        service = next((each for each in self.world.services.values() if each.integrations), None)
        if service is None:
            raise ConfigError("The account has no service. Call world.add_service first.")
        return service.routing_key

    @property
    def api_key(self) -> str:
        """The first full REST API key of the account."""
        keys = (key for key in self.world.api_keys.values() if key.kind == "account" and not key.read_only)
        key = next((key.token for key in keys), None)
        if key is None:
            raise ConfigError("The account has no full API key. Call world.add_api_key first.")
        return key

    @property
    def first_user(self) -> User:
        """The first user; its `email` does as a `From` header."""
        user = next(iter(self.world.users.values()), None)
        if user is None:
            raise ConfigError("The account has no user. Call world.add_user first.")
        return user

    def now(self) -> datetime:
        """The account's time."""
        return self._clock.now()

    def advance(self, delta: timedelta) -> None:
        """Let time pass at once, and all that falls due in it happen.

        Raises:
            ConfigError: the clock cannot be moved, or not that way.
        """
        if not isinstance(self._clock, MovableClock):
            raise ConfigError("This simulator's clock cannot be moved. Make it with MovableClock(SystemClock()).")
        self._clock.advance(delta)
        self.settle()

    # --- requests ---------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimAnswer:
        """The answer to a request that arrives now, with every event that is due applied before it."""
        now = self._settled_now()
        fault = self.faults.next_fault(request.api)
        request_id = Ids(self._request_ids).hex()
        if fault is None:
            return self._serve(request, now, request_id)
        if fault.ending == "late":
            self._late_count += 1
            due = now + timedelta(seconds=self.faults.late_s)
            heapq.heappush(self._late, (due, self._late_count, request))
        served, remarks = self._ask(request, now, request_id) if fault.applied else (None, ())
        answer = self.faults.answer(fault, request.api, served, request_id)
        self._record(request, now, answer, remarks, fault=fault, served=served)
        return answer

    def settle(self) -> None:
        """Apply every accepted event whose time has come. Reading anything does so too."""
        self._settled_now()

    @property
    def pending(self) -> int:
        """How many accepted events have not taken effect yet."""
        self.settle()
        return self._events.pending

    # --- what happened ----------------------------------------------------------------------

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request so far, oldest first."""
        self.settle()
        return list(self._history.requests)

    @property
    def processed(self) -> list[ProcessedEvent]:
        """Every event that has taken effect, or would have, in that order."""
        self.settle()
        return list(self._history.processed)

    @property
    def alerts(self) -> list[Alert]:
        """Every alert, oldest first."""
        self.settle()
        return list(self._book.alerts.values())

    @property
    def incidents(self) -> list[Incident]:
        """Every incident, by number."""
        self.settle()
        return list(self._book.incidents.values())

    @property
    def change_events(self) -> list[ChangeEvent]:
        """Every accepted change event, oldest first."""
        return list(self._events.changes)

    @property
    def deliveries(self) -> list[Delivery]:
        """Every webhook delivery, oldest first, with its attempts."""
        self.settle()
        return list(self.webhooks.deliveries.all)

    def export(self) -> str:
        """Everything that happened as JSON lines: requests, events, changes of incidents, webhooks."""
        self.settle()
        return self._history.to_json_lines()

    def pending_of(self, incident: Incident) -> list[tuple[str, datetime]]:
        """What will happen to an incident by itself and when: "escalate", "unacknowledge", "resolve", soonest first."""
        return self._book.life.pending(incident)

    def status_of(self, service: Service) -> str:
        """How a service stands now: disabled, maintenance, critical, warning or active."""
        return self._book.status_of(service, self._settled_now())

    # --- a person's hand --------------------------------------------------------------------

    def acknowledge(self, incident_id: str, *, by: str | None = None) -> Incident:
        """Acknowledge as a person in the web page; `by` is an address, the first user's if left out.

        Raises:
            ConfigError: no such incident or user.
        """
        return self._set_status(incident_id, "acknowledged", by)

    def resolve(self, incident_id: str, *, by: str | None = None) -> Incident:
        """Resolve as a person in the web page, with every alert of the incident; see `acknowledge`."""
        return self._set_status(incident_id, "resolved", by)

    def _set_status(self, incident_id: str, status: Status, by: str | None) -> Incident:
        now = self._settled_now()
        incident = self._book.find(incident_id)
        if incident is None:
            raise ConfigError(f'No incident "{incident_id}". Known: {", ".join(self._book.incidents) or "none"}.')
        user = self.world.find_user(by) if by else self.first_user
        if user is None:
            addresses = ", ".join(user.email for user in self.world.users.values())
            raise ConfigError(f'No user with the address "{by}". Known: {addresses}.')
        self._book.set_status(incident, status, Agent("user", user.id), now, channel="website")
        return incident

    # --- inside -----------------------------------------------------------------------------

    @property
    def next_due(self) -> datetime | None:
        """When something next happens by itself; None when nothing will."""
        late = self._late[0][0] if self._late else None
        dues = (self._events.next_due, late, self._book.next_due, self.webhooks.deliveries.next_due)
        return min((due for due in dues if due is not None), default=None)

    def _settled_now(self) -> datetime:
        now = self._clock.now()
        if self._settling:  # a receiver of webhooks asks while it answers
            return now
        self._settling = True
        try:
            while self._take_step(now):
                pass
        finally:
            self._settling = False
        return now

    def _take_step(self, now: datetime) -> bool:
        """Let the first thing that is due happen, as of its own moment; False when nothing is."""
        webhook_due = self.webhooks.deliveries.next_due if self.receiver else None
        steps = (
            (self._events.next_due, self._events.process_next),
            (self._book.next_due, self._book.ring_next),
            (self._late[0][0] if self._late else None, self._serve_late),
            (webhook_due, self._deliver_next),
        )
        due, step = min(((due or _NEVER, step) for due, step in steps), key=lambda each: each[0])
        if due > now:
            return False
        step()
        return True

    def _serve_late(self) -> None:
        due, _, request = heapq.heappop(self._late)
        self._serve(request, due, Ids(self._request_ids).hex())

    def _deliver_next(self) -> None:
        deliveries, receiver = self.webhooks.deliveries, self.receiver
        due = deliveries.next_due
        delivery = deliveries.take(due) if due else None
        if due is None or delivery is None or receiver is None:
            return
        reply, timeout = receiver(deliveries.request_of(delivery)), self.rules.webhook_timeout
        if reply.took_s > timeout.total_seconds():
            reply = WebhookReply(error="timeout", took_s=timeout.total_seconds())
        deliveries.finish(delivery, reply, due + timedelta(seconds=reply.took_s))

    def _serve(self, request: SimRequest, now: datetime, request_id: str) -> SimAnswer:
        answer, remarks = self._ask(request, now, request_id)
        self._record(request, now, answer, remarks, fault=None, served=answer)
        return answer

    def _ask(self, request: SimRequest, now: datetime, request_id: str) -> tuple[SimAnswer, tuple[str, ...]]:
        """The service's own answer, without any fault."""
        remarks: tuple[str, ...] = ()
        if request.api == "events":
            answer = self._events.handle(request, now)
        else:
            answer, remarks = self._rest.handle(request, now)
        return answer.with_headers(("x-request-id", request_id)), remarks

    def _record(
        self,
        request: SimRequest,
        now: datetime,
        answer: SimAnswer,
        remarks: tuple[str, ...],
        *,
        fault: Fault | None,
        served: SimAnswer | None,
    ) -> None:
        event = _event_of(request)
        key, action, dedup_key = (event.get(name) for name in ("routing_key", "event_action", "dedup_key"))
        if served is not None and served.status == 202 and request.path == "/v2/enqueue":
            dedup_key = served.json()["dedup_key"]
        self._history.add_request(
            RequestRecord(
                at=now,
                api=request.api,
                method=request.method,
                path=request.path,
                routing_key=masked(key) if isinstance(key, str) else None,
                action=action if isinstance(action, str) else None,
                dedup_key=dedup_key if isinstance(dedup_key, str) else None,
                status=answer.status or None,
                fault=fault.name if fault else None,
                applied=served is not None,
                remarks=remarks,
                request_id=answer.header("x-request-id"),
            )
        )


def _event_of(request: SimRequest) -> dict[str, Any]:
    if request.api != "events":
        return {}
    try:
        event = read_json(request.body)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}

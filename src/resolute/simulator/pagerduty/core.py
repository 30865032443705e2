"""`PagerDutySimulator`: the account, both APIs, the fault switches and the records, behind one method.

Plain and synchronous: no I/O, no threads, no waiting. Time is what the given clock says, chance is what the
given randomness says; so the same requests at the same times give the same answers, byte for byte.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from resolute.clock import Clock, Randomness
from resolute.errors import ConfigError
from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.events import EventsApi
from resolute.simulator.pagerduty.faults import Fault, Faults
from resolute.simulator.pagerduty.history import History, ProcessedEvent, RequestRecord
from resolute.simulator.pagerduty.ids import Ids, masked
from resolute.simulator.pagerduty.incidents import Agent, Alert, Incident, Status
from resolute.simulator.pagerduty.rest import RestApi
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.seed import checkout_account
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest, read_json
from resolute.simulator.pagerduty.world import User, World


class PagerDutySimulator:
    """A PagerDuty account in memory.

    Give it a clock that does not jump: it stands for PagerDuty's, not for that of a machine under test.

    Attributes:
        world: users, schedules, policies, services and keys; its `add_*` methods make more.
        rules: limits and doubtful points as switches.
        faults: fault switches.
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
        self._rest = RestApi(self.world, self.rules, self._book)
        seed(self.world)

    # --- the account's first keys -----------------------------------------------------------

    @property
    def routing_key(self) -> str:
        """The routing key of the first service."""
        service = next(iter(self.world.services.values()), None)
        if service is None:
            raise ConfigError("The account has no service. Call world.add_service first.")
        return service.routing_key

    @property
    def api_key(self) -> str:
        """The first full REST API key."""
        key = next((key.token for key in self.world.api_keys.values() if not key.read_only), None)
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

    def export(self) -> str:
        """Everything that happened as JSON lines: requests, processed events, changes of incidents."""
        self.settle()
        return self._history.to_json_lines()

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

    def _settled_now(self) -> datetime:
        now = self._clock.now()
        while True:
            event_due, late_due = self._events.next_due, self._late[0][0] if self._late else None
            if event_due is not None and event_due <= now and (late_due is None or event_due <= late_due):
                self._events.process_next()
            elif late_due is not None and late_due <= now:
                self._serve(heapq.heappop(self._late)[2], late_due, Ids(self._request_ids).hex())
            else:
                return now

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
        if served is not None and served.status == 202:
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

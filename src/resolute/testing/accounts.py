"""`Accounts`: the PagerDuty of a test, one simulated account for each provider instance, and what it got.

No request leaves the process.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2

from resolute.clock import Clock
from resolute.ledger.intent import PagingService, SendAnswer
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from resolute.simulator import PagerDutySimulator, ProcessedEvent, SimulatorTransport
from resolute.simulator.pagerduty.ids import masked
from resolute.testing.script import Failure, Script
from resolute.testing.stand_in import FAILS_FOR

KIND: Final = PagerDutyProvider.kind
#: What a summary begins with that is sent late; a repeat of the same event may have become late meanwhile.
LATE: Final = re.compile(r"^\[[^]]+ late\] ")


@dataclass(frozen=True)
class SentEvent:
    """One event that PagerDuty has accepted.

    Attributes:
        action: "trigger", "acknowledge" or "resolve".
        summary, severity, source, details: of a trigger, "" and {} otherwise.
        at: when it was accepted first.
        deliveries: how often it came; a repeat folds into the same alert.
        effect: what it did when it came first: "opened", "folded", "acknowledged", "resolved", or why it did
            nothing, such as "no_open_alert".
        account: the provider instance, "" for the default one.
    """

    action: str
    dedup_key: str
    summary: str
    severity: str
    source: str
    details: Mapping[str, Any]
    at: datetime
    deliveries: int
    effect: str
    account: str


@dataclass(frozen=True, eq=False)
class _Request:
    """An event as it was sent."""

    at: datetime
    action: str
    dedup_key: str
    routing_key: str
    payload: Mapping[str, Any]

    def became(self, event: ProcessedEvent, *, at_once: bool) -> bool:
        """Whether the event may have come of this request, which PagerDuty got at once or later."""
        sent, got = (self.action, self.dedup_key, self.routing_key), (event.action, event.dedup_key, event.routing_key)
        return sent == got and (self.at == event.accepted_at if at_once else self.at < event.accepted_at)


class Account(SimulatorTransport):
    """One simulated account, where an HTTP client expects the network; it remembers the events that were sent."""

    def __init__(self, name: str, clock: Clock, seed: str) -> None:
        self.name = name
        self.simulator = PagerDutySimulator(
            clock,
            randomness=random.Random(seed),
            processing_delay=timedelta(0),  # what a run has sent is seen as soon as the run has ended
        )
        super().__init__(self.simulator)
        self._sent: list[_Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        if request.url.path == "/v2/enqueue":
            event = json.loads(await request.aread())
            action, dedup_key = event.get("event_action", ""), event.get("dedup_key", "")
            key, payload = masked(event.get("routing_key", "")), event.get("payload") or {}
            self._sent.append(_Request(self.simulator.now(), action, dedup_key, key, payload))
        return await super().handle_async_request(request)

    def take_key(self, routing_key: str) -> None:
        """Make a routing key one of the account's first service."""
        world = self.simulator.world
        if world.service_of(routing_key) is None:
            world.add_integration(next(iter(world.services.values())), routing_key=routing_key)

    @property
    def events(self) -> list[SentEvent]:
        """What was accepted, in order; an event that came several times in a row stands once."""
        found: list[SentEvent] = []
        latest: dict[tuple[str, str], tuple[tuple[str, Any], int]] = {}
        unread = list(self._sent)
        for event in self.simulator.processed:
            request = next((sent for sent in unread if sent.became(event, at_once=True)), None)
            if request is None:
                request = next((sent for sent in reversed(self._sent) if sent.became(event, at_once=False)), None)
            else:
                unread.remove(request)
            payload: Mapping[str, Any] = {} if request is None else request.payload
            summary = LATE.sub("", str(payload.get("summary", "")))
            alert, send = (event.routing_key, event.dedup_key), (event.action, {**payload, "summary": summary})
            before, place = latest.get(alert, (None, 0))
            if before == send:
                found[place] = replace(found[place], deliveries=found[place].deliveries + 1)
                continue
            latest[alert] = (send, len(found))
            found.append(
                SentEvent(
                    action=event.action,
                    dedup_key=event.dedup_key,
                    summary=payload.get("summary", ""),
                    severity=payload.get("severity", ""),
                    source=payload.get("source", ""),
                    details=payload.get("custom_details") or {},
                    at=event.accepted_at,
                    deliveries=1,
                    effect=event.effect,
                    account=self.name,
                )
            )
        return found


class FailingService:
    """A paging service that fails for one node as long as the script says so."""

    def __init__(self, service: PagingService, failure: Failure | None) -> None:
        self._service = service
        self._failure = failure

    @property
    def host(self) -> str:
        return self._service.host

    def routing_key(self) -> str | None:
        return self._service.routing_key()

    async def send(self, event: Mapping[str, Any], routing_key: str) -> SendAnswer:
        """Send one event, or fail."""
        if self._failure is not None and self._failure.strikes():
            raise self._failure.error(is_page=True)
        return await self._service.send(event, routing_key)

    async def was_received(self, dedup_key: str, since: datetime, until: datetime, *, sent: datetime) -> bool | None:
        """What the service itself says."""
        return await self._service.was_received(dedup_key, since, until, sent=sent)

    def dated(self, event: Mapping[str, Any], since: datetime, late: timedelta) -> dict[str, Any]:
        """What the service itself makes of the event."""
        return self._service.dated(event, since, late)


class Accounts:
    """The accounts of a test by provider instance.

    Attributes:
        instances: what nodes so far go through, those among them that fail for one node.
        keys: secrets that no value was given for and that are used as routing keys.
    """

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._accounts: dict[str, Account] = {}
        self.keys: dict[str, str] = {}
        self.instances: set[str] = {""}

    def of(self, instance: str) -> Account:
        """The account of a provider instance."""
        name = instance.partition(FAILS_FOR)[0]
        if name not in self._accounts:
            self._accounts[name] = Account(name, self._clock, f"{self._seed}/{name}")
        return self._accounts[name]

    def routing_key(self, secret: str, instance: str) -> str:
        """What a secret is that no value was given for: the key of the account for which it was used first."""
        return self.keys.setdefault(secret, self.of(instance).simulator.routing_key)

    def events(self) -> Iterator[SentEvent]:
        """What all accounts have accepted, in order."""
        found = [event for account in self._accounts.values() for event in account.events]
        yield from sorted(found, key=lambda event: event.at)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def open(
        self, environ: Mapping[str, str], secrets: Secrets, script: Script
    ) -> tuple[dict[str, PagerDutyProvider], dict[str, PagingService]]:
        """The providers of a worker by instance, and the parts of them that send events."""
        providers: dict[str, PagerDutyProvider] = {}
        paging: dict[str, PagingService] = {}
        for instance in sorted(self.instances):
            account = self.of(instance)
            config = PagerDutyConfig(
                api_key=account.simulator.api_key,
                service_key=account.simulator.routing_key,
                default_from=account.simulator.first_user.email,
            )
            provider = providers[instance] = PagerDutyProvider(config, name=instance, transport=account)
            provider.open(environ, self._clock, secrets)
            service = provider.paging
            if service is not None:
                _, fails, key = instance.partition(FAILS_FOR)
                paging[instance] = FailingService(service, script.failures.get(key)) if fails else service
        return providers, paging

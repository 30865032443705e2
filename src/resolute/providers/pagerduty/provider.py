"""`PagerDutyProvider`: one PagerDuty account in a worker, and the part of it that sends prepared events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2

from resolute.clock import Clock
from resolute.errors import ConfigError
from resolute.ledger.intent import PagingService, SendAnswer
from resolute.model.activity import Node
from resolute.model.refs import SecretRef
from resolute.providers.pagerduty.change_event import ChangeActivity
from resolute.providers.pagerduty.client import PagerDutyClient
from resolute.providers.pagerduty.config import (
    ROUTING_KEY,
    PagerDutyConfig,
    PagerDutySettings,
    describe_bad_routing_key,
)
from resolute.providers.pagerduty.mend import late_summary
from resolute.providers.pagerduty.params import LONGEST_RANGE
from resolute.providers.pagerduty.rest_activity import WriteActivity
from resolute.secrets import Secrets, lookup

#: PagerDuty's clock may be ahead of ours.
_AHEAD: Final = timedelta(minutes=5)


class PagerDutyProvider:
    """One PagerDuty account.

    Args:
        config: the account; what it leaves out comes from `PAGERDUTY_*` when the worker starts.
        name: the instance for nodes that say `.via(name)`; "" for all others.
        transport: answers the requests instead of the network.
    """

    kind = "pagerduty"

    def __init__(
        self,
        config: PagerDutyConfig | None = None,
        *,
        name: str = "",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config if config is not None else PagerDutyConfig()
        self.name = name
        self._transport = transport
        self._client: PagerDutyClient | None = None
        self._paging: Paging | None = None

    def problems(self, nodes: Iterable[Node[Any]], environ: Mapping[str, str]) -> list[str]:
        """What is missing or wrong for these nodes, a sentence each."""
        try:
            settings = self.config.resolve(environ)
        except ConfigError as error:
            return [str(error)]
        found = []
        for node in nodes:
            if node.activity.is_paging or isinstance(node.activity, ChangeActivity):
                found.extend(self._key_problem(node, settings, environ))
                continue
            if settings.api_key is None:
                found.append(f'Node "{node.key}" ({node.activity.name}) needs a REST API key: set PAGERDUTY_API_KEY.')
            if isinstance(node.activity, WriteActivity):
                found.extend(self._sender_problem(node, settings))
        return found

    def _sender_problem(self, node: Node[Any], settings: PagerDutySettings) -> list[str]:
        """A change over REST needs the address of a user, which PagerDuty refuses to do without only when it is late.

        Source: PagerDuty REST API v2, "From header".
        """
        given = node.arguments.get("from_email", "")
        if settings.default_from is not None or not isinstance(given, str) or given.strip():
            return []
        return [
            f'Node "{node.key}" ({node.activity.name}) acts in the name of a PagerDuty user, and none is named: set '
            "PAGERDUTY_FROM to a user's e-mail address, or give the node from_email=..."
        ]

    def _key_problem(self, node: Node[Any], settings: PagerDutySettings, environ: Mapping[str, str]) -> list[str]:
        secret = node.arguments.get("routing_key")
        if isinstance(secret, SecretRef):
            if secret.name.startswith("input:"):
                return []
            try:
                key = lookup(secret.name, environ)
            except ConfigError as error:
                return [str(error)]
            source = f"The secret {secret.name}"
            if key is None:
                return []  # a missing secret is told for every node alike
        else:
            key, source = settings.service_key, "PAGERDUTY_SERVICE_KEY"
            if key is None:
                return [
                    f'Node "{node.key}" ({node.activity.name}) has no routing key: give it '
                    'routing_key=secret("PAGERDUTY_ROUTING_KEY"), or set PAGERDUTY_SERVICE_KEY.'
                ]
        return [] if ROUTING_KEY.fullmatch(key) else [f"{source} {describe_bad_routing_key(key)}"]

    def open(self, environ: Mapping[str, str], clock: Clock, secrets: Secrets) -> None:
        """Read the configuration; raises ConfigError."""
        settings = self.config.resolve(environ)
        for value in settings.secrets:
            secrets.remember(value)
        self._client = PagerDutyClient(settings, clock=clock, transport=self._transport)
        confirms = self._transport is None if settings.confirm is None else settings.confirm
        self._paging = Paging(self._client, settings, confirms=confirms)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    @property
    def client(self) -> PagerDutyClient:
        """The account's client; there is one once the worker has opened the provider."""
        if self._client is None:
            raise ConfigError("The PagerDuty provider is not open. Give it to a Worker, which opens it.")
        return self._client

    @property
    def paging(self) -> PagingService | None:
        return self._paging


class Paging:
    """Sends prepared events and asks what became of them."""

    def __init__(self, client: PagerDutyClient, settings: PagerDutySettings, *, confirms: bool = False) -> None:
        self._client = client
        self._settings = settings
        self._confirms = confirms

    @property
    def host(self) -> str:
        return self._settings.events_url.partition("://")[2]

    @property
    def longest_request(self) -> timedelta:
        """How long one request may take."""
        return self._settings.total_timeout

    @property
    def events_per_minute(self) -> int | None:
        """How many events of one routing key may leave in a minute, None where that is to be learned."""
        return self._settings.events_per_minute

    def routing_key(self) -> str | None:
        return self._settings.service_key

    async def send(self, event: Mapping[str, Any], routing_key: str) -> SendAnswer:
        """Send one event; raises as `PagerDutyClient.enqueue`."""
        answer = await self._client.enqueue(dict(event), routing_key)
        return SendAnswer(answer.message, answer.status)

    async def was_received(self, dedup_key: str, since: datetime, until: datetime, *, sent: datetime) -> bool | None:
        """Whether an incident of this key was made in that time, whatever its state; None without an API key.

        One that was resolved before the event was sent belongs to an earlier event. PagerDuty's times are whole
        seconds: one of the same second may be either, and better a page twice than never.

        Source: PagerDuty REST API v2, "List incidents": `incident_key` also finds the key of an alert.
        """
        if self._settings.api_key is None:
            return None
        found = await self._client.find_incidents(dedup_key, since=since, until=until, urgency="page")
        begun = sent.replace(microsecond=0)
        return any(incident.resolved_at is None or incident.resolved_at > begun for incident in found)

    @property
    def can_confirm(self) -> bool:
        """Whether accepted pages are to be looked up, and there is a REST key to ask with."""
        return self._confirms and self._settings.api_key is not None

    async def has_incident(self, dedup_key: str, *, sent: datetime) -> bool:
        """Whether an incident of this key is open, or was when the event was sent; it may have been there before.

        It asks when others leave room, since no page waits for the answer.
        """
        until = self._client.now() + _AHEAD
        found = await self._client.find_incidents(dedup_key, since=until - LONGEST_RANGE, until=until)
        begun = sent.replace(microsecond=0)
        return any(incident.resolved_at is None or incident.resolved_at >= begun for incident in found)

    def dated(self, event: Mapping[str, Any], since: datetime, late: timedelta) -> dict[str, Any]:
        """The trigger event with the time at which it was decided, and a summary that says how late it is."""
        payload = dict(event.get("payload", {}))
        payload.setdefault("timestamp", since.isoformat(timespec="milliseconds"))
        return late_summary({**event, "payload": payload}, late)

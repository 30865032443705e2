"""Everything that happened, in order: requests, events, changes of incidents, attempts to deliver webhooks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.wire import Api


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as it was seen and answered; no field holds a whole routing key or API key.

    Attributes:
        at: when it arrived.
        api: which of the two hosts it was for.
        method, path: as sent, without the query.
        routing_key: masked, None for REST or when the body had none.
        action: `event_action` of an event, else None.
        dedup_key: the one sent, or the one PagerDuty made up for it.
        status: HTTP status of the answer, None when there was none.
        fault: the fault switch that answered, None when the service itself did.
        applied: whether the request reached the service behind the fault.
        remarks: what the real service would forgive or misread without a word, e.g. a date without offset.
        request_id: the `x-request-id` of the answer, None when it carried none.
    """

    at: datetime
    api: Api
    method: str
    path: str
    routing_key: str | None
    action: str | None
    dedup_key: str | None
    status: int | None
    fault: str | None
    applied: bool
    remarks: tuple[str, ...]
    request_id: str | None

    @property
    def outcome(self) -> str:
        """The fault's name if one answered, else the status as text."""
        return self.fault if self.fault is not None else str(self.status)


@dataclass(frozen=True, slots=True)
class ProcessedEvent:
    """One accepted event and what became of it.

    Attributes:
        at: when it took effect.
        accepted_at: when it was answered with 202.
        action, dedup_key: of the event.
        routing_key: masked.
        effect: "opened", "grouped", "folded", "acknowledged", "resolved", or why nothing happened:
            "already_acknowledged", "no_open_alert", "unknown_key", "disabled", "maintenance",
            "suppressed", "nobody_on_call".
        alert_id, incident_id: what it touched, None when nothing.
    """

    at: datetime
    accepted_at: datetime
    action: str
    dedup_key: str
    routing_key: str
    effect: str
    alert_id: str | None
    incident_id: str | None


class History:
    """An append-only list of lines, each a dict with `what` and `at`."""

    def __init__(self) -> None:
        self.requests: list[RequestRecord] = []
        self.processed: list[ProcessedEvent] = []
        self._lines: list[dict[str, Any]] = []

    def add_request(self, record: RequestRecord) -> None:
        """Keep a request and its answer."""
        self.requests.append(record)
        self._lines.append({"what": "request", **asdict(record)})

    def add_processed(self, event: ProcessedEvent) -> None:
        """Keep what became of an accepted event."""
        self.processed.append(event)
        self._lines.append({"what": "event", **asdict(event)})

    def add_change(
        self, at: datetime, incident_id: str, number: int, change: str, channel: str, by: str | None
    ) -> None:
        """Keep a change of an incident; `change` is the type of its log entry, `by` an id."""
        self._lines.append(
            {"what": "incident", "at": at, "incident_id": incident_id, "number": number}
            | {"change": change, "channel": channel, "by": by}
        )

    def add_change_event(self, at: datetime, routing_key: str, service_id: str | None, payload: dict[str, Any]) -> None:
        """Keep an accepted change event; `routing_key` is masked."""
        line = {"what": "change_event", "at": at, "routing_key": routing_key, "service_id": service_id}
        self._lines.append(line | {"payload": payload})

    def add_webhook(self, at: datetime, id_: str, subscription_id: str, event_type: str, outcome: str) -> None:
        """Keep an attempt to deliver a webhook; `outcome` is the status it was answered with, or why there is none."""
        self._lines.append(
            {"what": "webhook", "at": at, "webhook_id": id_, "subscription_id": subscription_id}
            | {"event_type": event_type, "outcome": outcome}
        )

    def to_json_lines(self) -> str:
        """One JSON object per line, oldest first, instants in ISO 8601 with microseconds."""
        return "".join(json.dumps(line, default=_iso) + "\n" for line in self._lines)


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")

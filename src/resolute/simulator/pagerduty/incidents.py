"""What an event becomes: alerts, the incidents they belong to, and the log of an incident."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from resolute.simulator.pagerduty.world import Urgency

Status = Literal["triggered", "acknowledged", "resolved"]


@dataclass(frozen=True, slots=True)
class Agent:
    """Who did something: a user, or a service through its events."""

    kind: Literal["user", "service"]
    id: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line in an incident's log.

    Attributes:
        type: "trigger_log_entry", "acknowledge_log_entry", "unacknowledge_log_entry",
            "assign_log_entry", "resolve_log_entry" or "reach_trigger_limit_log_entry".
        channel: how it came about: "events_api", "api" (REST) or "website".
        note: the resolution given with a resolve, else None.
    """

    id: str
    created_at: datetime
    type: str
    channel: str
    agent: Agent
    note: str | None = None


@dataclass(slots=True)
class Alert:
    """What one dedup key of one routing key stands for, from its first trigger to its resolve.

    Attributes:
        alert_key: the dedup key.
        event_count: triggers it has taken, the first included.
        payload: the last trigger's `payload`, as sent.
        resolved_at: None while it is open.
    """

    id: str
    alert_key: str
    routing_key: str = field(repr=False)
    service_id: str
    incident_id: str
    summary: str
    source: str
    severity: str
    status: Literal["triggered", "resolved"]
    created_at: datetime
    payload: dict[str, Any]
    event_count: int = 1
    resolved_at: datetime | None = None


@dataclass(slots=True)
class Incident:
    """What people respond to.

    Attributes:
        number: counts up from 1 over the whole account.
        incident_key: None for incidents made from alerts; the dedup key stands on the alert.
        assignments: user ids and since when; empty once resolved.
        acknowledgements: who and when; empty unless acknowledged.
        trigger_count: events that triggered it or any of its alerts.
    """

    id: str
    number: int
    title: str
    service_id: str
    policy_id: str
    urgency: Urgency
    status: Status
    created_at: datetime
    updated_at: datetime
    last_status_change_at: datetime
    last_status_change_by: Agent
    incident_key: str | None = None
    resolved_at: datetime | None = None
    assignments: list[tuple[str, datetime]] = field(default_factory=list)
    acknowledgements: list[tuple[Agent, datetime]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    log: list[LogEntry] = field(default_factory=list)
    trigger_count: int = 0

"""What an event becomes: alerts, the incidents they belong to, and the log of an incident."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from resolute.simulator.pagerduty.resources import Urgency

Status = Literal["triggered", "acknowledged", "resolved"]


@dataclass(frozen=True, slots=True)
class Agent:
    """Who did something: a user, or a service through its events and timers."""

    kind: Literal["user", "service"]
    id: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line in an incident's log.

    Attributes:
        type: as PagerDuty names it, e.g. "trigger_log_entry", "escalate_log_entry", "notify_log_entry".
        channel: how it came about: "events_api", "api" (REST), "website", "timeout" or "auto".
        note: the resolution given with a resolve, or the text of a note, else None.
        user_ids: who it was assigned to, or who was notified.
        duration: of a snooze, or the acknowledgement timeout.
        changed: names and new values of the fields it changed.
    """

    id: str
    created_at: datetime
    type: str
    channel: str
    agent: Agent
    note: str | None = None
    user_ids: tuple[str, ...] = ()
    duration: timedelta | None = None
    changed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """What a person wrote on an incident."""

    id: str
    user_id: str
    content: str
    created_at: datetime


@dataclass(slots=True)
class Alert:
    """What one dedup key of one routing key stands for, from its first trigger to its resolve.

    Attributes:
        alert_key: the dedup key.
        event_count: triggers it has taken, the first included.
        payload: the last trigger's `payload`, as sent.
        links, images: of the last trigger.
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
    links: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    client: str | None = None
    client_url: str | None = None


@dataclass(slots=True)
class Incident:
    """What people respond to.

    Attributes:
        number: counts up from 1 over the whole account.
        incident_key: None for incidents made from alerts; the dedup key stands on the alert.
        assignments: user ids and since when; empty once resolved.
        acknowledgements: who and when; empty unless acknowledged.
        trigger_count: events that triggered it or any of its alerts.
        level: of the policy, whose users it was assigned to last; 1 is the first.
        loops: how often the policy was begun anew.
        is_direct: assigned to people by hand, so it does not escalate.
        body: its details, when it was made by REST with some.
        snoozed_until: None unless a snooze runs.
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
    notes: list[Note] = field(default_factory=list)
    trigger_count: int = 0
    level: int = 1
    loops: int = 0
    is_direct: bool = False
    priority_id: str | None = None
    body: str | None = None
    conference_bridge: dict[str, str] | None = None
    incident_type: str = "incident_default"
    snoozed_until: datetime | None = None
    reopened_at: datetime | None = None

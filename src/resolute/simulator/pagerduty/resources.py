"""What an account is made of: people, teams, policies, schedules, services and keys.

Plain data; `World` holds it and makes more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal

Urgency = Literal["high", "low"]
UrgencyRule = Literal["high", "low", "severity_based"]
Role = Literal[
    "owner",
    "admin",
    "user",
    "limited_user",
    "observer",
    "restricted_access",
    "read_only_user",
    "read_only_limited_user",
]


@dataclass(slots=True)
class User:
    """A person of the account; `email` is what the `From` header names."""

    id: str
    name: str
    email: str
    created_at: datetime
    role: Role = "user"
    team_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Team:
    """A team; users, schedules, policies and services name the teams they belong to."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Priority:
    """A label for how bad an incident is; the account lists them from most to least severe."""

    id: str
    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Override:
    """One user on call instead of whoever the rotation names, from `start` up to `end`."""

    id: str
    user_id: str
    start: datetime
    end: datetime


@dataclass(slots=True)
class Schedule:
    """A rotation with overrides: each user is on call for `turn`, in order, from `start` on for ever."""

    id: str
    name: str
    user_ids: list[str]
    start: datetime
    turn: timedelta
    overrides: list[Override] = field(default_factory=list)
    team_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a policy: who is notified, and how long until the next level."""

    user_ids: tuple[str, ...]
    schedule_ids: tuple[str, ...]
    delay: timedelta


@dataclass(slots=True)
class Policy:
    """An escalation policy.

    Attributes:
        levels: `levels[0]` is level 1, the first to be notified.
        num_loops: how often all levels are gone through once more after the last.
    """

    id: str
    name: str
    levels: list[Level]
    num_loops: int = 0
    team_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Integration:
    """An Events API v2 integration: one routing key of one service."""

    id: str
    routing_key: str
    name: str = "Events API V2"
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SupportHours:
    """The hours in which a service has `during`, and `outside` at all others.

    Attributes:
        days: of the week, Monday is 1.
        start, end: of the day, in `time_zone`.
    """

    days: tuple[int, ...]
    start: time
    end: time
    during: UrgencyRule
    outside: UrgencyRule
    time_zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which alerts of a service join one open incident.

    Attributes:
        kind: "time" joins every alert, "content_based" those that agree in `fields`.
        window: since the incident's first alert; zero joins for as long as it is open.
        fields: of the event's payload, e.g. "component" or "custom_details.host".
        needs_all: whether all of `fields` have to agree, or one is enough.
    """

    kind: Literal["time", "content_based"]
    window: timedelta = timedelta(0)
    fields: tuple[str, ...] = ()
    needs_all: bool = True


@dataclass(slots=True)
class Service:
    """What incidents belong to.

    Attributes:
        urgency: "high" and "low" are constant; "severity_based" makes critical and error high,
            warning and info low. Source: PagerDuty support, "Dynamic notifications".
        support_hours: when set, they decide the urgency instead.
        acknowledgement_timeout, auto_resolve_timeout: None disables them.
        creates_alerts: what its `alert_creation` says; events make alerts either way.
        disabled, maintenance, suppressed: each lets events be accepted and then do nothing. What counts is the
            value when an event is processed; call the simulator's `settle` before changing it.
    """

    id: str
    name: str
    policy_id: str
    created_at: datetime
    integrations: list[Integration] = field(default_factory=list)
    urgency: UrgencyRule = "high"
    disabled: bool = False
    maintenance: bool = False
    suppressed: bool = False
    description: str = ""
    team_ids: list[str] = field(default_factory=list)
    acknowledgement_timeout: timedelta | None = None
    auto_resolve_timeout: timedelta | None = None
    support_hours: SupportHours | None = None
    grouping: Grouping | None = None
    creates_alerts: bool = True

    @property
    def routing_key(self) -> str:
        """The routing key of its first integration, 32 characters."""
        return self.integrations[0].routing_key


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A time in which the events of some services are accepted and do nothing."""

    id: str
    service_ids: tuple[str, ...]
    start: datetime
    end: datetime
    description: str = ""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A credential of the REST API.

    Attributes:
        kind: "account" keys belong to no user, so writes need a `From` header; "user" keys act as their user, with
            that user's rights; "bearer" tokens come from OAuth and need a scope for each operation.
        user_id: of a user key or a user's bearer token, else None.
        scopes: of a bearer token, e.g. "incidents.read".
        expires_at: None for one that lasts.
    """

    token: str
    read_only: bool
    kind: Literal["account", "user", "bearer"] = "account"
    user_id: str | None = None
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """An app that may ask for bearer tokens with these scopes."""

    id: str
    secret: str = field(repr=False)
    scopes: frozenset[str]

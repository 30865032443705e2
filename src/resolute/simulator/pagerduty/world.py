"""The simulated account: users, schedules, policies, services and their keys.

`World` holds them and makes more; it knows nothing of events, incidents or HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from resolute.clock import Clock
from resolute.errors import ConfigError
from resolute.simulator.pagerduty.ids import Ids

Urgency = Literal["high", "low"]


@dataclass(slots=True)
class User:
    """A person of the account; `email` is what the `From` header names."""

    id: str
    name: str
    email: str
    created_at: datetime


@dataclass(slots=True)
class Schedule:
    """A plain rotation: each user is on call for `turn`, in order, from `start` on for ever."""

    id: str
    name: str
    user_ids: list[str]
    start: datetime
    turn: timedelta


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a policy: who is notified, and how long until the next level."""

    user_ids: tuple[str, ...]
    schedule_ids: tuple[str, ...]
    delay: timedelta


@dataclass(slots=True)
class Policy:
    """An escalation policy; `levels[0]` is level 1, the first to be notified."""

    id: str
    name: str
    levels: list[Level]


@dataclass(frozen=True, slots=True)
class Integration:
    """An Events API v2 integration: one routing key of one service."""

    id: str
    routing_key: str


@dataclass(slots=True)
class Service:
    """What incidents belong to.

    Attributes:
        urgency: "high" and "low" are constant; "severity_based" makes critical and error high,
            warning and info low. Source: PagerDuty support, "Dynamic notifications".
        disabled, maintenance, suppressed: each lets events be accepted and then do nothing. What counts is the
            value when an event is processed; call the simulator's `settle` before changing it.
    """

    id: str
    name: str
    policy_id: str
    created_at: datetime
    integrations: list[Integration] = field(default_factory=list)
    urgency: Literal["high", "low", "severity_based"] = "high"
    disabled: bool = False
    maintenance: bool = False
    suppressed: bool = False

    @property
    def routing_key(self) -> str:
        """The routing key of its first integration, 32 characters."""
        return self.integrations[0].routing_key


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A REST API key of the account: it belongs to no user, so writes need a `From` header."""

    token: str
    read_only: bool


class World:
    """The account. Look things up by id; `add_*` makes more of them.

    Attributes:
        base_url: prefix of every `self` and `html_url`; a server puts its own address here.
    """

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self.base_url = "https://pagerduty.invalid"
        self.users: dict[str, User] = {}
        self.schedules: dict[str, Schedule] = {}
        self.policies: dict[str, Policy] = {}
        self.services: dict[str, Service] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self._service_by_key: dict[str, Service] = {}

    def add_user(self, name: str, email: str | None = None) -> User:
        """A new user; without `email` it is the first word of the name at example.com."""
        address = email or f"{name.split(maxsplit=1)[0].lower()}@example.com"
        user = User(self._ids.new("P"), name, address, self._clock.now())
        if self.find_user(user.email):
            raise ConfigError(f"Two users with the address {user.email}. Pass another email to add_user.")
        self.users[user.id] = user
        return user

    def add_schedule(
        self, name: str, users: Sequence[User], *, start: datetime | None = None, turn: timedelta = timedelta(days=7)
    ) -> Schedule:
        """A new rotation of `users`; it starts at the midnight (UTC) before now unless `start` is given."""
        if turn < timedelta(minutes=1):
            raise ConfigError(f'Schedule "{name}" changes every {turn}. A turn lasts at least one minute.')
        begin = start or self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        schedule = Schedule(self._ids.new("P"), name, [user.id for user in users], begin, turn)
        self.schedules[schedule.id] = schedule
        return schedule

    def add_policy(
        self,
        name: str,
        levels: Sequence[Sequence[User | Schedule]],
        *,
        delay: timedelta = timedelta(minutes=30),
    ) -> Policy:
        """A new policy: for each level the users and schedules it notifies, first level first."""
        made = [
            Level(
                tuple(target.id for target in level if isinstance(target, User)),
                tuple(target.id for target in level if isinstance(target, Schedule)),
                delay,
            )
            for level in levels
        ]
        policy = Policy(self._ids.new("P"), name, made)
        self.policies[policy.id] = policy
        return policy

    def add_service(
        self,
        name: str,
        policy: Policy | None = None,
        *,
        routing_key: str | None = None,
        urgency: Literal["high", "low", "severity_based"] = "high",
    ) -> Service:
        """A new service with one integration; without `policy` it takes the account's first."""
        chosen = policy or next(iter(self.policies.values()), None)
        if chosen is None:
            raise ConfigError(f'Service "{name}" needs an escalation policy. Call add_policy before add_service.')
        service = Service(self._ids.new("P"), name, chosen.id, self._clock.now(), urgency=urgency)
        self.services[service.id] = service
        self.add_integration(service, routing_key=routing_key)
        return service

    def add_integration(self, service: Service, *, routing_key: str | None = None) -> Integration:
        """One more routing key for the service; alerts are told apart by dedup key per routing key."""
        integration = Integration(self._ids.new("P"), routing_key or self._ids.hex())
        if integration.routing_key in self._service_by_key:
            raise ConfigError("Two integrations with the same routing key. Pass another routing_key.")
        service.integrations.append(integration)
        self._service_by_key[integration.routing_key] = service
        return integration

    def add_api_key(self, *, token: str | None = None, read_only: bool = False) -> ApiKey:
        """A new REST API key of 20 characters, full or read-only."""
        key = ApiKey(token or self._ids.token(), read_only)
        self.api_keys[key.token] = key
        return key

    def service_of(self, routing_key: str) -> Service | None:
        """The service that a routing key belongs to."""
        return self._service_by_key.get(routing_key)

    def find_user(self, email: str) -> User | None:
        """The user with this address; case does not matter."""
        return next((user for user in self.users.values() if user.email.lower() == email.lower()), None)

    def find_service(self, name: str) -> Service | None:
        """The service with exactly this name."""
        return next((service for service in self.services.values() if service.name == name), None)

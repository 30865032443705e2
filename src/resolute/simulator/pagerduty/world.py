"""The simulated account: users, schedules, policies, services and their keys.

`World` holds them and makes more; it knows nothing of events, incidents or HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from resolute.clock import Clock
from resolute.errors import ConfigError
from resolute.simulator.pagerduty.ids import Ids
from resolute.simulator.pagerduty.resources import (
    ApiKey,
    Integration,
    Level,
    MaintenanceWindow,
    OAuthClient,
    Override,
    Policy,
    Priority,
    Role,
    Schedule,
    Service,
    Team,
    UrgencyRule,
    User,
)

ABILITIES = ("teams", "read_only_users", "service_support_hours", "urgencies", "priorities")


class World:
    """The account. Look things up by id; `add_*` makes more of them.

    Attributes:
        base_url: prefix of every `self` and `html_url`; a server puts its own address here.
        priorities: from most to least severe.
        abilities: what the account's plan allows; without "priorities" they answer 402.
    """

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self.base_url = "https://pagerduty.invalid"
        self.users: dict[str, User] = {}
        self.teams: dict[str, Team] = {}
        self.priorities: dict[str, Priority] = {}
        self.schedules: dict[str, Schedule] = {}
        self.policies: dict[str, Policy] = {}
        self.services: dict[str, Service] = {}
        self.maintenance_windows: dict[str, MaintenanceWindow] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self.oauth_clients: dict[str, OAuthClient] = {}
        self.abilities: list[str] = list(ABILITIES)
        self._service_by_key: dict[str, Service] = {}

    # --- people -----------------------------------------------------------------------------

    def add_user(self, name: str, email: str | None = None, *, role: Role = "user", teams: Iterable[Team] = ()) -> User:
        """A new user; without `email` it is the first word of the name at example.com."""
        address = email or f"{name.split(maxsplit=1)[0].lower()}@example.com"
        user = User(self._ids.new("P"), name, address, self._clock.now(), role, [team.id for team in teams])
        if self.find_user(user.email):
            raise ConfigError(f"Two users with the address {user.email}. Pass another email to add_user.")
        self.users[user.id] = user
        return user

    def add_team(self, name: str) -> Team:
        """A new team."""
        team = Team(self._ids.new("P"), name)
        self.teams[team.id] = team
        return team

    def add_priority(self, name: str, description: str = "") -> Priority:
        """A new priority, less severe than those before it."""
        priority = Priority(self._ids.new("P"), name, description)
        self.priorities[priority.id] = priority
        return priority

    # --- who is on call ---------------------------------------------------------------------

    def add_schedule(
        self,
        name: str,
        users: Sequence[User],
        *,
        start: datetime | None = None,
        turn: timedelta = timedelta(days=7),
        teams: Iterable[Team] = (),
    ) -> Schedule:
        """A new rotation of `users`; it starts at the midnight (UTC) before now unless `start` is given."""
        if turn < timedelta(minutes=1):
            raise ConfigError(f'Schedule "{name}" changes every {turn}. A turn lasts at least one minute.')
        begin = start or self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        schedule = Schedule(self._ids.new("P"), name, [user.id for user in users], begin, turn)
        schedule.team_ids = [team.id for team in teams]
        self.schedules[schedule.id] = schedule
        return schedule

    def add_override(self, schedule: Schedule, user: User, start: datetime, end: datetime) -> Override:
        """Put one user on call from `start` up to `end`, whoever the rotation names then."""
        if end <= start:
            raise ConfigError(f'An override of "{schedule.name}" ends at {end}, which is not after its start, {start}.')
        override = Override(self._ids.new("Q"), user.id, start, end)
        schedule.overrides.append(override)
        return override

    def add_policy(
        self,
        name: str,
        levels: Sequence[Sequence[User | Schedule]],
        *,
        delay: timedelta = timedelta(minutes=30),
        num_loops: int = 0,
        teams: Iterable[Team] = (),
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
        policy = Policy(self._ids.new("P"), name, made, num_loops, [team.id for team in teams])
        self.policies[policy.id] = policy
        return policy

    # --- services and keys ------------------------------------------------------------------

    def add_service(
        self,
        name: str,
        policy: Policy | None = None,
        *,
        routing_key: str | None = None,
        urgency: UrgencyRule = "high",
        teams: Iterable[Team] = (),
        with_integration: bool = True,
    ) -> Service:
        """A new service with one integration; without `policy` it takes the account's first."""
        chosen = policy or next(iter(self.policies.values()), None)
        if chosen is None:
            raise ConfigError(f'Service "{name}" needs an escalation policy. Call add_policy before add_service.')
        service = Service(self._ids.new("P"), name, chosen.id, self._clock.now(), urgency=urgency)
        service.team_ids = [team.id for team in teams]
        self.services[service.id] = service
        if with_integration:
            self.add_integration(service, routing_key=routing_key)
        return service

    def add_integration(
        self, service: Service, *, routing_key: str | None = None, name: str = "Events API V2"
    ) -> Integration:
        """One more routing key for the service; alerts are told apart by dedup key per routing key."""
        integration = Integration(self._ids.new("P"), routing_key or self._ids.hex(), name, self._clock.now())
        if integration.routing_key in self._service_by_key:
            raise ConfigError("Two integrations with the same routing key. Pass another routing_key.")
        service.integrations.append(integration)
        self._service_by_key[integration.routing_key] = service
        return integration

    def add_maintenance(
        self, services: Iterable[Service], start: datetime, end: datetime, description: str = ""
    ) -> MaintenanceWindow:
        """A maintenance window: from `start` up to `end` events of these services do nothing."""
        window = MaintenanceWindow(
            self._ids.new("P"), tuple(service.id for service in services), start, end, description
        )
        self.maintenance_windows[window.id] = window
        return window

    def add_api_key(self, *, token: str | None = None, read_only: bool = False) -> ApiKey:
        """A new REST API key of the account, of 20 characters, full or read-only."""
        return self._keep(ApiKey(token or self._ids.token(), read_only))

    def add_user_key(self, user: User, *, token: str | None = None) -> ApiKey:
        """A new REST API key that acts as `user`."""
        return self._keep(ApiKey(token or self._ids.token(), False, "user", user.id))

    def add_bearer_token(
        self,
        scopes: Iterable[str],
        *,
        token: str | None = None,
        user: User | None = None,
        expires_at: datetime | None = None,
    ) -> ApiKey:
        """A new OAuth token with these scopes, of an app or of `user`."""
        made = token or f"pdus+_0XBPWQQ_{self._ids.hex()}"
        return self._keep(ApiKey(made, False, "bearer", user.id if user else None, frozenset(scopes), expires_at))

    def add_oauth_client(
        self, scopes: Iterable[str], *, client_id: str | None = None, secret: str | None = None
    ) -> OAuthClient:
        """A new app that may ask for tokens with these scopes at `/oauth/token`."""
        app = OAuthClient(client_id or self._ids.hex(), secret or self._ids.hex(64), frozenset(scopes))
        self.oauth_clients[app.id] = app
        return app

    def _keep(self, key: ApiKey) -> ApiKey:
        self.api_keys[key.token] = key
        return key

    # --- look-ups ---------------------------------------------------------------------------

    def service_of(self, routing_key: str) -> Service | None:
        """The service that a routing key belongs to."""
        return self._service_by_key.get(routing_key)

    def find_user(self, email: str) -> User | None:
        """The user with this address; case does not matter."""
        return next((user for user in self.users.values() if user.email.lower() == email.lower()), None)

    def find_service(self, name: str) -> Service | None:
        """The service with exactly this name."""
        return next((service for service in self.services.values() if service.name == name), None)

    def is_in_maintenance(self, service: Service, at: datetime) -> bool:
        """Whether the service's own switch or a window has it in maintenance."""
        return service.maintenance or any(
            service.id in window.service_ids and window.start <= at < window.end
            for window in self.maintenance_windows.values()
        )

"""A seed file: the simulated account as TOML, so that a team's own services and people can be played with.

Everything is named, nothing has an id, and the tables may stand in any order.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from resolute.errors import ConfigError
from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.resources import Grouping, Role, Schedule, SupportHours, Team, UrgencyRule, User
from resolute.simulator.pagerduty.rules_table import RulesTable, find_zone
from resolute.simulator.pagerduty.subscriptions import EVENT_TYPES, FilterType

Found = TypeVar("Found")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Named(_Table):
    name: str = Field(min_length=1)


class _User(_Named):
    email: str | None = None
    role: Role = "user"
    teams: list[str] = []


class _Priority(_Named):
    description: str = ""


class _Override(_Table):
    user: str
    start: AwareDatetime
    end: AwareDatetime


class _Schedule(_Named):
    users: list[str] = Field(min_length=1)
    start: AwareDatetime | None = None
    turn_hours: float = Field(default=168, gt=0)
    overrides: list[_Override] = []
    teams: list[str] = []


class _Policy(_Named):
    levels: list[list[str]] = Field(min_length=1)
    delay_minutes: float = Field(default=30, ge=1)
    loops: int = Field(default=0, ge=0, le=9)
    teams: list[str] = []


class _Grouping(_Table):
    kind: Literal["time", "content_based"]
    window_minutes: float = Field(default=0, ge=0)
    fields: list[str] = []
    needs_all: bool = True


class _SupportHours(_Table):
    days: list[int]
    start: time
    end: time
    during: UrgencyRule = "high"
    outside: UrgencyRule = "low"
    time_zone: str = "UTC"


class _Service(_Named):
    policy: str
    routing_key: str | None = Field(default=None, pattern=r"^[0-9A-Za-z]{32}$")
    urgency: UrgencyRule = "high"
    description: str = ""
    acknowledgement_timeout_minutes: float | None = Field(default=None, gt=0)
    auto_resolve_timeout_minutes: float | None = Field(default=None, gt=0)
    grouping: _Grouping | None = None
    support_hours: _SupportHours | None = None
    disabled: bool = False
    teams: list[str] = []


class _Key(_Table):
    kind: Literal["account", "user", "bearer"] = "account"
    token: str | None = None
    read_only: bool = False
    user: str | None = None
    scopes: list[str] = []


class _OAuthClient(_Table):
    client_id: str
    client_secret: str
    scopes: list[str]


class _Maintenance(_Table):
    services: list[str] = Field(min_length=1)
    start: AwareDatetime
    end: AwareDatetime
    description: str = ""


class _Webhook(_Table):
    url: str = Field(pattern=r"^https?://")
    events: list[str] = []
    service: str | None = None
    team: str | None = None
    secret: str | None = None
    headers: dict[str, str] = {}


class SeedFile(_Table):
    """The tables of a seed file."""

    teams: list[_Named] = []
    users: list[_User] = []
    priorities: list[_Priority] = []
    schedules: list[_Schedule] = []
    policies: list[_Policy] = []
    services: list[_Service] = []
    keys: list[_Key] = []
    oauth_clients: list[_OAuthClient] = []
    maintenance: list[_Maintenance] = []
    webhooks: list[_Webhook] = []
    abilities: list[str] | None = None
    rules: RulesTable = RulesTable()


def read_seed(path: Path) -> SeedFile:
    """The tables of a seed file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or has a field that is wrong.
    """
    try:
        return SeedFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"The seed file {path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(f"The seed file {path} is wrong. {faults}.") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise ConfigError(f"The seed file {path} is not TOML: {error}.") from error


def plant(seed: SeedFile, simulator: PagerDutySimulator) -> None:
    """Make everything that the seed names, in a simulator that was made with `empty_account`.

    Raises:
        ConfigError: it uses a name that it does not make, or makes one twice.
    """
    seed.rules.apply(simulator.rules)
    world = simulator.world
    if seed.abilities is not None:
        world.abilities = list(seed.abilities)
    teams = {each.name: world.add_team(each.name) for each in _unique("team", seed.teams)}

    def of(names: list[str]) -> list[Team]:
        return [_find("team", name, teams) for name in names]

    users = {
        each.name: world.add_user(each.name, each.email, role=each.role, teams=of(each.teams))
        for each in _unique("user", seed.users)
    }
    for priority in _unique("priority", seed.priorities):
        world.add_priority(priority.name, priority.description)
    targets: dict[str, User | Schedule] = dict(users)
    for each in _unique("schedule", seed.schedules):
        on_call = [_find("user", name, users) for name in each.users]
        turn = timedelta(hours=each.turn_hours)
        schedule = world.add_schedule(each.name, on_call, start=_utc(each.start), turn=turn, teams=of(each.teams))
        for override in each.overrides:
            user = _find("user", override.user, users)
            world.add_override(schedule, user, override.start.astimezone(UTC), override.end.astimezone(UTC))
        targets[each.name] = schedule
    policies = {
        each.name: world.add_policy(
            each.name,
            [[_find("user or schedule", name, targets) for name in level] for level in each.levels],
            delay=timedelta(minutes=each.delay_minutes),
            num_loops=each.loops,
            teams=of(each.teams),
        )
        for each in _unique("policy", seed.policies)
    }
    for wanted in _unique("service", seed.services):
        policy = _find("policy", wanted.policy, policies)
        service = world.add_service(
            wanted.name, policy, routing_key=wanted.routing_key, urgency=wanted.urgency, teams=of(wanted.teams)
        )
        service.description, service.disabled = wanted.description, wanted.disabled
        service.acknowledgement_timeout = _minutes(wanted.acknowledgement_timeout_minutes)
        service.auto_resolve_timeout = _minutes(wanted.auto_resolve_timeout_minutes)
        service.grouping = _grouping(wanted.grouping)
        service.support_hours = _support_hours(wanted.support_hours)
    _plant_keys(seed, simulator, users)
    _plant_windows_and_webhooks(seed, simulator, teams)


def _plant_keys(seed: SeedFile, simulator: PagerDutySimulator, users: dict[str, User]) -> None:
    world = simulator.world
    for app in seed.oauth_clients:
        world.add_oauth_client(app.scopes, client_id=app.client_id, secret=app.client_secret)
    for key in seed.keys:
        user = _find("user", key.user, users) if key.user is not None else None
        if key.kind == "bearer":
            world.add_bearer_token(key.scopes, token=key.token, user=user)
        elif key.kind == "account":
            world.add_api_key(token=key.token, read_only=key.read_only)
        elif user is None:
            raise ConfigError('The seed file has a key of kind "user" without a user. Give it one: user = "NAME".')
        else:
            world.add_user_key(user, token=key.token)


def _plant_windows_and_webhooks(seed: SeedFile, simulator: PagerDutySimulator, teams: dict[str, Team]) -> None:
    world = simulator.world
    services = {service.name: service for service in world.services.values()}
    for window in seed.maintenance:
        kept = [_find("service", name, services) for name in window.services]
        world.add_maintenance(kept, window.start.astimezone(UTC), window.end.astimezone(UTC), window.description)
    for hook in seed.webhooks:
        if unknown := sorted(set(hook.events) - EVENT_TYPES):
            raise ConfigError(f"The seed file wants webhooks of unknown types: {', '.join(unknown)}.")
        scope: tuple[FilterType, str | None] = ("account_reference", None)
        if hook.service is not None:
            scope = "service_reference", _find("service", hook.service, services).id
        elif hook.team is not None:
            scope = "team_reference", _find("team", hook.team, teams).id
        simulator.webhooks.subscriptions.add(
            hook.url,
            hook.events,
            filter_type=scope[0],
            filter_id=scope[1],
            secret=hook.secret,
            custom_headers=hook.headers.items(),
        )


NamedTable = TypeVar("NamedTable", bound=_Named)


def _unique(kind: str, tables: list[NamedTable]) -> list[NamedTable]:
    names = [table.name for table in tables]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f'The seed file makes the {kind} "{twice}" twice. Rename one of them.')
    return tables


def _find(kind: str, name: str, known: dict[str, Found]) -> Found:
    if name not in known:
        raise ConfigError(f'The seed file uses the {kind} "{name}", which it does not make. Made: {", ".join(known)}.')
    return known[name]


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)


def _minutes(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(minutes=number)


def _grouping(wanted: _Grouping | None) -> Grouping | None:
    if wanted is None:
        return None
    return Grouping(wanted.kind, timedelta(minutes=wanted.window_minutes), tuple(wanted.fields), wanted.needs_all)


def _support_hours(wanted: _SupportHours | None) -> SupportHours | None:
    if wanted is None:
        return None
    zone = find_zone(wanted.time_zone)
    return SupportHours(tuple(wanted.days), wanted.start, wanted.end, wanted.during, wanted.outside, zone)

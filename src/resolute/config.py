"""Settings of commands and workers: command line over environment over `resolute.toml`."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from resolute.engines.temporal.address import TemporalAddress, engine_named, is_temporal, temporal_address
from resolute.errors import ConfigError
from resolute.postgres.address import PostgresAddress, extra_missing, is_postgres, postgres_address

FILE: Final = "resolute.toml"
#: Longest that runs can be told to be kept, and the greatest number of them.
MOST_DAYS: Final = 36_500
MOST_RUNS: Final = 10**9
#: How log lines may look.
LOG_FORMATS: Final = ("human", "json")
#: Longest time between two heartbeats.
LONGEST_BEAT: Final = timedelta(days=1)
#: The secret without which nobody beyond its machine sees a worker's dashboard.
DASHBOARD_TOKEN: Final = "RESOLUTE_DASHBOARD_TOKEN"
#: The secret with the address that is asked while all is well.
HEARTBEAT_URL: Final = "RESOLUTE_HEARTBEAT_URL"
DEFAULT_STORE: Final = "sqlite:///resolute.db"
#: The engine that runs flows in the worker's own process, on its store.
EMBEDDED: Final = "embedded"


@dataclass(frozen=True)
class Setting:
    """One setting: where it may stand and what it means."""

    name: str
    option: str
    variable: str
    key: str
    default: str
    meaning: str


SETTINGS: Final = (
    Setting(
        "store",
        "--store",
        "RESOLUTE_STORE",
        "store",
        DEFAULT_STORE,
        "The store: sqlite:///PATH, postgresql://USER@HOST/DATABASE, or memory:.",
    ),
    Setting("module", "--module", "RESOLUTE_MODULE", "module", "", "The flows: a Python file or a dotted module."),
    Setting("webhooks", "", "RESOLUTE_WEBHOOKS", "webhooks", "", "Where a worker receives webhooks: HOST:PORT."),
    Setting("dashboard", "", "RESOLUTE_DASHBOARD", "dashboard", "", "Where a worker shows its health: HOST:PORT."),
    Setting(
        "heartbeat_every", "", "RESOLUTE_HEARTBEAT_EVERY", "heartbeat_every", "60", "Seconds between two heartbeats."
    ),
    Setting("keep_days", "", "RESOLUTE_KEEP_DAYS", "keep_days", "90", "Days a finished run is kept; 0 for ever."),
    Setting("keep_runs", "", "RESOLUTE_KEEP_RUNS", "keep_runs", "0", "Finished runs kept of each flow; 0 for all."),
    Setting(
        "log_format",
        "--log-format",
        "RESOLUTE_LOG_FORMAT",
        "log_format",
        "",
        "How log lines look: human or json. Where it is not set, json with --json.",
    ),
    Setting(
        "engine",
        "",
        "RESOLUTE_ENGINE",
        "engine",
        "embedded",
        "What runs flows: embedded, or temporal://HOST:PORT/NAMESPACE.",
    ),
    Setting(
        "task_queue",
        "",
        "RESOLUTE_TASK_QUEUE",
        "task_queue",
        "default",
        "What the workers of a Temporal server share.",
    ),
    Setting("jobs", "", "", "jobs", "[]", "Job files beside those in the working directory and its jobs/."),
    Setting(
        "database",
        "",
        "RESOLUTE_DATABASE_URL",
        "database",
        "",
        "What several workers share: the incident log, and on Temporal memory and large values: "
        "postgresql://USER@HOST/DATABASE.",
    ),
)


@dataclass(frozen=True)
class WorkerConfig:
    """How a worker runs.

    Attributes:
        task_queue: names the worker in logs; on engines with several workers also what they share.
        engine: the store of the embedded engine, e.g. "sqlite:///resolute.db" or "postgresql://USER@HOST/DATABASE", or
            the server of another, "temporal://127.0.0.1:7233/default"; None takes both from `RESOLUTE_ENGINE`,
            `RESOLUTE_STORE`, `resolute.toml` or the defaults. A path that is not absolute starts at the folder of
            `resolute.toml`, else at the working directory.
        max_concurrent: attempts at the same time; pages are sent beside them, but for those on a Temporal server.
        grace: how long running attempts may take to end when the worker is stopped.
        webhooks: where deliveries for the flows' webhooks are received, "HOST:PORT"; None takes it from
            `RESOLUTE_WEBHOOKS` or `resolute.toml`. Port 0 takes a free one.
        dashboard: where health and metrics are shown, "HOST:PORT"; None takes it from `RESOLUTE_DASHBOARD` or
            `resolute.toml`. Beyond this machine it needs the secret `RESOLUTE_DASHBOARD_TOKEN`.
        heartbeat_url: an address that is asked again and again while all is well, so that somebody else notices when
            it is not; None takes it from the secret `RESOLUTE_HEARTBEAT_URL`.
        heartbeat_every: the time between two heartbeats; None takes it from `RESOLUTE_HEARTBEAT_EVERY` (seconds),
            `resolute.toml` or the default, a minute.
        keep_days: for how many days a finished run is kept, 0 for ever; None takes it from `RESOLUTE_KEEP_DAYS`,
            `resolute.toml` or the default, 90.
        keep_runs: how many of the newest finished runs of each flow are kept, 0 for all; None takes it from
            `RESOLUTE_KEEP_RUNS`, `resolute.toml` or the default, 0.
    """

    task_queue: str = "default"
    engine: str | None = field(default=None, repr=False)  # it may hold a password
    max_concurrent: int = 100
    grace: timedelta = timedelta(seconds=10)
    webhooks: str | None = None
    dashboard: str | None = None
    heartbeat_url: str | None = field(default=None, repr=False)
    heartbeat_every: timedelta | None = None
    keep_days: float | None = None
    keep_runs: int | None = None

    def problems(self) -> list[str]:
        """What is wrong with these values, a sentence each."""
        found = []
        if self.max_concurrent < 1:
            found.append(f"WorkerConfig(max_concurrent={self.max_concurrent}) must be 1 or more.")
        if self.grace < timedelta(0):
            found.append("WorkerConfig(grace=...) must not be negative.")
        if self.webhooks is not None and (fault := address_fault(self.webhooks)):
            found.append(fault)
        if self.dashboard is not None and (fault := address_fault(self.dashboard)):
            found.append(fault)
        if self.heartbeat_url is not None and (fault := heartbeat_fault(self.heartbeat_url)):
            found.append(f"WorkerConfig(heartbeat_url=...) {fault}")
        if self.heartbeat_every is not None and not timedelta(0) < self.heartbeat_every <= LONGEST_BEAT:
            found.append(f"WorkerConfig(heartbeat_every=...) must be more than nothing, and {LONGEST_BEAT} at most.")
        if self.keep_days is not None and not 0 <= self.keep_days <= MOST_DAYS:
            found.append(f"WorkerConfig(keep_days={self.keep_days}) must be 0 (for ever) to {MOST_DAYS:,} days.")
        if self.keep_runs is not None and self.keep_runs < 0:
            found.append(f"WorkerConfig(keep_runs={self.keep_runs}) must be 0 (all) or more.")
        return found


@dataclass(frozen=True)
class Settings:
    """The settings in force.

    Attributes:
        folder: where relative paths start.
        store: the store's address.
        module: the flows, "" when none is set.
        jobs: job files named in `resolute.toml`.
        webhooks: where webhooks are received, "" when nothing is set.
        database: the address of what several workers share, "" when the store holds all there is.
        dashboard: where health and metrics are shown, "" when nothing is set.
        heartbeat_every: seconds between two heartbeats.
        keep_days: days for which a finished run is kept, 0 for ever.
        keep_runs: finished runs that are kept of each flow, 0 for all.
        log_format: how log lines look, one of `LOG_FORMATS`; "" when nothing is set.
        engine: what runs flows, "embedded" or the address of a server.
        task_queue: what the workers of an engine with several share.
    """

    folder: Path
    store: str = field(default=DEFAULT_STORE, repr=False)  # it may hold a password
    module: str = ""
    jobs: tuple[Path, ...] = field(default=())
    webhooks: str = ""
    database: str = field(default="", repr=False)  # it may hold a password
    dashboard: str = ""
    heartbeat_every: float = 60.0
    keep_days: float = 90.0
    keep_runs: int = 0
    log_format: str = ""
    engine: str = EMBEDDED
    task_queue: str = "default"


def load_settings(
    *,
    store: str | None = None,
    module: str | None = None,
    log_format: str | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings in force.

    Args:
        store, module, log_format: from the command line; None when not given.
        folder: where to look for `resolute.toml`; the working directory by default.

    Raises:
        ConfigError: `resolute.toml` cannot be read or holds something unknown.
    """
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    values = _read_file(folder / FILE)
    jobs = values.get("jobs", [])
    if not isinstance(jobs, Sequence) or isinstance(jobs, str) or not all(isinstance(job, str) for job in jobs):
        raise ConfigError(f'{folder / FILE}: jobs is {jobs!r}, expected a list of paths: jobs = ["ops/page.toml"].')

    def value(setting: Setting, given: str | None) -> str:
        found, _ = _find(setting, given, environ, values, folder)
        if not isinstance(found, str):
            raise ConfigError(
                f'{folder / FILE}: {setting.key} is {found!r}, expected a text: {setting.key} = "{setting.default}".'
            )
        return found

    if not store:
        _check_store(*_find(SETTINGS[0], None, environ, values, folder), folder)

    return Settings(
        folder=folder,
        store=value(SETTINGS[0], store),
        module=value(SETTINGS[1], module),
        jobs=tuple(folder / job for job in jobs),
        webhooks=value(SETTINGS[2], None),
        database=value(_setting("database"), None),
        dashboard=value(SETTINGS[3], None),
        heartbeat_every=_number("heartbeat_every", environ, values, folder, int(LONGEST_BEAT.total_seconds())),
        keep_days=_number("keep_days", environ, values, folder, MOST_DAYS),
        keep_runs=int(_number("keep_runs", environ, values, folder, MOST_RUNS, whole=True)),
        log_format=_one_of("log_format", LOG_FORMATS, log_format, environ, values, folder),
        engine=value(_setting("engine"), None),
        task_queue=value(_setting("task_queue"), None),
    )


def temporal_of(settings: Settings, given: str | None, environ: Mapping[str, str]) -> TemporalAddress | None:
    """The Temporal server that runs the flows, None for the embedded engine.

    Args:
        given: the engine's address from the program itself, which goes before every other.

    Raises:
        ConfigError: the address cannot be understood.
    """
    if given is not None:
        return temporal_address(given, environ) if is_temporal(given) else None
    if settings.engine == EMBEDDED:
        return None
    if not is_temporal(settings.engine):
        raise ConfigError(
            f'"{settings.engine}" is no engine. Write RESOLUTE_ENGINE={EMBEDDED}, or temporal://HOST:PORT/NAMESPACE; '
            "the store of the embedded engine stands in RESOLUTE_STORE."
        )
    return temporal_address(settings.engine, environ)


@dataclass(frozen=True)
class Sourced:
    """A value and where it comes from: an option, a variable, the path of `resolute.toml`, or "default"."""

    value: Any
    source: str


def in_force(
    given: Mapping[str, str | None], *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> dict[str, Sourced]:
    """The value of each setting, by its name, with its source.

    Args:
        given: what the command line says, by the settings' names.

    Raises:
        ConfigError: `resolute.toml` cannot be read or holds something unknown.
    """
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    values = _read_file(folder / FILE)
    return {each.name: Sourced(*_find(each, given.get(each.name), environ, values, folder)) for each in SETTINGS}


def _check_store(store: object, source: str, folder: Path) -> None:
    """Raise ConfigError that names the source, which whoever gave the command may not have in mind."""
    try:
        store_place(store if isinstance(store, str) else DEFAULT_STORE, folder)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def _setting(name: str) -> Setting:
    [setting] = [each for each in SETTINGS if each.name == name]
    return setting


def _number(
    name: str,
    environ: Mapping[str, str],
    values: Mapping[str, Any],
    folder: Path,
    most: int,
    *,
    whole: bool = False,
) -> float:
    """The setting of this name, a number of 0 or more; raises ConfigError that names its source."""
    [setting] = [each for each in SETTINGS if each.name == name]
    found, source = _find(setting, None, environ, values, folder)
    try:
        number = float(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else math.nan
    except ValueError:
        number = math.nan
    if not 0 <= number <= most or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise ConfigError(
            f"{source}: {setting.key} is {found!r}, expected {kind} from 0 to {most:,}, such as {setting.default}. "
            f"{setting.meaning}"
        )
    return number


def _one_of(
    name: str,
    known: Sequence[str],
    given: str | None,
    environ: Mapping[str, str],
    values: Mapping[str, Any],
    folder: Path,
) -> str:
    """The setting of this name, one of a few words or ""; raises ConfigError that names its source."""
    [setting] = [each for each in SETTINGS if each.name == name]
    found, source = _find(setting, given, environ, values, folder)
    if found not in (*known, ""):
        raise ConfigError(f"{source}: {setting.key} is {found!r}, expected {' or '.join(known)}.")
    return str(found)


def _find(
    setting: Setting, given: str | None, environ: Mapping[str, str], values: Mapping[str, Any], folder: Path
) -> tuple[Any, str]:
    """The value in force and where it comes from: command line over environment over file."""
    if given:
        return given, setting.option
    if text := environ.get(setting.variable, "").strip():
        return text, setting.variable
    if setting.key in values:
        return values[setting.key], str(folder / FILE)
    if setting.name == "engine" and (address := engine_named(environ)):
        return address, "TEMPORAL_HOST"
    return setting.default, "default"


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Make it a readable text file in UTF-8.") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f'{path} is not TOML: {error}. Write lines such as module = "flows.py".') from error
    known = {setting.key for setting in SETTINGS}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"{path} holds {', '.join(unknown)}, which is not known. Known: {', '.join(sorted(known))}.")
    return values


def store_place(store: str, folder: Path) -> Path | PostgresAddress | None:
    """Where the store of an address is, None for `memory:`.

    Raises:
        ConfigError: it is no address of a store.
    """
    return postgres_address(store) if is_postgres(store) else store_path(store, folder)


def database_place(database: str) -> PostgresAddress | None:
    """Where several workers share what they keep, None where they do not.

    Raises:
        ConfigError: it is no address of a database, or the extra is missing.
    """
    if not database:
        return None
    address = postgres_address(database)
    if missing := extra_missing():
        raise ConfigError(missing)
    return address


def store_path(store: str, folder: Path) -> Path | None:
    """The file of a store's address, None for `memory:`.

    Raises:
        ConfigError: it is no address of a store in a file.
    """
    if store == "memory:":
        return None
    if is_postgres(store):
        raise ConfigError(
            f"This needs a store in a file, and {postgres_address(store)} is none. Name one: --store sqlite:///resolute.db."
        )
    scheme, separator, rest = store.partition(":///")
    if scheme != "sqlite" or not separator or not rest:
        raise ConfigError(
            f'"{store}" is no store. Write sqlite:///resolute.db (relative), sqlite:////var/lib/resolute.db '
            "(absolute), postgresql://USER@HOST/DATABASE or memory:."
        )
    return folder / rest


def address_of(text: str) -> tuple[str, int] | None:
    """Host and port of "HOST:PORT", an IPv6 host in brackets; None when it is no such address."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    is_port = port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 2**16
    return (host, int(port)) if host and is_port else None


def address_fault(text: str) -> str | None:
    """What is wrong with an address to listen at, as a sentence; None when it is good."""
    if address_of(text) is not None:
        return None
    return f'"{text}" is no address to listen at. Write HOST:PORT: 127.0.0.1:8020, or 0.0.0.0:8020 for all interfaces.'


def heartbeat_fault(url: str) -> str | None:
    """What is wrong with an address for heartbeats, as the rest of a sentence without it; None if nothing."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if is_good and url.isascii() and url.isprintable() and " " not in url:
        return None
    return "holds no address for heartbeats: write https://HOST/PATH, as the service that watches it shows it."

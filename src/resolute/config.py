"""Settings of commands and workers: command line over environment over `resolute.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from resolute.errors import ConfigError

FILE: Final = "resolute.toml"
DEFAULT_STORE: Final = "sqlite:///resolute.db"


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
    Setting("store", "--store", "RESOLUTE_STORE", "store", DEFAULT_STORE, "The store: sqlite:///PATH, or memory:."),
    Setting("module", "--module", "RESOLUTE_MODULE", "module", "", "The flows: a Python file or a dotted module."),
    Setting("webhooks", "", "RESOLUTE_WEBHOOKS", "webhooks", "", "Where a worker receives webhooks: HOST:PORT."),
    Setting("jobs", "", "", "jobs", "[]", "Job files beside those in the working directory and its jobs/."),
)


@dataclass(frozen=True)
class WorkerConfig:
    """How a worker runs.

    Attributes:
        task_queue: names the worker in logs; on engines with several workers also what they share.
        engine: the store, e.g. "sqlite:///resolute.db"; None takes it from `RESOLUTE_STORE`, `resolute.toml`
            or the default. A path that is not absolute starts at the folder of `resolute.toml`, else at the
            working directory.
        max_concurrent: attempts at the same time.
        grace: how long running attempts may take to end when the worker is stopped.
        webhooks: where deliveries for the flows' webhooks are received, "HOST:PORT"; None takes it from
            `RESOLUTE_WEBHOOKS` or `resolute.toml`. Port 0 takes a free one.
    """

    task_queue: str = "default"
    engine: str | None = None
    max_concurrent: int = 100
    grace: timedelta = timedelta(seconds=10)
    webhooks: str | None = None

    def problems(self) -> list[str]:
        """What is wrong with these values, a sentence each."""
        found = []
        if self.max_concurrent < 1:
            found.append(f"WorkerConfig(max_concurrent={self.max_concurrent}) must be 1 or more.")
        if self.grace < timedelta(0):
            found.append("WorkerConfig(grace=...) must not be negative.")
        if self.webhooks is not None and (fault := address_fault(self.webhooks)):
            found.append(fault)
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
    """

    folder: Path
    store: str = DEFAULT_STORE
    module: str = ""
    jobs: tuple[Path, ...] = field(default=())
    webhooks: str = ""


def load_settings(
    *,
    store: str | None = None,
    module: str | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings in force.

    Args:
        store, module: from the command line; None when not given.
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
    )


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
        store_path(store if isinstance(store, str) else DEFAULT_STORE, folder)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


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


def store_path(store: str, folder: Path) -> Path | None:
    """The file of a store's address, None for `memory:`.

    Raises:
        ConfigError: it is no address of a store.
    """
    if store == "memory:":
        return None
    scheme, separator, rest = store.partition(":///")
    if scheme != "sqlite" or not separator or not rest:
        raise ConfigError(
            f'"{store}" is no store. Write sqlite:///resolute.db (relative), sqlite:////var/lib/resolute.db (absolute) '
            "or memory:."
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

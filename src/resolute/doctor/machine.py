"""Checks of the machine: Python and its packages, SQLite, open files, time zones, disk space."""

from __future__ import annotations

import os
import platform
import re
import resource
import sqlite3
import sys
from importlib import metadata
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resolute.doctor.finding import Finding, not_checked, ok, problem, warning
from resolute.doctor.subject import Subject
from resolute.engines.embedded.sqlite.database import OLDEST_SQLITE, WAL_BYTES

OLDEST_PYTHON: Final = (3, 11)
#: What Resolute cannot do without.
PACKAGES: Final = ("pydantic", "httpx2", "cronsim", "click", "tzdata")
#: Two connections that write or checkpoint at the same moment may damage a store in write-ahead mode; each line of
#: releases was mended in its own version. Source: sqlite.org, "Write-Ahead Logging", "The WAL-Reset Bug".
MENDED_SQLITE: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
#: A worker with a hundred attempts and their connections stays below this many open files.
FEW_FILES, TOO_FEW_FILES = 1024, 256
#: The write-ahead log alone may come to this before it begins anew.
TOO_LITTLE_BYTES, LITTLE_BYTES = WAL_BYTES, 1_000_000_000
_PROBE_ZONE: Final = "Europe/Berlin"


def python(subject: Subject) -> list[Finding]:
    """The interpreter and the packages it finds."""
    found = []
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        found.append(
            problem(f"This is Python {platform.python_version()}, expected {wanted} or newer.", "Use a newer Python.")
        )
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        found.append(
            problem(
                f"Not installed: {', '.join(missing)}.",
                f"Install Resolute again with its dependencies: `{sys.executable} -m pip install resolute`.",
            )
        )
    try:
        own = metadata.version("resolute")
    except metadata.PackageNotFoundError:
        own = "from its source"
    return found or [ok(f"Resolute {own} on Python {platform.python_version()}; {', '.join(versions)}.")]


def sqlite(subject: Subject) -> list[Finding]:
    """The SQLite of this Python."""
    return [judge_sqlite(sqlite3.sqlite_version_info)]


def judge_sqlite(version: tuple[int, ...]) -> Finding:
    """What is to be said of a version of SQLite."""
    shown, oldest = ".".join(map(str, version)), ".".join(map(str, OLDEST_SQLITE))
    if version < OLDEST_SQLITE:
        return problem(
            f"This Python brings SQLite {shown}, the store needs {oldest} or newer.",
            "Use a newer Python build or operating system.",
        )
    if version >= MENDED_SQLITE[-1] or any(each[:2] == version[:2] and version >= each for each in MENDED_SQLITE):
        return ok(f"SQLite {shown}.")
    mended = " or ".join(".".join(map(str, each)) for each in reversed(MENDED_SQLITE))
    return warning(
        f"SQLite {shown} can damage a store when two programs write it at the same moment (its WAL-reset bug). "
        "Resolute writes through one connection and is not struck by it; other tools that write the store would be.",
        f"Open the store with other tools read-only, and use a Python with SQLite {mended} or newer when you can.",
    )


def open_files(subject: Subject) -> list[Finding]:
    """How many files and connections a process may have open."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown, highest = (("unlimited" if n == resource.RLIM_INFINITY else str(n)) for n in (limit, most))
    if limit == resource.RLIM_INFINITY or limit >= FEW_FILES:
        return [ok(f"A process may have {shown} files open.")]
    fix = (
        f"Raise it: `ulimit -n {FEW_FILES}` before the command (at most {highest} here), LimitNOFILE=65536 in a "
        "systemd unit, --ulimit nofile=65536 for a container."
    )
    text = f"A process may have only {shown} files open, expected {FEW_FILES}: connections and files count alike."
    return [problem(text, fix) if limit < TOO_FEW_FILES else warning(text, fix)]


def time_zones(subject: Subject) -> list[Finding]:
    """Whether zones are known at all, and those of the schedules."""
    if not _is_known(_PROBE_ZONE):
        return [
            problem(
                f'No time zones are known here: not even "{_PROBE_ZONE}". Schedules need them.',
                "Install zone data: `python -m pip install tzdata`, or the package tzdata of the operating system; and "
                "unset PYTHONTZPATH if it is set.",
            )
        ]
    unknown = re.findall(r'The time zone "[^"]*" is not known', subject.module_fault)
    if unknown:
        return [
            problem(f"{text}.", 'Use a name such as "Europe/Berlin" or "UTC" in schedule(..., timezone=...).')
            for text in dict.fromkeys(unknown)
        ]
    if subject.worker is None:
        return [not_checked("Zone data is there; the zones of schedules need the module with the flows.")]
    zones = sorted({schedule.timezone for flow in subject.flows for schedule in flow.schedules})
    return [ok(f"The zones of the schedules are known: {', '.join(zones)}." if zones else "No flow has a schedule.")]


def _is_known(zone: str) -> bool:
    try:
        ZoneInfo.no_cache(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def disk(subject: Subject) -> list[Finding]:
    """Room for the store."""
    if subject.store is None:
        return [not_checked("There is no store on disk.")]
    if not subject.store.parent.is_dir():
        return [not_checked(f"The folder {subject.store.parent} does not exist.")]
    return [judge_disk(subject.store.parent)]


def judge_disk(folder: Path) -> Finding:
    """What is to be said of the disk that a folder lies on."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    shown = f"{free / 1_000_000:,.0f} MB"
    fix = "Make room on that disk, or name a store on another (--store). A worker waits while the disk is full."
    if found.f_files and not found.f_favail:
        return problem(f"The disk of {folder} has room but no inode left: no file can be made.", fix)
    if free < TOO_LITTLE_BYTES:
        return problem(f"Only {shown} are free for the store in {folder}, expected 1,000 MB.", fix)
    if free < LITTLE_BYTES:
        return warning(f"Only {shown} are free for the store in {folder}, expected 1,000 MB.", fix)
    return ok(f"{shown} are free for the store in {folder}.")

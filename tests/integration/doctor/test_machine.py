"""What `resolute doctor` says of the machine."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from resolute.doctor import machine
from resolute.doctor.subject import Subject
from resolute.model.flow import flow
from resolute.model.trigger import schedule
from resolute.worker import Worker
from tests.integration.sqlite_file import small_disk

ALONE = Subject({})


@contextmanager
def open_file_limit(limit: int) -> Iterator[None]:
    """This process may have so many files open for a while."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_versions_are_told() -> None:
    """A report of a fault can be copied from here."""
    [finding] = machine.python(ALONE)
    assert finding.result == "ok"
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in finding.text
    assert "pydantic 2." in finding.text


@pytest.mark.parametrize(
    ("version", "result"),
    [
        ((3, 36, 0), "problem"),
        ((3, 37, 0), "warning"),
        ((3, 44, 5), "warning"),
        ((3, 44, 6), "ok"),
        ((3, 45, 9), "warning"),
        ((3, 50, 7), "ok"),
        ((3, 51, 2), "warning"),
        ((3, 51, 3), "ok"),
        ((3, 52, 0), "ok"),
    ],
)
def test_old_sqlite(version: tuple[int, int, int], result: str) -> None:
    """Too old for the store, or with the WAL-reset bug; each line of releases was mended in its own version."""
    finding = machine.judge_sqlite(version)
    assert finding.result == result
    assert ("WAL-reset" in finding.text) == (result == "warning")


def test_sqlite_of_this_python_is_the_one_that_is_judged() -> None:
    """Whatever it is."""
    [finding] = machine.sqlite(ALONE)
    assert finding.text.count(sqlite3.sqlite_version) == 1


@pytest.mark.parametrize(("limit", "result"), [(200, "problem"), (512, "warning"), (2048, "ok")])
def test_open_file_limit(limit: int, result: str) -> None:
    """The limit of the shell is told with three ways to raise it."""
    with open_file_limit(limit):
        [finding] = machine.open_files(ALONE)
    assert finding.result == result
    assert str(limit) in finding.text
    if result != "ok":
        assert all(way in finding.fix for way in ("ulimit -n", "LimitNOFILE=", "--ulimit"))


def test_zones_of_the_schedules_are_named() -> None:
    """Those of the module's flows."""
    made = flow("tick").triggered_by(schedule("0 7 * * *", timezone="Asia/Kolkata")).then_sleep(timedelta(1)).build()
    [finding] = machine.time_zones(Subject({}, worker=Worker(flows=[made])))
    assert (finding.result, finding.text) == ("ok", "The zones of the schedules are known: Asia/Kolkata.")


def test_unknown_zone_of_a_schedule() -> None:
    """The fault of the flow is told once more where one looks for it."""
    fault = 'flows.py, line 3: The time zone "Europe/Berln" is not known. Use a name such as "Europe/Berlin".'
    [finding] = machine.time_zones(Subject({}, module_fault=fault))
    assert (finding.result, finding.text) == ("problem", 'The time zone "Europe/Berln" is not known.')


def test_no_zone_data(tmp_path: Path) -> None:
    """As in a slim image: neither the system's nor Python's own package is found."""
    (tmp_path / "tzdata.py").touch()
    look = "from resolute.doctor import machine, subject; print(machine.time_zones(subject.Subject({}))[0])"
    source = Path(machine.__file__).parents[2]
    environ = {"PYTHONPATH": f"{tmp_path}:{source}", "PYTHONTZPATH": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", look], env=environ, capture_output=True, text=True, check=True).stdout
    assert "result='problem'" in said
    assert "No time zones are known here" in said
    assert "pip install tzdata" in said


def test_room_on_the_disk(tmp_path: Path) -> None:
    """A disk that is too small for the write-ahead log is a problem."""
    with small_disk(tmp_path) as disk:
        finding = machine.judge_disk(disk)
        assert finding.result == "problem"
        assert f"Only 1 MB are free for the store in {disk}" in finding.text
        [same] = machine.disk(Subject({}, store=disk / "resolute.db"))
        assert same == finding

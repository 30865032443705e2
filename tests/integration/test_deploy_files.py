"""The unit and the container file under `deploy/`: systemd understands the one, and both fit the worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click import Context

from resolute.cli import main
from resolute.config import SETTINGS, WorkerConfig

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = (DEPLOY / "resolute.service").read_text(encoding="utf-8")
CONTAINER = (DEPLOY / "Containerfile").read_text(encoding="utf-8")


def service(name: str) -> str:
    """A value of the unit's [Service] that stands there once."""
    [value] = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """No unknown name, no value that it would ignore."""
    if shutil.which("systemd-analyze") is None and not os.environ.get("CI"):
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / "resolute.service"
    unit.write_text(UNIT.replace("/opt/resolute/bin/resolute", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_unit_gives_a_worker_the_time_it_takes_to_stop() -> None:
    """Longer than the grace, by as much as closing may take."""
    assert float(service("TimeoutStopSec")) >= WorkerConfig().grace.total_seconds() + 20
    assert service("KillSignal") == "SIGTERM"


def test_unit_starts_a_worker_again_unless_a_person_is_needed() -> None:
    """After a crash and exit code 3, not after 2."""
    assert service("Restart") == "on-failure"
    assert service("RestartPreventExitStatus") == str(main.MISUSED)


@pytest.mark.parametrize("text", [UNIT, CONTAINER], ids=["unit", "container"])
def test_variables_are_those_of_the_settings(text: str) -> None:
    """None that Resolute does not know."""
    used = set(re.findall(r"RESOLUTE_[A-Z]+", text))
    assert {"RESOLUTE_STORE", "RESOLUTE_MODULE"} <= used <= {setting.variable for setting in SETTINGS}


def test_commands_exist() -> None:
    """What the unit and the image start is a command of `resolute`, with options that it takes."""
    context = Context(main.resolute)
    begin = service("ExecStart").split()[1:]
    [image] = [json.loads(found) for found in re.findall(r"^CMD (\[.*\])$", CONTAINER, re.MULTILINE)]
    assert begin == image == ["worker"]
    [health] = [json.loads(found) for found in re.findall(r"^ +CMD (\[.*\])$", CONTAINER, re.MULTILINE)]
    command = main.resolute.get_command(context, health[1])
    assert command is not None
    command.make_context(health[1], health[2:], parent=context, resilient_parsing=True).close()


def test_image_is_named_without_a_registry_and_runs_without_root() -> None:
    """By tag; the worker is process 1 of a user of its own, and gets the signal itself."""
    [base] = re.findall(r"^FROM (\S+)$", CONTAINER, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+-slim", base)
    assert re.findall(r"^USER (\S+)$", CONTAINER, re.MULTILINE) == ["resolute"]
    assert re.search(r"^STOPSIGNAL SIGTERM$", CONTAINER, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["resolute"\]$', CONTAINER, re.MULTILINE)


def test_image_copies_what_exists() -> None:
    """Every file that it takes from the repository is there."""
    for line in re.findall(r"^COPY (.+)$", CONTAINER, re.MULTILINE):
        *sources, _ = line.split()
        assert all((DEPLOY.parent / source).exists() for source in sources), line

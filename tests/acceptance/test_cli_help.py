"""The command itself: help that is quick, near names, pipes that close."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from resolute.cli.main import COMMANDS
from tests.acceptance.command import SOURCE, Desk

pytestmark = pytest.mark.acceptance

HEAVY = ("pydantic", "httpx2", "sqlite3", "asyncio", "uvicorn", "starlette", "cronsim", "resolute.engine", "logging")


@pytest.mark.parametrize(
    "arguments", [["--help"], *([name, "--help"] for name in COMMANDS), ["runs", "list", "--help"]]
)
def test_help_loads_nothing_that_takes_time(arguments: list[str]) -> None:
    """Neither pydantic nor HTTP nor a store: help and completion come at once."""
    program = (
        "import sys\nfrom resolute.cli.main import run\n"
        f"code = run({arguments!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": SOURCE},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    assert done.stdout.startswith("Usage: resolute")


def test_every_command_is_in_the_help(resolute: Desk) -> None:
    """With the line that says what it is for."""
    answer = resolute("--help")
    for name, (_, line) in COMMANDS.items():
        assert name in answer.out
        assert line in answer.out


def test_unknown_command_names_a_near_one(resolute: Desk) -> None:
    """Exit code 2."""
    answer = resolute("wroker")
    assert answer.code == 2
    assert "worker" in answer.err


def test_version_is_printed(resolute: Desk) -> None:
    """Also where Resolute runs from its source."""
    assert resolute("--version").out.startswith("resolute")


def test_reader_that_has_enough_ends_it_quietly(resolute: Desk) -> None:
    """`resolute ... | head -1` prints no error."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "resolute.cli.main", "jobs", "list"],
        cwd=resolute.folder,
        env={"PYTHONPATH": SOURCE},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")

"""`--follow`: what changes is told as it comes, on a terminal, in a pipe and to programs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from resolute import Client
from tests.acceptance.command import SOURCE, Desk, Running

pytestmark = pytest.mark.acceptance

FLOWS = """
import asyncio, pathlib
from resolute import Retry, activity, flow, item, manual, steps

@activity
async def wait_for(name: str) -> str:
    while not pathlib.Path(name).exists():
        await asyncio.sleep(0.01)
    return f"{name} is there"

@activity(retry=Retry(attempts=1))
def refuse() -> None:
    raise ValueError("no such host")

going = (
    flow("going").triggered_by(manual())
    .then(wait_for(name="a").as_("first"), wait_for(name="b").as_("second")).build()
)
broken = flow("broken").triggered_by(manual()).then(wait_for(name="a")).then(refuse()).build()
"""


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """A worker with a run of each flow that has begun; their nodes wait for files."""
    resolute.write("flows.py", FLOWS)
    resolute.write("resolute.toml", 'module = "flows.py"\n')
    resolute.start("worker").wait_for_line("the worker is up")

    async def start() -> None:
        async with Client.connect(f"sqlite:///{resolute.store}") as client:
            for flow in ("going", "broken"):
                await client.start(flow, run_id=flow)

    asyncio.run(start())
    return resolute


def follow(desk: Desk, *options: str) -> Running:
    return desk.start("runs", "show", *options, "--follow")


def test_entries_are_told_as_they_come(desk: Desk) -> None:
    """A line each, until the run has ended; exit code 0 because it has succeeded."""
    command = follow(desk, "going")
    command.wait_for_line("running    first", "out")
    (desk.folder / "a").touch()
    assert '"a is there"' in command.wait_for_line("done       first", "out")
    command.wait_for_line("running    second", "out")
    (desk.folder / "b").touch()
    told = command.end()
    assert (told.code, told.err) == (0, "")
    assert "succeeded  run going" in told.out.splitlines()[-1]


def test_programs_get_a_line_of_json_for_each_change(desk: Desk) -> None:
    """An entry, or the run itself; the last line is the run as it ended."""
    command = follow(desk, "going", "--json")
    command.wait_for_line('"position": "first"', "out")
    for name in ("a", "b"):
        (desk.folder / name).touch()
    told = command.end()
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert {line["change"] for line in lines} == {"entry", "run"}
    assert (lines[-1]["change"], lines[-1]["status"], lines[-1]["id"]) == ("run", "succeeded", "going")
    last = {line["position"]: (line["status"], line["output"]) for line in lines if line["change"] == "entry"}
    assert last == {"first": ("done", "a is there"), "second": ("done", "b is there")}


def test_run_that_fails_decides_the_exit_code(desk: Desk) -> None:
    """1, with the error in the last line."""
    command = follow(desk, "broken")
    (desk.folder / "a").touch()
    told = command.end()
    assert told.code == 1
    assert "failed     run broken  refuse: ValueError: no such host" in told.out.splitlines()[-1]


def test_ctrl_c_ends_following_and_not_the_run(desk: Desk) -> None:
    """Exit code 130."""
    command = follow(desk, "going")
    command.wait_for_line("running    first", "out")
    command.signal(signal.SIGINT)
    assert command.end().code == 130
    assert "status:    running" in desk("runs", "show", "going").out


def test_list_tells_runs_as_they_change(desk: Desk) -> None:
    """Those there are, oldest first, then each that is new or has changed, until Ctrl-C."""
    command = desk.start("runs", "list", "--follow", "--status", "running")
    command.wait_for_line("broken", "out")
    (desk.folder / "a").touch()
    assert "refuse: ValueError: no such host" in command.wait_for_line("failed     broken", "out")
    (desk.folder / "b").touch()
    command.wait_for_line("succeeded  going", "out")
    command.signal(signal.SIGINT)
    assert command.end().code == 130


def test_list_tells_programs(desk: Desk) -> None:
    """One object a line, of the run as it is then."""
    command = desk.start("runs", "list", "--follow", "--json", "--flow", "going")
    assert json.loads(command.wait_for_line('"going"', "out"))["status"] == "running"
    for name in ("a", "b"):
        (desk.folder / name).touch()
    assert json.loads(command.wait_for_line('"succeeded"', "out"))["id"] == "going"


def on_terminal(desk: Desk, *arguments: str) -> tuple[subprocess.Popen[bytes], Iterator[str]]:
    """A command on a terminal of its own, and what it draws, piece by piece."""
    ours, theirs = os.openpty()
    environ = {**os.environ, "PYTHONPATH": SOURCE, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", **desk.environ}
    command = [sys.executable, "-W", "error", "-m", "resolute.cli.main", *arguments]
    process = subprocess.Popen(
        command, cwd=desk.folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)

    def drawn() -> Iterator[str]:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # nobody draws any more
                break
            yield piece.decode()
        os.close(ours)

    return process, drawn()


def test_terminal_is_drawn_over_until_the_run_has_ended(desk: Desk) -> None:
    """The lines take the place of those before; what stays is the run as it ended, once."""
    process, pieces = on_terminal(desk, "runs", "show", "going", "--follow")
    seen = next(pieces)
    for name in ("a", "b"):
        (desk.folder / name).touch()
    seen += "".join(pieces)
    assert process.wait() == 0
    frames = seen.split("\x1b[J")
    assert "status:    running" in frames[0]
    assert "status:    succeeded" in frames[-1]
    assert frames[-1].count("run:       going") == 1
    assert "output: {" in frames[-1]


def test_cancel_shows_on_a_terminal_what_it_waits_for(desk: Desk) -> None:
    """On a line that goes away again; in a pipe there is none."""
    process, pieces = on_terminal(desk, "runs", "signal", "going", "none", "--approve")
    assert 'no gate "none"' in "".join(pieces)
    assert process.wait() == 1
    process, pieces = on_terminal(desk, "runs", "cancel", "going", "--by", "ann")
    assert "cancelled by ann" in "".join(pieces)
    assert process.wait() == 0

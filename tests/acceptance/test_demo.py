"""`resolute demo` as a person runs it, on a machine whose own settings would lead it astray."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from resolute.demo.stage import DemoFailed, WorkerProcess

pytestmark = pytest.mark.acceptance

SOURCE = Path(__file__).parents[2] / "src"
COMMAND = [sys.executable, "-m", "resolute.cli.main", "demo"]
LAST_LINE = re.compile(r"(\d+) incidents? · (\d+) pages? · (\d+) requests? · (\d+) kill -9 · (\d+) lost · (\d+) twice")
# What must neither be obeyed nor show up anywhere.
CANARIES = {
    "PAGERDUTY_API_KEY": "canary+api+key+20chr",
    "PAGERDUTY_SERVICE_KEY": "canaryservicekey0000000000000000",
    "PAGERDUTY_EVENTS_URL": "http://127.0.0.1:9/canary-events",
    "PAGERDUTY_API_URL": "http://127.0.0.1:9/canary-api",
    "PAGERDUTY_REGION": "canary-region",
    "RESOLUTE_STORE": "sqlite:////canary/resolute.db",
    "RESOLUTE_MODULE": "canary.flows",
    "HTTP_PROXY": "http://127.0.0.1:9/canary-proxy",
}
BROKEN = "store = canary, this is not TOML ["


@dataclass(frozen=True)
class Demo:
    """What a finished demo left."""

    output: str
    errors: str
    folder: Path

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    @property
    def numbers(self) -> list[int]:
        """Those of the last line."""
        found = LAST_LINE.fullmatch(self.lines[-1])
        assert found, self.output
        return [int(number) for number in found.groups()]

    def ledger(self) -> list[sqlite3.Row]:
        """The rows of incident_log, read by other means than the demo's."""
        with sqlite3.connect(self.folder / "resolute.db") as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute("SELECT * FROM incident_log ORDER BY id").fetchall()

    def pagerduty(self) -> list[dict[str, Any]]:
        """Everything that happened at the simulator, in order."""
        lines = (self.folder / "pagerduty.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def environ(temporary: Path) -> dict[str, str]:
    """A user's environment with the canaries in it, and a place for temporary files."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), "TMPDIR": str(temporary), **CANARIES}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, run once in a folder with a broken resolute.toml."""
    folder, temporary = tmp_path_factory.mktemp("user"), tmp_path_factory.mktemp("tmp")
    (folder / "resolute.toml").write_text(BROKEN, encoding="utf-8")
    done = subprocess.run(COMMAND, cwd=folder, env=environ(temporary), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in folder.iterdir()] == ["resolute.toml"]
    assert (folder / "resolute.toml").read_text(encoding="utf-8") == BROKEN
    [store] = set(re.findall(r"sqlite:///(/\S+)", done.stdout))
    return Demo(done.stdout, done.stderr, Path(store).parent)


def test_the_last_line_says_that_nothing_was_lost_and_nothing_came_twice(demo: Demo) -> None:
    """The line that people wait for, with nothing on stderr beside it."""
    assert demo.lines[-1] == "1 incident · 1 page · 5 requests · 1 kill -9 · 0 lost · 0 twice"
    assert demo.errors == ""


def test_the_numbers_are_those_of_the_records(demo: Demo) -> None:
    """Counted again from the files that the demo left, by other means."""
    records, rows = demo.pagerduty(), demo.ledger()
    opened = [each for each in records if each["what"] == "event" and each["effect"] == "opened"]
    requests = [each for each in records if each["what"] == "request" and each["api"] == "events"]
    assert demo.numbers[:3] == [
        len({each["incident_id"] for each in records if each["what"] == "incident"}),
        sum(row["action"] == "trigger" and row["status"] == "accepted" for row in rows),
        len(requests),
    ]
    assert [row["status"] for row in rows] == ["accepted", "accepted"]
    assert Counter(each["alert_id"] for each in opened).total() == 1
    assert [(each["action"], each["fault"], each["applied"]) for each in requests] == [
        ("trigger", "503", False),
        ("trigger", "503", False),
        ("trigger", "apply_then_cut", True),
        ("trigger", None, True),
        ("resolve", None, True),
    ]
    assert [row["attempts"] for row in rows] == [4, 1]
    effects = [each["effect"] for each in records if each["what"] == "event"]
    assert effects == ["opened", "folded", "resolved"]


def test_the_worker_was_killed_with_its_page_unanswered(demo: Demo) -> None:
    """Two processes, one of which died where PagerDuty had taken the event and nobody knew."""
    pids = re.findall(r"worker +process (\d+)", demo.output)
    assert len(set(pids)) == 2
    assert re.search(
        rf"kill -9 +process {pids[0]} is dead\. Its ledger: row 1, trigger, sending, 3 requests", demo.output
    )


def test_the_flow_that_is_shown_is_the_flow_that_is_run(demo: Demo) -> None:
    """Its text stands in the output as it stands in its file."""
    shown = "\n".join(line.removeprefix("  ") for line in demo.lines[1:])
    assert shown.startswith("watch_shop = (\n")
    text = shown.partition("\n\n")[0]
    assert text in (SOURCE / "resolute/demo/flow.py").read_text(encoding="utf-8")


def test_it_fits_a_screen_and_names_who_is_on_call(demo: Demo) -> None:
    """At most 40 lines; the times of the story only grow."""
    assert len(demo.lines) <= 40
    assert max(len(line) for line in demo.lines if "resolute.db" not in line) <= 110
    assert re.search(r" s  on call +Ada Moreno <ada@example\.com>, level 1$", demo.output, re.MULTILINE)
    times = [float(time) for time in re.findall(r"^ *(\d+\.\d) s  ", demo.output, re.MULTILINE)]
    assert times == sorted(times)
    assert len(times) > 10


def test_the_three_commands_work_as_pasted(demo: Demo, tmp_path: Path) -> None:
    """In another folder, with the user's own settings in the way."""
    commands = demo.lines[-4:-1]
    outputs = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environ(demo.folder), capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        outputs.append(done.stdout)
    incidents, runs, run = outputs
    assert incidents.count("shop-is-down") >= 2
    assert runs.count("watch-shop") >= 3
    assert "trigger_event" in run
    assert "oncall" in run
    assert list(tmp_path.iterdir()) == []


def test_no_setting_of_the_user_shows_up(demo: Demo) -> None:
    """Neither in what is printed nor in any file that is left."""
    files = [path for path in demo.folder.rglob("*") if path.is_file()]
    assert {"resolute.db", "worker.log", "pagerduty.jsonl"} <= {path.name for path in files}
    kept = b"".join(path.read_bytes() for path in files) + demo.output.encode() + demo.errors.encode()
    assert b"canary" not in kept


def test_no_key_of_the_simulator_is_left(demo: Demo) -> None:
    """Not even a simulated key is written down: the ledger shows its last four characters."""
    [shown] = {row["service_key"] for row in demo.ledger()}
    assert re.fullmatch("•••• [0-9a-z]{4}", shown)
    kept = b"".join(path.read_bytes() for path in demo.folder.rglob("*") if path.is_file()) + demo.output.encode()
    assert not re.search(rb"[0-9a-z]{28}" + shown[-4:].encode(), kept)


def test_json_is_one_object_and_keep_runs_until_interrupted(tmp_path: Path) -> None:
    """Programs get the same facts; with --keep all of it can be used until Ctrl-C, which ends it in good order."""
    command, given = [*COMMAND, "--json", "--keep"], environ(tmp_path)
    with subprocess.Popen(command, cwd=tmp_path, env=given, stdout=subprocess.PIPE, text=True) as process:
        killer = threading.Timer(60, process.kill)
        killer.start()
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        page = httpx2.get(told["pagerduty"]).text
        broken = httpx2.post(f"{told['shop']}/break").status_code, httpx2.get(f"{told['shop']}/health").status_code
        check = subprocess.run(
            [*shlex.split(told["checking"])], cwd=tmp_path, env=given, capture_output=True, text=True, timeout=30
        )
        state = httpx2.get(f"{told['pagerduty']}/_simulator/state").json()
        process.send_signal(signal.SIGINT)
        rest, code = process.stdout.read(), process.wait(30)
        killer.cancel()
    assert "The shop answers 500" in page
    assert broken == (200, 500)
    assert check.returncode == 0, check.stderr
    assert len(state["alerts"]) + state["pending"] == 2
    assert (rest, code) == ("", 0)
    assert LAST_LINE.fullmatch(told["tally"]["line"])
    assert told["tally"]["lost"] == told["tally"]["twice"] == 0
    assert [row["action"] for row in told["ledger"]] == ["trigger", "resolve"]
    assert len([each for each in told["requests"] if each["api"] == "events"]) == told["tally"]["requests"]
    assert told["on_call"].startswith("Ada Moreno")
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(told["pagerduty"])


async def test_a_worker_that_ends_instead_of_starting_is_told_with_its_last_words(tmp_path: Path) -> None:
    """Nobody waits half a minute for a process that is gone."""
    worker = WorkerProcess(tmp_path, f"sqlite:///{tmp_path}/resolute.db", {**os.environ, "PYTHONPATH": str(SOURCE)})
    worker.start()
    with pytest.raises(DemoFailed, match=r"ended with exit code 2 (?s:.*)needs the variable SHOP_URL"):
        await worker.up(tmp_path / "resolute.db")
    assert worker.exit_codes == [2]

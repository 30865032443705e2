"""`resolute simulator`: a local PagerDuty that says where it is, and ends when told."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.command import SOURCE, Desk

pytestmark = pytest.mark.acceptance

SEED = """
[[users]]
name = "Eve Adams"

[[policies]]
name = "Mail"
levels = [["Eve Adams"]]

[[services]]
name = "Mail"
policy = "Mail"
routing_key = "00000000000000000000000000000000"

[[keys]]
token = "local-key-of-20-char"
"""


def test_one_line_of_json_is_all_that_a_program_needs(resolute: Desk) -> None:
    """Addresses and keys, printed once requests are answered; SIGTERM ends it with exit code 0."""
    running = resolute.start("simulator", "--port", "0", "--json")
    said = json.loads(running.wait_for_line("{", "out"))
    event = {"routing_key": said["service_key"], "event_action": "trigger", "dedup_key": "k"}
    payload = {"summary": "down", "source": "db", "severity": "critical"}
    assert httpx2.post(f"{said['events_url']}/v2/enqueue", json={**event, "payload": payload}).status_code == 202
    headers = {"Authorization": f"Token token={said['api_key']}"}
    assert httpx2.get(f"{said['api_url']}/users", headers=headers).status_code == 200
    assert "PagerDuty" in httpx2.get(said["page"]).text
    assert said["environment"]["PAGERDUTY_FROM"] == said["from"]
    running.signal(signal.SIGTERM)
    answer = running.end()
    assert (answer.code, answer.err) == (0, "")


def test_lines_to_copy_point_a_job_at_it(resolute: Desk) -> None:
    """What it prints for people is what the provider reads."""
    running = resolute.start("simulator", "--port", "0")
    running.wait_for_line("Ctrl-C ends it.", "out")
    running.signal(signal.SIGINT)
    answer = running.end()
    assert answer.code == 0
    lines = [line.split()[1].partition("=")[0] for line in answer.out.splitlines() if "export " in line]
    assert lines == [
        "PAGERDUTY_EVENTS_URL",
        "PAGERDUTY_API_URL",
        "PAGERDUTY_SERVICE_KEY",
        "PAGERDUTY_API_KEY",
        "PAGERDUTY_FROM",
    ]


def test_seed_file_makes_the_account(resolute: Desk, tmp_path: Path) -> None:
    """Its names and keys are those of the file; nothing else is there."""
    seed = tmp_path / "seed.toml"
    seed.write_text(SEED, encoding="utf-8")
    running = resolute.start("simulator", "--port", "0", "--json", "--strict", "--seed", str(seed))
    said = json.loads(running.wait_for_line("{", "out"))
    assert (said["service_key"], said["api_key"]) == ("0" * 32, "local-key-of-20-char")
    headers = {"Authorization": f"Token token={said['api_key']}"}
    refused = httpx2.get(f"{said['api_url']}/users", headers=headers)
    assert "no header Accept" in refused.text
    headers["Accept"] = "application/vnd.pagerduty+json;version=2"
    users = httpx2.get(f"{said['api_url']}/users", headers=headers).json()["users"]
    assert [user["name"] for user in users] == ["Eve Adams"]


def test_wrong_seed_file_is_refused(resolute: Desk, tmp_path: Path) -> None:
    """With what is wrong in it."""
    seed = tmp_path / "seed.toml"
    seed.write_text("[[users]]\nnickname = 'Eve'", encoding="utf-8")
    answer = resolute("simulator", "--port", "0", "--seed", str(seed))
    assert answer.code != 0
    assert "users.0.nickname" in answer.err


def test_fault_is_met_by_every_request(resolute: Desk) -> None:
    """`--fault 503` alone is all of them; a rate is a part."""
    running = resolute.start("simulator", "--port", "0", "--json", "--fault", "503")
    said = json.loads(running.wait_for_line("{", "out"))
    assert httpx2.get(f"{said['api_url']}/users").status_code == 503


@pytest.mark.parametrize("fault", ["507", "503=often", "503=1.5"])
def test_fault_that_is_none_is_refused(resolute: Desk, fault: str) -> None:
    """Exit code 2."""
    assert resolute("simulator", "--port", "0", "--fault", fault).code == 2


def test_taken_port_is_told(resolute: Desk) -> None:
    """Exit code 2, and how to take a free one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answer = resolute("simulator", "--port", str(listener.getsockname()[1]))
    assert answer.code == 2
    assert "--port 0" in answer.err


@pytest.mark.parametrize("missing", ["uvicorn", "jinja2", "starlette"])
def test_missing_extra_names_the_command_that_helps(missing: str) -> None:
    """An installation without the `server` extra."""
    program = f"import sys; sys.modules[{missing!r}] = None; from resolute.cli.main import main; main(['simulator'])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": SOURCE}, check=False
    )
    assert done.returncode == 2
    assert "pip install 'resolute[server]'" in done.stderr

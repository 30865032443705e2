"""The examples as users have them: they load, fit their types, and do what they say against a PagerDuty on a socket."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from resolute import RunFailed, Worker, WorkerConfig
from resolute.clock import SystemClock
from resolute.engines.embedded.owner import holder
from resolute.loader import load
from resolute.ports import Ports
from resolute.simulator import PagerDutySimulator, SimRequest
from resolute.simulator.pagerduty.server import SimulatorServer
from tests.temporal_server import TemporalServer, temporal_server

__all__ = ["temporal_server"]

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FLOWS = sorted(path.name for path in EXAMPLES.glob("*.py"))
PATIENCE = timedelta(seconds=30)
WEBHOOK_SECRET = "the-secret-of-the-subscription"


class Site:
    """A web site of this machine: answers GET with what the test sets, keeps what is posted.

    Attributes:
        heals_after_posts: it answers 500 until so much was posted.
    """

    def __init__(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_ill = len(site.posted) < site.heals_after_posts
                self._answer(500 if is_ill else site.status, json.dumps(site.page).encode())

            def do_POST(self) -> None:
                site.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer(200, b"ok")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.status = 200
        self.page: dict[str, Any] = {"status": "healthy", "message": "all is well", "component": "api"}
        self.posted: list[Any] = []
        self.heals_after_posts = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.address}"


@pytest.fixture
def site() -> Iterator[Site]:
    """The system that is watched, and the Slack that is told."""
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture
def pagerduty() -> Iterator[SimulatorServer]:
    """A PagerDuty on a socket that works on events at once."""
    simulator = PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))
    with SimulatorServer(simulator) as server:
        yield server


@pytest.fixture(params=["embedded", pytest.param("temporal", marks=pytest.mark.ci_only)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """What an operator would set for the engine; the examples know nothing of it."""
    if request.param == "embedded":
        return {}
    server: TemporalServer = request.getfixturevalue("temporal_server")
    return {
        "RESOLUTE_ENGINE": f"temporal://127.0.0.1:{server.port}/{server.namespace()}",
        "RESOLUTE_STORE": f"sqlite:///{tmp_path / 'resolute.db'}",
    }


@pytest.fixture
def environ(
    pagerduty: SimulatorServer, site: Site, engine: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, str]:
    """What an operator would set for the examples."""
    simulator = pagerduty.call(lambda simulator: simulator)
    given = {
        "PAGERDUTY_EVENTS_URL": pagerduty.url,
        "PAGERDUTY_API_URL": pagerduty.url,
        "PAGERDUTY_ROUTING_KEY": simulator.routing_key,
        "PAGERDUTY_SERVICE_KEY": simulator.routing_key,
        "PAGERDUTY_API_KEY": simulator.api_key,
        "PAGERDUTY_FROM": simulator.first_user.email,
        "PAGERDUTY_WEBHOOK_SECRET": f"a-secret-of-before,{WEBHOOK_SECRET}",
        "ESCALATION_POLICY": next(iter(simulator.world.policies)),
        "ESCALATION_POLICY_ID": next(iter(simulator.world.policies)),
        "HEALTH_URL": site.url,
        "SERVICE_URL": site.url,
        "DATABASE_ADDRESS": site.address,
        "SLACK_WEBHOOK_URL": f"{site.url}/slack",
        "LOOK_EVERY_S": "0.005",
        "INVENTORY": str(tmp_path / "databases.json"),
        "WINDOWS": str(tmp_path / "windows"),
        "MAINTENANCE_COMMAND": "echo maintained",
        **engine,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, **given, "PYTHONPATH": str(ROOT / "src")}


def worker_of(example: str) -> Worker:
    """The example's flows and accounts in a worker of the test; on a store in memory, unless an engine is set."""
    found = load(str(EXAMPLES / example), EXAMPLES).as_worker()
    config = WorkerConfig(engine=None if "RESOLUTE_ENGINE" in os.environ else "memory:", webhooks="127.0.0.1:0")
    return Worker(config, flows=found.flows, providers=found.providers, ports=Ports())


async def run(worker: Worker, input: Any = None) -> dict[str, Any]:
    """The outputs of one run of the example's only flow."""
    [flow] = worker.flows
    outputs: dict[str, Any] = await (await worker.client.start(flow, input)).result(PATIENCE)
    return outputs


async def positions(worker: Worker, run_id: str, status: str = "done") -> list[str]:
    """Where the run's journal has entries of this status."""
    return [node.position for node in (await worker.client.get(run_id)).nodes if node.status == status]


def alerts(pagerduty: SimulatorServer) -> list[tuple[str, str, str]]:
    """Dedup key, status and summary of every alert."""
    found = pagerduty.call(lambda simulator: simulator.alerts)
    return [(alert.alert_key, alert.status, alert.summary) for alert in found]


@pytest.mark.parametrize("example", FLOWS)
def test_example_is_ready_to_be_run(example: str, environ: dict[str, str]) -> None:
    """`resolute worker` finds flow and account in the file, and nothing is missing once its variables are set."""
    assert worker_of(example).problems() == []


def test_examples_satisfy_a_strict_type_checker() -> None:
    """What users copy has no error under mypy --strict."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache/examples"), *FLOWS]
    environ = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    checked = subprocess.run(command, cwd=EXAMPLES, env=environ, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_smart_alerting_pages_tells_and_resolves(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """Critical opens one alert and names who is on call; two critical checks are one alert; healthy again closes it."""
    async with worker_of("smart_alerting.py") as worker:
        site.page = {"status": "critical", "message": "load 42", "component": "api", "metrics": {"load": 42}}
        first, second = await run(worker), await run(worker)
        while_critical = alerts(pagerduty)
        site.page = {"status": "healthy", "message": "load 1"}
        third, fourth = await run(worker), await run(worker)
    assert [first["health"]["was_critical"], second["health"]["was_critical"]] == [False, True]
    assert while_critical == [("system-health", "triggered", "load 42")]
    [alert] = pagerduty.call(lambda simulator: simulator.alerts)
    assert alert.payload["custom_details"] == {"metrics": {"load": 42}}
    assert alert.payload["component"] == "api"
    assert alert.status == "resolved"
    assert "resolve_event" in third
    assert "resolve_event" not in fourth
    assert [post["text"] for post in site.posted] == [first["notify_on_call_slack"]] * 2
    assert "Ada Moreno (level 1)" in first["notify_on_call_slack"]


async def test_smart_alerting_takes_no_answer_for_critical(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """A health page that fails pages somebody."""
    site.status = 502
    async with worker_of("smart_alerting.py") as worker:
        await run(worker)
    [(key, status, summary)] = alerts(pagerduty)
    assert (key, status) == ("system-health", "triggered")
    assert "502" in summary


async def test_database_monitor_pages_when_nothing_listens(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that takes connections is left alone; one that refuses them is paged for."""
    async with worker_of("database_monitor.py") as worker:
        well = await run(worker)
        monkeypatch.setenv("DATABASE_ADDRESS", "127.0.0.1:1")
        await run(worker)
    assert well["health"]["status"] == "healthy"
    [(key, status, summary)] = alerts(pagerduty)
    assert (key, status) == ("db-health-check", "triggered")
    assert summary.startswith("Database 127.0.0.1:1: ")


async def test_auto_resolve_closes_what_others_opened(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """An alert of another tool under the same key is closed, but only once the service is healthy."""
    opened_elsewhere = {"summary": "down", "source": "elsewhere", "severity": "error"}
    event = {"event_action": "trigger", "dedup_key": "service-health-check", "payload": opened_elsewhere}
    async with worker_of("auto_resolve.py") as worker:
        [account] = worker.providers
        await account.client.enqueue(event, environ["PAGERDUTY_ROUTING_KEY"])  # type: ignore[attr-defined]
        site.status = 500
        await run(worker)
        before = alerts(pagerduty)
        site.status = 200
        await run(worker)
    assert [status for _, status, _ in before] == ["triggered"]
    assert [status for _, status, _ in alerts(pagerduty)] == ["resolved"]


async def test_on_call_notify_names_everybody_on_call(environ: dict[str, str], site: Site) -> None:
    """One message to Slack with the names and the text of the run's input."""
    async with worker_of("on_call_notify.py") as worker:
        outputs = await run(worker, {"text": "Deploy at 14:00"})
    assert [post["text"] for post in site.posted] == [outputs["send_direct_message"]]
    assert outputs["send_direct_message"].endswith(": Deploy at 14:00")
    assert "Ada Moreno" in outputs["send_direct_message"]


async def test_notifying_goes_to_the_log_without_a_webhook(
    environ: dict[str, str], site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The examples run without a Slack."""
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    async with worker_of("on_call_notify.py") as worker:
        await run(worker, {})
    assert site.posted == []
    assert "You are on call." in caplog.text


async def test_a_wrong_policy_fails_the_run_and_says_where(environ: dict[str, str], pagerduty: SimulatorServer) -> None:
    """What PagerDuty refuses for good is not tried for ten minutes."""
    pagerduty.call(lambda simulator: simulator.faults.script("rest", ["404"]))
    async with worker_of("on_call_notify.py") as worker:
        with pytest.raises(RunFailed) as failed:
            await run(worker, {})
    assert failed.value.key == "oncall"


async def test_escalation_rings_everybody_when_nobody_acknowledges(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """Each one on call hears of it; who takes it acknowledges at PagerDuty; a healthy service resolves."""
    site.heals_after_posts = 2
    async with worker_of("escalation.py") as worker:
        run = await worker.client.start("escalation", {"summary": "The shop is down", "key": "shop"})
        await run.signal("take", by="ada")
        outputs = await run.result(PATIENCE)
    assert sorted(post["text"].partition(":")[0] for post in site.posted) == ["Ada Moreno", "Chris Lindqvist"]
    assert outputs["take"]["by"] == "ada"
    assert [each["assignee"]["name"] for each in outputs["escalate"]["incident"]["assignments"]] == ["Chris Lindqvist"]
    assert [event.action for event in pagerduty.call(lambda simulator: simulator.processed)].count("acknowledge") == 1
    assert alerts(pagerduty) == [("shop", "resolved", "The shop is down")]


async def test_escalation_rings_nobody_when_somebody_takes_it(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """An incident that is acknowledged already is watched until its service is well, and no more."""
    opened_before = {"summary": "slow", "source": "elsewhere", "severity": "error"}
    event = {"event_action": "trigger", "dedup_key": "shop", "payload": opened_before}
    async with worker_of("escalation.py") as worker:
        [account] = worker.providers
        await account.client.enqueue(event, environ["PAGERDUTY_ROUTING_KEY"])  # type: ignore[attr-defined]
        [incident] = pagerduty.call(lambda simulator: list(simulator.incidents))
        pagerduty.call(lambda simulator: simulator.acknowledge(incident.id))
        run = await worker.client.start("escalation", {"summary": "The shop is down", "key": "shop"})
        outputs = await run.result(PATIENCE)
        done = await positions(worker, run.id)
    assert outputs["incident"]["incident"]["status"] == "acknowledged"
    assert "escalate" not in outputs
    assert site.posted == []
    assert done.count("handling/wait_for_health[2]/health") == 1
    assert "handling/wait_for_health[3]" not in done
    assert [status for _, status, _ in alerts(pagerduty)] == ["resolved"]


async def test_escalation_tells_the_channel_when_pagerduty_refuses(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """A page that fails for good does not end the escalation: everybody is rung all the same."""
    pagerduty.call(lambda simulator: simulator.faults.script("events", ["400_errors_string"]))
    site.heals_after_posts = 3
    async with worker_of("escalation.py") as worker:
        run = await worker.client.start("escalation", {"summary": "The shop is down"})
        await run.signal("take", "rejected")
        outputs = await run.result(PATIENCE)
    assert "trigger_event" not in outputs
    assert site.posted[0]["text"] == "PagerDuty has not taken this: The shop is down"
    assert len(site.posted) == 3


def open_incident(pagerduty: SimulatorServer, key: str) -> str:
    """The id of an incident that another tool has opened."""

    def open_it(simulator: PagerDutySimulator) -> str:
        payload = {"summary": f"Problem {key}", "source": "elsewhere", "severity": "error"}
        event = {"routing_key": simulator.routing_key, "event_action": "trigger", "dedup_key": key, "payload": payload}
        headers = {"Content-Type": "application/json"}
        assert simulator.handle(SimRequest("POST", "/v2/enqueue", headers, json.dumps(event).encode())).status == 202
        return simulator.incidents[-1].id

    return pagerduty.call(open_it)


async def deliver(worker: Worker, kind: str, data: dict[str, Any], number: str = "1") -> httpx2.Response:
    """What the worker answers to a delivery that is signed as PagerDuty signs it."""
    event = {"id": f"01EVENT{number}", "event_type": kind, "resource_type": "incident", "data": data}
    body = json.dumps(
        {"event": {**event, "occurred_at": "2026-03-01T12:00:00Z", "agent": None, "client": None}}
    ).encode()
    digest = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "PagerDuty-Webhook/V3.0",
        "X-PagerDuty-Signature": f"v1={'0' * 64},v1={digest}",
        "X-Webhook-Id": f"7e0f1c7a-{number}",
    }
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.post(f"{worker.webhooks_url}/pagerduty/webhook", content=body, headers=headers)


async def test_incident_response_writes_a_note_on_each_new_incident(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """A signed delivery over a socket, twice, is one run: one note, one message."""
    incident = open_incident(pagerduty, "shop")
    data = {"id": incident, "type": "incident", "number": 1, "title": "Problem shop", "status": "triggered"}
    async with worker_of("incident_response.py") as worker:
        answers = [await deliver(worker, "incident.triggered", data) for _ in range(2)]
        [run_id] = {answer.json()["run_id"] for answer in answers}
        await worker.client.run(run_id).result(PATIENCE)
    assert [answer.status_code for answer in answers] == [202, 202]
    [note] = pagerduty.call(lambda simulator: simulator.incidents[0].notes)
    assert note.content.startswith(f"Looked at by Resolute:\n{site.url} answers 200")
    assert [post["text"] for post in site.posted] == [f"Problem shop ({incident})\n{note.content}"]


async def test_incident_response_leaves_what_is_no_new_incident(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """A test event starts no run, and one of another type a run that does nothing; neither is refused."""
    async with worker_of("incident_response.py") as worker:
        ping = await deliver(worker, "pagey.ping", {"message": "Hello from your friend Pagey!", "type": "ping"})
        other = await deliver(worker, "incident.dreamt", {"id": "D1", "type": "incident_dream"}, "2")
        outputs = await worker.client.run(other.json()["run_id"]).result(PATIENCE)
    assert (ping.status_code, ping.text, other.status_code) == (200, "pong", 202)
    assert list(outputs) == ["event"]
    assert site.posted == []


async def test_incident_metrics_counts_the_day(environ: dict[str, str], pagerduty: SimulatorServer, site: Site) -> None:
    """What was resolved is counted by service; what is open is not."""
    for key in ("one", "two"):
        resolved = open_incident(pagerduty, key)
        pagerduty.call(lambda simulator, incident=resolved: simulator.resolve(incident))
    open_incident(pagerduty, "open")
    async with worker_of("incident_metrics.py") as worker:
        outputs = await run(worker)
    assert outputs["metrics"]["resolved"] == 2
    assert outputs["metrics"]["by_service"] == {"Checkout": 2}
    assert [post["text"] for post in site.posted] == [outputs["publish_metrics"]]
    assert outputs["publish_metrics"].startswith("Resolved: 2 (Checkout 2), on average in ")


async def test_incident_digest_tells_of_every_incident(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """More than one page of them; those that are open are named."""
    pagerduty.call(lambda simulator: setattr(simulator.rules, "events_per_minute", None))
    for number in range(110):
        incident = open_incident(pagerduty, str(number))
        if number >= 12:
            pagerduty.call(lambda simulator, incident=incident: simulator.resolve(incident))
    async with worker_of("incident_digest.py") as worker:
        outputs = await run(worker)
    first, services, *open_ones = outputs["digest"]["text"].splitlines()
    assert first == "110 incidents, 110 of high urgency, 12 still open."
    assert services == "Services: Checkout 110"
    assert (open_ones[0], open_ones[-1]) == ("- #1 Problem 0 (triggered, 0 h)", "- and 2 more")
    assert len(outputs["digest"]["left_open"]) == 12
    assert [post["text"] for post in site.posted] == [outputs["digest"]["text"]]


def write_inventory(environ: dict[str, str], *lines: tuple[str, str, str]) -> None:
    """The databases that the maintenance example knows: name, address, due."""
    databases = [{"name": name, "address": address, "due": due} for name, address, due in lines]
    Path(environ["INVENTORY"]).write_text(json.dumps(databases))


def windows(environ: dict[str, str]) -> list[str] | None:
    """The databases that have a window, None when none ever had one."""
    folder = Path(environ["WINDOWS"])
    return [window.name for window in folder.iterdir()] if folder.exists() else None


async def test_database_maintenance_maintains_what_is_due_once(environ: dict[str, str], site: Site) -> None:
    """A run for each database after somebody's yes; the next time there is nothing left to do."""
    write_inventory(environ, ("shop", site.address, "2026-01-10"), ("old", site.address, "2025-06-01"))
    async with worker_of("database_maintenance.py") as worker:
        first = await worker.client.start("database-maintenance")
        await first.signal("approve", by="ada")
        outputs = await first.result(PATIENCE)
        again = await (await worker.client.start("database-maintenance")).result(PATIENCE)
    assert outputs["maintained"]["run_ids"] == [f"{first.id}/maintained[0]"]
    assert outputs["maintained"]["results"] == [f"maintained {site.address}"]
    assert windows(environ) == []
    assert again == {"due": {"databases": [], "until": "2026-01-10"}}


async def test_database_maintenance_does_nothing_without_a_yes(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site
) -> None:
    """A rejection opens no window and pages that it was rejected, and by whom."""
    write_inventory(environ, ("shop", site.address, "2026-01-10"))
    async with worker_of("database_maintenance.py") as worker:
        run = await worker.client.start("database-maintenance")
        await run.signal("approve", "rejected", by="ben", reason="the release is today")
        with pytest.raises(RunFailed):
            await run.result(PATIENCE)
    assert windows(environ) is None
    [(key, _, summary)] = alerts(pagerduty)
    assert key == "database-maintenance"
    assert "rejected by ben: the release is today" in summary


async def test_database_maintenance_closes_its_windows_when_a_database_fails(
    environ: dict[str, str], pagerduty: SimulatorServer, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One child fails, the other is carried to its end; then the windows are closed, and somebody is paged."""
    monkeypatch.setenv("MAINTENANCE_COMMAND", "sh -c 'case $0 in localhost:*) exit 3;; esac'")
    elsewhere = site.address.replace("127.0.0.1", "localhost")
    write_inventory(environ, ("shop", site.address, "2026-01-10"), ("billing", elsewhere, "2026-01-10"))
    async with worker_of("database_maintenance.py") as worker:
        run = await worker.client.start("database-maintenance")
        await run.signal("approve", by="ada")
        with pytest.raises(RunFailed) as failed:
            await run.result(PATIENCE)
        done = await positions(worker, run.id)
    assert failed.value.key == "maintained"
    assert "maintained[0]" in done
    assert {f"windows[{number}]/open_window~undo/close_early" for number in (0, 1)} <= set(done)
    assert windows(environ) == []
    assert [key for key, _, _ in alerts(pagerduty)] == ["database-maintenance"]


def test_example_is_a_program_too(environ: dict[str, str], tmp_path: Path) -> None:
    """`python smart_alerting.py` is a worker; SIGTERM ends it with exit code 0."""
    command = [sys.executable, str(EXAMPLES / "smart_alerting.py")]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE) as process:
        while (owner := holder(tmp_path / "resolute.db")) is None or not owner.address:
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"it ended with {process.wait(0.01)}")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def send_job(environ: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`resolute run --job` on the example's job, from a folder of its own."""
    command = [sys.executable, "-m", "resolute.cli.main", "run", "--job", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)


def test_job_opens_an_incident(environ: dict[str, str], pagerduty: SimulatorServer, tmp_path: Path) -> None:
    """The documented answer on stdout, and the alert that it names."""
    done = send_job(environ, tmp_path, str(EXAMPLES / "pagerduty_create_incident.toml"))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer == {
        "success": True,
        "dedup_key": answer["dedup_key"],
        "status": "success",
        "message": "Event processed",
        "log_id": 1,
    }
    assert alerts(pagerduty) == [(answer["dedup_key"], "triggered", "Database connection timeout")]


def test_job_sends_nothing_without_its_variable(
    environ: dict[str, str], pagerduty: SimulatorServer, tmp_path: Path
) -> None:
    """Exit code 2, the variable's name, no request."""
    del environ["PAGERDUTY_SERVICE_KEY"]
    done = send_job(environ, tmp_path, str(EXAMPLES / "pagerduty_create_incident.toml"))
    assert done.returncode == 2
    assert "PAGERDUTY_SERVICE_KEY" in done.stderr
    assert pagerduty.call(lambda simulator: simulator.requests) == []

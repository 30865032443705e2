"""`resolute run --job`: one line of JSON, one row in the incident log, and an exit code, whatever happens."""

from __future__ import annotations

import json
import signal
import socket

import pytest

from resolute.ledger.row import Row
from tests.acceptance.command import Answer, Desk, Running
from tests.temporal_server import TemporalServer, temporal_server

__all__ = ["temporal_server"]

pytestmark = pytest.mark.acceptance

NAME = "PagerDuty Create Incident"
JOB = """
[job]
name = "PagerDuty Create Incident"
main = "create_pagerduty_incident"
env = ["PAGERDUTY_API_KEY"]

[job.input]
title = "Database connection timeout"
service_key = "$SERVICE_KEY"
urgency = "high"
body = "Primary database is not responding to health checks."
"""
FLOWS = """
from resolute import activity, flow, manual

@activity
def nothing() -> str:
    return "done"

idle = flow("idle").triggered_by(manual()).then(nothing()).build()
"""


@pytest.fixture(params=["embedded", pytest.param("temporal", marks=pytest.mark.ci_only)])
def desk(resolute: Desk, request: pytest.FixtureRequest) -> Desk:
    """The document's job, with the key of a service in the environment; only the setting of the engine differs."""
    if request.param == "temporal":
        server: TemporalServer = request.getfixturevalue("temporal_server")
        resolute.environ["RESOLUTE_ENGINE"] = f"temporal://127.0.0.1:{server.port}/{server.namespace()}"
    resolute.write("jobs/incident.toml", JOB)
    resolute.environ |= {"SERVICE_KEY": resolute.key, "PAGERDUTY_API_KEY": resolute.pagerduty.api_key}
    return resolute


def job(desk: Desk, *arguments: str, **environ: str | None) -> Answer:
    return desk("run", "--job", NAME, *arguments, **environ)


def closed_port() -> str:
    """An address on this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_good_incident_answers_as_documented(desk: Desk) -> None:
    """The five fields in their order, exit code 0, an alert in PagerDuty, and a row that says so."""
    answer = job(desk)
    row = desk.row()
    assert answer.code == 0, answer.err
    assert list(answer.json.items()) == [
        ("success", True),
        ("dedup_key", row.dedup_key),
        ("status", "success"),
        ("message", "Event processed"),
        ("log_id", row.id),
    ]
    assert (row.status, row.title, row.urgency, row.attempts) == ("accepted", "Database connection timeout", "high", 1)
    assert desk.alerts == [row.dedup_key]
    [alert] = desk.pagerduty_says(lambda simulator: simulator.alerts)
    assert (alert.severity, alert.summary) == ("critical", "Database connection timeout")
    assert row.service_key == f"•••• {desk.key[-4:]}"
    assert not desk.holds(desk.key)


def test_inputs_on_the_command_line_go_before_those_of_the_file(desk: Desk) -> None:
    """Low urgency is a warning; what looks like a number or like true stays the text it is."""
    answer = job(desk, "--input", "urgency=low", "-i", "title=1.10", "-i", "body=true")
    assert answer.code == 0
    [alert] = desk.pagerduty_says(lambda simulator: simulator.alerts)
    assert (alert.severity, alert.summary) == ("warning", "1.10")
    assert desk.row().body == "true"


REST_KEY = "u+abcdefghijklmnopqr"
UNKNOWN_KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "reason", "attempts", "requests"),
    [
        pytest.param(f"service_key={UNKNOWN_KEY}", "Invalid routing key", 1, 1, id="a key that no service has"),
        pytest.param(f"service_key={REST_KEY}", "looks like a REST API key", 1, 0, id="a REST key as routing key"),
        pytest.param("service_key= ", "service_key is empty", 0, 0, id="no key"),
        pytest.param("urgency=medium", 'urgency is "medium", expected "high" or "low"', 0, 0, id="a wrong urgency"),
        pytest.param("title=  ", "title is empty", 0, 0, id="an empty title"),
    ],
)
def test_bad_input_is_refused_with_a_row(desk: Desk, given: str, reason: str, attempts: int, requests: int) -> None:
    """Exit code 1, the documented error with the reason, a `rejected` row, and no alert."""
    answer = job(desk, "--input", given)
    assert answer.code == 1
    assert set(answer.json) == {"name", "value"}
    assert answer.json["name"] == "PagerDutyError"
    assert answer.json["value"].startswith("PagerDuty API error: ")
    assert reason in answer.json["value"]
    assert reason in answer.err
    assert (desk.row().status, desk.row().attempts, desk.requests) == ("rejected", attempts, requests)
    assert not desk.alerts
    assert not desk.holds(UNKNOWN_KEY)
    assert not desk.holds(REST_KEY)


def test_refusal_gives_the_services_own_reasons(desk: Desk) -> None:
    """As the document shows it: "PagerDuty API error: " and then PagerDuty's words."""
    desk.pagerduty_says(lambda simulator: simulator.faults.script("events", ["400_errors_string"]))
    answer = job(desk)
    assert answer.code == 1
    assert answer.json["value"].startswith("PagerDuty API error: Invalid Input Provided: Something is not right.")
    assert desk.row().status == "rejected"


def test_without_network_the_row_says_that_nothing_was_sent(desk: Desk) -> None:
    """The attempt is on record although nobody could be reached."""
    answer = job(desk, "--wait", "1", PAGERDUTY_EVENTS_URL=closed_port())
    assert answer.code == 1
    assert answer.json["name"] == "PagerDutyError"
    assert "not accepted within 1 s" in answer.json["value"]
    assert (desk.row().status, desk.row().unknown_since) == ("undelivered", None)


def test_outage_longer_than_the_wait_leaves_it_undelivered_for_good(desk: Desk) -> None:
    """No later command sends it; only its own run id does, under the same dedup key and in the same row."""
    desk.pagerduty_says(lambda simulator: simulator.faults.outage(kind="503", scope="events"))
    answer = job(desk, "--wait", "0.5", "--run-id", "first")
    assert answer.code == 1
    assert "not accepted within 0.5 s; the last answer was: PagerDuty answered 503" in answer.json["value"]
    assert "--run-id first sends it again" in answer.err
    left = desk.row()
    assert left.status == "undelivered"
    desk.pagerduty_says(lambda simulator: simulator.faults.outage(False))
    assert job(desk).code == 0
    assert left.dedup_key not in desk.alerts
    again = job(desk, "--run-id", "first")
    assert again.code == 0
    assert again.json["log_id"] == left.id
    assert again.json["dedup_key"] == left.dedup_key
    assert desk.alerts.count(left.dedup_key) == 1
    assert [row.status for row in desk.rows] == ["accepted", "accepted"]


def test_delay_that_the_server_names_does_not_outlast_the_wait(desk: Desk) -> None:
    """An hour asked for by the server is not waited for by somebody who gave half a second."""

    def be_busy(simulator: object) -> None:
        desk.pagerduty.faults.wait_s = 3600
        desk.pagerduty.faults.outage(kind="429_retry_after", scope="events")

    desk.pagerduty_says(be_busy)
    assert job(desk, "--wait", "0.5").code == 1
    assert job(desk, "--wait", "0.5").code == 1
    assert [row.status for row in desk.rows] == ["undelivered", "undelivered"]


def test_missing_variable_ends_it_before_anything_is_done(desk: Desk) -> None:
    """Exit code 2; no request, no row, not even a store."""
    answer = job(desk, PAGERDUTY_API_KEY=None)
    assert answer.code == 2
    assert answer.json["name"] == "ConfigError"
    assert "PAGERDUTY_API_KEY" in answer.json["value"]
    assert desk.requests == 0
    assert not desk.store.exists()


def test_variable_of_an_input_is_needed_unless_the_input_is_given(desk: Desk) -> None:
    """`$SERVICE_KEY` in the file is read when the job is run, and may come from a file of its own."""
    key_file = desk.folder.parent / f"{desk.folder.name}.key"
    key_file.write_text(f"{desk.key}\n")
    assert job(desk, SERVICE_KEY=None).code == 2
    assert job(desk, SERVICE_KEY=None, SERVICE_KEY_FILE=str(key_file)).code == 0
    assert job(desk, "--input-file", "-", stdin=json.dumps({"service_key": desk.key}), SERVICE_KEY=None).code == 0
    assert not desk.holds(desk.key)


def test_title_of_2000_characters_pages(desk: Desk) -> None:
    """It is cut for PagerDuty, whole in the details, and the row says so."""
    answer = job(desk, "--input", f"title={'x' * 2000}")
    assert answer.code == 0
    [alert] = desk.pagerduty_says(lambda simulator: simulator.alerts)
    assert len(alert.summary) == 1024
    assert "summary cut from 2000 to 1024 characters" in answer.err
    assert len(desk.row().event["payload"]["custom_details"]["full_summary"]) == 2000


def test_content_that_holds_the_key_does_not_give_it_away(desk: Desk) -> None:
    """Whoever pastes the key into the body pages all the same, with dots in its place."""
    answer = job(desk, "--input", f"body=the key is {desk.key}")
    assert answer.code == 0
    assert desk.row().body == "the key is ••••"
    assert not desk.holds(desk.key)


@pytest.mark.parametrize("key", ["the service's", UNKNOWN_KEY])
def test_no_log_holds_the_key(desk: Desk, key: str) -> None:
    """However much is logged, whether it goes well or not."""
    key = desk.key if key != UNKNOWN_KEY else key
    answer = job(desk, "-v", "--debug", SERVICE_KEY=key)
    assert "resolute" in answer.err or "INFO" in answer.err
    assert answer.code == (0 if key == desk.key else 1)
    assert not desk.holds(key)


def test_store_in_memory_keeps_no_row(desk: Desk) -> None:
    """For trying a job: the answer is the same, and no file appears."""
    before = sorted(desk.folder.rglob("*"))
    assert job(desk, "--store", "memory:").json["success"] is True
    assert job(desk, "--store", "memory:", "-i", "title=").code == 1
    assert sorted(desk.folder.rglob("*")) == before


def test_half_a_character_costs_neither_page_nor_answer(desk: Desk) -> None:
    """A lone surrogate in the title, as JSON may hold it."""
    answer = desk("run", "--job", NAME, "--input-file", "-", stdin='{"title": "half \\ud83d", "body": "\\udc00"}')
    assert answer.code == 0
    assert len(desk.alerts) == 1
    assert desk("incidents").code == 0
    listed = desk("incidents", "--json")
    assert listed.code == 0, listed.err
    assert listed.json[0]["dedup_key"] == answer.json["dedup_key"]


def test_run_id_makes_a_repeat_safe(desk: Desk) -> None:
    """Accepted once, the stored answer comes back and nothing is sent; with other input it is a conflict."""
    first = job(desk, "--run-id", "disk-full-7")
    second = job(desk, "--run-id", "disk-full-7")
    assert first.json == second.json
    assert desk.requests == 1
    for other in ("title=Something else", f"service_key={UNKNOWN_KEY}"):
        conflict = job(desk, "--run-id", "disk-full-7", "-i", other)
        assert (conflict.code, conflict.json["name"]) == (2, "RunConflict")
    assert (desk.requests, len(desk.rows)) == (1, 1)


@pytest.mark.parametrize("name", ["PagerDuty Creat Incident", "elsewhere.toml"])
def test_unknown_job_names_what_there_is(desk: Desk, name: str) -> None:
    """Exit code 2, and a near name where there is one."""
    answer = desk("run", "--job", name)
    assert (answer.code, answer.json["name"]) == (2, "ConfigError")
    assert NAME in answer.err or "elsewhere.toml" in answer.err
    assert not desk.store.exists()


def test_dry_run_sends_and_writes_nothing(desk: Desk) -> None:
    """It shows the event as it would leave, mended, its key masked."""
    before = sorted(desk.folder.rglob("*"))
    answer = job(desk, "--dry-run", "-i", "urgency=low", "-i", f"title={'x' * 1100}")
    assert answer.code == 0
    assert answer.json["event"]["payload"]["severity"] == "warning"
    assert answer.json["event"]["routing_key"] == f"•••• {desk.key[-4:]}"
    assert answer.json["to"] == f"{desk.server.url}/v2/enqueue"
    assert answer.json["remarks"] == [
        "summary cut from 1100 to 1024 characters, the whole is in custom_details",
    ]
    refused = job(desk, "--dry-run", "-i", f"service_key={REST_KEY}")
    assert (refused.code, refused.json["would_send"]) == (1, False)
    assert desk.requests == 0
    assert sorted(desk.folder.rglob("*")) == before
    assert not desk.holds(desk.key)


def test_job_may_be_named_by_its_file_and_hold_its_key(desk: Desk) -> None:
    """As the document shows it: the key stands in the file, and nowhere else."""
    path = desk.write("incident.toml", JOB.replace("$SERVICE_KEY", desk.key))
    assert desk("run", "--job", "incident.toml").code == 0
    assert desk("jobs", "show", "incident.toml").code == 0
    path.unlink()
    assert not desk.holds(desk.key)


# A process that ends in between


def begin(desk: Desk, *arguments: str) -> Running:
    """A job whose event has reached PagerDuty, which takes its time to answer."""
    desk.pagerduty_says(lambda simulator: simulator.faults.script("events", ["slow"]))
    running = desk.start("run", "--job", NAME, *arguments)
    desk.wait_for(lambda: desk.requests == 1)
    return running


def test_killed_while_sending_the_repeat_makes_one_alert(desk: Desk) -> None:
    """`kill -9`, then the same command again: one alert, one row, the documented answer."""
    begin(desk, "--run-id", "same").signal(signal.SIGKILL)
    desk.wait_for(lambda: desk.row().status == "sending")
    assert not desk.holds(desk.key)
    answer = job(desk, "--run-id", "same")
    row = desk.row()
    assert answer.code == 0, answer.err
    assert answer.json == {
        "success": True,
        "dedup_key": row.dedup_key,
        "status": "success",
        "message": "Event processed",
        "log_id": row.id,
    }
    assert desk.alerts == [row.dedup_key]
    assert (row.status, row.attempts) == ("accepted", 2)
    assert not desk.holds(desk.key)


def with_status(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.status, row.message) for row in rows]


def test_killed_while_sending_the_next_command_gives_it_up(desk: Desk) -> None:
    """Its key is gone and there is no way to ask: the row says so, and nothing is sent again."""
    desk.write("jobs/incident.toml", JOB.replace('env = ["PAGERDUTY_API_KEY"]', ""))
    del desk.environ["PAGERDUTY_API_KEY"]
    running = begin(desk)
    running.signal(signal.SIGKILL)
    running.end()
    assert job(desk, "-i", "title= ").code == 1
    [first, _] = desk.rows
    assert first.status == "undelivered"
    assert first.message == "interrupted: the process that held its key ended (sent, outcome unknown)"
    assert desk.requests == 1


def test_killed_while_sending_the_next_command_looks_it_up(desk: Desk) -> None:
    """With an API key PagerDuty is asked, and knows of it; the run id then gives the stored answer."""
    running = begin(desk, "--run-id", "first")
    running.signal(signal.SIGKILL)
    running.end()
    assert job(desk, "-i", "title= ").code == 1
    assert with_status(desk.rows)[0] == ("accepted", "found at the service by look-up")
    answer = job(desk, "--run-id", "first")
    assert answer.code == 0
    assert answer.json["log_id"] == 1
    assert desk.requests == 1
    assert len(desk.alerts) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_waits_it_is_never_sent_later(desk: Desk, number: int) -> None:
    """Ctrl-C during an outage: one line of JSON, exit code 130, and a row that is settled."""
    desk.pagerduty_says(lambda simulator: simulator.faults.outage(kind="503", scope="events"))
    running = desk.start("run", "--job", NAME)
    desk.wait_for(lambda: desk.requests >= 1)
    running.signal(number)
    answer = running.end()
    assert (answer.code, answer.json["name"]) == (130, "Interrupted")
    assert desk.row().status in ("undelivered", "cancelled")
    desk.pagerduty_says(lambda simulator: simulator.faults.outage(False))
    assert job(desk).code == 0
    assert len(desk.alerts) == 1


def test_answer_that_comes_while_it_ends_is_the_answer(desk: Desk) -> None:
    """Ctrl-C with the event on its way: it is waited for, and accepted is accepted."""
    desk.pagerduty_says(lambda simulator: setattr(simulator.faults, "slow_s", 1.5))
    running = begin(desk)
    running.signal(signal.SIGINT)
    answer = running.end()
    assert answer.code == 0, answer.err
    assert answer.json["log_id"] == desk.row().id
    assert desk.row().status == "accepted"


# Beside a worker


@pytest.fixture
def worker(desk: Desk) -> Running:
    """A worker that owns the store, and knows neither jobs nor PagerDuty."""
    desk.write("flows.py", FLOWS)
    running = desk.start("worker", "flows.py")
    running.wait_for_line("the worker is up")
    return running


def test_worker_that_owns_the_store_runs_the_job(desk: Desk, worker: Running) -> None:
    """The same answers and rows; the key is in no file and in no log."""
    answer = job(desk)
    assert answer.code == 0, answer.err
    assert answer.json["log_id"] == desk.rows[0].id
    refused = job(desk, "-i", "urgency=medium")
    assert (refused.code, refused.json["name"]) == (1, "PagerDutyError")
    assert [row.status for row in desk.rows] == ["accepted", "rejected"]
    worker.signal(signal.SIGTERM)
    told = worker.end()
    assert told.code == 0
    assert desk.key not in told.err
    assert not desk.holds(desk.key)


def test_worker_sends_an_undelivered_job_again_for_its_run_id(desk: Desk, worker: Running) -> None:
    """Same row, same dedup key, and a conflict for other input."""
    desk.pagerduty_says(lambda simulator: simulator.faults.outage(kind="503", scope="events"))
    assert job(desk, "--wait", "0.5", "--run-id", "first").code == 1
    desk.pagerduty_says(lambda simulator: simulator.faults.outage(False))
    assert job(desk, "--run-id", "first", "-i", "title=other").code == 2
    assert job(desk, "--run-id", "first").code == 0
    assert (desk.row().status, len(desk.alerts)) == ("accepted", 1)


def test_worker_that_is_killed_leaves_the_job_to_its_command(desk: Desk, worker: Running) -> None:
    """The command that waits for the answer takes the run up itself: one alert, one row."""
    running = begin(desk, "--run-id", "first")
    worker.signal(signal.SIGKILL)
    worker.end()
    answer = running.end()
    assert answer.code == 0, answer.err
    assert desk.alerts == [desk.row().dedup_key]
    assert (desk.row().status, desk.row().attempts) == ("accepted", 2)


def test_job_waits_for_another_command_at_work(desk: Desk) -> None:
    """The second says for whom it waits, and goes on as soon as that process has ended."""
    first = begin(desk)
    second = desk.start("run", "--job", NAME)
    assert f"process {first.process.pid}" in second.wait_for_line("waiting for")
    first.signal(signal.SIGKILL)
    assert second.end().code == 0
    assert sorted(row.status for row in desk.rows) == ["accepted", "accepted"]
    assert len(desk.alerts) == 2

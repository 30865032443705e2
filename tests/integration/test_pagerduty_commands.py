"""`resolute pagerduty` against the local PagerDuty on a socket: what is sent, what is shown, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from resolute.cli import main
from resolute.clock import SystemClock
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.server import SimulatorServer


class Said:
    """What a command came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        """Its one line of JSON."""
        [line] = self.out.splitlines()
        return json.loads(line)


Command = Callable[..., Said]


@pytest.fixture
def account() -> Iterator[SimulatorServer]:
    """A PagerDuty on a socket that works on events at once."""
    with SimulatorServer(PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))) as server:
        yield server


@pytest.fixture
def pagerduty(
    account: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `resolute pagerduty ...` in a folder of its own."""
    simulator = account.call(lambda simulator: simulator)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "PAGERDUTY_EVENTS_URL": account.url,
        "PAGERDUTY_API_URL": account.url,
        "PAGERDUTY_SERVICE_KEY": simulator.routing_key,
        "PAGERDUTY_API_KEY": simulator.api_key,
        "PAGERDUTY_FROM": simulator.first_user.email,
    }.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> Said:
        capsys.readouterr()
        code = main.run(["pagerduty", *arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return command


def test_a_page_by_hand_is_sent_acknowledged_and_resolved(pagerduty: Command, account: SimulatorServer) -> None:
    """Each through the incident log, which keeps a row for it."""
    paged = pagerduty("trigger", "Disk full", "--dedup-key", "disk", "--severity", "critical", "--detail", "disk=/data")
    [alert] = account.call(lambda simulator: simulator.alerts)
    assert (paged.code, paged.out) == (0, "Paged: disk (row 1; PagerDuty: Event processed)\n")
    assert (alert.summary, alert.severity, alert.payload["custom_details"]) == (
        "Disk full",
        "critical",
        {"disk": "/data"},
    )
    assert pagerduty("ack", "disk").code == 0
    resolved = pagerduty("resolve", "disk", "--json").json
    assert (resolved["ledger_status"], resolved["log_id"], resolved["dedup_key"]) == ("accepted", 3, "disk")
    [incident] = account.call(lambda simulator: simulator.incidents)
    assert incident.status == "resolved"


def test_a_repeat_under_one_run_id_is_one_page(pagerduty: Command, account: SimulatorServer) -> None:
    """A script that does not know whether it was heard asks again."""
    first, again = (pagerduty("trigger", "Disk full", "--run-id", "r1", "--json").json for _ in range(2))
    assert first == again
    events = account.call(lambda simulator: [each for each in simulator.requests if each.api == "events"])
    assert len(events) == 1


def test_the_routing_key_may_stand_in_another_variable(
    pagerduty: Command, account: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never an argument, and never shown."""
    key = account.call(
        lambda simulator: simulator.world.add_service("Second", next(iter(simulator.world.policies.values())))
    )
    monkeypatch.setenv("SECOND_KEY", key.routing_key)
    assert pagerduty("trigger", "Disk full", "--key-from", "SECOND_KEY", "--dedup-key", "k").code == 0
    [alert] = account.call(lambda simulator: simulator.alerts)
    assert alert.routing_key == key.routing_key
    missing = pagerduty("trigger", "Disk full", "--key-from", "NO_SUCH_KEY")
    assert missing.code == 2
    assert "NO_SUCH_KEY, which is not set" in missing.err


def test_a_refused_page_fails_with_the_reason(pagerduty: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, PagerDuty's words, and no key in them."""
    monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", "f" * 32)
    refused = pagerduty("trigger", "Disk full")
    assert refused.code == 1
    assert "Invalid routing key" in refused.err
    assert "f" * 32 not in refused.err


def test_without_any_key_nothing_is_sent(pagerduty: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and what to set."""
    monkeypatch.delenv("PAGERDUTY_SERVICE_KEY")
    said = pagerduty("trigger", "Disk full")
    assert said.code == 2
    assert "PAGERDUTY_SERVICE_KEY" in said.err


def test_a_test_page_tells_whether_somebody_would_be_notified(pagerduty: Command, account: SimulatorServer) -> None:
    """It is resolved at once, and a service that takes no pages is found out."""
    tested = pagerduty("test", "--json").json
    assert (tested["accepted"], tested["resolved"], tested["looked_for_incident"]) == (True, True, True)
    assert tested["incident"]["title"] == "Test page of Resolute: nothing is wrong"
    assert [incident.status for incident in account.call(lambda simulator: simulator.incidents)] == ["resolved"]


def test_incidents_are_listed_shown_and_annotated(pagerduty: Command) -> None:
    """As a table, whole, and as JSON."""
    pagerduty("trigger", "Disk full", "--dedup-key", "disk")
    table = pagerduty("incidents").out.splitlines()
    [listed] = pagerduty("incidents", "--json").json
    assert table[0].split()[:2] == ["ID", "NUMBER"]
    assert listed["id"] in table[1]
    assert "was written" in pagerduty("note", "1", "Core dumps.").out
    shown = pagerduty("show", listed["id"])
    assert ("Disk full" in shown.out, "Core dumps." in shown.out) == (True, True)
    whole = pagerduty("show", "1", "--json").json
    assert [note["content"] for note in whole["notes"]] == ["Core dumps."]
    assert whole["alerts"][0]["alert_key"] == "disk"
    assert pagerduty("incidents", "--status", "resolved").out.startswith("No incidents that are resolved")


@pytest.mark.parametrize("days", ["30", "400"])
def test_incidents_are_listed_newest_first_and_what_is_left_out_is_told(pagerduty: Command, days: str) -> None:
    """Also over a range for which PagerDuty has to be asked several times."""
    for key in ("one", "two", "three"):
        pagerduty("trigger", key, "--dedup-key", key)
    said = pagerduty("incidents", "--limit", "2", "--days", days)
    assert [line.split()[1] for line in said.out.splitlines()] == ["NUMBER", "3", "2"]
    assert "Older ones are left out" in said.err


def test_people_and_services_are_listed(pagerduty: Command) -> None:
    """Who is paged first stands first."""
    assert pagerduty("oncall", "--json").json[0]["user"]["email"] == "ada@example.com"
    assert "Ada Moreno" in pagerduty("oncall").out.splitlines()[1]
    assert "Checkout" in pagerduty("services", "check").out
    assert pagerduty("services", "none such").out == 'No service has "none such" in its name.\n'


def test_a_look_up_that_fails_names_the_fix(pagerduty: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown incident ends with 1, a missing key with 2."""
    unknown = pagerduty("show", "QNONE")
    assert (unknown.code, "404" in unknown.err) == (1, True)
    monkeypatch.delenv("PAGERDUTY_API_KEY")
    missing = pagerduty("incidents")
    assert (missing.code, "PAGERDUTY_API_KEY" in missing.err) == (2, True)


def test_a_subscription_is_made_listed_pinged_and_deleted(pagerduty: Command) -> None:
    """Its secret is shown once, when it is made."""
    made = pagerduty("webhooks", "create", "https://hooks.example.com/pagerduty", "--event", "incident.triggered")
    [listed] = pagerduty("webhooks", "list", "--json").json
    assert made.code == 0
    assert "export PAGERDUTY_WEBHOOK_SECRET=" in made.out
    assert (listed["url"], listed["events"], listed["secret"]) == (
        "https://hooks.example.com/pagerduty",
        ["incident.triggered"],
        None,
    )
    assert pagerduty("webhooks", "ping", listed["id"]).code == 0
    assert pagerduty("webhooks", "enable", listed["id"]).code == 0
    assert "active" in pagerduty("webhooks", "list").out
    assert pagerduty("webhooks", "delete", listed["id"]).code == 0
    assert pagerduty("webhooks", "list").out.startswith("The account has no webhook subscriptions")
    assert pagerduty("webhooks", "create", "ftp://plain.example.com").code == 2


def test_only_the_local_pagerduty_delivers_without_tls(pagerduty: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """PagerDuty itself is not even asked."""
    assert pagerduty("webhooks", "create", "http://127.0.0.1:8020/pagerduty").code == 0
    monkeypatch.setenv("PAGERDUTY_API_URL", "https://api.pagerduty.invalid")
    refused = pagerduty("webhooks", "create", "http://127.0.0.1:8020/pagerduty")
    assert (refused.code, "is no https address" in refused.err) == (2, True)

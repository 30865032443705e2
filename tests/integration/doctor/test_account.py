"""What `resolute doctor` says of PagerDuty accounts: each mistake is made for real, before servers on real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from resolute.clock import SystemClock
from resolute.doctor.account import Network
from resolute.doctor.examination import examine
from resolute.doctor.finding import Finding
from resolute.doctor.subject import Subject
from resolute.doctor.visit import Visits
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.server import SimulatorServer
from tests.integration.doctor.server import own_certificate, server_ahead


class Account:
    """A simulated PagerDuty, and the variables that describe it rightly."""

    def __init__(self, simulator: PagerDutySimulator, url: str) -> None:
        self.simulator = simulator
        self.url = url
        self.environ = {
            "PAGERDUTY_API_KEY": simulator.api_key,
            "PAGERDUTY_SERVICE_KEY": simulator.routing_key,
            "PAGERDUTY_FROM": simulator.first_user.email,
            "PAGERDUTY_API_URL": url,
            "PAGERDUTY_EVENTS_URL": url,
        }


@pytest.fixture
def account() -> Iterator[Account]:
    simulator = PagerDutySimulator(SystemClock())
    with SimulatorServer(simulator) as server:
        yield Account(simulator, server.url)


def found(check: str, environ: dict[str, str], network: Network | None = None) -> list[Finding]:
    """What the check says of an account with these variables."""
    subject = Subject(environ)
    every = examine(subject, network or Network(Visits(SystemClock(), timeout_s=5)))
    return [each.finding for each in every if each.check == check]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("check", ["keys", "addresses", "REST key", "From"])
def test_healthy_account_has_no_finding(account: Account, check: str) -> None:
    """Everything right is said to be right."""
    assert {finding.result for finding in found(check, account.environ)} == {"ok"}


def test_no_event_is_sent_and_every_request_is_a_get(account: Account) -> None:
    """An examination pages nobody and changes nothing."""
    found("clock", account.environ)
    asked = account.simulator.requests
    assert {(record.api, record.method) for record in asked} == {("rest", "GET")}


def test_keys_are_masked(account: Account) -> None:
    """Not one text holds a key."""
    every = examine(Subject(account.environ), Network(Visits(SystemClock())))
    said = "".join(each.finding.text + each.finding.fix for each in every)
    assert account.simulator.api_key not in said
    assert account.simulator.routing_key not in said
    assert account.simulator.api_key[-4:] in said


@pytest.mark.parametrize(
    ("variable", "kind", "text"),
    [
        ("PAGERDUTY_SERVICE_KEY", "api_key", "looks like a REST API key, not an integration key"),
        ("CHECKOUT_ROUTING_KEY", "api_key", "looks like a REST API key, not an integration key"),
        ("PAGERDUTY_API_KEY", "routing_key", "that is an integration key (routing key), not a REST API key"),
    ],
)
def test_key_of_the_wrong_kind(account: Account, variable: str, kind: str, text: str) -> None:
    """Told with the name of the variable, and where the right key is found."""
    [finding] = found("keys", account.environ | {variable: getattr(account.simulator, kind)})
    assert finding.result == "problem"
    assert variable in finding.text
    assert text in finding.text
    assert "Integration" in finding.fix


def test_settings_with_faults_are_not_tried(account: Account) -> None:
    """What is wrong is told once; the checks behind it say why they were left out."""
    broken = account.environ | {"PAGERDUTY_REGION": "mars"}
    assert 'expected "us" or "eu"' in found("keys", broken)[0].text
    [finding] = found("REST key", broken)
    assert (finding.result, finding.text) == ("not checked", "Its settings have faults, see `keys`.")


def test_key_of_the_other_region(account: Account) -> None:
    """401 from the one and 200 from the other: the variable to set is named."""
    with SimulatorServer(PagerDutySimulator(SystemClock())) as european:
        stranger = european.call(lambda simulator: simulator.world.add_api_key(token="eu-only-key-00000000"))
        network = Network(Visits(SystemClock()), {"us": account.url, "eu": european.url})
        [finding] = found("REST key", account.environ | {"PAGERDUTY_API_KEY": stranger.token}, network)
    assert finding.result == "problem"
    assert 'belongs to an account in the region "eu"' in finding.text
    assert "PAGERDUTY_REGION=eu" in finding.fix


def test_key_that_nobody_knows(account: Account) -> None:
    """Refused in every region: the key itself is wrong."""
    [finding] = found("REST key", account.environ | {"PAGERDUTY_API_KEY": "nobody-knows-this-00"})
    assert finding.result == "problem"
    assert "is refused by" in finding.text
    assert "API Access Keys" in finding.fix


@pytest.mark.parametrize(("fault", "result"), [("403", "warning"), ("429", "ok"), ("503", "warning")])
def test_other_answers_are_no_fault_of_the_key(account: Account, fault: str, result: str) -> None:
    """A key is called wrong only where PagerDuty says so."""
    account.simulator.faults.outage(kind=fault, scope="rest")
    [finding] = found("REST key", account.environ)
    assert finding.result == result
    assert fault in finding.text


@pytest.mark.parametrize(
    ("address", "result", "text"),
    [
        ("", "warning", "PAGERDUTY_FROM is not set"),
        ("stranger@example.com", "problem", "which no user of the account has"),
        ("ADA@example.com", "ok", "is a user of the account"),
    ],
)
def test_requester(account: Account, address: str, result: str, text: str) -> None:
    """Missing, unknown, known."""
    [finding] = found("From", account.environ | {"PAGERDUTY_FROM": address})
    assert finding.result == result
    assert text in finding.text


@pytest.mark.parametrize(
    ("url", "text", "fix"),
    [
        ("http://pagerduty.invalid", "pagerduty.invalid was not found: ", "DNS"),
        ("http://127.0.0.1:{free}", "127.0.0.1:{free} refused the connection", "host and port"),
        ("https://127.0.0.1:{plain}", "does not speak TLS", "http:// for a simulator"),
    ],
)
def test_address_that_does_not_answer(account: Account, url: str, text: str, fix: str) -> None:
    """What stands in the way is named: DNS, nobody there, TLS."""
    ports = {"free": free_port(), "plain": account.url.rpartition(":")[2]}
    broken = account.environ | {"PAGERDUTY_EVENTS_URL": url.format(**ports)}
    finding, healthy = found("addresses", broken)
    assert (finding.result, healthy.result) == ("problem", "ok")
    assert finding.text.startswith("Events API, ")
    assert text.format(**ports) in finding.text
    assert fix in finding.fix


def test_certificate_that_is_not_trusted(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on slim images without certificates; with those of the authority all is well."""
    with server_ahead(timedelta(0), tls=own_certificate(tmp_path)) as url:
        environ = account.environ | {"PAGERDUTY_EVENTS_URL": url}
        finding = found("addresses", environ)[0]
        assert finding.result == "problem"
        assert "is not trusted here: self" in finding.text
        assert "ca-certificates" in finding.fix
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        assert found("addresses", environ)[0].result == "ok"


def test_proxy_that_is_not_there(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, the password in it is not shown."""
    monkeypatch.setenv("HTTP_PROXY", f"http://ops:hunter2@127.0.0.1:{free_port()}")
    for finding in found("addresses", account.environ):
        assert finding.result == "problem"
        assert "which HTTP_PROXY names, refused the connection" in finding.text
        assert "NO_PROXY=127.0.0.1" in finding.fix
        assert "hunter2" not in finding.text + finding.fix


def test_certificate_file_that_is_not_there(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the environment that names nothing is told as such."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull + "/ca.pem")
    said = found("addresses", account.environ | {"PAGERDUTY_EVENTS_URL": "https://127.0.0.1:1"})
    assert "SSL_CERT_FILE" in said[0].text


@pytest.mark.parametrize(
    ("ahead", "result", "text"),
    [
        (timedelta(0), "ok", "agrees with that of"),
        (timedelta(minutes=2), "warning", "behind that of"),
        (timedelta(minutes=-20), "problem", "ahead of that of"),
    ],
)
def test_clock_that_is_off(account: Account, ahead: timedelta, result: str, text: str) -> None:
    """Measured against the date of the answers."""
    with server_ahead(ahead) as url:
        [finding] = found("clock", account.environ | {"PAGERDUTY_EVENTS_URL": url})
    assert finding.result == result
    assert text in finding.text


def test_offline_asks_nobody(account: Account) -> None:
    """Each check that needs the network says that it was left out."""
    for check in ("addresses", "REST key", "From", "clock"):
        [finding] = found(check, account.environ, Network(None))
        assert (finding.result, finding.text) == ("not checked", "Left out: --offline.")
    assert account.simulator.requests == []

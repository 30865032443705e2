"""What stands between client and service and breaks, by script, at random or as an outage."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from resolute.errors import ConfigError
from resolute.simulator import KINDS
from tests.unit.simulator.account import Account


def outcomes(account: Account) -> list[str]:
    """What answered each request."""
    return [record.outcome for record in account.sim.requests]


def test_script_answers_the_next_requests_in_order(account: Account) -> None:
    """ "ok" lets one through; after the script all is well again; the other host never noticed."""
    account.sim.faults.script("events", ["503", "ok", "429"])
    account.get("/users")
    statuses = [account.enqueue().status for _ in range(4)]
    assert statuses == [503, 202, 429, 202]
    assert outcomes(account) == ["200", "503", "202", "429", "202"]


@pytest.mark.parametrize(
    ("kind", "effects"),
    [
        ("503", []),
        ("cut_before", []),
        ("refused", []),
        ("html_502", []),
        ("429_bare", []),
        ("html_202", []),
        ("apply_then_cut", ["opened"]),
        ("500_applied", ["opened"]),
        ("html_504_applied", ["opened"]),
        ("slow", ["opened"]),
    ],
)
def test_fault_applies_the_request_or_does_not(account: Account, kind: str, effects: list[str]) -> None:
    """The answer alone does not tell which; the record does."""
    account.sim.faults.script("events", [kind])
    account.enqueue()
    account.clock.advance(timedelta(seconds=1))
    assert [event.effect for event in account.sim.processed] == effects
    assert account.sim.requests[0].applied == bool(effects)


@pytest.mark.parametrize(
    ("kind", "reset", "has_body"), [("429", "7", True), ("429_no_limits", None, True), ("429_bare", None, False)]
)
def test_too_many_requests_with_and_without_limits(
    account: Account, kind: str, reset: str | None, has_body: bool
) -> None:
    """A client cannot count on being told how long to wait."""
    account.sim.faults.script("rest", [kind])
    answer = account.request("GET", "/users")
    assert (answer.status, answer.header("ratelimit-reset"), bool(answer.body)) == (429, reset, has_body)


def test_request_can_arrive_after_its_connection_was_cut(account: Account) -> None:
    """A trigger that was given up reaches the service behind the resolve that followed it."""
    account.sim.faults.script("events", ["cut_then_apply"])
    assert account.enqueue("trigger").cut
    assert account.enqueue("resolve").status == 202
    account.clock.advance(timedelta(seconds=10))
    assert [(event.action, event.effect) for event in account.sim.processed] == [
        ("resolve", "no_open_alert"),
        ("trigger", "opened"),
    ]
    assert account.sim.requests[-1].at - account.sim.requests[0].at == timedelta(seconds=5)


def test_slow_answer_is_the_services_own(account: Account) -> None:
    """Only later; whoever waits long enough gets the 202."""
    account.sim.faults.slow_s = 12.5
    account.sim.faults.script("any", ["slow"])
    answer = account.enqueue()
    assert (answer.status, answer.delay_s) == (202, 12.5)


def test_throttling_comes_in_all_its_forms(account: Account) -> None:
    """With headers, with nothing at all, with Retry-After; each host in its own words."""
    account.sim.faults.wait_s = 30
    account.sim.faults.script("any", ["429", "429", "429_bare", "429_retry_after"])
    events, rest, bare = account.enqueue(), account.request("GET", "/users"), account.request("GET", "/users")
    assert (events.json()["status"], events.header("ratelimit-reset")) == ("throttle exceeded", None)
    assert (rest.json()["error"]["code"], rest.header("ratelimit-reset")) == (2020, "30")
    assert (bare.status, bare.headers, bare.body) == (429, (), b"")
    assert account.enqueue().header("Retry-After") == "30"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("400_error_string", "Something is not right"),
        ("400_error_array", ["Something is not right"]),
        ("400_no_errors", {"message": "Invalid Input Provided", "code": 2001}),
    ],
)
def test_odd_error_shapes(account: Account, kind: str, error: object) -> None:
    """Shapes that broke other clients' parsers."""
    account.sim.faults.script("rest", [kind])
    answer = account.request("GET", "/users")
    assert (answer.status, answer.json()["error"]) == (400, error)


def test_every_kind_answers_on_both_hosts(account: Account) -> None:
    """No kind is a trap for the tester himself."""
    for kind, fault in KINDS.items():
        account.sim.faults.script("any", [kind, kind])
        for answer in (account.enqueue(), account.request("GET", "/users")):
            gone = fault.ending in ("cut", "late", "refused")
            assert (answer.cut or answer.refused) == gone, kind
            assert answer.status == (0 if gone else fault.status or answer.status), kind


def test_mix_is_random_but_repeatable(account: Account) -> None:
    """About the wanted share, and the same requests again from the same seed."""
    account.sim.rules.events_per_minute = None
    account.sim.faults.mix({"503": 0.2, "apply_then_cut": 0.1}, random.Random(7), scope="events")
    statuses = [account.enqueue().status for _ in range(1000)]
    assert 150 < statuses.count(503) < 250
    assert 70 < statuses.count(0) < 130
    account.sim.faults.mix({"503": 0.2, "apply_then_cut": 0.1}, random.Random(7), scope="events")
    assert [account.enqueue().status for _ in range(1000)] == statuses
    assert account.request("GET", "/users").status == 200


def test_outage_answers_everything_until_it_ends(account: Account) -> None:
    """It goes before scripts, which wait for their turn."""
    account.sim.faults.script("events", ["500"])
    account.sim.faults.outage(kind="refused", scope="events")
    assert account.enqueue().refused
    assert account.request("GET", "/users").status == 200
    account.sim.faults.outage(False)
    assert [account.enqueue().status, account.enqueue().status] == [500, 202]


def test_clear_switches_everything_off(account: Account) -> None:
    """After it the service is healthy."""
    account.sim.faults.script("any", ["500"])
    account.sim.faults.mix({"503": 1.0})
    account.sim.faults.outage()
    account.sim.faults.clear()
    assert account.enqueue().status == 202
    assert account.sim.faults.scripted == 0


def test_mistakes_are_named(account: Account) -> None:
    """A misspelt kind lists the right ones; impossible rates are refused."""
    with pytest.raises(ConfigError, match="apply_then_cut"):
        account.sim.faults.script("events", ["apply_and_cut"])
    with pytest.raises(ConfigError, match=r"sum up to 1\.2"):
        account.sim.faults.mix({"503": 0.6, "500": 0.6})
    with pytest.raises(ConfigError, match="Unknown scope"):
        account.sim.faults.outage(scope="event")  # type: ignore[arg-type]


def test_faults_do_not_shift_ids(account: Account) -> None:
    """The incident of a troubled run has the id it has in a calm one."""
    account.sim.faults.mix({"503": 0.5})
    account.send_until_accepted()
    calm = Account()
    calm.send()
    assert account.sim.incidents[0].id == calm.sim.incidents[0].id

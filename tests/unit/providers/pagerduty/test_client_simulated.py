"""The client against the local PagerDuty: what was triggered is found, and faults are told apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from resolute.errors import ProviderError, ProviderOutcomeUnknown, ProviderRejected, ProviderUnavailable
from resolute.providers.pagerduty.client import PagerDutyClient
from resolute.providers.pagerduty.config import PagerDutySettings
from resolute.providers.pagerduty.mend import mend_event
from resolute.providers.pagerduty.payloads import EventAction
from resolute.simulator import KINDS, PagerDutySimulator, SimulatorTransport
from tests.unit.providers.pagerduty.conftest import NOW

HOUR = timedelta(hours=1)


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time


class Account:
    """A simulated account with a client for it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.simulator = PagerDutySimulator(self.clock)
        self.client = self.with_key(self.simulator.api_key)

    def with_key(self, api_key: str) -> PagerDutyClient:
        return PagerDutyClient(
            PagerDutySettings(api_key=api_key), clock=self.clock, transport=SimulatorTransport(self.simulator)
        )

    async def send(self, action: EventAction, **fields: object) -> str:
        mended = mend_event(action, fields, dedup_key="disk", flow="disk-check")
        answer = await self.client.enqueue(mended.event, self.simulator.routing_key)
        self.clock.time += timedelta(minutes=1)
        return answer.dedup_key


@pytest.fixture
def account() -> Account:
    """One service, three people, events processed after 200 ms."""
    return Account()


async def test_a_page_is_found_by_its_dedup_key_until_after_it_is_resolved(account: Account) -> None:
    """Found in any state means accepted, so it is not paged again."""
    assert await account.send("trigger", summary="Disk full", source="db-1", severity="critical") == "disk"
    since, until = NOW - HOUR, NOW + HOUR
    (triggered,) = await account.client.find_incidents("disk", since=since, until=until)
    assert (triggered.status, triggered.title) == ("triggered", "Disk full")
    assert triggered.service is not None
    assert triggered.service.name == "Checkout"
    await account.send("acknowledge")
    await account.send("resolve")
    (resolved,) = await account.client.find_incidents("disk", since=since, until=until)
    assert (resolved.status, resolved.id) == ("resolved", triggered.id)
    assert await account.client.find_incidents("other", since=since, until=until) == []


async def test_content_that_pagerduty_refuses_is_paged_all_the_same(account: Account) -> None:
    """Every fault of the content at once: the simulator refuses what PagerDuty refuses."""
    await account.send(
        "trigger",
        summary="x" * 600_000,
        severity="CRITICAL",
        timestamp="2021-10-22 5:01:32",
        custom_details={"metrics": float("nan"), "log": "y" * 600_000, "name": "\ud800"},
        links=[{"text": "nowhere"}],
        images=[{"src": "http://plain"}],
    )
    (incident,) = await account.client.find_incidents("disk", since=NOW - HOUR, until=NOW + HOUR)
    assert incident.title == "x" * 1_024


async def test_everybody_on_call_is_listed_with_an_address(account: Account) -> None:
    """Both levels, the second one permanent."""
    found = await account.client.get_on_calls()
    assert [entry.escalation_level for entry in found.oncalls] == [1, 2]
    assert all(entry.user.email for entry in found.oncalls)
    assert found.oncalls[1].end is None
    assert found.more is False


@pytest.mark.parametrize(
    ("key_of", "words"), [(lambda s: "u+UnknownKey12345678", "PAGERDUTY_REGION=eu"), (lambda s: s.routing_key, "401")]
)
async def test_a_wrong_key_is_rejected_with_the_remedy(
    account: Account, key_of: Callable[[PagerDutySimulator], str], words: str
) -> None:
    """The usual causes are the other region and the other kind of key."""
    with pytest.raises(ProviderRejected, match=words):
        await account.with_key(key_of(account.simulator)).get_on_calls()


async def test_an_unknown_routing_key_is_rejected(account: Account) -> None:
    """PagerDuty answers in plain text, on which other clients fall over."""
    with pytest.raises(ProviderRejected, match="Invalid routing key") as caught:
        await account.client.enqueue({"event_action": "resolve", "dedup_key": "k"}, "f" * 32)
    assert "f" * 32 not in str(caught.value)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"slow"}))
async def test_nothing_happened_is_never_said_of_an_event_that_was_applied(account: Account, kind: str) -> None:
    """The three errors against every fault: only the service's own 400 ends a page, doubt stays doubt."""
    account.simulator.faults.script("events", [kind])
    with pytest.raises(ProviderError) as caught:
        await account.send("trigger", summary="Disk full", source="db-1", severity="critical")
    account.clock.time += timedelta(minutes=1)
    applied = bool(await account.client.find_incidents("disk", since=NOW - HOUR, until=NOW + HOUR))
    fault = KINDS[kind]
    if fault.status == 400 and fault.body != "html":
        assert (type(caught.value), applied) == (ProviderRejected, False)
    elif fault.ending == "refused" or fault.status in (302, 400, 401, 403, 404, 407, 408, 429, 503):
        assert (type(caught.value), applied) == (ProviderUnavailable, False)
    else:
        assert type(caught.value) is ProviderOutcomeUnknown
    if "retry_after" in kind:
        assert caught.value.retry_after == timedelta(seconds=account.simulator.faults.wait_s)


async def test_an_answer_that_does_not_come_leaves_the_outcome_open(account: Account) -> None:
    """The event was applied, the answer took longer than anybody waits."""
    account.simulator.faults.script("events", ["slow"])
    settings = PagerDutySettings(read_timeout=timedelta(milliseconds=5))
    client = PagerDutyClient(settings, clock=account.clock, transport=SimulatorTransport(account.simulator))
    with pytest.raises(ProviderOutcomeUnknown, match="ReadTimeout"):
        await client.enqueue({"event_action": "resolve", "dedup_key": "k"}, account.simulator.routing_key)

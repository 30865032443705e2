"""Every answer of the simulated Events API compared with PagerDuty's published document."""

from __future__ import annotations

import pytest

from resolute.simulator import SimAnswer
from tests.contract.simulator.document import answer_differences, differences, load, needs_documents, operations_of
from tests.unit.simulator.account import PAYLOAD, Account

pytestmark = needs_documents
ERROR = "/components/responses/Error/content/application~1json/schema"


def change(account: Account, **fields: object) -> SimAnswer:
    """Send a change event."""
    event = {"routing_key": account.sim.routing_key, "payload": {"summary": "Deployed"}}
    return account.post(event | fields, path="/v2/change/enqueue")


def test_both_operations_of_the_document_are_compared() -> None:
    """A third one would be missing here."""
    assert operations_of(load("events-v2.json")) == {
        "createV2Event": ("post", "/enqueue"),
        "createChangeEvent": ("post", "/change/enqueue"),
    }


@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve"])
def test_accepted_events(account: Account, action: str) -> None:
    """202 for all three actions."""
    assert answer_differences(load("events-v2.json"), "createV2Event", account.enqueue(action)) == []


def test_accepted_change_events(account: Account) -> None:
    """202, without a dedup key."""
    answer = change(account, links=[{"href": "https://example.com"}])
    assert answer.status == 202
    assert answer_differences(load("events-v2.json"), "createChangeEvent", answer) == []


def test_refused_events(account: Account) -> None:
    """400, 429 and 5xx; the document shows one body for errors."""
    account.sim.faults.script("events", ["ok", "ok", "429", "500", "503", "ok"])
    answers = [account.post({"payload": PAYLOAD}), account.post(b"{"), *(account.enqueue() for _ in range(3))]
    answers.append(change(account, payload={}))
    assert [answer.status for answer in answers] == [400, 400, 429, 500, 503, 400]
    for answer in answers:
        assert differences(load("events-v2.json"), ERROR, answer.json()) == []

"""Pages in tests: what PagerDuty gets, under which key, and what happens when it does not answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute import ConfigError, Flow, activity, flow, manual, secret
from resolute.errors import ProviderRejected
from resolute.model.activity import Activity, Node
from resolute.providers import pagerduty
from resolute.testing import FlowFailed, FlowTester, ScriptError, SentEvent

KEY = secret("ROUTING_KEY")


def page(**fields: Any) -> Node[Any]:
    given = {"routing_key": KEY, "summary": "Disk full", "source": "db-1", "severity": "critical", "dedup_key": "disk"}
    return pagerduty.trigger_event(**{**given, **fields}).as_("page")


def one(*nodes: Node[Any]) -> Flow:
    return flow("one").triggered_by(manual()).then(*nodes).build()


@activity
async def phone() -> str:
    return "rang"


RESOLVE = pagerduty.resolve_event(routing_key=KEY, dedup_key="disk").as_("resolve")


def test_pages_are_what_pagerduty_has_accepted() -> None:
    """In order, with what people see; the key is the simulated account's when none was given."""
    tester = FlowTester()
    tester.run(one(page(custom_details={"free": 0}), page().as_("again"), RESOLVE, RESOLVE.as_("once_more")))
    first = tester.pages()[0]
    now = tester.now
    assert first == SentEvent(
        "trigger",
        "disk",
        "Disk full",
        "critical",
        "db-1",
        {"free": 0},
        at=now,
        deliveries=1,
        effect="opened",
        account="",
    )
    assert [(event.action, event.effect, event.deliveries) for event in tester.pages()] == [
        ("trigger", "opened", 1),
        ("trigger", "folded", 1),
        ("resolve", "resolved", 2),
    ]
    assert [alert.status for alert in tester.simulator.alerts] == ["resolved"]


def test_an_event_that_came_twice_is_one_page() -> None:
    """The answer to the first was lost; the second folded into its alert."""
    tester = FlowTester()
    tester.simulator.faults.script("events", ["apply_then_cut", "503"])
    state = tester.run(one(page()))
    [sent] = tester.pages()
    assert (sent.deliveries, sent.effect, state["page"].ledger_status) == (2, "opened", "accepted")


def test_an_event_that_arrives_late_is_shown_with_its_content() -> None:
    """The network had held it up."""
    tester = FlowTester()
    tester.simulator.faults.script("events", ["cut_then_apply"])
    tester.run(one(page()))
    tester.advance(timedelta(minutes=1))
    assert {event.summary for event in tester.pages()} == {"Disk full"}


def test_calls_of_a_page_are_its_inputs() -> None:
    """Once, however often it is sent; secrets by name."""
    tester = FlowTester()
    tester.simulator.faults.script("events", ["503", "429"])
    tester.run(one(page(summary="S")))
    assert tester.calls("page") == [
        {
            "routing_key": "secret(ROUTING_KEY)",
            "summary": "S",
            "source": "db-1",
            "severity": "critical",
            "dedup_key": "disk",
        }
    ]


def test_a_page_that_fails_for_a_while_is_sent_later() -> None:
    """As when PagerDuty is out of reach."""
    tester = FlowTester()
    tester.fail("page", "no route to PagerDuty", times=5)
    begun = tester.now
    assert tester.run(one(page()))["page"].status == "success"
    assert tester.now - begun > timedelta(seconds=10)
    assert len(tester.pages()) == 1


def test_a_page_that_fails_for_good_goes_to_its_fallback() -> None:
    """And with a time limit it goes on being sent beside it, until it arrives."""
    tester = FlowTester()
    tester.fail("page", ProviderRejected("no such key"))
    assert tester.run(one(page().or_else(phone())))["phone"] == "rang"
    tester.fail("page", "down", times=12)
    assert tester.run(one(page().or_else(phone(), after=timedelta(minutes=1))))["phone"] == "rang"
    assert tester.pages() == []
    tester.advance(timedelta(hours=1))
    [sent] = tester.pages()
    assert sent.summary.endswith("min late] Disk full")


def test_an_outage_of_a_day_fails_the_page() -> None:
    """Virtual time makes that quick."""
    tester = FlowTester()
    tester.simulator.faults.outage(kind="refused")
    with pytest.raises(FlowFailed, match='failed at "page"'):
        tester.run(one(page()))
    assert tester.pages() == []


def test_a_run_that_a_test_has_given_up_holds_nothing_up() -> None:
    """The next run's events do not wait behind those that it has left."""
    tester = FlowTester()
    tester.fail("page", "down")
    tester.mock("phone", each=[])
    waits = flow("one").triggered_by(manual()).then_parallel("both", page(), phone()).then_gate("never").build()
    with pytest.raises(ScriptError):
        tester.run(waits)
    acknowledge = pagerduty.acknowledge_event(routing_key=KEY, dedup_key="disk")
    assert tester.run(one(acknowledge))["acknowledge_event"].status == "success"
    assert [event.action for event in tester.pages()] == ["acknowledge"]


def test_accounts_are_kept_apart() -> None:
    """A node with .via() goes to an account of its own, whatever its key."""
    tester = FlowTester()
    tester.run(one(page(), page(summary="EU").via("eu").as_("page_eu")))
    assert [(event.account, event.summary, event.effect) for event in tester.pages()] == [
        ("", "Disk full", "opened"),
        ("eu", "EU", "opened"),
    ]
    assert [alert.summary for alert in tester.simulator_of("eu").alerts] == ["EU"]


def test_a_given_routing_key_is_known_to_the_account() -> None:
    """And one that could be none is told before anything runs."""
    assert FlowTester(secrets={"ROUTING_KEY": "k" * 32}).run(one(page())).status == "succeeded"
    tester = FlowTester(secrets={"ROUTING_KEY": "secret"})
    with pytest.raises(ConfigError, match=r"ROUTING_KEY is used as a routing key .* 32 letters and digits\. Leave it"):
        tester.run(one(page()))


def test_change_event_goes_to_the_account_without_its_key_being_given() -> None:
    """As pages do."""
    change = pagerduty.send_change_event(routing_key=secret("CHANGES"), summary="Deployed").as_("change")
    assert FlowTester().run(one(change)).status == "succeeded"


def test_a_page_without_a_key_goes_to_the_account() -> None:
    """As with PAGERDUTY_SERVICE_KEY."""
    tester = FlowTester()
    tester.run(one(page(routing_key="")))
    assert len(tester.pages()) == 1


def test_rest_nodes_ask_the_simulator() -> None:
    """Unmocked, they never reach the network; they can fail and be mocked like others."""
    tester = FlowTester()
    asked = one(pagerduty.get_on_calls().as_("oncall"))
    assert {entry.user.name for entry in tester.run(asked)["oncall"].oncalls} >= {"Chris Lindqvist"}
    tester.mock("oncall", {"oncalls": [{"user": {"name": "Ada"}}]})
    assert tester.run(asked)["oncall"].oncalls[0].user.name == "Ada"


def test_other_providers_have_to_be_mocked() -> None:
    """There is no simulator of theirs."""

    class Chat(Activity[Any, Any]):
        provider = "chat"

    async def post(text: str) -> str:
        raise AssertionError("the network was asked")

    tester = FlowTester()
    posted = one(Chat(post)(text="a"))
    with pytest.raises(ConfigError, match=r'Node "post" \(post\) goes to chat, and tests do not\. Mock it'):
        tester.run(posted)
    tester.mock("post", "posted")
    assert tester.run(posted)["post"] == "posted"

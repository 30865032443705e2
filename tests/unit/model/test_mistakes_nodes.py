"""Mistakes in nodes and their settings: each fault with the whole text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from resolute.model.activity import Activity, Node, activity
from resolute.model.limit import RateLimit
from resolute.model.refs import env, secret
from resolute.model.retry import Retry
from resolute.model.trigger import Schedule, schedule
from tests.unit.model.mistakes import begun, check, login, notify, page, problems_of, release, start


@activity(name="check")
async def other_check() -> int: ...


async def forgotten(url: str = "") -> int: ...


NODES = [
    (notify(), 'notify() lacks the argument "text". Write notify(text=...).'),
    (
        notify("x").with_timeout(5),
        "with_timeout() takes a timedelta of more than nothing, not 5: timedelta(seconds=30).",
    ),
    (
        notify("x").with_retry(Retry(attempts=0)),
        "Retry(attempts=0) must be a whole number from 1, or None for no limit.",
    ),
    (
        notify("x").or_else(check(), after=timedelta(minutes=1)),
        "or_else(after=...) is for paging nodes, and notify is none. Leave after=... away.",
    ),
    (
        login(token="t0k3n").as_("notify"),
        "token is a secret, and secrets travel by name so that they are never journalled. "
        'Write token=secret("NAME_OF_THE_VARIABLE").',
    ),
    (
        login(token=env("TOKEN")).as_("notify"),
        "token is a secret, and secrets travel by name so that they are never journalled. "
        'Write token=secret("NAME_OF_THE_VARIABLE").',
    ),
]


@pytest.mark.parametrize(("node", "problem"), NODES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_fault_of_a_node_is_told_with_its_key(node: Any, problem: str) -> None:
    """What was wrong with call, settings or declaration comes up in the flow that uses the node."""
    assert problems_of(begun().then(node)) == [f'Node "notify": {problem}']


class TickingPage(Activity[Any, Any]):
    """An activity that asks more of flows with a schedule."""

    def node_problems(self, node: Node[Any], triggers: Sequence[object]) -> Sequence[str]:
        return ["a page at every tick needs a dedup_key."] if any(isinstance(t, Schedule) for t in triggers) else []


def test_an_activity_may_ask_more_of_the_flows_that_use_it() -> None:
    """Providers check each use of their nodes, knowing what starts the flow."""
    page = TickingPage(forgotten, name="vendor.page")().as_("ring")

    start().then(page).build()
    assert problems_of(start().triggered_by(schedule("@hourly")).then(page)) == [
        'Node "ring": a page at every tick needs a dedup_key.'
    ]


def test_a_secret_never_stands_in_an_error() -> None:
    """A token written into the flow by mistake is not repeated on the screen."""
    (problem,) = problems_of(begun().then(login(token="t0k3n-in-the-code")))

    assert "t0k3n-in-the-code" not in problem


@pytest.mark.parametrize("token", [secret("TOKEN"), ""])
def test_a_secret_parameter_takes_a_secret_or_nothing(token: str) -> None:
    """An empty one falls back to what the provider is configured with."""
    begun().then(login(token)).build()


def test_two_activities_under_one_name_are_told() -> None:
    """The journal tells activities apart by name."""
    assert problems_of(begun().then(other_check().as_("other"))) == [
        'Two activities have the name "check". Rename one: @activity(name="...").'
    ]


PAGING = [
    (
        page("x").with_rate_limit(RateLimit(5)),
        "with_rate_limit() is not for paging nodes: a page is never held back by a limit of our own, "
        "and those of the service are obeyed anyway. Take it away.",
    ),
    (
        page("x").with_heartbeat(timedelta(minutes=1)),
        "with_heartbeat() is not for paging nodes: a send has the time limit of its request. Take it away.",
    ),
]


@pytest.mark.parametrize(("node", "problem"), PAGING, ids=["rate limit", "heartbeat"])
def test_nothing_of_ours_holds_back_a_page(node: Any, problem: str) -> None:
    """Limits and heartbeats are for work that may wait or hang."""
    begun().then(page("x").as_("ring").or_else(notify("x"), after=timedelta(minutes=1))).build()

    assert problems_of(begun().then(node.as_("ring"))) == [f'Node "ring": {problem}']


def test_an_account_for_what_belongs_to_no_provider_is_told() -> None:
    """A user's function knows nothing of accounts, so the setting would do nothing."""
    assert problems_of(begun().then(notify("x").via("eu"))) == [
        "Node \"notify\": via('eu') chooses an account of a provider, and notify belongs to none. Take it away."
    ]


def test_an_undo_that_can_never_run_is_told() -> None:
    """What undoes is not undone, and nothing is undone after the failure node."""
    never = "which would never run"

    assert problems_of(begun().then(check().undo(release().undo(notify("x"))))) == [
        f'Node "release" undoes "check" and has an undo itself, {never}. Take .undo(...) away from it.'
    ]
    for node in (notify("x").undo(release()), check().or_else(notify("x").undo(release()))):
        assert problems_of(begun().on_failure(node)) == [
            f'The failure node "notify" has an undo, {never}: nothing is undone after it. Take .undo(...) away from it.'
        ]


def test_an_undo_that_is_no_node_is_told() -> None:
    """A forgotten call is found like any other."""
    assert problems_of(begun().then(check().undo(release))) == [
        'Node "check": undo() takes a node, not <activity release>: call the activity.'
    ]


def test_an_undo_may_have_a_fallback_of_its_own() -> None:
    """What must be taken back may be taken back in two ways."""
    begun().then(check().undo(release().or_else(notify("by hand, please")))).build()


def test_two_limits_under_one_name_are_told() -> None:
    """Nodes that share a limit must mean the same one, undo nodes included."""
    slow, fast = RateLimit(5, name="chat"), RateLimit(60, timedelta(minutes=1), "chat")
    shared = begun().then(check().with_rate_limit(slow))
    shared.then(notify("x").with_rate_limit(slow), release().with_rate_limit(RateLimit(1))).build()

    assert problems_of(shared.then(notify("x").undo(release().with_rate_limit(fast)))) == [
        'Two rate limits are named "chat": 5 in 0:00:01 for "check", 60 in 0:01:00 for "release". '
        "Make them equal, or give one another name."
    ]

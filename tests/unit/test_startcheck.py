"""The check at a worker's start: what flows need of each other."""

from __future__ import annotations

from datetime import timedelta

from resolute import Flow, RateLimit, activity, flow, manual, secret, steps
from resolute.startcheck import start_problems


@activity
def look(host: str) -> str:
    return host


def looking(name: str, host: str = "db", limit: RateLimit | None = None) -> Flow:
    node = look(host=host) if limit is None else look(host=host).with_rate_limit(limit)
    return flow(name).triggered_by(manual()).then(node).build()


def starting(name: str, child: Flow | str) -> Flow:
    part = steps().then_children("hosts", child, inputs=[{}])
    return flow(name).triggered_by(manual()).then_each("all", over=[1], body=part).build()


def test_a_child_given_as_a_flow_is_known_to_the_worker() -> None:
    """It need not stand among the flows of the worker as well, but may."""
    child = looking("child")

    assert start_problems([starting("parent", child)], (), {}) == []
    assert start_problems([starting("parent", child), child], (), {}) == []
    assert start_problems([starting("parent", "child"), child], (), {}) == []


def test_a_child_that_nobody_knows_is_told() -> None:
    """With the name that was meant, where one is near."""
    told = 'Flow "parent": the children "hosts" are runs of "chlid", which this worker does not have.'
    fix = "Add it to Worker(flows=[...]), or give then_children() the flow itself."

    assert start_problems([starting("parent", "chlid"), looking("child")], (), {}) == [
        f'{told} Did you mean "child"? {fix}'
    ]
    assert start_problems([starting("parent", "chlid")], (), {}) == [f"{told} {fix}"]


def test_what_a_child_needs_is_needed_by_the_worker() -> None:
    """A secret that only a run's child reads must be there, too."""
    child = looking("child", host=secret("HOST"))

    assert start_problems([starting("parent", child)], (), {}) == [
        'Node "look" needs the secret HOST: set HOST, or HOST_FILE.'
    ]


def test_a_child_may_not_bear_the_name_of_another_flow() -> None:
    """A run finds its flow by name."""
    assert start_problems([starting("parent", looking("child")), looking("child")], (), {}) == [
        'Two flows are named "child". Rename one.'
    ]


def test_limits_are_compared_across_flows() -> None:
    """They are shared by everything that a worker runs."""
    slow, fast = RateLimit(5, name="chat"), RateLimit(5, timedelta(minutes=1), "chat")

    assert start_problems([looking("a", limit=slow), looking("b", limit=slow)], (), {}) == []
    assert start_problems([looking("a", limit=slow), starting("b", looking("c", limit=fast))], (), {}) == [
        'Two rate limits are named "chat": 5 in 0:00:01 for "look" in flow "a", '
        '5 in 0:01:00 for "look" in flow "c". Make them equal, or give one another name.'
    ]

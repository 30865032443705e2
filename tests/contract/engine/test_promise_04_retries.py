"""Promise 4: a node is tried again as its `Retry` says; who waits for a turn uses no attempt and no slot."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from resolute import ActivityError, ProviderUnavailable, RateLimit, Retry, output
from tests.contract.engine.book import after, hang
from tests.contract.engine.flows import act, begin, do, of, page
from tests.contract.engine.machine import Machine, node

BUSY = ValueError("busy")
TEN = timedelta(minutes=10)


def waits(machine: Machine, key: str = "a") -> list[float]:
    """The seconds between the attempts of a node."""
    return [round((later.at - before.at).total_seconds(), 1) for before, later in pairwise(machine.book.of(key))]


def retried(**settings: Any) -> Any:
    """A flow of one node with these retries."""
    return of(act().as_("a").with_retry(Retry(**settings)))


async def test_a_node_is_tried_three_times_by_default(machine: Machine) -> None:
    """After one second, then after two; then it has failed for good."""
    machine.book.always("a", BUSY)
    view = await machine.run(of(act().as_("a")))
    assert (view.status, view.error, node(view, "a").attempt) == ("failed", "ValueError: busy", 3)
    assert waits(machine) == [1, 2]


async def test_waits_grow_up_to_their_maximum(machine: Machine) -> None:
    """From the initial one by the coefficient."""
    machine.book.always("a", BUSY)
    seconds = timedelta(seconds=1)
    await machine.run(retried(initial=2 * seconds, coefficient=3, maximum=30 * seconds, attempts=6))
    assert waits(machine) == [2, 6, 18, 30, 30]


async def test_a_node_without_a_limit_is_tried_until_it_succeeds(machine: Machine) -> None:
    """`attempts=None`."""
    machine.book.will("a", *[BUSY] * 20)
    view = await machine.run(retried(attempts=None))
    assert (view.status, node(view, "a").attempt) == ("succeeded", 21)


async def test_no_attempt_begins_after_the_deadline(machine: Machine) -> None:
    """It counts from when the node became ready."""
    machine.book.always("a", BUSY)
    minute = timedelta(minutes=1)
    view = await machine.run(retried(initial=minute, coefficient=1, attempts=None, deadline=3.5 * minute))
    assert (view.status, waits(machine)) == ("failed", [60, 60, 60])


async def test_a_deadline_counts_the_time_in_which_no_worker_ran(machine: Machine) -> None:
    """After it there is one attempt at most, that which the journal says was due."""
    machine.book.always("a", BUSY)
    minute = timedelta(minutes=1)
    made = retried(initial=minute, coefficient=1, attempts=None, deadline=10 * minute)
    await machine.up(made)
    await machine.start()
    await machine.status("waiting")
    await machine.kill()
    await machine.wait(hours=1)
    await machine.up(made)
    assert (await machine.result()).status == "failed"
    assert len(machine.book.calls) <= 2


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ActivityError("busy", retry_after=timedelta(minutes=5)), 300),
        (ProviderUnavailable("busy", retry_after=timedelta(minutes=7)), 420),
        (ActivityError("busy", retry_after=timedelta(0)), 0),
        (ProviderUnavailable("busy"), 1),
    ],
    ids=["activity", "provider", "at once", "none named"],
)
async def test_an_error_may_name_the_delay(machine: Machine, error: Exception, seconds: float) -> None:
    """It goes before the computed one."""
    machine.book.will("a", error)
    assert (await machine.run(of(act().as_("a")))).status == "succeeded"
    assert waits(machine) == [seconds]


@pytest.mark.parametrize(
    "error", [ActivityError("no", permanent=True), KeyError("no"), LookupError("no")], ids=["says so", "never", "kind"]
)
async def test_some_errors_end_the_retries_at_once(machine: Machine, error: Exception) -> None:
    """Those that say that they are permanent, and those that the node's `Retry` names."""
    machine.book.always("a", error)
    view = await machine.run(retried(never=(LookupError,)))
    assert (view.status, node(view, "a").attempt) == ("failed", 1)


async def test_a_wait_survives_a_kill(machine: Machine) -> None:
    """It does not begin anew, and the attempts go on being counted."""
    made = retried(initial=TEN, maximum=TEN, attempts=2)
    machine.book.always("a", BUSY)
    await machine.up(made)
    await machine.start()
    await machine.wait(minutes=6)
    await machine.kill()
    await machine.up(made)
    view = await machine.result()
    assert (view.status, node(view, "a").attempt) == ("failed", 2)
    assert 600 <= waits(machine)[0] <= 601


async def test_a_wait_that_is_over_when_the_worker_starts_is_not_repeated(machine: Machine) -> None:
    """The attempt is made at once."""
    made = retried(initial=TEN, maximum=TEN)
    machine.book.will("a", BUSY)
    await machine.up(made)
    await machine.start()
    await machine.status("waiting")
    await machine.kill()
    await machine.wait(hours=1)
    await machine.up(made)
    assert (await machine.result()).status == "succeeded"
    assert 3600 <= waits(machine)[0] <= 3602


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(days=1)], ids=["back", "forward"])
async def test_a_clock_that_is_set_does_not_lengthen_a_wait(machine: Machine, shift: timedelta) -> None:
    """At worst the wait begins once more."""
    machine.book.will("a", BUSY)
    await machine.up(retried(initial=TEN, maximum=TEN))
    await machine.start()
    await machine.wait(minutes=5)
    machine.clock.shift(shift)
    began_s = machine.loop.time()
    assert (await machine.result()).status == "succeeded"
    assert machine.loop.time() - began_s <= 10 * 60 + 60


async def test_what_waits_for_its_next_attempt_holds_no_slot(machine: Machine) -> None:
    """With one slot, a hundred others pass while it backs off."""
    machine.book.will("a", ActivityError("busy", retry_after=timedelta(hours=1)))
    await machine.up(of(do("a", tries=2)), of(do("b"), name="g"), max_concurrent=1)
    await machine.start()
    await machine.status("waiting")
    for number in range(20):
        await machine.start("g", run_id=f"g{number}")
    for number in range(20):
        assert (await machine.result(f"g{number}")).status == "succeeded"
    assert (await machine.engine.get("r")).status == "waiting"


async def test_no_more_attempts_run_at_once_than_there_are_slots(machine: Machine) -> None:
    """However many branches and runs there are."""
    machine.book.always("a", after(10))
    made = begin().then_each("all", over=list(range(6)), body=do("a"), limit=6).build()
    await machine.up(made, max_concurrent=2)
    began_s = machine.loop.time()
    await machine.start()
    await machine.start(run_id="other")
    await machine.result()
    await machine.result("other")
    assert 60 <= machine.loop.time() - began_s <= 62


async def test_a_rate_limit_spreads_the_attempts_of_its_node(machine: Machine) -> None:
    """At most so many in a period, in the order in which they came."""
    limited = do("a").with_rate_limit(RateLimit(2, per=timedelta(minutes=1)))
    await machine.run(begin().then_each("all", over=list(range(5)), body=limited).build())
    begun = sorted(round((call.at - machine.book.calls[0].at).total_seconds()) for call in machine.book.calls)
    assert begun == [0, 0, 60, 60, 120]


async def test_a_rate_limit_of_its_own_is_shared_by_the_runs_of_a_flow(machine: Machine) -> None:
    """It belongs to the node, not to the run."""
    await machine.up(of(do("a").with_rate_limit(RateLimit(1, per=timedelta(minutes=1)))))
    for number in range(3):
        await machine.start(run_id=f"r{number}")
    for number in range(3):
        await machine.result(f"r{number}")
    assert [round(wait) for wait in waits(machine)] == [60, 60]


@pytest.mark.parametrize(("name", "seconds"), [("api", 120), (None, 0)], ids=["shared", "own"])
async def test_a_rate_limit_with_a_name_is_shared_by_its_nodes(
    machine: Machine, name: str | None, seconds: float
) -> None:
    """Those without one have each their own."""
    limit = RateLimit(1, per=timedelta(minutes=1), name=name)
    await machine.up(
        of(do("a").with_rate_limit(limit), do("b").with_rate_limit(limit)), of(do("c").with_rate_limit(limit), name="g")
    )
    await machine.start()
    await machine.start("g", run_id="g")
    await machine.result()
    await machine.result("g")
    begun = [call.at for call in machine.book.calls]
    assert round((max(begun) - min(begun)).total_seconds()) == seconds


async def test_a_rate_limit_counts_every_attempt(machine: Machine) -> None:
    """Also those that repeat one; the later of turn and backoff counts."""
    machine.book.will("a", BUSY)
    await machine.run(of(do("a", tries=2).with_rate_limit(RateLimit(1, per=timedelta(minutes=1)))))
    assert waits(machine) == [60]


async def test_waiting_for_a_turn_is_no_attempt(machine: Machine) -> None:
    """The run waits, with the time of its turn, and its node has not been attempted."""
    await machine.up(of(do("a").with_rate_limit(RateLimit(1, per=timedelta(hours=1)))))
    await machine.start(run_id="first")
    await machine.start()
    view = await machine.status("waiting")
    assert (node(view, "a").status, node(view, "a").attempt) == ("waiting", 0)
    assert "waits for its turn" in view.waiting_for
    assert view.due_at is not None
    assert 3590 <= (view.due_at - machine.clock.now()).total_seconds() <= 3600


async def test_waiting_for_a_turn_holds_no_slot(machine: Machine) -> None:
    """With one slot, others pass meanwhile."""
    limited = do("a").with_rate_limit(RateLimit(1, per=timedelta(hours=1)))
    await machine.up(of(limited), of(do("b"), name="g"), max_concurrent=1)
    await machine.start(run_id="first")
    await machine.start()
    await machine.status("waiting")
    await machine.start("g", run_id="g")
    assert (await machine.result("g")).status == "succeeded"


async def test_a_kill_opens_no_second_burst(machine: Machine) -> None:
    """The limit holds across two lives of the worker, and a turn that was given is kept."""
    limit = RateLimit(2, per=TEN, name="api")
    made = begin().then_each("all", over=list(range(6)), body=do("a").with_rate_limit(limit)).build()
    await machine.up(made)
    await machine.start()
    await machine.called("a", 2)
    await machine.wait(minutes=1)
    await machine.kill()
    await machine.up(made)
    await machine.result()
    begun = [call.at for call in machine.book.calls]
    for first, third in zip(begun, begun[2:], strict=False):
        assert third - first >= TEN - timedelta(seconds=1), "turns are given before the commit that precedes an attempt"


async def test_a_clock_set_back_does_not_close_a_rate_limit(machine: Machine) -> None:
    """A turn comes one period later at most."""
    await machine.up(of(do("a").with_rate_limit(RateLimit(1, per=timedelta(minutes=1)))))
    await machine.start(run_id="first")
    await machine.result("first")
    machine.clock.shift(timedelta(hours=-1))
    began_s = machine.loop.time()
    await machine.start()
    await machine.result()
    assert machine.loop.time() - began_s <= 61


async def test_a_page_that_waits_for_its_lane_makes_no_request(machine: Machine) -> None:
    """It is behind an older send of the same alert, and has not been tried."""
    machine.pagerduty.faults.slow_s = 10
    machine.pagerduty.faults.script("events", ["slow"])
    made = begin().then_parallel("p", page("one"), page("two")).build()
    await machine.up(made)
    await machine.start()
    await machine.wait(seconds=5)
    assert [(row.status, row.attempts) for row in await machine.rows()] == [("sending", 1), ("pending", 0)]
    assert (await machine.result()).status == "succeeded"


async def test_a_page_is_tried_for_long(machine: Machine) -> None:
    """Three attempts are not enough for a page: it is sent when the service is back."""
    machine.pagerduty.faults.outage(kind="503")
    await machine.up(of(page()))
    await machine.start()
    await machine.wait(minutes=30)
    machine.pagerduty.faults.outage(False)
    assert (await machine.result()).status == "succeeded"
    [row] = await machine.rows()
    assert row.attempts > 20


async def test_a_fallback_runs_when_the_last_attempt_has_failed(machine: Machine) -> None:
    """What follows may read whichever of the two there is."""
    machine.book.always("a", BUSY)
    made = of(do("a", tries=2).or_else(do("b")), do("c", output("b", default="none")))
    view = await machine.run(made)
    assert (view.status, view.output) == ("succeeded", {"b": "b", "c": "b"})
    assert machine.book.attempted() == ["a", "a", "b", "c"]


async def test_a_kill_in_a_fallback_does_not_go_back_to_its_node(machine: Machine) -> None:
    """The failure of the node is recorded."""
    made = of(do("a").or_else(do("b")))
    machine.book.will("a", BUSY)
    machine.book.will("b", hang)
    await machine.up(made)
    await machine.start()
    await machine.called("b")
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).status == "succeeded"
    assert machine.book.attempted() == ["a", "b", "b"]

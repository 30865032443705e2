"""Promise 2: what has finished never executes again; what was lost runs again with the same inputs and key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute import Retry, input_data, now, output, run_id, steps
from resolute.engines.embedded.recovery import LOST_LIMIT
from tests.contract.engine.book import after, hang
from tests.contract.engine.flows import act, begin, do, of, page
from tests.contract.engine.machine import Machine

THREE = of(do("a", 1), do("b", 2), do("c", 3))


async def test_what_has_finished_never_executes_again(machine: Machine) -> None:
    """A kill in every attempt: each node is repeated, the ones before it are not."""
    for key in "abc":
        machine.book.will(key, hang)
    await machine.up(THREE)
    await machine.start()
    for key in "abc":
        await machine.called(key)
        await machine.kill()
        await machine.up(THREE)
    assert (await machine.result()).output == {"a": 1, "b": 2, "c": 3}
    assert machine.book.attempted() == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize("number", range(0, 40, 3))
async def test_a_kill_between_two_nodes_loses_nothing(machine: Machine, number: int) -> None:
    """A node is repeated only if the worker died before its output was on disk."""
    await machine.up(THREE)
    await machine.start()
    await machine.steps(number)
    await machine.kill()
    recorded = len(machine.book.finished)
    await machine.up(THREE)
    assert (await machine.result()).output == {"a": 1, "b": 2, "c": 3}
    assert len(machine.book.finished) in (3, 4), "at most the one whose output was on its way"
    assert recorded <= 3


async def test_a_lost_attempt_is_repeated_with_the_same_inputs_and_key(machine: Machine) -> None:
    """And it is told that it is a repetition."""
    made = of(do("a"), act(given={"at": now(), "run": run_id(), "in": input_data("x")}).as_("b"))
    machine.book.will("b", hang)
    await machine.up(made)
    await machine.start(input={"x": 1})
    await machine.called("b")
    await machine.kill()
    await machine.wait(hours=1)
    await machine.up(made)
    await machine.result()
    first, second = machine.book.of("b")
    assert (second.given, second.idempotency_key) == (first.given, first.idempotency_key) == (first.given, "r/b")
    assert (first.repeated, second.repeated) == (False, True)


async def test_the_key_tells_every_node_of_every_run(machine: Machine) -> None:
    """Run and position, with the numbers of rounds and items."""
    body = steps().then_loop("l", do("a"), until=output("a") == 2, at_most=3)
    machine.book.will("a", 1, 1, 2, 2)
    await machine.run(begin().then_each("all", over=[1, 2], body=body, limit=1).build())
    assert [call.idempotency_key for call in machine.book.calls] == [
        "r/all[0]/l[0]/a",
        "r/all[0]/l[1]/a",
        "r/all[0]/l[2]/a",
        "r/all[1]/l[0]/a",
    ]


@pytest.mark.needs("disk")
async def test_an_effect_whose_output_was_lost_is_repeated_as_such(machine: Machine) -> None:
    """The disk was held when the worker died: the activity had its effect, and runs again under its key."""
    await machine.up(of(do("a"), do("b")))
    machine.book.will("a", after(1))
    await machine.start()
    await machine.called("a")
    machine.hold_disk(minutes=5)
    await machine.wait(minutes=1)
    assert machine.book.finished == ["a"]
    await machine.kill()
    await machine.up(of(do("a"), do("b")))
    await machine.result()
    assert [(call.key, call.repeated) for call in machine.book.calls] == [("a", False), ("a", True), ("b", False)]


@pytest.mark.needs("disk")
async def test_nothing_begins_before_what_it_follows_from_is_on_disk(machine: Machine) -> None:
    """While the disk is held, the next node waits; with what follows from a decision, too."""
    made = begin().then(do("a")).when(output("a") == "a", then=do("b")).build()
    await machine.up(made)
    machine.book.will("a", after(1))
    await machine.start()
    await machine.called("a")
    machine.hold_disk(minutes=5)
    await machine.wait(minutes=4)
    assert (machine.book.finished, machine.book.of("b")) == (["a"], [])
    await machine.result()
    [b] = machine.book.of("b")
    assert b.at - machine.book.calls[0].at >= timedelta(minutes=5)


async def test_a_page_is_not_sent_before_its_row_is_on_disk(machine: Machine) -> None:
    """Its intent is durable before the first byte leaves."""
    await machine.up(of(do("a"), page()))
    machine.book.will("a", after(1))
    await machine.start()
    await machine.called("a")
    machine.hold_disk(minutes=5)
    await machine.wait(minutes=4)
    assert machine.pagerduty.requests == []
    await machine.result()
    assert len(machine.pagerduty.requests) == 1


@pytest.mark.parametrize("fault", ["slow", "apply_then_cut", "cut_before", "503"])
@pytest.mark.parametrize("number", [0, 3, 8, 20, 60])
async def test_a_page_is_delivered_once_wherever_a_kill_cuts_it(machine: Machine, fault: str, number: int) -> None:
    """One alert, one row."""
    made = of(page(), do("b"))
    machine.pagerduty.faults.slow_s = 1
    machine.pagerduty.faults.script("events", [fault])
    await machine.up(made)
    await machine.start()
    await machine.steps(number)
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).status == "succeeded"
    await machine.wait(seconds=30)
    assert [row.status for row in await machine.rows()] == ["accepted"]
    assert len(machine.pagerduty.alerts) == 1


async def test_an_attempt_that_was_lost_does_not_count(machine: Machine) -> None:
    """A node with a single attempt is repeated after every kill, and then may still fail by itself only once."""
    made = of(do("a"), do("b", tries=2))
    machine.book.will("b", hang, ValueError("no"), hang)
    await machine.up(made)
    await machine.start()
    for times in (1, 3):
        await machine.called("b", times)
        await machine.kill()
        await machine.up(made)
    view = await machine.result()
    assert view.status == "succeeded"
    assert len(machine.book.of("b")) == 4


async def lose(machine: Machine, made: Any, key: str, lives: int) -> None:
    """Kill so many workers while this node is under way, and start one more."""
    await machine.up(made)
    await machine.start()
    for life in range(1, lives + 1):
        await machine.called(key, life)
        await machine.kill()
        await machine.up(made)


@pytest.mark.needs("blame")
async def test_an_attempt_that_kills_its_worker_again_and_again_parks_its_run(machine: Machine) -> None:
    """Five times in a row, each as the only running one; the reason names the node, and a retry goes on."""
    machine.book.always("a", hang)
    await lose(machine, of(do("a"), do("b")), "a", LOST_LIMIT)
    view = await machine.result()
    assert (view.status, view.error_key) == ("needs_attention", "a")
    assert 'The worker ended 5 times in a row while "a" (act) was its only running attempt' in view.error
    machine.book.always("a", 1)
    await machine.engine.retry("r")
    assert (await machine.result()).status == "succeeded"


async def test_attempts_that_are_lost_together_are_not_blamed(machine: Machine) -> None:
    """Nobody can tell which of two killed the worker."""
    machine.book.always("a", hang)
    machine.book.always("b", hang)
    made = begin().then_parallel("p", do("a"), do("b")).build()
    await lose(machine, made, "a", LOST_LIMIT + 2)
    machine.book.always("a", 1)
    machine.book.always("b", 1)
    assert (await machine.engine.get("r")).status == "running"
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).status == "succeeded"


async def test_an_attempt_that_fails_by_itself_in_between_is_not_blamed(machine: Machine) -> None:
    """Only losses in a row count."""
    machine.book.will("a", hang, hang, hang, ValueError("no"), hang, hang, hang)
    made = of(act().as_("a").with_retry(Retry(initial=timedelta(0), attempts=3)))
    await machine.up(made)
    await machine.start()
    for times in (1, 2, 3, 5, 6, 7):
        await machine.called("a", times)
        await machine.kill()
        await machine.up(made)
    assert (await machine.result()).status == "succeeded"


async def test_a_page_is_never_parked_for_its_worker_dying(machine: Machine) -> None:
    """Seven workers die while it is on its way; it is delivered once."""
    made = of(page())
    machine.pagerduty.faults.slow_s = 10
    machine.pagerduty.faults.outage(kind="slow")
    await machine.up(made)
    await machine.start()
    for _ in range(LOST_LIMIT + 2):
        await machine.wait(seconds=2)
        await machine.kill()
        await machine.up(made)
    machine.pagerduty.faults.outage(False)
    assert (await machine.result()).status == "succeeded"
    await machine.wait(minutes=1)
    assert len(machine.pagerduty.alerts) == 1


async def test_a_kill_during_the_recovery_from_a_kill_changes_nothing(machine: Machine) -> None:
    """As often as it happens, and wherever."""
    machine.book.will("b", hang)
    await machine.up(THREE)
    await machine.start()
    await machine.called("b")
    await machine.kill()
    for number in range(0, 24, 2):
        await machine.up(THREE)
        await machine.steps(number)
        await machine.kill()
    machine.book.calls.clear()
    await machine.up(THREE)
    if (view := await machine.result()).status == "needs_attention":
        await machine.engine.retry("r")
        view = await machine.result()
    assert view.output == {"a": 1, "b": 2, "c": 3}
    assert "a" not in machine.book.attempted()


async def test_a_run_that_has_ended_is_left_alone_by_the_next_worker(machine: Machine) -> None:
    """Whatever its end."""
    machine.book.will("b", ValueError("no"))
    await machine.run(THREE)
    await machine.kill()
    await machine.up(THREE)
    await machine.wait(hours=1)
    assert (await machine.engine.get("r")).status == "failed"
    assert machine.book.attempted() == ["a", "b"]

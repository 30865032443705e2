"""Promise 5: attempts and runs have time limits; what comes too late is dropped."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from resolute import Flow, current, input_data, steps
from tests.contract.engine.book import Call, after, hang
from tests.contract.engine.flows import act_in_thread, begin, do, of, page, undoable
from tests.contract.engine.machine import Machine, node, states

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def test_an_attempt_has_five_minutes_by_default(machine: Machine) -> None:
    """Then it is given up and has failed."""
    machine.book.always("a", hang)
    view = await machine.run(of(do("a")))
    assert view.error.startswith("act did not return within 0:05:00. It was given up")
    assert view.finished_at is not None
    assert abs(view.finished_at - view.created_at - 5 * MINUTE) < timedelta(seconds=1)


async def test_a_node_may_name_its_own_limit(machine: Machine) -> None:
    """Each attempt has it."""
    machine.book.will("a", hang, after(50))
    view = await machine.run(of(do("a", tries=2).with_timeout(MINUTE)))
    assert (view.status, node(view, "a").attempt) == ("succeeded", 2)
    [first, second] = machine.book.calls
    assert second.at - first.at >= MINUTE


async def test_an_attempt_that_ignores_its_end_is_given_up_all_the_same(machine: Machine) -> None:
    """What it puts out later is dropped; what the next attempt puts out counts."""

    async def stubborn(call: Call) -> str:
        try:
            await hang(call)
        except asyncio.CancelledError:
            await after(30)(call)
        return "late"

    machine.book.will("a", stubborn, after(60, "second"))
    made = begin().then(do("a", tries=2).with_timeout(2 * MINUTE)).then_sleep(HOUR).build()
    assert (await machine.run(made)).output == {"a": "second"}


async def test_a_plain_function_that_hangs_is_given_up(machine: Machine) -> None:
    """It holds nothing else up in its thread, and what it puts out later is dropped."""
    machine.book.will("a", machine.threads.hang, "second")
    await machine.up(of(act_in_thread().as_("a").with_timeout(MINUTE)), of(act_in_thread().as_("b"), name="g"))
    await machine.start()
    await machine.wait(seconds=30)
    await machine.start("g", run_id="g")
    assert (await machine.result("g")).status == "succeeded"
    assert (await machine.result()).output == {"a": "second"}
    machine.threads.release()
    await machine.wait(minutes=1)
    assert (await machine.engine.get("r")).output == {"a": "second"}


@pytest.mark.parametrize("beats", [True, False], ids=["beats", "silent"])
async def test_an_attempt_lives_as_long_as_it_says_so(machine: Machine, beats: bool) -> None:
    """One that is silent for too long is given up, long before its time is over."""

    async def work(call: Call) -> str:
        for number in range(8):
            if beats or number < 2:
                current().heartbeat(number)
            await after(30)(call)
        return "done"

    machine.book.will("a", work)
    view = await machine.run(of(do("a").with_heartbeat(MINUTE)))
    assert view.status == ("succeeded" if beats else "failed")
    if not beats:
        assert view.error.startswith("act said nothing for 0:01:00. It was given up")
        assert view.finished_at is not None
        assert view.finished_at - view.created_at < 2 * MINUTE


async def test_a_heartbeat_does_not_lengthen_the_limit_of_an_attempt(machine: Machine) -> None:
    """It lives, and takes too long all the same."""

    async def beat(call: Call) -> None:
        while True:
            current().heartbeat()
            await after(10)(call)

    machine.book.will("a", beat)
    view = await machine.run(of(do("a").with_heartbeat(MINUTE).with_timeout(3 * MINUTE)))
    assert view.error.startswith("act did not return within 0:03:00")


LONG: dict[str, Flow] = {
    "attempt": of(undoable("a"), do("hangs").with_timeout(5 * HOUR)),
    "sleep": begin().then(undoable("a")).then_sleep(5 * HOUR).build(),
    "gate": begin().then(undoable("a")).then_gate("ok").build(),
    "backoff": of(undoable("a"), do("fails", tries=99)),
    "loop": begin()
    .then(undoable("a"))
    .then_loop("l", do("b"), until=lambda s: False, every=MINUTE, at_most=999)
    .build(),
    "branches": begin().then(undoable("a")).then_parallel("p", steps().then_sleep(5 * HOUR), do("hangs")).build(),
    "page": of(undoable("a"), page()),
}


def within_an_hour(kind: str) -> Flow:
    """The flow with a limit of an hour."""
    return replace(LONG[kind], timeout=HOUR)


@pytest.mark.parametrize("kill", [False, True], ids=["", "killed"])
@pytest.mark.parametrize("kind", LONG)
async def test_a_run_ends_when_its_time_is_over(machine: Machine, kind: str, kill: bool) -> None:
    """Whatever it is at: it is undone and has failed; its time goes on while no worker runs."""
    machine.book.always("hangs", hang)
    machine.book.always("fails", ValueError("no"))
    machine.pagerduty.faults.outage(kind="503")
    made = within_an_hour(kind)
    await machine.up(made)
    await machine.start()
    await machine.wait(minutes=20)
    if kill:
        await machine.kill()
        await machine.wait(minutes=20)
        await machine.up(made)
    view = await machine.result()
    assert (view.status, view.error) == ("failed", "The run did not end within 1:00:00.")
    assert view.finished_at is not None
    assert HOUR <= view.finished_at - view.created_at < HOUR + MINUTE
    assert machine.book.attempted()[-1] == "undo_a"
    assert not [entry for entry in view.nodes if entry.status in ("running", "waiting")]


async def test_a_run_whose_time_was_over_before_the_worker_started_is_undone_at_once(machine: Machine) -> None:
    """It does nothing more."""
    made = within_an_hour("gate")
    await machine.up(made)
    await machine.start()
    await machine.status("waiting")
    await machine.kill()
    await machine.wait(hours=9)
    await machine.up(made)
    assert (await machine.result()).status == "failed"
    assert machine.book.attempted() == ["a", "undo_a"]


async def test_undo_and_failure_node_have_their_own_time(machine: Machine) -> None:
    """The limit of the run ends the run, not what has to be done after it."""
    machine.book.always("hangs", hang)
    machine.book.will("undo_a", after(200))
    made = begin().then(undoable("a"), do("hangs")).on_failure(do("tell", input_data("error"))).with_timeout(MINUTE)
    await machine.run(made.build())
    assert machine.book.finished == ["a", "a~undo/undo_a", "~failure[0]/tell"]
    assert machine.book.calls[-1].given == "The run did not end within 0:01:00."


async def test_children_end_with_the_time_of_their_parent(machine: Machine) -> None:
    """They are cancelled, and tell whose time was over."""
    machine.book.always("hangs", hang)
    child = begin("child").then(undoable("b"), do("hangs").with_timeout(5 * HOUR)).build()
    await machine.up(begin().then_children("subs", child, inputs=[1]).with_timeout(HOUR).build(), child)
    await machine.start()
    assert (await machine.result()).status == "failed"
    view = await machine.result("r/subs[0]")
    assert (view.status, view.error) == ("cancelled", "cancelled: The run did not end within 1:00:00.")
    assert machine.book.attempted()[-1] == "undo_b"


async def test_a_page_in_flight_when_the_time_is_over_is_settled(machine: Machine) -> None:
    """The incident log does not say less than what has happened."""
    machine.pagerduty.faults.slow_s = 8
    machine.pagerduty.faults.script("events", ["slow"])
    view = await machine.run(
        begin().then_sleep(50 * timedelta(seconds=1)).then(page()).with_timeout(55 * timedelta(seconds=1)).build()
    )
    assert view.status == "failed"
    await machine.wait(minutes=1)
    assert [row.status for row in await machine.rows()] == ["accepted"]


@pytest.mark.parametrize("kind", ["gate", "branches"])
@pytest.mark.parametrize(
    "shift",
    [
        pytest.param(timedelta(minutes=-30), id="back"),
        pytest.param(timedelta(days=1), id="forward", marks=pytest.mark.needs("clock")),
    ],
)
async def test_a_clock_that_is_set_ends_a_run_all_the_same(machine: Machine, shift: timedelta, kind: str) -> None:
    """Its time is over by the clock as it is then, whether it waits or has something to do."""
    machine.book.always("hangs", hang)
    await machine.up(within_an_hour(kind))
    await machine.start()
    await machine.wait(minutes=20)
    machine.clock.shift(shift)
    began_s = machine.loop.time()
    assert (await machine.result()).status == "failed"
    assert machine.loop.time() - began_s <= (71 * 60 if shift < timedelta(0) else 60)


async def test_a_run_that_ends_in_time_hears_nothing_of_its_limit(machine: Machine) -> None:
    """Nor after it."""
    await machine.run(begin().then(undoable("a")).with_timeout(HOUR).build())
    await machine.wait(hours=2)
    view = await machine.engine.get("r")
    assert (view.status, states(view)) == ("succeeded", {"a": "done"})

"""Promise 8: a signal is kept from the moment it is accepted, in order, whether or not its gate is reached."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from resolute import Flow, RunNotFound, input_data, output, steps
from resolute.engine import RunView
from resolute.errors import EngineError, InputError
from tests.contract.engine.book import hang
from tests.contract.engine.flows import begin, do
from tests.contract.engine.machine import Machine, node, states

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def gated(**settings: Any) -> Flow:
    """A node, a gate, and a node that reads its answer."""
    return begin().then(do("a")).then_gate("ok", **settings).then(do("b", output("ok.outcome"))).build()


def rounds(count: int) -> Flow:
    """A loop with a gate in each round."""
    body = steps().then_gate("ok").then(do("a", output("ok.data")))
    return begin().then_loop("l", body, until=output("a") == "never", at_most=count, on_end="continue").build()


async def waiting(machine: Machine, made: Flow) -> RunView:
    """The flow's run on a new worker as soon as it waits."""
    await machine.up(made)
    await machine.start()
    return await machine.status("waiting")


async def test_an_answer_passes_the_gate(machine: Machine) -> None:
    """It is an output like any other: who, when, why, and what came with it."""
    await waiting(machine, gated())
    await machine.engine.signal("r", "ok", by="ann", reason="looks good", data={"size": 3})
    view = await machine.result()
    answer = view.output["ok"]
    assert abs(datetime.fromisoformat(answer.pop("at")) - machine.clock.now()) < MINUTE
    assert answer == {"outcome": "approved", "by": "ann", "reason": "looks good", "data": {"size": 3}}
    assert [call.given for call in machine.book.of("b")] == ["approved"]


async def test_a_run_says_which_gate_it_waits_at(machine: Machine) -> None:
    """And until when."""
    view = await waiting(machine, gated(timeout=HOUR))
    assert view.due_at is not None
    assert timedelta(0) <= view.due_at - machine.begins_at - HOUR < timedelta(seconds=10)
    assert view.waiting_for == f'the gate "ok" waits for an answer until {view.due_at:%Y-%m-%d %H:%M:%S} UTC'


async def test_an_answer_that_comes_before_its_gate_is_kept(machine: Machine) -> None:
    """The gate takes it as soon as it is reached."""
    machine.book.will("a", hang)
    made = gated()
    await machine.up(made)
    await machine.start()
    await machine.called("a")
    await machine.engine.signal("r", "ok", by="ann")
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).output["ok"]["by"] == "ann"


@pytest.mark.parametrize("steps_", [0, 1, 2, 4, 8, 16])
async def test_an_answer_that_was_accepted_survives_a_kill(machine: Machine, steps_: int) -> None:
    """It is on disk when `signal` returns."""
    made = gated()
    await waiting(machine, made)
    await machine.engine.signal("r", "ok", by="ann")
    await machine.steps(steps_)
    await machine.kill()
    await machine.up(made)
    view = await machine.result()
    assert (view.status, view.output["ok"]["by"]) == ("succeeded", "ann")


async def test_an_answer_that_comes_while_no_worker_runs_is_kept_for_the_next_one(machine: Machine) -> None:
    """A command writes it down; the next worker takes the run up at once."""
    made = gated()
    await waiting(machine, made)
    await machine.stop()
    await machine.command()
    await machine.engine.signal("r", "ok", by="ann")
    await machine.stop()
    await machine.up(made)
    assert (await machine.result()).output["ok"]["by"] == "ann"


@pytest.mark.needs("disk")
async def test_an_answer_comes_while_the_disk_is_slow(machine: Machine) -> None:
    """`signal` returns when it is durable, not before."""
    await waiting(machine, gated())
    machine.hold_disk(seconds=10)
    began_s = machine.loop.time()
    await machine.engine.signal("r", "ok")
    assert machine.loop.time() - began_s >= 10
    assert (await machine.result()).status == "succeeded"


async def test_answers_are_taken_in_the_order_in_which_they_came(machine: Machine) -> None:
    """One for each time that the gate is reached; the third waits for its own."""
    await waiting(machine, rounds(3))
    for number in (1, 2):
        await machine.engine.signal("r", "ok", data=number)
    await machine.called("a", 2)
    assert (await machine.status("waiting")).waiting_for.startswith('the gate "ok" waits')
    await machine.engine.signal("r", "ok", data=3)
    await machine.result()
    assert [call.given for call in machine.book.calls] == [1, 2, 3]


async def test_answers_that_came_before_a_kill_keep_their_order(machine: Machine) -> None:
    """Also those that no gate has taken yet."""
    made = begin().then_sleep(HOUR).then_gate("ok").then(do("a", output("ok.data"))).build()
    await waiting(machine, made)
    for number in (1, 2, 3):
        await machine.engine.signal("r", "ok", data=number)
    await machine.kill()
    await machine.up(made)
    view = await machine.result()
    assert [call.given for call in machine.book.calls] == [1]
    assert states(view, "signal") == {"~signal[0]": "done", "~signal[1]": "waiting", "~signal[2]": "waiting"}


async def test_answers_that_come_together_are_all_kept(machine: Machine) -> None:
    """Ten at once are ten, whatever the order among them."""
    await waiting(machine, rounds(10))
    await asyncio.gather(*(machine.engine.signal("r", "ok", data=number) for number in range(1, 11)))
    await machine.result()
    assert sorted(call.given for call in machine.book.calls) == list(range(1, 11))


async def test_a_gate_in_a_loop_can_be_named_by_its_position(machine: Machine) -> None:
    """An answer for a later round waits for that round."""
    await waiting(machine, rounds(2))
    await machine.engine.signal("r", "l[1]/ok", data="second")
    await machine.wait(minutes=1)
    assert (await machine.engine.get("r")).status == "waiting"
    await machine.engine.signal("r", "l[0]/ok", data="first")
    await machine.result()
    assert [call.given for call in machine.book.calls] == ["first", "second"]


async def test_gates_side_by_side_take_the_answers_meant_for_them(machine: Machine) -> None:
    """By key; in an each by position."""
    both = begin().then_parallel(
        "p",
        steps().then_gate("one").then(do("a", output("one.data"))),
        steps().then_gate("two").then(do("b", output("two.data"))),
        steps().then_each("all", over=[1, 2], body=steps().then_gate("ok").then(do("c", output("ok.data")))),
    )
    await waiting(machine, both.build())
    for gate in ("two", "p/all[1]/ok", "one", "p/all[0]/ok"):
        await machine.engine.signal("r", gate, data=gate)
    await machine.result()
    assert {call.position: call.given for call in machine.book.calls} == {
        "p/a": "one",
        "p/b": "two",
        "p/all[0]/c": "p/all[0]/ok",
        "p/all[1]/c": "p/all[1]/ok",
    }


async def test_a_rejection_fails_the_run(machine: Machine) -> None:
    """The error tells who and why."""
    await waiting(machine, gated())
    await machine.engine.signal("r", "ok", "rejected", by="ann", reason="too late")
    view = await machine.result()
    assert (view.status, view.error_key) == ("failed", "ok")
    assert view.error == 'The gate "ok" was rejected by ann: too late.'
    assert machine.book.attempted() == ["a"]


async def test_a_flow_may_go_on_after_a_rejection(machine: Machine) -> None:
    """`on_reject="continue"`: it reads the answer and decides itself."""
    await waiting(machine, gated(on_reject="continue"))
    await machine.engine.signal("r", "ok", "rejected")
    assert (await machine.result()).output["b"] == "rejected"


async def test_a_gate_without_an_answer_fails_the_run(machine: Machine) -> None:
    """When its time is over."""
    await machine.up(gated(timeout=HOUR))
    await machine.start()
    view = await machine.result()
    assert (view.status, view.error_key) == ("failed", "ok")
    assert view.error == 'The gate "ok" was not answered within 1:00:00.'
    assert view.finished_at is not None
    assert HOUR <= view.finished_at - view.created_at < HOUR + MINUTE


async def test_a_flow_may_go_on_without_an_answer(machine: Machine) -> None:
    """`on_timeout="continue"`."""
    await machine.up(gated(timeout=HOUR, on_timeout="continue"))
    await machine.start()
    assert (await machine.result()).output["b"] == "timed_out"


async def test_the_time_of_a_gate_does_not_begin_anew_after_a_kill(machine: Machine) -> None:
    """It goes on while no worker runs."""
    made = gated(timeout=HOUR)
    await waiting(machine, made)
    await machine.wait(minutes=40)
    await machine.kill()
    await machine.wait(minutes=40)
    await machine.up(made)
    began_s = machine.loop.time()
    assert (await machine.result()).status == "failed"
    assert machine.loop.time() - began_s < 60


async def test_an_answer_that_came_in_time_counts_though_it_is_taken_late(machine: Machine) -> None:
    """The worker died with the answer on its disk, and is up again after the gate's time."""
    made = begin().then_parallel("p", do("a"), steps().then_gate("ok", timeout=HOUR)).build()
    machine.book.will("a", hang)
    await machine.up(made)
    await machine.start()
    await machine.called("a")
    machine.hold_disk(seconds=1)
    signal = asyncio.create_task(machine.engine.signal("r", "ok"))
    await machine.wait(seconds=1)
    await signal
    await machine.kill()
    await machine.wait(hours=2)
    await machine.up(made)
    assert (await machine.result()).output["ok"]["outcome"] == "approved"


async def test_an_answer_that_comes_too_late_is_not_taken(machine: Machine) -> None:
    """The gate has timed out, and its run has ended by that."""
    await machine.up(gated(timeout=MINUTE))
    await machine.start()
    await machine.result()
    with pytest.raises(EngineError, match='Run "r" has failed already: nothing of it waits for an answer'):
        await machine.engine.signal("r", "ok")


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(days=1)], ids=["back", "forward"])
async def test_a_clock_that_is_set_does_not_lengthen_the_time_of_a_gate(machine: Machine, shift: timedelta) -> None:
    """At worst it begins once more."""
    await waiting(machine, gated(timeout=10 * MINUTE))
    await machine.wait(minutes=5)
    machine.clock.shift(shift)
    began_s = machine.loop.time()
    await machine.result()
    assert machine.loop.time() - began_s <= 11 * 60


async def test_signals_to_a_run_that_nobody_knows_are_refused(machine: Machine) -> None:
    """Nothing is kept for an id that may come later."""
    await machine.up(gated())
    with pytest.raises(RunNotFound, match='No run has the id "r"'):
        await machine.engine.signal("r", "ok")


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
async def test_signals_to_a_run_that_has_ended_are_refused(machine: Machine, how: str) -> None:
    """However it has ended."""
    await waiting(machine, gated())
    if how == "cancelled":
        await machine.engine.cancel("r")
    else:
        await machine.engine.signal("r", "ok", "approved" if how == "succeeded" else "rejected")
    assert (await machine.result()).status == how
    with pytest.raises(EngineError, match=f'Run "r" has {how} already'):
        await machine.engine.signal("r", "ok")


async def test_signals_for_a_gate_that_the_flow_does_not_have_are_refused(machine: Machine) -> None:
    """The error knows which ones there are."""
    await waiting(machine, gated())
    with pytest.raises(EngineError, match=r'has no gate "okay"\. Did you mean "ok"'):
        await machine.engine.signal("r", "okay")


@pytest.mark.parametrize(
    ("outcome", "data", "words"),
    [
        ("maybe", None, '"approved" or "rejected", not \'maybe\''),
        ("approved", object(), "cannot be kept in the journal"),
    ],
    ids=["outcome", "data"],
)
async def test_an_answer_that_makes_no_sense_is_refused(machine: Machine, outcome: Any, data: Any, words: str) -> None:
    """And the gate waits on."""
    await waiting(machine, gated())
    with pytest.raises(InputError, match=words):
        await machine.engine.signal("r", "ok", outcome, data=data)
    assert (await machine.engine.get("r")).status == "waiting"


async def test_an_answer_may_be_large(machine: Machine) -> None:
    """A megabyte comes through as it was, kill or not."""
    made = begin().then_sleep(MINUTE).then_gate("ok").then(do("a", output("ok.data"))).build()
    await waiting(machine, made)
    await machine.engine.signal("r", "ok", data="x" * 1_000_000)
    await machine.kill()
    await machine.up(made)
    await machine.result()
    assert machine.book.calls[0].given == "x" * 1_000_000


async def test_a_gate_that_was_passed_is_not_asked_again_after_a_kill(machine: Machine) -> None:
    """Its answer is recorded."""
    made = gated()
    machine.book.will("b", hang)
    await waiting(machine, made)
    await machine.engine.signal("r", "ok", by="ann")
    await machine.called("b")
    await machine.kill()
    await machine.up(made)
    view = await machine.result()
    assert (view.status, view.output["ok"]["by"], node(view, "b").status) == ("succeeded", "ann", "done")


async def test_runs_that_wait_are_rows_and_not_tasks(machine: Machine) -> None:
    """Two hundred of them hold nothing in memory, and each takes its own answer."""
    made = begin().then_gate("ok").then(do("a", input_data())).build()
    await machine.up(made)
    await machine.start(input=0, run_id="r0")
    await machine.status("waiting", "r0")
    tasks = len(asyncio.all_tasks())
    for number in range(1, 200):
        await machine.start(input=number, run_id=f"r{number}")
    await machine.status("waiting", "r199")
    assert len(asyncio.all_tasks()) <= tasks
    await machine.engine.signal("r77", "ok")
    await machine.result("r77")
    assert [call.given for call in machine.book.calls] == [77]


async def test_a_gate_holds_no_slot(machine: Machine) -> None:
    """With one slot, others pass."""
    await machine.up(gated(), begin("g").then(do("c")).build(), max_concurrent=1)
    await machine.start()
    await machine.status("waiting")
    await machine.start("g", run_id="g")
    assert (await machine.result("g")).status == "succeeded"


@pytest.mark.needs("room")
async def test_a_signal_reaches_a_run_that_waits_for_room(machine: Machine) -> None:
    """A run that is queued behind others is kept an answer for as well."""
    machine.book.always("a", hang)
    made = gated()
    await machine.up(made, max_concurrent=1)
    for number in range(130):
        await machine.start(run_id=f"r{number}")
    assert (await machine.engine.get("r129")).status == "queued"
    await machine.engine.signal("r129", "ok", by="ann")
    await machine.kill()
    machine.book.always("a", 1)
    await machine.up(made)
    assert (await machine.result("r129")).output["ok"]["by"] == "ann"

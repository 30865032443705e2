"""Promise 7: branches side by side see their own world until the join, all end, and all errors are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from resolute import output, steps
from tests.contract.engine.book import after, hang
from tests.contract.engine.flows import begin, do, page
from tests.contract.engine.machine import Machine, states

NO = ValueError("no")


async def test_what_branches_put_out_is_known_after_the_join(machine: Machine) -> None:
    """Whatever comes next may read all of it."""
    made = begin().then_parallel("p", do("a", 1), do("b", 2)).then(do("c", [output("a"), output("b")])).build()
    assert (await machine.run(made)).output == {"a": 1, "b": 2, "c": [1, 2]}


async def test_a_branch_does_not_see_what_its_siblings_put_out(machine: Machine) -> None:
    """Not even when they finished long before; it sees what was there at the start, and its own."""
    seen: list[list[str]] = []

    def look(state: Any) -> bool:
        seen.append(state.keys())
        return True

    late = steps(do("b")).then_sleep(timedelta(hours=1)).when(look, then=do("c"))
    await machine.run(begin().then(do("a")).then_parallel("p", do("fast"), late).build())
    assert set(map(tuple, seen)) == {("a", "b")}


async def test_a_branch_does_not_see_its_siblings_after_a_kill_either(machine: Machine) -> None:
    """The walk that a new worker makes gives every branch the same view."""
    seen: list[list[str]] = []

    def look(state: Any) -> bool:
        seen.append(state.keys())
        return True

    late = steps(do("b")).then_sleep(timedelta(hours=1)).when(look, then=do("c"))
    made = begin().then_parallel("p", do("fast"), late).build()
    await machine.up(made)
    await machine.start()
    await machine.status("waiting")
    await machine.kill()
    await machine.up(made)
    await machine.result()
    assert set(map(tuple, seen)) == {("b",)}


async def test_branches_go_on_side_by_side(machine: Machine) -> None:
    """Three that take a minute each take a minute together."""
    for key in "abc":
        machine.book.will(key, after(60))
    began_s = machine.loop.time()
    await machine.run(begin().then_parallel("p", *map(do, "abc")).build())
    assert machine.loop.time() - began_s < 61


async def test_all_branches_end_and_all_errors_are_told(machine: Machine) -> None:
    """The run fails once, with every error and where it happened."""
    machine.book.will("a", NO)
    machine.book.will("b", after(60))
    machine.book.will("c", after(30, OSError("gone")))
    view = await machine.run(begin().then_parallel("p", *map(do, "abc")).then(do("d")).build())
    assert (view.status, view.error_key) == ("failed", "p")
    assert view.error == "2 of 3 branches failed: p/a: ValueError: no; p/c: OSError: gone"
    assert states(view) == {"p/a": "failed", "p/b": "done", "p/c": "failed"}


async def test_a_failed_branch_ends_at_its_failure(machine: Machine) -> None:
    """What follows in it is not begun; what follows in the others is."""
    machine.book.will("a", NO)
    await machine.run(begin().then_parallel("p", steps(do("a"), do("b")), steps(do("c"), do("d"))).build())
    assert sorted(machine.book.attempted()) == ["a", "c", "d"]


async def test_branches_fail_together_after_a_kill_as_well(machine: Machine) -> None:
    """A failure in the journal is the same failure; its node is not attempted again."""
    machine.book.will("a", NO)
    machine.book.will("b", hang)
    made = begin().then_parallel("p", do("a"), do("b")).build()
    await machine.up(made)
    await machine.start()
    await machine.called("b")
    await machine.wait(seconds=1)
    await machine.kill()
    await machine.up(made)
    view = await machine.result()
    assert view.error == "1 of 2 branches failed: p/a: ValueError: no"
    assert len(machine.book.of("a")) == 1


async def test_a_kill_repeats_only_the_branches_that_were_not_finished(machine: Machine) -> None:
    """The others answer from the journal."""
    machine.book.will("b", hang)
    machine.book.will("c", hang)
    made = begin().then_parallel("p", *map(do, "abc")).build()
    await machine.up(made)
    await machine.start()
    await machine.called("c")
    await machine.wait(seconds=1)
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).status == "succeeded"
    assert sorted(machine.book.attempted()) == ["a", "b", "b", "c", "c"]


async def test_parallels_nest(machine: Machine) -> None:
    """Positions tell where each node stands, and errors are told once each."""
    machine.book.always("c", NO)
    inner = steps().then_parallel("q", do("b"), do("c"))
    view = await machine.run(begin().then_parallel("p", do("a"), inner).build())
    assert states(view) == {"p/a": "done", "p/q/b": "done", "p/q/c": "failed"}
    assert view.error == "1 of 2 branches failed: p/q/c: ValueError: no"


async def test_a_run_waits_with_all_its_branches(machine: Machine) -> None:
    """It goes on with whichever is due first, and says what it waits for."""
    one = steps().then_sleep(timedelta(hours=1), key="one").then(do("a"))
    two = steps().then_sleep(timedelta(hours=2), key="two").then(do("b"))
    await machine.up(begin().then_parallel("p", one, two).build())
    await machine.start()
    view = await machine.status("waiting")
    assert '"one" sleeps until' in view.waiting_for
    assert '"two" sleeps until' in view.waiting_for
    await machine.result()
    [a], [b] = machine.book.of("a"), machine.book.of("b")
    assert abs(b.at - a.at - timedelta(hours=1)) < timedelta(seconds=5)


async def test_a_page_beside_a_slow_branch_is_not_held_up(machine: Machine) -> None:
    """It is sent at once and once."""
    machine.book.will("a", after(200))
    await machine.up(begin().then_parallel("p", do("a"), page()).build())
    await machine.start()
    await machine.wait(seconds=10)
    assert len(machine.pagerduty.alerts) == 1
    assert (await machine.result()).status == "succeeded"
    assert len(machine.pagerduty.processed) == 1

"""Promise 9, second half: a failed run goes on from what failed when it is retried."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from resolute import Flow, input_data, item, output, steps
from resolute.errors import EngineError
from tests.contract.engine.book import after, hang
from tests.contract.engine.flows import act, begin, do, of, page, undoable
from tests.contract.engine.machine import Machine

NO = ValueError("no")
HOUR = timedelta(hours=1)


async def retried(machine: Machine, run_id: str = "r") -> Any:
    """The run once it has ended again after a retry."""
    await machine.engine.retry(run_id)
    return await machine.result(run_id)


async def test_a_retry_goes_on_from_the_failed_node(machine: Machine) -> None:
    """What succeeded stands; the node has all its attempts again, with the same input and key."""
    machine.book.will("b", NO, NO)
    await machine.run(of(do("a", 1), do("b", output("a"), tries=2), do("c")))
    view = await retried(machine)
    assert (view.status, view.retries, view.error) == ("succeeded", 1, "")
    assert machine.book.attempted() == ["a", "b", "b", "b", "c"]
    calls = machine.book.of("b")
    assert {(call.idempotency_key, call.given) for call in calls} == {("r/b", 1)}
    assert [call.attempt for call in calls] == [1, 2, 3]
    assert calls[2].repeated


async def test_a_retry_may_fail_again_and_be_retried_again(machine: Machine) -> None:
    """As often as it takes."""
    machine.book.will("a", NO, NO, NO)
    await machine.run(of(do("a")))
    for status in ("failed", "failed", "succeeded"):
        assert (await retried(machine)).status == status
    assert (await machine.engine.get("r")).retries == 3


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 8, 13])
async def test_a_retry_that_has_returned_survives_a_kill(machine: Machine, number: int) -> None:
    """The next worker goes on with it."""
    made = of(do("a"), do("b"))
    machine.book.will("b", NO)
    await machine.run(made)
    await machine.engine.retry("r")
    await machine.steps(number)
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).status == "succeeded"
    assert machine.book.attempted().count("a") == 1


async def test_a_page_is_sent_again_under_its_key_and_row(machine: Machine) -> None:
    """One alert, one row, however often it takes."""
    machine.pagerduty.faults.script("events", ["400_errors_string"])
    view = await machine.run(of(page(), do("b")))
    assert (view.status, view.error_key) == ("failed", "page")
    assert (await retried(machine)).status == "succeeded"
    await machine.wait(seconds=10)
    assert [(row.status, row.dedup_key) for row in await machine.rows()] == [("accepted", "disk")]
    assert [alert.alert_key for alert in machine.pagerduty.alerts] == ["disk"]


@pytest.mark.parametrize("how", ["rejected", "timed out"])
async def test_a_gate_waits_for_another_answer(machine: Machine, how: str) -> None:
    """With all its time."""
    await machine.up(begin().then_gate("ok", timeout=HOUR).then(do("a")).build())
    await machine.start()
    if how == "rejected":
        await machine.engine.signal("r", "ok", "rejected")
    assert (await machine.result()).status == "failed"
    await machine.engine.retry("r")
    await machine.wait(minutes=59)
    await machine.engine.signal("r", "ok", by="ann")
    assert (await machine.result()).output["ok"]["by"] == "ann"


async def test_a_loop_that_has_ended_goes_on_when_it_may(machine: Machine) -> None:
    """With more rounds allowed, the next round follows those that were done."""

    def looping(at_most: int) -> Flow:
        return begin().then_loop("l", do("a"), until=output("a") == "up", at_most=at_most).build()

    machine.book.will("a", 1, 2, "up")
    assert (await machine.run(looping(2))).error_key == "l"
    await machine.stop()
    await machine.up(looping(4))
    view = await retried(machine)
    assert view.status == "succeeded"
    assert machine.book.positions() == ["l[0]/a", "l[1]/a", "l[2]/a"]


async def test_a_loop_that_may_not_go_on_fails_again(machine: Machine) -> None:
    """A retry does no round too many."""
    await machine.run(begin().then_loop("l", do("a"), until=output("a") == "up", at_most=2).build())
    assert (await retried(machine)).status == "failed"
    assert len(machine.book.calls) == 2


async def test_a_predicate_that_was_mended_is_asked_again(machine: Machine) -> None:
    """The nodes before it are not."""

    def asking(test: Any) -> Flow:
        return begin().then(do("a")).when(test, then=do("b")).build()

    assert (await machine.run(asking(lambda state: state["none"]))).error_key == "a~when"
    await machine.stop()
    await machine.up(asking(lambda state: True))
    assert (await retried(machine)).status == "succeeded"
    assert machine.book.attempted() == ["a", "b"]


async def test_only_the_branches_that_failed_go_on(machine: Machine) -> None:
    """The others have succeeded and stay so."""
    machine.book.will("a", NO)
    machine.book.will("c", NO)
    await machine.run(begin().then_parallel("p", *map(do, "abc")).then(do("d")).build())
    view = await retried(machine)
    assert view.output == {"a": "a", "b": "b", "c": "c", "d": "d"}
    assert sorted(machine.book.attempted()) == ["a", "a", "b", "c", "c", "d"]


async def test_only_the_items_that_failed_go_on(machine: Machine) -> None:
    """And those that were not begun because of them."""
    body = do("a", item())
    made = begin().then_each("all", over=[1, 2, 3], body=body, limit=1, keep_going=False).build()
    machine.book.will("a", 1, NO)
    await machine.run(made)
    view = await retried(machine)
    assert view.output["all"] == {"results": [{"a": 1}, {"a": 2}, {"a": 3}], "errors": [], "skipped": []}
    assert machine.book.positions() == ["all[0]/a", "all[1]/a", "all[1]/a", "all[2]/a"]


async def test_an_item_that_was_continued_without_is_not_retried(machine: Machine) -> None:
    """Its failure was part of the run's way; what failed the run came later."""
    made = begin().then_each("all", over=[1], body=do("a", item()), on_error="continue").then(do("b")).build()
    machine.book.will("a", NO)
    machine.book.will("b", NO)
    await machine.run(made)
    assert (await retried(machine)).status == "succeeded"
    assert machine.book.attempted() == ["a", "b", "b"]


async def test_a_failure_that_a_fallback_has_mended_is_not_retried(machine: Machine) -> None:
    """The run goes on from what failed it."""
    machine.book.will("a", NO)
    machine.book.will("c", NO)
    await machine.run(of(do("a").or_else(do("b")), do("c")))
    await retried(machine)
    assert machine.book.attempted() == ["a", "b", "c", "c"]


async def test_a_fallback_that_failed_is_retried_and_its_node_is_not(machine: Machine) -> None:
    """It was the last that was tried."""
    machine.book.will("a", NO)
    machine.book.will("b", NO)
    await machine.run(of(do("a").or_else(do("b"))))
    assert (await retried(machine)).status == "succeeded"
    assert machine.book.attempted() == ["a", "b", "b"]


async def test_a_child_that_failed_goes_on_with_its_parent(machine: Machine) -> None:
    """From its own failed node."""
    child = begin("child").then(do("a"), do("b", input_data())).build()
    made = begin().then_children("subs", child, inputs=[1, 2], limit=1).build()
    machine.book.will("b", NO)
    await machine.up(made, child)
    await machine.start()
    await machine.result()
    view = await retried(machine)
    assert (view.status, (await machine.engine.get("r/subs[0]")).status) == ("succeeded", "succeeded")
    assert [(call.run_id, call.key) for call in machine.book.calls if call.key == "b"] == [
        ("r/subs[0]", "b"),
        ("r/subs[1]", "b"),
        ("r/subs[0]", "b"),
    ]


async def test_children_are_retried_no_more_at_a_time_than_the_limit_says(machine: Machine) -> None:
    """As they were run the first time."""
    child = begin("child").then(do("a", input_data()).with_timeout(HOUR)).build()
    await machine.up(begin().then_children("subs", child, inputs=[1, 2, 3], limit=1).build(), child)
    machine.book.will("a", NO, NO, NO)
    machine.book.always("a", after(600))
    await machine.start()
    await machine.result()
    assert (await retried(machine)).status == "succeeded"
    begun = [call.at for call in machine.book.calls[3:]]
    assert all(later - earlier >= timedelta(minutes=10) for earlier, later in pairwise(begun))


async def test_a_retry_that_is_cancelled_leaves_nothing_behind(machine: Machine) -> None:
    """Children and items that had not begun again do not begin."""
    child = begin("child").then(do("a", input_data())).build()
    both = begin().then_parallel(
        "p",
        steps().then_children("subs", child, inputs=[1, 2, 3], limit=1),
        steps().then_each("all", over=[1, 2, 3], body=do("b"), limit=1),
    )
    await machine.up(both.build(), child)
    machine.book.will("a", NO, NO, NO)
    machine.book.will("b", NO, NO, NO)
    await machine.start()
    await machine.result()
    machine.book.always("a", hang)
    machine.book.always("b", hang)
    await machine.engine.retry("r")
    await machine.called("a", 4)
    await machine.engine.cancel("r")
    view = await machine.result()
    await machine.wait(hours=1)
    assert (view.status, len(machine.book.calls)) == ("cancelled", 8)
    assert not [entry for entry in view.nodes if entry.status in ("running", "waiting")]


async def test_a_parent_of_a_child_that_was_undone_cannot_be_retried(machine: Machine) -> None:
    """What the child had done is not there any more."""
    child = begin("child").then(undoable("a"), do("b")).build()
    await machine.up(begin().then_children("subs", child, inputs=[1]).build(), child)
    machine.book.will("b", NO)
    await machine.start()
    await machine.result()
    with pytest.raises(EngineError, match=r'Run "r/subs\[0\]" was undone after it failed and cannot go on'):
        await machine.engine.retry("r")
    assert (await machine.engine.get("r")).status == "failed"


async def test_the_failure_node_runs_after_each_failure(machine: Machine) -> None:
    """A retry that fails is told as well, with its own error."""
    machine.book.will("a", NO, OSError("worse"))
    await machine.run(begin().then(do("a")).on_failure(do("tell", input_data("error"))).build())
    await retried(machine)
    await retried(machine)
    assert [call.given for call in machine.book.of("tell")] == ["ValueError: no", "OSError: worse"]


async def test_a_retried_run_has_all_its_time_again(machine: Machine) -> None:
    """Its limit counts from the retry."""
    made = begin().then(do("a")).then_sleep(timedelta(minutes=30)).then(do("b")).with_timeout(HOUR).build()
    machine.book.will("b", NO)
    await machine.run(made)
    await machine.wait(hours=3)
    view = await retried(machine)
    assert view.status == "succeeded"


async def test_a_run_whose_time_was_over_can_be_retried(machine: Machine) -> None:
    """It goes on at what was stopped."""
    made = begin().then(do("a"), do("b")).with_timeout(timedelta(minutes=1)).build()
    machine.book.will("b", hang)
    assert (await machine.run(made)).status == "failed"
    assert (await retried(machine)).status == "succeeded"
    assert machine.book.attempted() == ["a", "b", "b"]


async def test_a_result_that_could_not_be_made_is_made_again(machine: Machine) -> None:
    """A retry need not run any node."""

    def returning(path: str) -> Flow:
        return begin().then(act(given={"x": 1}).as_("a")).returns(output(path)).build()

    assert (await machine.run(returning("a.y"))).error_key == "returns"
    await machine.stop()
    await machine.up(returning("a.x"))
    view = await retried(machine)
    assert (view.status, view.output, len(machine.book.calls)) == ("succeeded", 1, 1)


async def test_a_run_that_has_not_failed_cannot_be_retried(machine: Machine) -> None:
    """Not one that runs, has succeeded, or was cancelled."""
    machine.book.will("a", after(60))
    await machine.up(of(do("a")))
    await machine.start()
    with pytest.raises(EngineError, match=r'Run "r" has not failed, it is running\. It is not over yet'):
        await machine.engine.retry("r")
    await machine.result()
    with pytest.raises(EngineError, match=r"it is succeeded\. Start it anew with another id"):
        await machine.engine.retry("r")
    machine.book.will("a", hang)
    await machine.start(run_id="other")
    await machine.engine.cancel("other")
    with pytest.raises(EngineError, match=r"it is cancelled\. Start it anew"):
        await machine.engine.retry("other")


@pytest.mark.parametrize("what", [do("a"), page("a")], ids=["node", "page"])
async def test_two_retries_at_once_take_the_run_up_once(machine: Machine, what: Any) -> None:
    """The second one is refused."""
    machine.book.will("a", NO)
    machine.pagerduty.faults.script("events", ["400_errors_string"])
    await machine.run(of(what, do("b")))
    answers = await asyncio.gather(machine.engine.retry("r"), machine.engine.retry("r"), return_exceptions=True)
    assert sorted(isinstance(answer, EngineError) for answer in answers) == [False, True]
    view = await machine.result()
    assert (view.status, view.retries, len(machine.book.of("b"))) == ("succeeded", 1, 1)


async def test_a_retry_is_refused_once_undo_has_begun(machine: Machine) -> None:
    """Also while it is under way, and after a kill in it."""
    made = of(undoable("a"), do("b"))
    machine.book.will("b", NO)
    machine.book.will("undo_a", hang)
    await machine.up(made)
    await machine.start()
    await machine.called("undo_a")
    with pytest.raises(EngineError, match="It is not over yet"):
        await machine.engine.retry("r")
    await machine.kill()
    await machine.up(made)
    await machine.result()
    with pytest.raises(EngineError, match="was undone after it failed and cannot go on"):
        await machine.engine.retry("r")

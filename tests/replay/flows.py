"""Flows that are recorded: together they hold every kind of step, and every way in which a run can go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from resolute import (
    ActivityError,
    Flow,
    Page,
    Retry,
    activity,
    current,
    cursor,
    env,
    flow,
    input_data,
    item,
    manual,
    output,
    paginated,
)

QUICK = Retry(initial=timedelta(milliseconds=10), attempts=2)
ONCE = Retry(attempts=1)


@activity
async def give(given: Any = None) -> Any:
    """What it was given."""
    return given


@activity
async def stumble(given: Any = None) -> Any:
    """What it was given, in the second attempt."""
    if current().attempt == 1:
        raise ActivityError("the first attempt fails")
    return given


@activity
async def fail() -> int:
    """Nothing."""
    raise ActivityError("it cannot be done", permanent=True)


@activity
async def count(by: int) -> int:
    """The sum of all that was ever given."""
    memory = current().memory
    memory["sum"] = total = int(str(memory.get("sum", 0))) + by
    return total


@paginated(max_pages=9)
async def numbers(page: int | None, since: int) -> Page[int]:
    """Three numbers, one to a page."""
    number = page or 0
    return Page(items=[since + number], next=number + 1 if number < 2 else None)


def small_child() -> Flow:
    return flow("small-child").triggered_by(manual()).then(give(given=input_data("n")).as_("work")).build()


def every_kind() -> Flow:
    """Each kind of step; it comes to its end."""
    return (
        flow("every-kind")
        .triggered_by(manual())
        .with_cursor("since", int, start=0)
        .then(stumble(given=env("PLACE")).as_("place").with_retry(QUICK))
        .then(numbers(since=cursor("since")).as_("found"))
        .then_advance("since", to=output("found.2"))
        .when(output("place") == "here", key="is_here")
        .then(count(by=5).as_("sum"))
        .otherwise()
        .then(give(given=0).as_("elsewhere"))
        .end_when()
        .then(fail().as_("sure").or_else(give(given=7).as_("instead")))
        .then_parallel("both", give(given=3).as_("left"), give(given=4).as_("right"))
        .then_each("items", over=[1, 2, 3], body=give(given=item("")).as_("one"), limit=2)
        .then_loop("rounds", give(given=1).as_("round"), until=lambda state: len(state.all("round")) == 2, at_most=3)
        .then_sleep(timedelta(milliseconds=50), key="pause")
        .then_children("runs", small_child(), inputs=[{"n": 1}, {"n": 2}])
        .then_gate("ok")
        .then_gate("late", timeout=timedelta(milliseconds=50), on_timeout="continue")
        .returns(
            {
                "sum": output("sum", default=0),
                "found": output("found"),
                "by": output("ok.by"),
                "late": output("late.outcome"),
            }
        )
        .build()
    )


def undone() -> Flow:
    """A run that fails: it is undone, and its failure is told."""
    return (
        flow("undone")
        .triggered_by(manual())
        .then(give(given=1).as_("done").undo(give(given=output("done")).as_("back")))
        .then(fail().as_("cause").with_retry(ONCE))
        .on_failure(give(given=input_data("error")).as_("told"))
        .build()
    )


def stopped() -> Flow:
    """A run that waits until it is cancelled, and is undone then."""
    return (
        flow("stopped")
        .triggered_by(manual())
        .then(give(given=1).as_("done").undo(give(given=output("done")).as_("back")))
        .then_gate("never")
        .build()
    )


def timed_out() -> Flow:
    """A run whose time is over before its sleep is."""
    return (
        flow("timed-out")
        .triggered_by(manual())
        .then_sleep(timedelta(hours=1), key="long")
        .with_timeout(timedelta(milliseconds=100))
        .build()
    )

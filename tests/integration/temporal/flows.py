"""Flows for a worker on Temporal, in which every kind of step stands."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

from resolute import (
    ActivityError,
    Flow,
    Retry,
    activity,
    current,
    flow,
    input_data,
    item,
    manual,
    output,
    schedule,
    secret,
)
from resolute.providers import pagerduty

#: How often each node was attempted, by its key.
attempts: Counter[str] = Counter()
#: The keys of nodes whose next attempts fail.
broken: set[str] = set()


@activity
async def act(given: Any = None) -> Any:
    """What it was given; fails while its key is among the broken ones."""
    key = current().key
    attempts[key] += 1
    if key in broken:
        raise ActivityError(f"{key} is broken", permanent=True)
    return given


@activity
async def hang() -> None:
    """Never returns."""
    attempts[current().key] += 1
    await asyncio.Event().wait()


@activity
async def ask(token: str) -> str:
    """Says what it was told, as careless code does."""
    return f"asked with {token}"


@activity
async def remember(value: int) -> int:
    """The sum of all that was ever given."""
    memory = current().memory
    total = int(str(memory.get("total", 0))) + value
    memory["total"] = total
    return total


def child() -> Flow:
    return flow("child").triggered_by(manual()).then(act(given=input_data("n")).as_("work")).build()


def every_step() -> Flow:
    """One of each kind, and a value that is kept apart."""
    return _steps("every-step", "x" * 100_000)


def small_steps() -> Flow:
    """One of each kind; its history holds all its values."""
    return _steps("small-steps", "x")


def _steps(name: str, value: str) -> Flow:
    return (
        flow(name)
        .triggered_by(manual())
        .then(act(given=1).as_("first").undo(act(given=output("first")).as_("undo_first")))
        .then(act(given=value).as_("large"))
        .when(output("first") == 1, key="is_one")
        .then(act(given=2).as_("second"))
        .end_when()
        .then_parallel("both", act(given=3).as_("left"), act(given=4).as_("right"))
        .then_each("items", over=[1, 2, 3], body=act(given=item("")).as_("one"), limit=2)
        .then_loop("rounds", act(given=1).as_("round"), until=lambda state: len(state.all("round")) == 2, at_most=3)
        .then_sleep(timedelta(milliseconds=50), key="pause")
        .then_children("runs", child(), inputs=[{"n": 1}, {"n": 2}])
        .then(remember(value=5).as_("total"))
        .then_gate("ok")
        .returns({"first": output("first"), "by": output("ok.by"), "total": output("total")})
        .build()
    )


def paging() -> Flow:
    """A page, with a secret that careless code gives away."""
    return (
        flow("paging")
        .triggered_by(manual())
        .then(ask(token=secret("TOKEN")).as_("ask"))
        .then(_page(output("ask")))
        .build()
    )


def page_alone() -> Flow:
    return flow("page-alone").triggered_by(manual()).then(_page("on fire")).build()


def undone() -> Flow:
    """A page that is taken back when its run does not go on."""
    undo = pagerduty.resolve_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), dedup_key="a")
    return flow("undone").triggered_by(manual()).then(_page("on fire").undo(undo)).build()


def left() -> Flow:
    """A page that is left to itself when it is not accepted at once."""
    page = _page("on fire").or_else(act(given=1).as_("told"), after=timedelta(seconds=1))
    return flow("left").triggered_by(manual()).then(page).build()


def _page(summary: Any) -> Any:
    return pagerduty.trigger_event(
        routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary=summary, source="test", severity="critical", dedup_key="a"
    ).as_("page")


def failing() -> Flow:
    """Two branches, one of which may be broken."""
    quick = Retry(attempts=1)
    return (
        flow("failing")
        .triggered_by(manual())
        .then_parallel("p", act(given=1).as_("good"), act(given=2).as_("bad").with_retry(quick))
        .then(act(given=3).as_("last"))
        .build()
    )


def hanging() -> Flow:
    return flow("hanging").triggered_by(manual()).then(hang()).build()


def gated(first: str = "first") -> Flow:
    """Waits for an answer between two nodes."""
    made = flow("gated").triggered_by(manual()).then(act(given=1).as_(first))
    return made.then_gate("ok").then(act(given=2).as_("last")).build()


def ticking() -> Flow:
    return flow("ticking").triggered_by(schedule("* * * * * *")).then(act(given=1).as_("tick")).build()


def paging_changed() -> Flow:
    """The flow of `paging` with another node in its first place."""
    return flow("paging").triggered_by(manual()).then(act(given=1).as_("other")).build()

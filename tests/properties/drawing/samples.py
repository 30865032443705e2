"""A flow that has every kind of step, nested three deep, and random step trees."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from resolute.model.activity import Node, activity
from resolute.model.flow import flow, steps
from resolute.model.limit import RateLimit
from resolute.model.recipe import Flow
from resolute.model.refs import item, output, secret
from resolute.model.retry import Retry
from resolute.model.state import FlowState
from resolute.model.steps import (
    Advance,
    Block,
    Branch,
    Children,
    Each,
    Gate,
    Loop,
    NodeStep,
    Parallel,
    Sleep,
    Step,
)
from resolute.model.trigger import manual, schedule
from resolute.providers import pagerduty


class Host(BaseModel):
    """One machine."""

    name: str


class Health(BaseModel):
    """How the shop is."""

    status: str
    message: str
    hosts: list[Host]
    ids: list[str]
    checked: int


class Restarted(BaseModel):
    """Whether a restart helped."""

    up: bool


@activity(name="check_health")
async def check_health() -> Health:
    raise NotImplementedError


@activity(name="restart")
async def restart(name: str) -> Restarted:
    raise NotImplementedError


@activity(name="notify")
async def notify(message: str = "") -> str:
    raise NotImplementedError


def is_quiet_hour(state: FlowState) -> bool:
    return False


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


# fmt: off
EVERYTHING: Flow = (
    flow("everything")
    .triggered_by(schedule("*/5 * * * *"), manual())
    .with_timeout(timedelta(hours=6))
    .with_cursor("seen", int)
    .then(check_health().as_("health"))
    .when(output("health.status") == "critical")
        .then(
            notify(message=output("health.message")).as_("page")
            .or_else(notify().as_("sms").or_else(notify().as_("email"))),
            notify().as_("reserve").undo(notify().as_("release")).with_retry(Retry(attempts=5)),
        )
        .then_each("each_host", over=output("health.hosts"), limit=5, body=(
            steps(notify().as_("look"))
            .when(lambda state: state["look"] == "down", key="is_down")
                .then_loop("until_up", until=output("restart.up") == True, every=minutes(1), timeout=minutes(60), body=(  # noqa: E712
                    steps(restart(name=item("name")).undo(notify().as_("scale_down")))
                    .then_sleep(timedelta(seconds=10))
                ))
            .otherwise()
                .then(notify().as_("all_fine"))
            .end_when()
        ))
        .then_gate("approve", timeout=timedelta(hours=4), on_timeout="continue")
        .when(is_quiet_hour)
            .then_parallel(
                "tell",
                notify().as_("tell_team"),
                notify().as_("tell_all").with_rate_limit(RateLimit(5, minutes(1), "mail")),
                steps(notify().as_("tell_boss")).then_sleep(minutes(5)),
            )
        .otherwise()
            .then_children("mend", "mend-host", inputs=output("health.ids"), limit=3)
        .end_when()
    .otherwise()
        .then_advance("seen", output("health.checked"))
    .end_when()
    .then(notify().as_("done"))
    .on_failure(notify().as_("tell_failure"))
    .build()
)

PAGING: Flow = (
    flow("paging")
    .triggered_by(schedule("0 8 * * 1-5", timezone="Europe/Berlin"))
    .then(check_health().as_("health"))
    .when(output("health.status") == "critical")
        .then(pagerduty.trigger_event(
            routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary=output("health.message"), source="shop",
            severity="critical", dedup_key="shop",
        ).or_else(notify().as_("sms"), after=minutes(5)))
    .end_when()
    .build()
)
# fmt: on

#: What would break a picture if it were not taken literally.
AWKWARD = (
    *("end", "a_b~when", "x" * 90, "notify_on_call_slack", "日本語のキー", "subgraph", "default"),
    *('say "hi" [now] {x} (y) <b>', "&lt;b&gt; #35; fa:fa-bell $$x$$", "1. a", "- a", "_a_ *b* `c` **d** ~~e~~"),
    *("%%{init: {'theme': 'dark'}}%%", "style: #a;", "classDef x: #1;", "two\nlines\r\nand\u2028three", "\ud800\x00"),
)
texts = st.sampled_from(AWKWARD) | st.text(st.characters(codec=None), max_size=30)


def nodes(depth: int = 2) -> st.SearchStrategy[Node[Any]]:
    """Nodes with helpers, which may have helpers themselves."""
    helper = st.none() if depth == 0 else st.none() | st.deferred(lambda: nodes(depth - 1))
    after = st.none() | st.just(minutes(5))
    return st.builds(
        lambda key, fallback, undo, after: Node(
            notify, {}, key, fallback=fallback, fallback_after=after, compensation=undo
        ),
        *(texts, helper, helper, after),
    )


tests = st.sampled_from([output("a.b") == "c", ~(output("a") > 1), is_quiet_hour, lambda state: state["x"] == "y" * 50])
flat: st.SearchStrategy[Step] = st.one_of(
    st.builds(NodeStep, nodes()),
    st.builds(Sleep, texts, st.sampled_from([minutes(3), 5, output("x.y")])),
    st.builds(Gate, texts, st.none() | st.just(minutes(9)), st.sampled_from(["fail", "continue"])),
    st.builds(Children, texts, texts, st.just(output("x.hosts"))),
    st.builds(Advance, texts, texts, st.just(output("x"))),
)


def _blocks(step: st.SearchStrategy[Step]) -> st.SearchStrategy[Block]:
    return st.lists(step, max_size=3).map(tuple)


def _holding(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
    blocks = _blocks(inner)
    return st.one_of(
        st.builds(Branch, texts, tests, blocks, blocks),
        st.builds(Loop, texts, blocks, tests),
        st.builds(Each, texts, st.just([1, 2]), blocks),
        st.builds(Parallel, texts, st.lists(blocks, max_size=3).map(tuple)),
    )


any_step: st.SearchStrategy[Step] = st.recursive(flat, _holding, max_leaves=12)
flows = st.builds(Flow, texts, st.sampled_from([(), (manual(),)]), _blocks(any_step), failure_node=st.none() | nodes())

"""Flows that are crashed everywhere: one with every kind of step, and one that fails late and is undone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from resolute import (
    Flow,
    Node,
    Page,
    RateLimit,
    Retry,
    activity,
    current,
    cursor,
    flow,
    input_data,
    item,
    manual,
    output,
    paginated,
    run_id,
    secret,
    steps,
    text,
)
from resolute.providers import pagerduty
from resolute.testing import FlowTester

KEY = secret("ROUTING_KEY")
#: A flow and what makes a tester of it.
Crashed = tuple[Flow, Callable[[], FlowTester]]
HOSTS = ["db-1", "db-2", "web-1", "web-2", "web-3"]


class Request(BaseModel):
    """What a run is started with."""

    service: str = "shop"
    fails: bool = False


class Count(BaseModel):
    """How often something was counted, over all runs."""

    number: int


@paginated
async def list_hosts(page: int | None, service: str) -> Page[str]:
    """Two hosts a page."""
    begin = page or 0
    return Page(items=HOSTS[begin : begin + 2], next=begin + 2 if begin + 2 < len(HOSTS) else None)


@activity
async def count(name: str) -> Count:
    """One more than last time; kept in the flow's memory."""
    known = current().memory.get(name, 0)
    assert isinstance(known, int)
    current().memory[name] = known + 1
    return Count(number=known + 1)


@activity
def check(host: str) -> dict[str, str]:
    """A plain function."""
    return {"host": host, "status": "bad" if host.endswith("2") else "good"}


@activity
async def look(host: str) -> int:
    """Goes up with each look at the host."""
    looks = current().memory.get(f"looks/{host}", 0)
    assert isinstance(looks, int)
    current().memory[f"looks/{host}"] = looks + 1
    current().heartbeat({"looks": looks})
    return looks + 1


@activity
async def dump(service: str) -> str:
    """More than the journal takes into an entry."""
    return f"{service}:" + "x" * 100_000


@activity
async def measure(dumped: str) -> int:
    """Needs the whole of it."""
    return len(dumped)


@activity(retry=Retry(attempts=2, initial=timedelta(seconds=2)))
async def reserve(what: str) -> str:
    """Something that can be taken back."""
    return f"reserved {what}"


@activity
async def release(what: str, because: str = "") -> str:
    """Takes it back."""
    return f"released {what}"


@activity
async def finish(fails: bool) -> str:
    """The last step, which may fail."""
    if fails:
        raise ValueError("the last step failed")
    return "finished"


def page(key: str, **fields: Any) -> Node[Any]:
    """A page about this alert."""
    given = {"summary": f"{key} is down", "source": "test", "severity": "critical", "dedup_key": key, **fields}
    return pagerduty.trigger_event(routing_key=KEY, **given).as_(f"page_{key}")


def resolve(key: str) -> Node[Any]:
    return pagerduty.resolve_event(routing_key=KEY, dedup_key=key).as_(f"resolve_{key}")


child = (
    flow("look-after-host")
    .triggered_by(manual())
    .then(check(host=input_data("host")))
    .when(output("check.status") == "bad")
    .then(
        pagerduty.trigger_event(
            routing_key=KEY, summary=text("{check.host} is bad"), source="test", dedup_key=output("check.host")
        )
    )
    .end_when()
    .then_gate("seen", timeout=timedelta(minutes=10), on_timeout="continue")
    .returns({"host": output("check.host"), "seen": output("seen.outcome")})
    .build()
)

everything = (
    flow("everything")
    .triggered_by(manual())
    .accepts(Request)
    .with_cursor("served", int, start=0)
    .with_timeout(timedelta(days=2))
    .on_failure(page("failure", summary=text("failed: {e}", e=input_data("error"))))
    .then(count(name="runs").as_("count"))
    .then(list_hosts(service=input_data("service")).as_("hosts"))
    .then(dump(service=input_data("service")), measure(dumped=output("dump")))
    .then(reserve(what="desk").as_("desk").undo(release(what=output("desk"), because=run_id()).as_("release_desk")))
    .when(output("hosts") != [])
    .then(page("hosts", custom_details={"hosts": output("hosts")}))
    .otherwise()
    .then(page("nobody"))
    .end_when()
    .then(page("flaky").or_else(check(host="phone").as_("phoned"), after=timedelta(minutes=2)))
    .then_sleep(timedelta(seconds=90), key="pause")
    .then_loop("poll", look(host="db-1").as_("look"), until=output("look") >= 3, every=timedelta(seconds=20), at_most=5)
    .then_parallel(
        "both",
        steps()
        .then(reserve(what="room").as_("room").undo(release(what=output("room")).as_("release_room")))
        .then(page("left")),
        steps().then_sleep(timedelta(seconds=5), key="nap").then_gate("approve").then(resolve("hosts")),
        steps().then(check(host="fails").as_("shaky").or_else(check(host="spare").as_("spare"))),
    )
    .then_each(
        "each",
        over=output("hosts"),
        limit=2,
        on_error="continue",
        body=steps()
        .then(check(host=item()).as_("checked").with_rate_limit(RateLimit(2, per=timedelta(seconds=10))))
        .when(output("checked.status") == "bad")
        .then(page("each", dedup_key=item()))
        .end_when(),
    )
    .then_children("children", child, inputs=[{"host": "db-1"}, {"host": "web-2"}], limit=2)
    .then_advance("served", output("count.number"))
    .then(check(host=text("{n}", n=cursor("served"))).as_("last_check"))
    .then(resolve("left"))
    .then(finish(fails=input_data("fails")))
    .returns(
        {
            "count": output("count.number"),
            "measured": output("measure"),
            "looks": output("look"),
            "children": output("children.results"),
            "approved_by": output("approve.by"),
            "spare": output("spare.host", default=None),
            "last": output("last_check.host"),
        }
    )
    .build()
)


def prepared() -> FlowTester:
    """A tester with what makes the flow go through all of its branches."""
    tester = FlowTester()
    tester.signal("approve", by="ada", after=timedelta(seconds=30))
    tester.signal("seen", reason="got it", after=timedelta(minutes=1))
    tester.fail("desk", "no desk yet", times=1)
    tester.fail("shaky", ValueError("shaky"))
    tester.fail("page_flaky", "PagerDuty is out of reach", times=6)
    return tester


def _alone(part: Any, say: Callable[[FlowTester], None] = lambda tester: None) -> Crashed:
    """A flow of this part, and what makes its tester."""

    def made() -> FlowTester:
        tester = FlowTester()
        say(tester)
        return tester

    whole = flow("alone").triggered_by(manual()).with_cursor("at", int).with_timeout(timedelta(hours=1))
    return whole.then(part).build(), made


def _undone() -> Any:
    """What is to be undone was done side by side, the second branch first."""
    first = reserve(what="desk").as_("desk").undo(release(what=output("desk")).as_("release_desk"))
    second = reserve(what="room").as_("room").undo(release(what=output("room")).as_("release_room"))
    return steps().then_parallel("both", steps().then_sleep(timedelta(seconds=5), key="nap").then(first), second)


def _patient(node: Node[Any]) -> Node[Any]:
    """The page with the same waits whatever is drawn, and a call after two minutes."""
    evenly = Retry(initial=timedelta(seconds=60), coefficient=1, attempts=None, deadline=timedelta(hours=1))
    return node.with_retry(evenly).or_else(check(host="phone").as_("phoned"), after=timedelta(minutes=2))


_APPROVE = steps().then_gate("approve")
_TWO_GATES = steps().then_parallel(
    "both", steps().then_gate("one"), steps().then_gate("two", timeout=timedelta(seconds=9), on_timeout="continue")
)
_POLL = steps().then_loop(
    "poll", look(host="h").as_("look"), until=output("look") >= 2, every=timedelta(seconds=9), at_most=3
)
_DECISION = (
    steps()
    .when(cursor("at", default=0) == 0)
    .then(count(name="a"))
    .end_when()
    .then_advance("at", 1)
    .then(check(host="behind it"))
)
_COUNTS = (
    steps()
    .then(count(name="a").as_("one"), count(name="a").as_("two"))
    .then_advance("at", output("two.number"))
    .then_sleep(timedelta(seconds=5))
    .then(check(host=text("{n}", n=cursor("at"))))
)

#: Flows of one kind of step each, small enough for every pair of crashes.
alone: dict[str, Crashed] = {
    "retries": _alone(reserve(what="desk").as_("desk"), lambda tester: tester.fail("desk", "no desk", times=1)),
    "page": _alone(page("disk")),
    "pages": _alone(steps().then(page("disk"), resolve("disk"), page("disk").as_("again"))),
    "list": _alone(list_hosts(service="shop").as_("hosts")),
    "decision": _alone(_DECISION),
    "memory": _alone(_COUNTS),
    "loop": _alone(_POLL),
    "gate": _alone(_APPROVE, lambda tester: tester.signal("approve", after=timedelta(minutes=5))),
    "gates": _alone(_TWO_GATES, lambda tester: tester.signal("one", by="ada")),
    "each": _alone(steps().then_each("each", over=["db-1", "db-2", "db-3"], body=check(host=item()), limit=2)),
    "children": _alone(
        steps().then_children("children", child, inputs=[{"host": "db-2"}]), lambda tester: tester.signal("seen")
    ),
    "fallback": _alone(_patient(page("disk")), lambda tester: tester.fail("page_disk", "out of reach", times=5)),
    "undo": _alone(_undone().then(finish(fails=True).with_retry(Retry(attempts=1)))),
    "cancel": _alone(_undone().then_gate("approve"), lambda tester: tester.cancel(after=timedelta(minutes=1))),
    "timeout": _alone(_undone().then_gate("approve")),
}

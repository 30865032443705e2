"""Flows as their authors write them: mypy --strict accepts every line, and the types are those that are asserted.

`test_typing.py` checks this file with mypy and runs it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, Literal, assert_type

from pydantic import BaseModel

from resolute import (
    Activity,
    ChildrenResult,
    EachResult,
    Flow,
    FlowState,
    GateAnswer,
    ItemFault,
    Node,
    Page,
    Payload,
    RateLimit,
    Retry,
    Secret,
    activity,
    cursor,
    env,
    flow,
    input_data,
    item,
    manual,
    now,
    output,
    paginated,
    run_id,
    schedule,
    secret,
    steps,
    text,
    tick,
)
from resolute.model.activity import SecretText
from resolute.model.flow import FlowBuilder, Fragment, Otherwise, When
from resolute.model.pages import PaginatedActivity
from resolute.model.reference import Condition


class Health(BaseModel):
    status: str
    load: float = 0.0
    was_critical: bool = False


class Person(Payload):
    name: str


class Alert(BaseModel):
    host: str = "web-1"


class Link(Payload):
    href: str
    text: str = "open"


# Activities keep the types of their functions: async or plain, with settings or without.


@activity
async def check(url: str, *, timeout_s: float = 5.0) -> Health:
    return Health(status=f"{url} {timeout_s}")


@activity
def look_up(level: int, since: datetime | None = None) -> list[Person]:
    return [Person(name=f"{level} {since}")]


@activity(name="chat.notify", retry=Retry(attempts=5), timeout=timedelta(seconds=10))
async def notify(
    text: str, people: list[Person], link: Link | None = None, details: dict[str, Any] | None = None
) -> int:
    return len(f"{text} {people} {link} {details}")


@activity(timeout=timedelta(seconds=1))
def log_in(token: SecretText) -> None: ...


@paginated
async def members(page: str | None, team: str, *, limit: int = 100) -> Page[Person]:
    return Page(items=[Person(name=f"{team} {page} {limit}")], next=None)


@paginated
def owners(offset: int | None) -> Page[str]:
    return Page(items=["ada"], next=None if offset else 1)


@paginated(name="crm.tags", retry=Retry(attempts=5), timeout=timedelta(seconds=10), max_pages=100)
async def tags(page: str | None, prefix: str = "") -> Page[str]:
    return Page(items=[f"{page} {prefix}"])


assert_type(members(team="ops"), Node[list[Person]])
assert_type(members("ops", limit=5).as_("people").undo(log_in(secret("TOKEN"))), Node[list[Person]])
assert_type(owners(), Node[list[str]])
assert_type(tags(prefix="a"), Node[list[str]])
pages: Activity[..., list[Person]] = members
one_page: Activity[Any, Page[str]] = tags.one_page
assert_type(tags.max_pages, int)
any_pages: PaginatedActivity[..., Person] = members

assert_type(check(url="https://x"), Node[Health])
assert_type(check("https://x", timeout_s=1), Node[Health])
assert_type(look_up(1), Node[list[Person]])
assert_type(notify("x", []), Node[int])
assert_type(log_in(secret("TOKEN")), Node[None])
assert_type(
    check("https://x")
    .as_("health")
    .with_retry(Retry(attempts=None))
    .with_timeout(timedelta(seconds=1))
    .or_else(notify("down", []), after=timedelta(minutes=1))
    .undo(look_up(1).undo(log_in(secret("TOKEN"))))
    .with_rate_limit(RateLimit(5, per=timedelta(seconds=1), name="chat"))
    .with_heartbeat(timedelta(seconds=30))
    .via("eu"),
    Node[Health],
)
erased: Activity[..., Any] = check
mark: Secret = Secret()


async def test_of_an_activity() -> None:
    """The plain function is there for tests, with its own types."""
    called = check.fn("https://x")
    if isinstance(called, Coroutine):
        assert_type(await called, Health)


async def test_of_a_page() -> None:
    """The plain function is asked for one page, None being the first."""
    called = members.fn(None, "ops", limit=5)
    if isinstance(called, Coroutine):
        assert_type((await called).items, list[Person])


# References fit wherever a value is wanted; those with one possible type have it.

assert_type(output("health"), Any)
assert_type(input_data("host", default=None), Any)
assert_type(item("user.id"), Any)
assert_type(item(), Any)
assert_type(cursor("since", default=now() - timedelta(hours=1)), Any)
assert_type(secret("TOKEN"), str)
assert_type(env("HOST", default="web-1"), str)
assert_type(run_id(), str)
assert_type(text("{h}", h=1), str)
assert_type(now(), datetime)
assert_type(now() - timedelta(hours=1), datetime)
assert_type(tick(), datetime)
assert_type(tick(-1, default=now()) - timedelta(hours=1), datetime)

look_up(output("level"), since=now() - timedelta(days=1))
look_up(level=input_data("level", default=1), since=output("since"))
notify(text("Disk {h}", h=input_data("host")), output("people"), Link(href=output("health.url")))
notify(run_id(), [output("people.0"), Person(name=env("NAME"))], details={"load": output("health.load"), "at": [now()]})

# A state is typed by what it is asked for.


def is_critical(state: FlowState) -> bool:
    node = check("https://x").as_("health")
    assert_type(state[node], Health)
    assert_type(state["health"], Any)
    assert_type(state.get("health", Health), Health)
    assert_type(state.get("health", Health, default=None), Health | None)
    assert_type(state.get("count", int, default="none"), int | str)
    assert_type(state.all("health"), list[Any])
    assert_type(state[members("ops")], list[Person])
    assert_type(state.get("approve", GateAnswer).approved, bool)
    assert_type(state.get("approve", GateAnswer).outcome, Literal["approved", "rejected", "timed_out"])
    assert_type(state.get("all", EachResult).errors, list[ItemFault])
    assert_type(state.get("hosts", ChildrenResult).run_ids, list[str])
    assert_type(state.item, Any)
    return state.get("health", Health).status == "critical"


# Tests are predicates, conditions, or comparisons that mypy takes for bool.

condition = Condition("==", output("health.status"), "critical")
assert_type(condition & ~condition | condition, Condition)

base = flow("typed").triggered_by(schedule("*/5 * * * *", timezone="Europe/Berlin"), manual())
assert_type(base, FlowBuilder)
assert_type(base.accepts(Alert).on_failure(notify("failed", [])).returns({"health": output("health")}), FlowBuilder)

opened = base.then(check("https://x").as_("health")).when(is_critical)
assert_type(opened, When[FlowBuilder])
assert_type(opened.then(look_up(1)).end_when(), FlowBuilder)
assert_type(opened.then(look_up(1)).otherwise().then(look_up(2)).end_when(), FlowBuilder)
assert_type(opened.when(output("health.load") > 0.9), When[When[FlowBuilder]])
assert_type(opened.when(condition).then(look_up(1)).end_when(), When[FlowBuilder])
assert_type(opened.when(condition).then(look_up(1)).end_when().then_sleep(timedelta(1)).end_when(), FlowBuilder)
assert_type(base.when(is_critical, then=look_up(1)), FlowBuilder)
assert_type(base.when(condition, then=look_up(1), otherwise=steps(look_up(2)), key="who"), FlowBuilder)
assert_type(opened.when(lambda state: state["health"].was_critical, then=look_up(1)), When[FlowBuilder])

fragment = steps(look_up(1), notify("x", output("look_up")))
assert_type(fragment, Fragment)
assert_type(fragment.when(is_critical).then(check("https://y")).end_when(), Fragment)
assert_type(fragment.then_sleep(timedelta(minutes=1), key="rest"), Fragment)
assert_type(
    fragment.then_loop("poll", check("https://x"), until=is_critical, timeout=timedelta(hours=1)),
    Fragment,
)

# Every step stands at every level, and gives back what it was added to.

assert_type(
    base.with_timeout(timedelta(hours=1)).with_cursor("since", datetime, start=datetime(2026, 1, 1)), FlowBuilder
)
assert_type(base.then_parallel("both", look_up(1), fragment), FlowBuilder)
assert_type(fragment.then_parallel("both", look_up(1), fragment), Fragment)
assert_type(opened.then_parallel("both", look_up(1)).end_when(), FlowBuilder)
assert_type(
    opened.otherwise().then_gate("approve", timeout=timedelta(hours=1), on_reject="continue"), Otherwise[FlowBuilder]
)
assert_type(opened.when(condition).then_gate("approve").end_when().then_advance("since", now()), When[FlowBuilder])
assert_type(fragment.then_each("all", over=output("people"), body=log_in(item("token"))), Fragment)
assert_type(
    base.then_each("all", over=[1, 2], body=fragment, limit=5, keep_going=False, on_error="continue").then(look_up(1)),
    FlowBuilder,
)
assert_type(fragment.then_children("hosts", "check-host", inputs=output("hosts"), limit=5), Fragment)
assert_type(fragment.then_advance("since", output("health.at"), key="moved"), Fragment)
nested = steps().then_each(
    "all",
    over=output("members"),
    body=steps()
    .when(lambda state: bool(state.item["name"]))
    .then_parallel("both", notify(item("name"), []), steps().then_gate("approve").then_sleep(timedelta(minutes=1)))
    .otherwise()
    .then_loop("poll", check(item("name")), until=is_critical, at_most=3)
    .end_when(),
)
assert_type(nested, Fragment)
child = flow("check-host").triggered_by(manual()).accepts(Alert).then(check(text("https://{h}", h=input_data("host"))))
every = (
    base.with_timeout(timedelta(hours=1))
    .with_cursor("since", datetime, start=datetime(2026, 1, 1))
    .then(members("ops"))
    .then(nested)
    .then_children("hosts", child.build(), inputs=[{"host": "web-1"}, {"host": output("members.0.name")}])
    .then_advance("since", now())
    .build()
)
assert_type(every, Flow)
assert_type(every.children, tuple[Flow, ...])

built = (
    base.accepts(Alert)
    .then(check(url=text("https://{host}/health", host=input_data("host"))).as_("health"))
    .when(lambda state: state.get("health", Health).status == "critical")
    .then(look_up(1, since=now() - timedelta(hours=24)).as_("people"))
    .when((output("health.load") > 0.9) & (output("health.was_critical") == False))  # noqa: E712
    .then(notify(text("{health.status} since {at:%H:%M}", at=now()), output("people")))
    .otherwise()
    .then_sleep(timedelta(minutes=5))
    .end_when()
    .end_when()
    .then_loop(
        "recovered",
        steps(check("https://x").as_("again")).when(is_critical, then=log_in(secret("TOKEN"))),
        until=lambda state: state["again"].status == "ok",
        every=timedelta(seconds=30),
        timeout=timedelta(hours=1),
        at_most=100,
        on_end="continue",
    )
    .build()
)
assert_type(built, Flow)

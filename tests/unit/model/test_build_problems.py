"""`build()` lists every fault of a flow, each with its place and the way to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Literal, NamedTuple, Union

import pytest
from pydantic import BaseModel, ConfigDict, RootModel, computed_field

from resolute.errors import FlowError
from resolute.model.activity import Activity, Node, SecretText, activity
from resolute.model.check import field_fault
from resolute.model.flow import FlowBuilder, flow, steps
from resolute.model.payload import Payload
from resolute.model.recipe import Flow
from resolute.model.refs import env, input_data, now, output, run_id, secret, text
from resolute.model.retry import Retry
from resolute.model.trigger import Schedule, manual, schedule

FIX_TEST = 'Compare a reference (output("x") == 1) or give a function: lambda state: ...'
MAY_NOT_EXIST = (
    "which may not exist by then (a branch not taken, a node that failed). "
    "Read it where it surely exists, or give a default: output(..., default=...)."
)


class Disk(BaseModel):
    mount: str
    used: float


class Health(BaseModel):
    status: str
    disks: list[Disk] = []
    by_name: dict[str, Disk] = {}
    worst: Disk | None = None
    metrics: dict[str, Any] = {}

    @computed_field
    def failed(self) -> bool:
        return self.status != "ok"

    @property
    def label(self) -> str:
        return self.status


class Alert(BaseModel):
    host: str
    level: Literal["high", "low"] = "low"


class Link(Payload):
    href: str


@activity
async def check(url: str = "https://x") -> Health: ...


@activity
async def notify(text: str, link: Link | None = None, details: dict[str, Any] | None = None) -> int: ...


@activity
async def login(token: SecretText, user: str = "") -> None: ...


@activity(name="check")
async def other_check() -> int: ...


async def forgotten(url: str = "") -> int: ...


def start() -> FlowBuilder:
    return flow("disk-full").triggered_by(manual())


def begun() -> FlowBuilder:
    """A good flow so far: `health` exists for certain, `page` only in one arm."""
    return (
        start()
        .then(check().as_("health"))
        .when(output("health.status") == "critical", key="critical")
        .then(notify("x").as_("page"))
        .end_when()
    )


def problems_of(builder: Any) -> list[str]:
    """What `build()` finds."""
    with pytest.raises(FlowError) as caught:
        builder.build()
    return list(caught.value.problems)


def test_a_good_flow_is_built() -> None:
    """The flow that the other tests spoil has no fault of its own."""
    assert isinstance(begun().build(), Flow)


def test_all_problems_are_told_at_once() -> None:
    """One build, one list, in the order of the text: head, keys, then step by step."""
    with pytest.raises(FlowError) as caught:
        flow("disk full").then(check(), check()).then_sleep(5).then(notify(output("helth"))).build()

    assert str(caught.value) == "\n".join(
        [
            'Flow "disk full" cannot be built: 5 problems.',
            '  - The name \'disk full\' needs 1 to 100 letters, digits, ".", "_" and "-", a letter or digit first.',
            '  - Nothing starts it. Add .triggered_by(schedule("*/5 * * * *")) or .triggered_by(manual("name")).',
            '  - The key "check" stands twice. Give one of them another name with .as_("...") or key="...".',
            "  - then_sleep() takes a timedelta, not 5: then_sleep(timedelta(minutes=5)).",
            '  - "notify(text=...)" reads output("helth"), which no earlier step makes. Known here: "check". '
            'Rename the reference, or add .as_("helth") to the node that makes it.',
        ]
    )


def test_a_single_problem_is_counted_as_one() -> None:
    """The head line says how much is to be mended."""
    with pytest.raises(FlowError, match=r'^Flow "disk-full" cannot be built: 1 problem\.\n  - It has no steps\.'):
        start().build()


def test_the_same_fault_is_told_once() -> None:
    """A wrong activity that is used five times is one thing to mend."""
    lost = notify(text=output("lost"), details={"again": [output("lost")] * 3})

    assert len(problems_of(begun().then(lost))) == 2


BAD_NAME = 'needs 1 to 100 letters, digits, ".", "_" and "-", a letter or digit first.'
HEAD = [
    (lambda: flow("").triggered_by(manual()).then(check()), f"The name '' {BAD_NAME}"),
    (lambda: flow("-x").triggered_by(manual()).then(check()), f"The name '-x' {BAD_NAME}"),
    (lambda: flow("x" * 101).triggered_by(manual()).then(check()), f"The name {'x' * 101!r} {BAD_NAME}"),
    (lambda: flow(None).triggered_by(manual()).then(check()), f"The name None {BAD_NAME}"),
    (
        lambda: flow("x").then(check()),
        'Nothing starts it. Add .triggered_by(schedule("*/5 * * * *")) or .triggered_by(manual("name")).',
    ),
    (lambda: start(), "It has no steps. Add .then(...)."),
    (
        lambda: start().triggered_by("* * * * *").then(check()),
        "triggered_by() takes schedule(...) or manual(...), not '* * * * *'.",
    ),
    (lambda: start().triggered_by(manual()).then(check()), 'The trigger "manual:manual" stands twice.'),
    (
        lambda: start().triggered_by(manual("two words")).then(check()),
        'manual("two words") needs a name of letters, digits, ".", "_" and "-".',
    ),
    (
        lambda: start().triggered_by(schedule("* * * *")).then(check()),
        '"* * * *" is not a cron expression: Wrong number of fields. '
        'Write five fields (minute hour day month weekday), e.g. "*/5 * * * *".',
    ),
    (
        lambda: start().triggered_by(schedule("0 9 * * *", timezone="Europe/Nowhere")).then(check()),
        'The time zone "Europe/Nowhere" is not known. Use a name such as "Europe/Berlin" or "UTC".',
    ),
    (lambda: begun().accepts(dict), "accepts() takes a pydantic model class, not <class 'dict'>."),
    (
        lambda: begun().accepts(Alert(host="x")),
        "accepts() takes a pydantic model class, not Alert(host='x', level='low').",
    ),
    (
        lambda: begun().triggered_by(schedule("@hourly")).accepts(Alert),
        "It is scheduled, and its scheduled runs have no input, but Alert requires host. "
        "Give these fields defaults, or take the schedule away.",
    ),
    (lambda: begun().on_failure(check), "on_failure() takes a node, not <activity check>: call the activity."),
    (
        lambda: begun().returns(notify("x")),
        'returns() was given a node. Nodes hand values on by reference: write output("notify") in its place.',
    ),
    (
        lambda: begun().returns([output("health.status") == 1]),
        'returns() was given the comparison (output("health.status") == 1), which is decided in the run. '
        "Hand over what is compared, and compare inside the activity.",
    ),
    (
        lambda: begun().returns({"token": secret("TOKEN")}),
        '"returns()" reads secret("TOKEN"), but a run\'s result is recorded. Leave it out.',
    ),
]


@pytest.mark.parametrize(("make", "problem"), HEAD)
def test_a_fault_of_the_flow_itself_is_told(make: Any, problem: str) -> None:
    """Name, triggers, input, result and failure node are checked."""
    assert problems_of(make()) == [problem]


PARTS = [
    (lambda: begun().then(check), 'then() was given the activity "check" itself. Call it: check(...).'),
    (
        lambda: begun().then(forgotten),
        'then() was given the function "forgotten". Put @activity on it and call it: forgotten(...).',
    ),
    (lambda: begun().then(forgotten()), "then() was given what forgotten(...) returned. Put @activity on forgotten."),
    (lambda: begun().then([check()]), "then() takes nodes and steps(...), not list."),
    (lambda: begun().then(begun()), "then() takes nodes and steps(...), not FlowBuilder."),
    (lambda: begun().then(begun().build()), "then() takes nodes and steps(...), not Flow."),
    (
        lambda: begun().then(steps().when(lambda state: True).then(check())),
        "then() was given a when(...) that is not closed: add .end_when().",
    ),
    (
        lambda: begun().when(lambda state: True, then=[check()]),
        "when(then=...) takes nodes and steps(...), not list.",
    ),
    (
        lambda: begun().when(lambda state: True, then=check(), otherwise=check),
        'when(otherwise=...) was given the activity "check" itself. Call it: check(...).',
    ),
    (lambda: begun().then(steps(check)), 'then() was given the activity "check" itself. Call it: check(...).'),
]


@pytest.mark.parametrize(("make", "problem"), PARTS)
def test_a_part_that_is_no_node_is_told_with_the_fix(make: Any, problem: str) -> None:
    """A forgotten call, decorator or end is told in the words of the method that was called."""
    assert problem in problems_of(make())


WHENS = [
    (
        lambda: begun().when(lambda state: True).then(check()),
        "when(...) is not closed: add .end_when() before .build().",
    ),
    (
        lambda: begun().when(lambda state: True).when(lambda state: True).then(check()),
        "when(...) is not closed: add .end_when() before .build().",
    ),
    (
        lambda: begun().end_when(),
        "end_when() stands without its when(...). Take it away or add the when.",
    ),
    (
        lambda: begun().then(steps(check()).end_when()),
        "end_when() stands without its when(...). Take it away or add the when.",
    ),
    (lambda: begun().otherwise(), "otherwise() stands outside when(...)."),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).otherwise().otherwise().end_when(),
        "otherwise() stands twice in one when(...).",
    ),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).triggered_by(manual("x")).end_when(),
        "triggered_by() stands inside when(...): put it before the first step.",
    ),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).on_failure(check()).end_when(),
        "on_failure() stands inside when(...): put it before the first step.",
    ),
    (
        lambda: begun().when(lambda s: True, key="w").end_when(),
        'The when "w" does nothing. Add .then(...) before .end_when().',
    ),
    (
        lambda: begun().when(lambda s: True, key="w", otherwise=check()).then(check()).end_when(),
        "when(otherwise=...) also needs then=...",
    ),
]


@pytest.mark.parametrize(("make", "problem"), WHENS)
def test_an_unbalanced_when_is_told(make: Any, problem: str) -> None:
    """mypy finds these before; without it, `build()` does."""
    assert problems_of(make()) == [problem]


async def later(state: object) -> bool:
    return True


TESTS = [
    (True, f"a test was given True, which is decided before the run. {FIX_TEST}"),
    ("critical", f"a test was given 'critical', which is decided before the run. {FIX_TEST}"),
    (check, f"a test was given <activity check>, which is decided before the run. {FIX_TEST}"),
    (output("health"), f'a test was given output("health") alone. {FIX_TEST}'),
    (later, 'a test was given the async function "later". A test only reads the state: make it a plain def.'),
    (
        lambda: True,
        "a test was given a function that cannot be called with the state alone. Write lambda state: ...",
    ),
    (
        lambda state, more: True,
        "a test was given a function that cannot be called with the state alone. Write lambda state: ...",
    ),
    (
        secret("TOKEN") == "x",
        '"w" reads secret("TOKEN"), but secrets are not known where tests are decided. Compare in an activity.',
    ),
    (
        output("helth.status") == "x",
        '"w" reads output("helth.status"), which no earlier step makes. Did you mean "health"? '
        'Known here: "health", "page". Rename the reference, or add .as_("helth") to the node that makes it.',
    ),
    (
        (output("health.status") == "x") & ~(output("page") == 1),
        f'"w" reads output("page"), {MAY_NOT_EXIST}',
    ),
]


@pytest.mark.parametrize(("test", "problem"), TESTS)
@pytest.mark.parametrize(
    "place",
    [
        lambda test: begun().when(test, key="w").then(check()).end_when(),
        lambda test: begun().when(test, key="w", then=check()),
        lambda test: begun().then_loop("w", check(), until=test, at_most=2),
    ],
    ids=["open", "closed", "until"],
)
def test_a_test_that_cannot_be_decided_is_told(place: Any, test: Any, problem: str) -> None:
    """A real bool, a lone reference, a coroutine or an unknown output cannot decide anything in the run."""
    found = [fault.replace('"page", "check"', '"page"') for fault in problems_of(place(test))]

    assert found == [problem]


@pytest.mark.parametrize(
    "test", [itemgetter(0), bool, lambda state: True, lambda state, extra=1: True, lambda *states: True]
)
def test_any_callable_that_takes_the_state_is_a_test(test: Any) -> None:
    """Further parameters with defaults do no harm."""
    begun().when(test, key="w", then=check()).build()


REFERENCES = [
    (
        output("nope"),
        'reads output("nope"), which no earlier step makes. Known here: "health", "page". '
        'Rename the reference, or add .as_("nope") to the node that makes it.',
    ),
    (
        output("nope.x", default="y"),
        'reads output("nope.x"), which no earlier step makes. Known here: "health", "page". '
        'Rename the reference, or add .as_("nope") to the node that makes it.',
    ),
    (output(""), 'reads output(""), or has {} in a text: name the key of an earlier node.'),
    (text("{}"), 'reads output(""), or has {} in a text: name the key of an earlier node.'),
    (output("late"), 'reads output("late"), but "late" comes later. Move one of them.'),
    (output("me"), 'reads output("me"), but "me" comes later. Move one of them.'),
    (output("page"), f'reads output("page"), {MAY_NOT_EXIST}'),
    (output("health.stats"), 'reads output("health.stats"): Health has no field "stats". Did you mean "status"?'),
    (
        output("health.zzz"),
        'reads output("health.zzz"): Health has no field "zzz". '
        "It has: status, disks, by_name, worst, metrics, failed.",
    ),
    (
        output("health.disks.mount"),
        'reads output("health.disks.mount"): "health.disks" is a list; read an element by its index: '
        "health.disks.0.mount",
    ),
    (
        output("health.disks.0.mont"),
        'reads output("health.disks.0.mont"): Disk has no field "mont". Did you mean "mount"?',
    ),
    (
        output("health.status.code"),
        'reads output("health.status.code"): "health.status" is str and has no field "code".',
    ),
    (text("Disk {health.disk}"), 'reads output("health.disk"): Health has no field "disk". Did you mean "disks"?'),
    (
        text("{h.used}", h=output("health.worst.use")),
        'reads output("health.worst.use"): Disk has no field "use". Did you mean "used"?',
    ),
    (text("{"), "has a text with a fault: Single '{' encountered in format string. Write {{ and }} for plain braces."),
    (text("{a!z}", a=1), "has a text with !z in it. It may be !r, !s or !a."),
    (text("{t}", t=secret("TOKEN")), 'puts a secret into text(...). Pass secret("...") on its own.'),
    (
        text(output("health.status")),
        'has a text made of output("health.status"), not of a template. '
        'Write the text itself: text("... {name}", name=...).',
    ),
    (input_data("hst"), 'reads input_data("hst"): Alert has no field "hst". Did you mean "host"?'),
]


@pytest.mark.parametrize(("reference", "problem"), REFERENCES, ids=repr)
def test_a_reference_that_leads_nowhere_is_told(reference: Any, problem: str) -> None:
    """Unknown keys and fields are told with near matches, and where they are read."""
    builder = begun().accepts(Alert).then(notify(reference).as_("me"), check().as_("late"))

    assert problems_of(builder) == [f'"me(text=...)" {problem}']


@pytest.mark.parametrize(
    "place",
    [
        lambda ref: notify("x", details={"a": [ref]}),
        lambda ref: notify("x", details={"a": {"b": (1, ref)}}),
        lambda ref: notify("x", link=Link(href=ref)),
        lambda ref: notify("x", details={"a": {ref}}),
        lambda ref: notify(text("{x}", x=[ref])),
        lambda ref: notify(output("health.status", default=ref)),
        lambda ref: notify("x").as_("me").or_else(notify(ref)),
    ],
)
def test_references_are_checked_at_any_depth(place: Any) -> None:
    """No container hides a reference from `build()`."""
    (problem,) = problems_of(begun().then(place(output("nope"))))

    assert 'reads output("nope"), which no earlier step makes.' in problem


@pytest.mark.parametrize(
    "reference",
    [
        output("health"),
        output("health.failed"),
        output("health.label"),
        output("health.disks.0.mount"),
        output("health.disks.-1"),
        output("health.by_name.root.used"),
        output("health.by_name", "a.b", "used"),
        output("health.worst.used"),
        output("health.metrics.anything.at.all"),
        output("health.nope", default=1),
        output("page", default=None),
        text("{health.status} {n}", n=1),
        input_data("host"),
        input_data(""),
        input_data("nope", default=""),
        run_id(),
        env("HOST"),
        now(),
    ],
    ids=repr,
)
def test_a_reference_that_can_lead_somewhere_is_left_alone(reference: Any) -> None:
    """Fields, properties, computed fields, elements and untyped insides are all good."""
    begun().accepts(Alert).then(notify("x", details={"a": reference})).build()


def test_nothing_is_known_about_an_input_that_is_not_declared() -> None:
    """Without `accepts(...)` any path of the input may exist."""
    begun().then(notify(input_data("anything.at.all"))).build()


SLEEPS_AND_LOOPS = [
    (lambda: begun().then_sleep(5), "then_sleep() takes a timedelta, not 5: then_sleep(timedelta(minutes=5))."),
    (
        lambda: begun().then_sleep(timedelta(seconds=-1)),
        "then_sleep() takes a timedelta, not datetime.timedelta(days=-1, seconds=86399): "
        "then_sleep(timedelta(minutes=5)).",
    ),
    (lambda: begun().then_sleep(output("page"), key="rest"), f'"rest" reads output("page"), {MAY_NOT_EXIST}'),
    (
        lambda: begun().then_sleep(secret("DELAY"), key="rest"),
        '"rest" reads secret("DELAY"), but a secret is no time. Give a timedelta.',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=lambda s: True),
        'The loop "poll" may never end. Give it timeout=timedelta(...) or at_most=N.',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=lambda s: True, at_most=0),
        'The loop "poll" has at_most=0; it takes 1 or more.',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=lambda s: True, at_most=1, every=30),
        'The loop "poll" has every=30; it takes a timedelta.',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=lambda s: True, timeout=60),
        'The loop "poll" has timeout=60; it takes a timedelta.',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=lambda s: True, at_most=1, on_end="stop"),
        'The loop "poll" has on_end=\'stop\'; it takes "fail" or "continue".',
    ),
    (
        lambda: begun().then_loop("poll", steps(), until=lambda s: True, at_most=1),
        'The loop "poll" has no body.',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=output("check.stats") == "ok", at_most=1),
        '"poll" reads output("check.stats"): Health has no field "stats". Did you mean "status"?',
    ),
]


@pytest.mark.parametrize(("make", "problem"), SLEEPS_AND_LOOPS)
def test_a_fault_of_a_sleep_or_loop_is_told(make: Any, problem: str) -> None:
    """A pause needs a time, a loop an end."""
    assert problems_of(make()) == [problem]


def test_a_loop_may_read_its_earlier_round_with_a_default() -> None:
    """In the first round nothing is there yet; afterwards a key means the round before."""
    body = steps(notify(output("check.status", default="unknown")), check())
    begun().then_loop("poll", body, until=lambda state: True, at_most=3).build()

    without = steps(notify(output("check.status")), check())
    assert problems_of(begun().then_loop("poll", without, until=lambda state: True, at_most=3)) == [
        f'"notify(text=...)" reads output("check.status"), {MAY_NOT_EXIST}'
    ]


def test_what_both_arms_make_exists_afterwards() -> None:
    """A key that stands in both arms of one `when` can be read without a default."""
    branched = begun().when(lambda state: True, key="w").then(check().as_("again"))

    branched.otherwise().then(check().as_("again")).end_when().then(notify(output("again.status"))).build()
    assert problems_of(
        branched.otherwise().then(check().as_("else_")).end_when().then(notify(output("again.status")))
    ) == [f'"notify(text=...)" reads output("again.status"), {MAY_NOT_EXIST}']


def test_an_arm_may_read_what_stands_before_it_in_the_arm() -> None:
    """Inside its branch an output exists for certain; in the other arm it does not."""
    opened = start().when(lambda state: True, key="w").then(check())

    opened.then(notify(output("check.status"))).end_when().build()
    assert problems_of(opened.otherwise().then(notify(output("check.status"))).end_when()) == [
        '"notify(text=...)" reads output("check.status"), but "check" comes later. Move one of them.'
    ]


def test_the_output_of_a_node_with_a_fallback_may_not_exist() -> None:
    """Only one of the two runs to its end, and the fallback runs because the other did not."""
    spare = notify(output("check.status"))

    assert problems_of(start().then(check().or_else(notify("x")), login(secret("T"), output("notify")))) == [
        f'"login(user=...)" reads output("notify"), {MAY_NOT_EXIST}'
    ]
    assert problems_of(start().then(check().or_else(spare))) == [
        f'"notify(text=...)" reads output("check.status"), {MAY_NOT_EXIST}'
    ]


NODES = [
    (notify(), 'notify() lacks the argument "text".'),
    (notify("x").with_timeout(5), "with_timeout() takes a timedelta of more than nothing, not 5."),
    (notify("x").with_retry(Retry(attempts=0)), "Retry(attempts=0) must be 1 or more, or None for no limit."),
    (
        notify("x").or_else(check(), after=timedelta(minutes=1)),
        "or_else(after=...) is for paging nodes; notify is not one.",
    ),
    (
        login(token="t0k3n").as_("notify"),
        "token is a secret, and secrets travel by name so that they are never journalled. "
        'Write token=secret("NAME_OF_THE_VARIABLE").',
    ),
    (
        login(token=env("TOKEN")).as_("notify"),
        "token is a secret, and secrets travel by name so that they are never journalled. "
        'Write token=secret("NAME_OF_THE_VARIABLE").',
    ),
]


@pytest.mark.parametrize(("node", "problem"), NODES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_fault_of_a_node_is_told_with_its_key(node: Any, problem: str) -> None:
    """What was wrong with call, settings or declaration comes up in the flow that uses the node."""
    assert problems_of(begun().then(node)) == [f'Node "notify": {problem}']


class TickingPage(Activity[Any, Any]):
    """An activity that asks more of flows with a schedule."""

    def node_problems(self, node: Node[Any], triggers: Sequence[object]) -> Sequence[str]:
        return ["a page at every tick needs a dedup_key."] if any(isinstance(t, Schedule) for t in triggers) else []


def test_an_activity_may_ask_more_of_the_flows_that_use_it() -> None:
    """Providers check each use of their nodes, knowing what starts the flow."""
    page = TickingPage(forgotten, name="vendor.page")().as_("ring")

    start().then(page).build()
    assert problems_of(start().triggered_by(schedule("@hourly")).then(page)) == [
        'Node "ring": a page at every tick needs a dedup_key.'
    ]


def test_a_secret_never_stands_in_an_error() -> None:
    """A token written into the flow by mistake is not repeated on the screen."""
    (problem,) = problems_of(begun().then(login(token="t0k3n-in-the-code")))

    assert "t0k3n-in-the-code" not in problem


@pytest.mark.parametrize("token", [secret("TOKEN"), ""])
def test_a_secret_parameter_takes_a_secret_or_nothing(token: str) -> None:
    """An empty one falls back to what the provider is configured with."""
    begun().then(login(token)).build()


def test_two_activities_under_one_name_are_told() -> None:
    """The journal tells activities apart by name."""
    assert problems_of(begun().then(other_check().as_("other"))) == [
        'Two activities have the name "check". Rename one: @activity(name="...").'
    ]


def test_the_failure_node_reads_the_failure() -> None:
    """In `on_failure` the input is what went wrong, and no output is certain."""
    good = notify(text("{error} at {key}", error=input_data("error"), key=input_data("key"))).as_("sorry")
    begun().accepts(Alert).on_failure(good).build()

    assert problems_of(begun().accepts(Alert).on_failure(notify(input_data("eror")))) == [
        '"notify(text=...)" reads input_data("eror"): FailureInput has no field "eror". Did you mean "error"?'
    ]
    assert problems_of(begun().on_failure(notify(output("health.status")))) == [
        f'"notify(text=...)" reads output("health.status"), {MAY_NOT_EXIST}'
    ]


def test_the_fallbacks_of_the_failure_node_are_checked_too() -> None:
    """The last resort is the worst place for a fault."""
    node = notify("x").as_("first").or_else(notify(output("nope")).as_("health"))

    found = problems_of(begun().on_failure(node))

    assert found[0].startswith('The key "health" stands twice.')
    assert found[1].startswith('"health(text=...)" reads output("nope"), which no earlier step makes.')


def test_the_result_of_a_flow_is_checked() -> None:
    """`returns(...)` reads what exists after the last step."""
    begun().returns({"status": output("health.status"), "paged": output("page", default=False)}).build()

    assert problems_of(begun().returns([output("page"), output("helth")])) == [
        f'"returns()" reads output("page"), {MAY_NOT_EXIST}',
        '"returns()" reads output("helth"), which no earlier step makes. Did you mean "health"? '
        'Known here: "health", "page". Rename the reference, or add .as_("helth") to the node that makes it.',
    ]


@dataclass
class Drive:
    mount: str


class Spot(NamedTuple):
    x: int


class Free(BaseModel):
    model_config = ConfigDict(extra="allow")
    disk: Disk


@pytest.mark.parametrize(
    ("declared", "path", "fault"),
    [
        (Any, "a.b", None),
        (Disk, "", None),
        (Drive, "mount", None),
        (Drive, "mont", 'Drive has no field "mont". Did you mean "mount"?'),
        (Disk | None, "mount", None),
        (Disk | None, "mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (Union[Disk, Drive], "used", None),  # noqa: UP007
        (Disk | Drive, "size", 'Disk has no field "size". It has: mount, used.'),
        (Disk | dict[str, Any], "size", None),
        (None, "x", None),
        (type(None), "x", '"x" is NoneType and has no field "x".'),
        (int, "x", '"x" is int and has no field "x".'),
        (datetime, "year", None),
        (list[Disk], "0.mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (list[Disk], "--1", '"x" is a list; read an element by its index: x.0.--1'),
        (list, "0.x", None),
        (tuple[Disk, ...], "mount", '"x" is a list; read an element by its index: x.0.mount'),
        (tuple[Disk, int], "1", None),
        (dict[str, Disk], "any.mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (dict[str, Disk], "any.mount", None),
        (Spot, "x", None),
        (Free, "anything", None),
        (Free, "disk.mont", 'Disk has no field "mont". Did you mean "mount"?'),
        (RootModel[list[int]], "root.0", None),
        (Disk, "model_dump", 'Disk has no field "model_dump". It has: mount, used.'),
        (Disk, "__class__", 'Disk has no field "__class__". It has: mount, used.'),
        (Sequence[Disk], "0.mount", None),
    ],
)
def test_a_path_is_compared_with_the_declared_type(declared: Any, path: str, fault: str | None) -> None:
    """A path is refused only where the declared type leaves no way for it."""
    assert field_fault(declared, tuple(step for step in path.split(".") if step), "x") == fault

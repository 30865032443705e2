"""Mistakes in the flow itself, its parts and its tests: each fault with the whole text, place and fix."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from resolute.errors import FlowError
from resolute.model.flow import flow, steps
from resolute.model.recipe import Flow
from resolute.model.reference import MISSING
from resolute.model.refs import cursor, input_data, now, output, secret, text
from resolute.model.trigger import manual, schedule
from tests.unit.model.mistakes import MAY_NOT_EXIST, Alert, begun, check, notify, problems_of, start

SHARE = "Put what flows share into steps(...), or start runs of it with then_children(...)."


async def forgotten(url: str = "") -> int: ...


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
        "triggered_by() takes schedule(...), manual(...) or webhook(...), not '* * * * *'.",
    ),
    (
        lambda: start().triggered_by(manual()).then(check()),
        'The trigger "manual:manual" stands twice. Take one away, or give it another name.',
    ),
    (
        lambda: start().triggered_by(schedule(5)).then(check()),
        'schedule(5, timezone=\'UTC\') takes texts: schedule("*/5 * * * *", timezone="Europe/Berlin").',
    ),
    (
        lambda: start().triggered_by(manual("two words")).then(check()),
        'manual(\'two words\') needs a name of letters, digits, ".", "_" and "-".',
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
    (lambda: begun().accepts(dict), "accepts() takes a pydantic model class, not <class 'dict'>: .accepts(MyModel)."),
    (
        lambda: begun().accepts(Alert(host="x")),
        "accepts() takes a pydantic model class, not Alert(host='x', level='low'): .accepts(MyModel).",
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
    (lambda: begun().then([check()]), "then() was given a list. Make one part of it: steps(*parts)."),
    (lambda: begun().then(begun()), f"then() was given a flow. {SHARE}"),
    (lambda: begun().then(begun().build()), f"then() was given a flow. {SHARE}"),
    (
        lambda: begun().then(steps().when(lambda state: True).then(check())),
        "then() was given a when(...) that is not closed: add .end_when().",
    ),
    (
        lambda: begun().when(lambda state: True, then=[check()]),
        "when(then=...) was given a list. Make one part of it: steps(*parts).",
    ),
    (
        lambda: begun().when(lambda state: True, then=check(), otherwise=check),
        'when(otherwise=...) was given the activity "check" itself. Call it: check(...).',
    ),
    (lambda: begun().then(steps(check)), 'then() was given the activity "check" itself. Call it: check(...).'),
    (lambda: begun().then(None), "then() takes nodes and steps(...), not None: call the activity."),
    (
        lambda: begun().then(steps().when(lambda s: True, key="w")),
        "then() was given a when(...) that is not closed: add .end_when().",
    ),
    (
        lambda: begun().then_loop("poll", check, until=lambda s: True, at_most=1),
        'then_loop() was given the activity "check" itself. Call it: check(...).',
    ),
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
    (lambda: begun().otherwise(), "otherwise() stands outside when(...). Put it before the when's .end_when()."),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).otherwise().otherwise().end_when(),
        "otherwise() stands twice in one when(...). Put .end_when() before it.",
    ),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).triggered_by(manual("x")).end_when(),
        "triggered_by() stands inside when(...): put it before the first step.",
    ),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).with_timeout(timedelta(hours=1)).end_when(),
        "with_timeout() stands inside when(...): put it before the first step.",
    ),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).with_cursor("n", int, start=1).end_when(),
        "with_cursor() stands inside when(...): put it before the first step.",
    ),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).accepts(Alert).end_when(),
        "accepts() stands inside when(...): put it before the first step.",
    ),
    (
        lambda: begun().when(lambda s: True, key="w").then(check()).returns(1).end_when(),
        "returns() stands inside when(...): put it before the first step.",
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
        "when(otherwise=...) also needs then=...: when(test, then=a(...), otherwise=b(...)).",
    ),
]


@pytest.mark.parametrize(("make", "problem"), WHENS)
def test_an_unbalanced_when_is_told(make: Any, problem: str) -> None:
    """mypy finds these before; without it, `build()` does."""
    assert problems_of(make()) == [problem]


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


def test_the_fallback_of_the_failure_node_knows_its_output() -> None:
    """It runs because there is none, so that a default is needed, and a field that exists."""
    begun().on_failure(check().or_else(notify(output("check.status", default="")))).build()

    assert problems_of(begun().on_failure(check().or_else(notify(output("check.stats"))))) == [
        f'"notify(text=...)" reads output("check.stats"), {MAY_NOT_EXIST}',
        '"notify(text=...)" reads output("check.stats"): Health has no field "stats". Did you mean "status"?',
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


SETTINGS = ["triggered_by", "accepts", "returns", "on_failure", "with_timeout", "with_cursor"]


@pytest.mark.parametrize("method", SETTINGS)
def test_a_setting_of_the_flow_at_its_steps_is_told(method: str) -> None:
    """mypy finds these before; without it, `build()` does."""
    part = getattr(steps(check()), method)(manual())

    assert problems_of(begun().then(part)) == [
        f"{method}() stands at steps(...): put it at the flow, before its first step."
    ]


def test_steps_that_are_built_are_told() -> None:
    """A part has no triggers, so nothing could ever start it."""
    assert problems_of(steps(check, check())) == [
        'then() was given the activity "check" itself. Call it: check(...).',
        "steps(...) is a part of flows and no flow itself. "
        'Put it into one: flow("...").triggered_by(...).then(steps(...)).build().',
    ]


@pytest.mark.parametrize("timeout", [5, timedelta(0), timedelta(seconds=-1)], ids=repr)
def test_a_time_limit_that_is_none_is_told(timeout: Any) -> None:
    """A run needs some time; a number does not say of what."""
    assert problems_of(begun().with_timeout(timeout)) == [
        f"with_timeout() takes a timedelta of more than nothing, not {timeout!r}: .with_timeout(timedelta(hours=1))."
    ]


class Opaque:
    """A class that pydantic knows nothing of."""


NEEDS = "Use one such as datetime, int or str."
CURSORS = [
    (
        ("two words", int),
        "The cursor name 'two words' is not an identifier. Use letters, digits and _, a letter first.",
    ),
    ((5, int), "The cursor name 5 is not an identifier. Use letters, digits and _, a letter first."),
    ((["n"], int), "The cursor name ['n'] is not an identifier. Use letters, digits and _, a letter first."),
    (("since", int), 'with_cursor("since") stands twice. Take one away, or give it another name.'),
    (("n", Opaque), f'with_cursor("n") has the type Opaque, which cannot be recorded. {NEEDS}'),
    (("n", "Nowhere"), f"with_cursor(\"n\") has the type 'Nowhere', which cannot be recorded. {NEEDS}"),
    (("n", 5), f'with_cursor("n") has the type 5, which cannot be recorded. {NEEDS}'),
    (("n", Alert), f'with_cursor("n") has the type Alert, whose values cannot be compared with <. {NEEDS}'),
    (
        ("n", dict[str, int]),
        f'with_cursor("n") has the type dict[str, int], whose values cannot be compared with <. {NEEDS}',
    ),
    (
        ("n", int, "many"),
        'with_cursor("n", start=...) does not take this value: Input should be a valid integer, '
        "unable to parse string as an integer. It holds values of the type int.",
    ),
    (
        ("n", datetime, now()),
        'with_cursor("n", start=...) was given now(), which has no value before a run. '
        'Write cursor("n", default=...) where it is read.',
    ),
]


@pytest.mark.parametrize(("declared", "problem"), CURSORS)
def test_a_fault_of_a_cursor_is_told(declared: tuple[Any, ...], problem: str) -> None:
    """Name, type and start of what a flow keeps from run to run."""
    name, kind, *start = declared
    builder = begun().with_cursor("since", datetime, start=datetime(2026, 1, 1))

    assert problems_of(builder.with_cursor(name, kind, start=start[0] if start else MISSING)) == [problem]


def test_a_cursor_with_a_fault_is_told_once() -> None:
    """What is moved to it is looked at when its type is mended."""
    assert problems_of(begun().with_cursor("n", Opaque).then_advance("n", 5)) == [
        f'with_cursor("n") has the type Opaque, which cannot be recorded. {NEEDS}'
    ]


@pytest.mark.parametrize("kind", [int, datetime, str, int | None, Any, list[int], tuple[int, str], float, date])
def test_a_cursor_holds_whatever_is_recorded_and_has_an_order(kind: Any) -> None:
    """Where nobody knows whether there is an order, the run finds out."""
    begun().with_cursor("seen", kind).then(notify(cursor("seen"))).build()

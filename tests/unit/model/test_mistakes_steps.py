"""Mistakes in steps that are no nodes: each fault with the whole text."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from resolute.model.flow import FlowBuilder, steps
from resolute.model.refs import cursor, input_data, now, output, secret, text
from tests.unit.model.mistakes import (
    MAY_NOT_EXIST,
    Alert,
    begun,
    check,
    login,
    notify,
    problems_of,
    start,
    users,
)


def always(state: object) -> bool:
    return True


ONCE: dict[str, Any] = {"until": always, "at_most": 1}
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
        'The loop "poll" has at_most=0; it takes a whole number from 1.',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=lambda s: True, at_most=1, every=30),
        'The loop "poll" has every=30; it takes a timedelta: timedelta(seconds=30).',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=lambda s: True, timeout=60),
        'The loop "poll" has timeout=60; it takes a timedelta of more than nothing: timedelta(hours=1).',
    ),
    (
        lambda: begun().then_loop("poll", check(), until=lambda s: True, at_most=1, on_end="stop"),
        'The loop "poll" has on_end=\'stop\'; it takes "fail" or "continue".',
    ),
    (
        lambda: begun().then_loop("poll", steps(), until=lambda s: True, at_most=1),
        'The loop "poll" has no body. Give it a node or steps(...).',
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


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"at_most": "3"}, "has at_most='3'; it takes a whole number from 1."),
        ({"at_most": True}, "has at_most=True; it takes a whole number from 1."),
        (
            {"timeout": timedelta(0)},
            "has timeout=datetime.timedelta(0); it takes a timedelta of more than nothing: timedelta(hours=1).",
        ),
        ({"at_most": 1, "every": None}, "has every=None; it takes a timedelta: timedelta(seconds=30)."),
        ({"at_most": 1, "on_end": output("health")}, 'has on_end=output("health"); it takes "fail" or "continue".'),
    ],
)
def test_a_setting_of_a_wrong_type_is_told(settings: dict[str, Any], problem: str) -> None:
    """Whatever stands there, the list of faults is complete and no error of Python."""
    assert problems_of(begun().then_loop("poll", check(), until=always, **settings)) == [f'The loop "poll" {problem}']


BESIDE = (
    'but "a" is made at the same time, in another branch of "both". '
    "Read it after that step, or put both into one branch."
)
a, b = check().as_("a"), check().as_("b")
PARALLEL = [
    (
        lambda: begun().then_parallel("both"),
        ['The parallel "both" has no branches. Give it parts: then_parallel("both", a(...), b(...)).'],
    ),
    (
        lambda: begun().then_parallel("both", check(), steps()),
        ['Part 2 of the parallel "both" does nothing. Take it away, or put a node into it.'],
    ),
    (
        lambda: begun().then_parallel("both", a, check),
        [
            'then_parallel() was given the activity "check" itself. Call it: check(...).',
            'Part 2 of the parallel "both" does nothing. Take it away, or put a node into it.',
        ],
    ),
    (
        lambda: begun().then_parallel("both", a, notify(output("a.status"))),
        [f'"notify(text=...)" reads output("a.status"), {BESIDE}'],
    ),
    (
        lambda: begun().then_parallel("both", notify(output("a.status", default="")), a),
        [f'"notify(text=...)" reads output("a.status"), {BESIDE}'],
    ),
    (
        lambda: begun().then_parallel("both", steps().then_parallel("inner", a, b), notify(output("a.status"))),
        [f'"notify(text=...)" reads output("a.status"), {BESIDE}'],
    ),
    (
        lambda: begun().then_parallel("both", a, steps().when(output("a.status") == "x", key="w", then=b)),
        [f'"w" reads output("a.status"), {BESIDE}'],
    ),
    (
        lambda: begun().then_loop("l", steps().then_parallel("both", a, notify(output("a.status"))), **ONCE),
        [f'"notify(text=...)" reads output("a.status"), {BESIDE}'],
    ),
    (
        lambda: begun().then_parallel("both", steps().when(always, then=a), b).then(notify(output("a.status"))),
        [f'"notify(text=...)" reads output("a.status"), {MAY_NOT_EXIST}'],
    ),
]


@pytest.mark.parametrize(("make", "problems"), PARALLEL)
def test_a_fault_of_a_parallel_is_told(make: Any, problems: list[str]) -> None:
    """Branches go on side by side: none can wait for what another one makes."""
    assert problems_of(make()) == problems


def test_a_branch_sees_what_was_there_and_what_it_makes() -> None:
    """After the join everything is known that is certain in its branch."""
    branch = steps(a, notify(output("a.status"), details={"h": output("health.status")}))

    begun().then_parallel("both", branch, b).then(notify(output("a.status")).as_("x"), login("", output("b"))).build()


def test_a_branch_in_a_loop_may_read_the_round_before_with_a_default() -> None:
    """What another branch made in an earlier round is there, but not in the first."""
    both = steps().then_parallel("both", a, notify(output("a.status", default="unknown")))

    begun().then_loop("poll", both, until=always, at_most=3).build()


EACH = [
    (lambda: each(body=steps()), 'The each "all" has no body. Give it a node or steps(...).'),
    (lambda: each(limit=0), 'The each "all" has limit=0; it takes a whole number from 1.'),
    (lambda: each(limit=2.5), 'The each "all" has limit=2.5; it takes a whole number from 1.'),
    (lambda: each(limit=output("n")), 'The each "all" has limit=output("n"); it takes a whole number from 1.'),
    (lambda: each(keep_going="no"), "The each \"all\" has keep_going='no'; it takes True or False."),
    (lambda: each(on_error="stop"), 'The each "all" has on_error=\'stop\'; it takes "fail" or "continue".'),
    (
        lambda: each(over="abc"),
        "all(over=...) takes a list or a reference to one, not 'abc': output(\"...\"), or [...].",
    ),
    (
        lambda: each(over=range(3)),
        'all(over=...) takes a list or a reference to one, not range(0, 3): output("..."), or [...].',
    ),
    (
        lambda: each(over=users()),
        'all(over=...) was given a node. Nodes hand values on by reference: write output("users") in its place.',
    ),
    (
        lambda: each(over=output("health")),
        '"all(over=...)" reads output("health"), which is Health and no list. '
        'Refer to a list, or write [output("health")] for a single one.',
    ),
    (
        lambda: each(over=text("{health.status}")),
        "\"all(over=...)\" reads text('{health.status}'), which is str and no list. "
        "Refer to a list, or write [text('{health.status}')] for a single one.",
    ),
    (
        lambda: each(over=now()),
        '"all(over=...)" reads now(), which is datetime and no list. '
        "Refer to a list, or write [now()] for a single one.",
    ),
    (
        lambda: each(over=input_data("host")).accepts(Alert),
        '"all(over=...)" reads input_data("host"), which is str and no list. '
        'Refer to a list, or write [input_data("host")] for a single one.',
    ),
    (
        lambda: each(over=cursor("seen")).with_cursor("seen", int),
        '"all(over=...)" reads cursor("seen"), which is int and no list. '
        'Refer to a list, or write [cursor("seen")] for a single one.',
    ),
    (
        lambda: each(over=[secret("A")]),
        '"all(over=...)" reads secret("A"), but a secret must not be recorded. '
        "Read it with secret(...) in the node that needs it.",
    ),
    (lambda: each(over=output("page")), f'"all(over=...)" reads output("page"), {MAY_NOT_EXIST}'),
    (lambda: each(body=check), 'then_each(body=...) was given the activity "check" itself. Call it: check(...).'),
]


def each(over: Any = (1, 2), body: Any = a, **settings: Any) -> FlowBuilder:
    return begun().then_each("all", over=over, body=body, **settings)


@pytest.mark.parametrize(("make", "problem"), EACH)
def test_a_fault_of_an_each_is_told(make: Any, problem: str) -> None:
    """It takes a list, a body and settings that make sense."""
    assert problems_of(make())[0] == problem


@pytest.mark.parametrize(
    "over", [[], [1, {"a": output("health")}], output("health.disks"), output("health.metrics.x"), input_data("hosts")]
)
def test_an_each_takes_any_list(over: Any) -> None:
    """Written out, or a reference to what is a list or may be one."""
    each(over).build()


GATE = [
    ({"timeout": 60}, "has timeout=60; it takes a timedelta of more than nothing: timedelta(hours=1)."),
    (
        {"timeout": timedelta(0)},
        "has timeout=datetime.timedelta(0); it takes a timedelta of more than nothing: timedelta(hours=1).",
    ),
    ({"on_timeout": None}, 'has on_timeout=None; it takes "fail" or "continue".'),
    ({"on_reject": "stop"}, 'has on_reject=\'stop\'; it takes "fail" or "continue".'),
]


@pytest.mark.parametrize(("settings", "problem"), GATE)
def test_a_fault_of_a_gate_is_told(settings: dict[str, Any], problem: str) -> None:
    """A gate waits for a time, or for ever."""
    assert problems_of(begun().then_gate("approve", **settings)) == [f'The gate "approve" {problem}']


child = start().accepts(Alert).then(check()).build()
CHILDREN = [
    ({"flow": start()}, "then_children() was given a flow that is not finished: add .build()."),
    ({"flow": 5}, "then_children() takes a flow or the name of one, not 5."),
    (
        {"flow": "two words"},
        "then_children() was given 'two words', which cannot be the name of a flow. Give the flow itself, or its name.",
    ),
    ({"limit": True}, 'The children "hosts" have limit=True; it takes a whole number from 1.'),
    ({"on_error": "stop"}, 'The children "hosts" have on_error=\'stop\'; it takes "fail" or "continue".'),
    (
        {"inputs": {"host": "x"}},
        "hosts(inputs=...) takes a list or a reference to one, not {'host': 'x'}: output(\"...\"), or [...].",
    ),
    (
        {"inputs": output("health.status")},
        '"hosts(inputs=...)" reads output("health.status"), which is str and no list. '
        'Refer to a list, or write [output("health.status")] for a single one.',
    ),
    (
        {"inputs": [{"host": output("page")}]},
        f'"hosts(inputs=...)" reads output("page"), {MAY_NOT_EXIST}',
    ),
    (
        {"inputs": [{"host": "x"}, {"hst": "x"}]},
        'inputs[1] of the children "hosts" is not what the flow "disk-full" accepts: host: Field required. '
        "Make it fit Alert.",
    ),
    (
        {"inputs": [{"host": secret("HOST")}]},
        '"hosts(inputs=...)" reads secret("HOST"), but a secret must not be recorded. '
        "Read it with secret(...) in the node that needs it.",
    ),
]


@pytest.mark.parametrize(("settings", "problem"), CHILDREN)
def test_a_fault_of_children_is_told(settings: dict[str, Any], problem: str) -> None:
    """They are runs of a flow, one for each input of a list, and inputs that stand there are tried."""
    arguments = {"flow": child, "inputs": [], **settings}

    assert problems_of(begun().then_children("hosts", **arguments)) == [problem]


CURSOR = [
    (
        lambda: moving("sinse", now()),
        'then_advance("sinse", ...) moves a cursor which the flow does not declare. Did you mean "since"? '
        'Known here: "since". Rename it, or add .with_cursor("sinse", datetime, start=...).',
    ),
    (
        lambda: begun().then_advance("since", now()),
        'then_advance("since", ...) moves a cursor which the flow does not declare. '
        'Known here: nothing. Rename it, or add .with_cursor("since", datetime, start=...).',
    ),
    (
        lambda: moving(cursor("since"), now()),
        'then_advance() takes the name of a cursor, not cursor("since"): then_advance("...", ...).',
    ),
    (
        lambda: moving("since", "soon"),
        'then_advance("since", ...) does not take this value: '
        "Input should be a valid datetime or date, input is too short. It holds values of the type datetime.",
    ),
    (
        lambda: moving("since", check()),
        'page~advance(to=...) was given a node. Nodes hand values on by reference: write output("check") in its place.',
    ),
    (
        lambda: moving("since", secret("SINCE")),
        '"page~advance(to=...)" reads secret("SINCE"), but a secret must not be recorded. '
        "Read it with secret(...) in the node that needs it.",
    ),
    (lambda: moving("since", output("page")), f'"page~advance(to=...)" reads output("page"), {MAY_NOT_EXIST}'),
]


def moving(name: Any, to: Any) -> FlowBuilder:
    return begun().with_cursor("since", datetime).then_advance(name, to)


@pytest.mark.parametrize(("make", "problem"), CURSOR)
def test_a_fault_of_an_advance_is_told(make: Any, problem: str) -> None:
    """A cursor is declared, named, and moved to values of its type."""
    assert problems_of(make()) == [problem]


@pytest.mark.parametrize("to", [now(), datetime(2026, 1, 1), "2026-01-01T00:00:00Z", output("health.status")])
def test_a_cursor_moves_to_what_fits_its_type(to: Any) -> None:
    """What a reference leads to is checked in the run."""
    moving("since", to).build()

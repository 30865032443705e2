"""Mistakes in references to what each, gates, children, cursors and undo make: whole texts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute.model.flow import FlowBuilder, steps
from resolute.model.refs import cursor, input_data, item, output, text
from tests.unit.model.mistakes import (
    MAY_NOT_EXIST,
    begun,
    check,
    login,
    notify,
    problems_of,
    release,
    start,
    users,
)

USERS = output("users")


def each(body: Any, over: Any = USERS) -> FlowBuilder:
    return begun().then(users()).then_each("all", over=over, body=body)


ITEMS = [
    (
        item("nam"),
        'reads item("nam"): User has no field "nam". Did you mean "name"?',
    ),
    (
        item("name.first"),
        'reads item("name.first"): "item.name" is str and has no field "first". Read it whole, as "item.name".',
    ),
    (
        item("tags.first"),
        'reads item("tags.first"): "item.tags" is a list; read an element by its index: item.tags.0.first',
    ),
    (
        item("label"),
        'reads item("label"): "item" is recorded as plain data, and User.label is no field. It has: id, name, tags.',
    ),
    (item("nam", default=""), None),
    (item("tags.0"), None),
    (item(), None),
]


@pytest.mark.parametrize(("reference", "problem"), ITEMS, ids=repr)
def test_a_field_that_the_items_lack_is_told(reference: Any, problem: str | None) -> None:
    """Where the list's element type is declared, paths of its items are compared with it."""
    builder = each(notify("x", details={"a": reference}))

    if problem is None:
        builder.build()
    else:
        assert problems_of(builder) == [f'"notify(details=...)" {problem}']


def test_an_item_of_an_inner_each_has_the_inner_type() -> None:
    """Each stands for its own list; the outer item gives the inner list."""
    inner = steps().then_each("tags", over=item("tags"), body=notify(item("")))
    each(inner).build()

    assert problems_of(each(steps().then_each("tags", over=item("tags"), body=notify(item("name"))))) == [
        '"notify(text=...)" reads item("name"): "item" is str and has no field "name". Read it whole, as "item".'
    ]
    assert problems_of(each(steps().then_each("tags", over=item("name"), body=notify("x")))) == [
        '"tags(over=...)" reads item("name"), which is str and no list. '
        'Refer to a list, or write [item("name")] for a single one.'
    ]


@pytest.mark.parametrize("over", [[{"id": 1}], input_data("users"), output("health.metrics.users")])
def test_nothing_is_known_about_items_that_are_not_declared(over: Any) -> None:
    """Any path of them may exist."""
    each(notify(item("anything.at.all")), over).build()


NO_EACH = 'but it stands in no then_each(...). Read it inside a body: then_each("...", over=output("..."), body=...).'


@pytest.mark.parametrize(
    "place",
    [
        lambda node: begun().then(node),
        lambda node: each(notify("x")).then(node.as_("after")),
        lambda node: begun().on_failure(node),
        lambda node: begun().then(check().undo(node)),
    ],
)
def test_an_item_outside_of_an_each_is_told(place: Any) -> None:
    """There is nothing that it could mean, with a default or without."""
    (problem,) = problems_of(place(notify(item("name", default=""))))

    assert problem.partition(" ")[2] == f'reads item("name"), {NO_EACH}'


def test_items_stand_wherever_references_do_in_a_body() -> None:
    """In tests, loops, pauses, branches and in nodes that undo another."""
    body = (
        steps(notify(item("name")).undo(release(text("{n}", n=item("name")))))
        .when(item("id") > 5, key="big", then=steps().then_sleep(item("id"), key="rest"))
        .then_loop("poll", check(item("name")), until=item("id") == output("check.status"), at_most=2)
        .then_parallel("both", login("", item("name")), steps().then_advance("seen", item("id")))
    )
    each(body).with_cursor("seen", int).build()


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        (
            output("notify"),
            'reads output("notify"), which is made once for each item of "all", and not at all for an empty list. '
            'Read all of them with output("all.results"), or give a default: output(..., default=...).',
        ),
        (
            output("all.result"),
            'reads output("all.result"): EachResult has no field "result". Did you mean "results"?',
        ),
        (output("notify", default=None), None),
        (output("all.results.0.notify"), None),
        (output("all.errors.0.item.name"), None),
    ],
    ids=repr,
)
def test_after_an_each_its_results_are_read(reference: Any, problem: str | None) -> None:
    """The outputs of the body have no single meaning any more; the list of results has."""
    builder = each(notify("x")).then(notify(reference).as_("after"))

    if problem is None:
        builder.build()
    else:
        assert problems_of(builder) == [f'"after(text=...)" {problem}']


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        (output("ok.bye"), 'reads output("ok.bye"): GateAnswer has no field "bye". Did you mean "by"?'),
        (
            output("hosts.ids"),
            'reads output("hosts.ids"): ChildrenResult has no field "ids". Did you mean "run_ids"?',
        ),
        (output("ok.approved"), None),
        (output("ok.data.ticket"), None),
        (output("hosts.results.0.anything"), None),
    ],
    ids=repr,
)
def test_what_gates_and_children_put_out_is_known(reference: Any, problem: str | None) -> None:
    """Their outputs are certain, and of types of our own."""
    builder = start().then_gate("ok").then_children("hosts", "child", inputs=[]).then(notify(reference))

    if problem is None:
        builder.build()
    else:
        assert problems_of(builder) == [f'"notify(text=...)" {problem}']


@pytest.mark.parametrize(
    ("key", "what"),
    [("w", "a when"), ("rest", "a pause"), ("l", "a loop"), ("both", "a parallel"), ("moved", "an advance")],
)
def test_a_step_that_puts_out_nothing_is_told_as_such(key: str, what: str) -> None:
    """No node can be given its key, so that is not what is proposed."""
    builder = (
        start()
        .with_cursor("seen", int)
        .when(lambda state: True, key="w", then=check())
        .then_sleep(timedelta(0), key="rest")
        .then_loop("l", notify("x"), until=lambda state: True, at_most=1)
        .then_parallel("both", users(), release())
        .then_advance("seen", 1, key="moved")
        .then(notify(output(key)).as_("last"))
    )

    assert problems_of(builder) == [
        f'"last(text=...)" reads output("{key}"), but "{key}" is the key of {what}, which puts out nothing. '
        "Read the output of a node."
    ]


@pytest.mark.parametrize(("name", "hint"), [("sinse", ' Did you mean "since"?'), ("x", "")])
def test_a_cursor_that_is_not_declared_is_told(name: str, hint: str) -> None:
    """The flow says which cursors it keeps, and of which type."""
    assert problems_of(begun().with_cursor("since", int).then(notify(cursor(name, default="")))) == [
        f'"notify(text=...)" reads cursor("{name}"), which the flow does not declare.{hint} '
        f'Known here: "since". Rename it, or add .with_cursor("{name}", datetime, start=...).'
    ]


UNDONE = (
    'but "release" undoes "check": it runs when the run has failed or was cancelled, '
    "and nothing reads what it puts out. Take the reference away."
)


@pytest.mark.parametrize(
    "builder",
    [
        begun().then(check().undo(release()), notify(output("release", default=""))),
        begun().then(check().undo(release().or_else(notify(output("release"))))),
        begun().then(check().undo(release())).on_failure(notify(output("release"))),
    ],
)
def test_what_an_undo_puts_out_is_read_by_nobody(builder: FlowBuilder) -> None:
    """It runs after everything else, if it runs at all."""
    assert problems_of(builder) == [f'"notify(text=...)" reads output("release"), {UNDONE}']


def test_an_undo_reads_what_was_known_right_after_its_node() -> None:
    """The node has succeeded when it is undone, and later nodes may never have run."""
    good = (
        check().undo(release(output("check.status"))).or_else(users().undo(release(output("users.0.name")).as_("r2")))
    )
    begun().then(good).build()

    assert problems_of(begun().then(check().undo(release(output("later"))), notify("x").as_("later"))) == [
        '"release(text=...)" reads output("later"), but "later" comes later. Move one of them.'
    ]
    assert problems_of(begun().then(check().or_else(users().undo(release(output("check.status")))))) == [
        f'"release(text=...)" reads output("check.status"), {MAY_NOT_EXIST}'
    ]

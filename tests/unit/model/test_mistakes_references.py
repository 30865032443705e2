"""Mistakes in references: what they read does not exist there, or has no such field. Whole texts."""

from __future__ import annotations

from typing import Any

import pytest

from resolute.model.flow import steps
from resolute.model.refs import env, input_data, now, output, run_id, secret, text
from tests.unit.model.mistakes import (
    MAY_NOT_EXIST,
    Alert,
    Link,
    begun,
    check,
    login,
    notify,
    problems_of,
    start,
)

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
        'reads output("health.status.code"): "health.status" is str and has no field "code". '
        'Read it whole, as "health.status".',
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
    for key in ("again", "else_"):
        one_each = branched.otherwise().then(check().as_("else_")).end_when()
        assert problems_of(one_each.then(notify(output(f"{key}.status")))) == [
            f'"notify(text=...)" reads output("{key}.status"), {MAY_NOT_EXIST}'
        ]


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

"""Conditions: comparisons of references that are decided in the run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from resolute.errors import NodeMisuse
from resolute.model.reference import Condition, MissingValue
from resolute.model.refs import input_data, now, output

Recorded = Callable[..., Any]

n, health = output("n"), output("health")
SCOPE = {"n": 3, "m": 5, "health": {"status": "critical"}, "none": None}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (n == 3, True),
        (n != 3, False),
        (n < 3, False),
        (n <= 3, True),
        (n > output("m"), False),
        (n >= output("m"), False),
        (4 > n, True),  # noqa: SIM300
        (output("none") == None, True),  # noqa: E711
        (health == {"status": "critical"}, True),
        (output("health.status") == "critical", True),
        ((n == 3) & (output("m") == 5), True),
        ((n == 3) & (output("m") == 6), False),
        ((n == 4) | (output("m") == 5), True),
        ((n == 4) | (output("m") == 6), False),
        (~(n == 3), False),
        (~(n == 4) & ~(output("m") == 6), True),
        (now() - timedelta(hours=1) < now(), True),
        (input_data("host", default="") == "", True),
    ],
    ids=repr,
)
def test_a_condition_is_decided_by_recorded_values(recorded: Recorded, condition: Condition, holds: bool) -> None:
    """Comparisons and their combinations mean what they mean in Python."""
    assert condition.holds(recorded(outputs=SCOPE, given={})) is holds


@pytest.mark.parametrize("condition", [(n == 4) & (output("nope") == 1), (n == 3) | (output("nope") == 1)], ids=repr)
def test_the_right_side_is_left_alone_once_the_left_decides(recorded: Recorded, condition: Condition) -> None:
    """`&` and `|` stop early, so the right side may read what exists only if the left one says so."""
    condition.holds(recorded(outputs=SCOPE))


def test_a_condition_that_reads_what_is_missing_raises(recorded: Recorded) -> None:
    """A test without an answer is no answer: the run fails visibly."""
    with pytest.raises(MissingValue, match=r'There is no output "nope"\.'):
        (output("nope") == 1).holds(recorded(outputs=SCOPE))


def test_a_condition_lists_the_references_it_reads() -> None:
    """`build()` checks both sides, nested conditions and values inside lists."""
    condition = ((n == output("m")) | ~(health != [output("x")])) & (output("y") == 1)

    assert [repr(ref) for ref in condition.references()] == [
        f'output("{key}")' for key in ("n", "m", "health", "x", "y")
    ]


@pytest.mark.parametrize(
    ("use", "shown"),
    [
        (lambda: bool(n == 3), '(output("n") == 3)'),
        (lambda: 1 if n == 3 else 2, '(output("n") == 3)'),
        (lambda: (n == 3) and (n == 4), '(output("n") == 3)'),
        (lambda: not (n == 3), '(output("n") == 3)'),  # noqa: SIM201
        (lambda: 1 < n < 5, '(output("n") > 1)'),
        (lambda: n in [1, 2], '(output("n") == 1)'),
        (lambda: bool(~(n == 3) | (n < 1)), '(~((output("n") == 3)) | (output("n") < 1))'),
    ],
)
def test_a_condition_used_as_a_truth_value_raises_with_the_fix(use: Callable[[], Any], shown: str) -> None:
    """`if output("x") == 1:` would be decided when the flow is written; it raises instead."""
    with pytest.raises(NodeMisuse) as caught:
        use()

    assert str(caught.value) == (
        f"{shown} was used as a truth value, but it is decided in the run. "
        "Give it to when(...), combine it with &, | and ~ (not `and`, `or`, `not`), "
        "or use a predicate: lambda state: ..."
    )


def test_references_can_be_members_of_sets_and_keys() -> None:
    """Comparing makes conditions, but a reference is still itself for dicts and sets."""
    assert {n: "held"}[n] == "held"
    assert len({n, output("n")}) == 2

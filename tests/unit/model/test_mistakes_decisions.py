"""Mistakes in the tests of `when` and `then_loop`: each fault with the whole text."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import pytest

from resolute.model.refs import output, secret
from tests.unit.model.mistakes import MAY_NOT_EXIST, begun, check, problems_of

FIX_TEST = 'Compare a reference (output("x") == 1) or give a function: lambda state: ...'


async def later(state: object) -> bool:
    return True


TESTS = [
    (True, f"a test was given True, which is decided before the run. {FIX_TEST}"),
    ("critical", f"a test was given 'critical', which is decided before the run. {FIX_TEST}"),
    (check, f"a test was given <activity check>, which is decided before the run. {FIX_TEST}"),
    (check(), f'a test was given <node "check" of check>, which is decided before the run. {FIX_TEST}'),
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

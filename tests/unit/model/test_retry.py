"""`Retry`: how long the waits are, and what ends them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolute.errors import (
    ActivityError,
    AttemptTimeout,
    InputError,
    OutputError,
    ProviderOutcomeUnknown,
    ProviderRejected,
    ProviderUnavailable,
)
from resolute.model.retry import Retry


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("retry", "waits_s"),
    [
        (Retry(), [1, 2, 4, 8, 16, 32, 60, 60]),
        (Retry(initial=s(10), maximum=s(25)), [10, 20, 25, 25]),
        (Retry(coefficient=1), [1, 1, 1]),
        (Retry(initial=s(0.5), coefficient=3, maximum=s(10)), [0.5, 1.5, 4.5, 10]),
        (Retry(initial=s(90)), [60, 60]),
        (Retry(initial=s(0)), [0, 0, 0]),
        (Retry(maximum=s(0)), [0, 0]),
        (Retry(coefficient=1.5, maximum=s(2)), [1, 1.5, 2]),
    ],
)
def test_waits_grow_up_to_the_maximum(retry: Retry, waits_s: list[float]) -> None:
    """The wait after failure n is initial x coefficient^(n-1), and never more than the maximum."""
    assert [retry.backoff(n + 1, 0.0) for n in range(len(waits_s))] == [s(wait) for wait in waits_s]


@pytest.mark.parametrize(
    ("retry", "longest"),
    [
        (Retry(), s(60)),
        (Retry(initial=timedelta(microseconds=1), coefficient=10), s(60)),
        (Retry(coefficient=1e200), s(60)),
        (Retry(coefficient=float("inf")), s(60)),
        (Retry(initial=s(0), coefficient=1e300), s(0)),
        (Retry(initial=timedelta.max, maximum=timedelta.max), timedelta.max),
    ],
)
@pytest.mark.parametrize("failures", [100, 10_000_000])
def test_no_number_of_failures_is_too_large(retry: Retry, longest: timedelta, failures: int) -> None:
    """A page that is retried for a day must not end in an overflow."""
    assert retry.backoff(failures, 0.0) == longest


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_jitter_shortens_a_wait_by_its_part_at_most(failures: int, jitter: float, random: float) -> None:
    """The wait lies between (1 - jitter) and the whole of what it would be without."""
    whole = Retry().backoff(failures, random)
    wait = Retry(jitter=jitter).backoff(failures, random)

    assert whole * (1 - jitter) - s(1e-6) <= wait <= whole


@pytest.mark.parametrize(("random", "wait_s"), [(0.0, 8), (0.5, 6), (1.0, 4)])
def test_jitter_is_drawn_from_the_given_number(random: float, wait_s: float) -> None:
    """The engine brings the number, so that a simulation can repeat it."""
    assert Retry(jitter=0.5).backoff(4, random) == s(wait_s)


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (ProviderUnavailable("429", retry_after=s(7)), s(7)),
        (ProviderUnavailable("429", retry_after=DAY), DAY),
        (ProviderUnavailable("429", retry_after=s(0)), s(0)),
        (ActivityError("busy", retry_after=s(90)), s(90)),
        (ProviderUnavailable("503"), s(4)),
        (ActivityError("x"), s(4)),
        (ValueError("x"), s(4)),
        (TimeoutError("x"), s(4)),
    ],
    ids=repr,
)
def test_a_time_that_the_error_names_comes_first(error: Exception, wait: timedelta) -> None:
    """A server that says when to come back is believed, beyond the maximum too."""
    assert Retry(jitter=0.0).wait(3, error, random=1.0) == wait


class Boom(ValueError):
    """An error of a user."""


@pytest.mark.parametrize(
    ("retry", "error", "permanent"),
    [
        (Retry(), ValueError("x"), False),
        (Retry(), ProviderRejected("400"), True),
        (Retry(), ProviderUnavailable("503"), False),
        (Retry(), ProviderOutcomeUnknown("500"), False),
        (Retry(), ActivityError("x"), False),
        (Retry(), ActivityError("x", permanent=True), True),
        (Retry(), InputError("x"), True),
        (Retry(), OutputError("x"), True),
        (Retry(), AttemptTimeout("x"), False),
        (Retry(never=(ValueError,)), ValueError("x"), True),
        (Retry(never=(ValueError,)), Boom("x"), True),
        (Retry(never=(Boom,)), ValueError("x"), False),
        (Retry(never=(KeyError, ProviderUnavailable)), ProviderUnavailable("503"), True),
    ],
    ids=repr,
)
def test_an_error_says_itself_whether_it_is_permanent(retry: Retry, error: Exception, permanent: bool) -> None:
    """`never` adds types to those that end the retries by themselves, subclasses included."""
    assert retry.is_permanent(error) is permanent


@pytest.mark.parametrize(
    ("retry", "problems"),
    [
        (Retry(), []),
        (Retry(attempts=None, deadline=DAY, jitter=1.0, never=(ValueError,)), []),
        (Retry(initial=s(-1)), ["Retry(initial=..., maximum=...) must not be negative."]),
        (Retry(maximum=s(-1)), ["Retry(initial=..., maximum=...) must not be negative."]),
        (Retry(coefficient=0.5), ["Retry(coefficient=0.5) must be a number from 1."]),
        (Retry(coefficient=float("nan")), ["Retry(coefficient=nan) must be a number from 1."]),
        (Retry(attempts=0), ["Retry(attempts=0) must be a whole number from 1, or None for no limit."]),
        (Retry(deadline=s(0)), ["Retry(deadline=...) must be more than nothing, or None for no limit."]),
        (Retry(jitter=1.5), ["Retry(jitter=1.5) must be a number between 0 and 1."]),
        (
            Retry(attempts=-1, jitter=-1),
            [
                "Retry(attempts=-1) must be a whole number from 1, or None for no limit.",
                "Retry(jitter=-1) must be a number between 0 and 1.",
            ],
        ),
    ],
    ids=repr,
)
def test_numbers_that_make_no_sense_are_told(retry: Retry, problems: list[str]) -> None:
    """Each fault names the number and its bounds."""
    assert retry.problems() == problems


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ({"initial": 5}, ["Retry(initial=5) must be a timedelta: initial=timedelta(seconds=...)."]),
        (
            {"maximum": None, "deadline": 3600},
            [
                "Retry(maximum=None) must be a timedelta: maximum=timedelta(seconds=...).",
                "Retry(deadline=3600) must be a timedelta: deadline=timedelta(seconds=...).",
            ],
        ),
        (
            {"never": ValueError},
            ["Retry(never=<class 'ValueError'>) must be a tuple of exception classes: never=(ValueError,)."],
        ),
        (
            {"never": ("ValueError",)},
            ["Retry(never=('ValueError',)) must be a tuple of exception classes: never=(ValueError,)."],
        ),
    ],
)
def test_settings_of_a_wrong_type_are_told(settings: dict[str, Any], problems: list[str]) -> None:
    """Bare numbers say nothing about their unit; types are not names."""
    assert Retry(**settings).problems() == problems

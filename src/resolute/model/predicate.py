"""Tests as authors give them: a comparison of references or a function of the state; anything else is a fault."""

from __future__ import annotations

import inspect
from typing import Any

from resolute.model.activity import Activity, Node
from resolute.model.reference import Condition, Ref
from resolute.model.steps import Test


def test_of(test: Any) -> tuple[Test, tuple[str, ...]]:
    """The test, and what is wrong with it, as sentences."""
    if isinstance(test, Condition):
        return test, ()
    fix = 'Compare a reference (output("x") == 1) or give a function: lambda state: ...'
    if isinstance(test, Ref):
        fault = f"a test was given {test!r} alone. {fix}"
    elif not callable(test) or isinstance(test, Node | Activity):
        fault = f"a test was given {test!r}, which is decided before the run. {fix}"
    elif inspect.iscoroutinefunction(test):
        fault = (
            f'a test was given the async function "{test.__name__}". A test only reads the state: make it a plain def.'
        )
    elif not _takes_one_argument(test):
        fault = "a test was given a function that cannot be called with the state alone. Write lambda state: ..."
    else:
        return test, ()
    return (lambda state: False), (fault,)


def _takes_one_argument(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        return True  # a built-in that does not tell
    return True

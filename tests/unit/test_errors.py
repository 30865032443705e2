"""The tree of errors is the one that is drawn."""

from __future__ import annotations

import inspect

from resolute import errors


def test_every_error_stands_in_the_drawn_tree() -> None:
    """Who reads the drawing knows what can be raised."""
    drawn = errors.__doc__ or ""
    classes = [
        value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == errors.__name__
    ]
    assert {made.__name__ for made in classes if made.__name__ not in drawn} == set()
    assert all(issubclass(made, errors.ResoluteError) for made in classes)


def test_a_flow_error_lists_every_problem() -> None:
    """One build tells all that is to be mended."""
    error = errors.FlowError("disk", ["One.", "Two."])
    assert str(error) == 'Flow "disk" cannot be built: 2 problems.\n  - One.\n  - Two.'
    assert error.problems == ("One.", "Two.")


def test_a_failed_run_names_itself_and_its_step() -> None:
    """The text is enough to find the run."""
    assert str(errors.RunFailed("r1", "failed", "page", "no route")) == 'Run r1 failed at "page": no route'

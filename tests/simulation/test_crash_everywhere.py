"""`crash_everywhere` on flows with every kind of step: whatever batch the worker dies at, the end is the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from resolute.testing import FlowFailed, FlowTester, crash_everywhere
from tests.simulation.crashed_flows import alone, everything, prepared

pytestmark = pytest.mark.simulation

#: Whose pairs of kills take more than ten seconds.
SLOW = {"fallback"}


def batches(tester: FlowTester) -> int:
    """How many batches the journal has committed."""
    return tester.bench.machine.tables.commits


@pytest.mark.timeout(300)
def test_a_flow_with_every_kind_of_step_ends_the_same_wherever_it_crashes() -> None:
    """Each batch of the journal is a place to crash at, on both sides; what repeats are functions under way alone."""
    undisturbed = prepared()
    undisturbed.run(everything, {})
    report = crash_everywhere(everything, input={}, tester=prepared)
    assert report.boundaries == batches(undisturbed) > 100
    assert {place[:2] for place in report.places} == {
        (number, side) for number in range(1, report.boundaries + 1) for side in ("before", "after")
    }
    assert report.histories == len(report.places) > 2 * report.boundaries
    assert set(report.repeated) > {"count", "hosts", "dump", "check", "look", "room", "checked"}
    assert report.delivered_again


@pytest.mark.ci_only
@pytest.mark.timeout(300)
def test_a_flow_that_fails_late_is_undone_the_same_wherever_it_crashes() -> None:
    """Undo, the failure node and the error are the same; an undo node that was under way is called again."""
    with pytest.raises(FlowFailed, match="the last step failed"):
        prepared().run(everything, {"fails": True})
    report = crash_everywhere(everything, input={"fails": True}, tester=prepared)
    assert set(report.repeated) > {"finish", "release_desk", "release_room"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.ci_only] if name in SLOW else []) for name in alone]
)
def test_each_kind_of_step_ends_the_same_whatever_two_batches_it_crashes_at(name: str) -> None:
    """Every pair of kills, the second while the first is recovered from."""
    made, tester = alone[name]
    report = crash_everywhere(made, tester=tester, double=True)
    assert report.histories > 2 * report.boundaries


@pytest.mark.parametrize("down_for", [timedelta(0), timedelta(minutes=2)])
def test_a_page_comes_once_when_it_can_be_looked_up(down_for: timedelta) -> None:
    """Within a minute of a lost answer an event is repeated and folds; later PagerDuty is asked for it first."""
    made, tester = alone["page"]
    report = crash_everywhere(made, tester=tester, down_for=down_for)
    assert bool(report.delivered_again) == (not down_for)


def test_a_page_after_a_resolve_is_not_taken_for_the_one_before_it() -> None:
    """The look-up finds the incident that was resolved in the same second; the new page is sent all the same."""
    made, tester = alone["pages"]
    report = crash_everywhere(made, tester=tester, down_for=timedelta(minutes=2))
    assert report.histories

"""Triggers: what they are told, their ids, and their faults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute.model.trigger import CatchUp, Manual, Overlap, Schedule, manual, schedule


def test_a_schedule_has_quiet_defaults() -> None:
    """UTC, overlapping runs allowed, the latest missed tick is made up."""
    assert schedule("*/5 * * * *") == Schedule("*/5 * * * *", "UTC", "allow", "latest", timedelta(days=1))
    assert schedule("@daily", timezone="Europe/Berlin").problems() == []


def test_a_manual_trigger_has_a_name() -> None:
    """Without one it is called "manual"."""
    assert (manual(), manual("drill")) == (Manual("manual"), Manual("drill"))
    assert manual().problems() == []


def test_the_id_of_a_trigger_names_it_in_its_flow() -> None:
    """Two schedules of one flow differ by expression or zone."""
    assert schedule("@daily", timezone="Europe/Berlin").id == "schedule:@daily:Europe/Berlin"
    assert manual("drill").id == "manual:drill"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"overlap": "forbid"},
            'schedule(overlap=\'forbid\') is not known. Use one of "allow", "skip", "queue"; "allow" is the default.',
        ),
        (
            {"catch_up": ["all"]},
            'schedule(catch_up=[\'all\']) is not known. Use one of "latest", "all", "skip"; "latest" is the default.',
        ),
        (
            {"catch_up_window": 3600},
            "schedule(catch_up_window=3600) takes a timedelta: catch_up_window=timedelta(days=1).",
        ),
        (
            {"catch_up_window": timedelta(0)},
            "schedule(catch_up_window=datetime.timedelta(0)) reaches back to nothing. "
            'Use catch_up="skip" to make up for no tick.',
        ),
    ],
)
def test_wrong_setting_of_a_schedule_is_told(settings: dict[str, Any], problem: str) -> None:
    """With what there is instead."""
    assert schedule("@daily", **settings).problems() == [problem]


@pytest.mark.parametrize("overlap", ["allow", "skip", "queue"])
@pytest.mark.parametrize("catch_up", ["latest", "all", "skip"])
def test_every_setting_goes_with_every_other(overlap: Overlap, catch_up: CatchUp) -> None:
    """Nothing that is offered is refused."""
    assert schedule("@daily", overlap=overlap, catch_up=catch_up, catch_up_window=timedelta(hours=1)).problems() == []


def test_all_faults_of_a_schedule_are_told() -> None:
    """A wrong expression does not hide a wrong setting."""
    wrong: dict[str, Any] = {"overlap": "never", "catch_up": "none"}
    problems = schedule("@never", **wrong).problems()

    assert [problem.partition(" ")[0] for problem in problems] == [
        '"@never"',
        "schedule(overlap='never')",
        "schedule(catch_up='none')",
    ]


@pytest.mark.parametrize("name", ["", "two words", "-x", "a/b", "x" * 101, "ü", 5, None])
def test_a_manual_trigger_needs_a_plain_name(name: Any) -> None:
    """The name is typed on command lines and stands in ids."""
    assert manual(name).problems() == [f'manual({name!r}) needs a name of letters, digits, ".", "_" and "-".']

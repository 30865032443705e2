"""Triggers: what they are told, their ids, and their faults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute.model.trigger import Manual, Schedule, manual, schedule


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
            {"overlap": "skip"},
            'schedule(overlap="skip") is not supported yet. Use overlap="allow" (the default).',
        ),
        (
            {"catch_up": "all"},
            'schedule(catch_up="all") is not supported yet. Use catch_up="latest" (the default).',
        ),
        (
            {"catch_up_window": timedelta(hours=1)},
            "schedule(catch_up_window=...) is not supported yet. Leave it at one day (the default).",
        ),
    ],
)
def test_what_a_schedule_cannot_do_yet_is_told(settings: dict[str, Any], problem: str) -> None:
    """A setting without effect would be a promise that nobody keeps."""
    assert schedule("@daily", **settings).problems() == [problem]


def test_all_faults_of_a_schedule_are_told() -> None:
    """A wrong expression does not hide a wrong setting."""
    problems = schedule("@never", overlap="queue", catch_up="skip").problems()

    assert [problem.partition(" ")[0] for problem in problems] == [
        '"@never"',
        'schedule(overlap="queue")',
        'schedule(catch_up="skip")',
    ]


@pytest.mark.parametrize("name", ["", "two words", "-x", "a/b", "x" * 101, "ü", 5, None])
def test_a_manual_trigger_needs_a_plain_name(name: Any) -> None:
    """The name is typed on command lines and stands in ids."""
    assert manual(name).problems() == [f'manual({name!r}) needs a name of letters, digits, ".", "_" and "-".']

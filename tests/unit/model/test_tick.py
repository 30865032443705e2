"""`tick()`: what it is filled with, how it is shifted, and where it may stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolute.errors import FlowError, NodeMisuse
from resolute.model.activity import activity
from resolute.model.flow import flow
from resolute.model.reference import MissingValue, resolve
from resolute.model.refs import now, tick
from resolute.model.trigger import manual, schedule

NOON, HOUR = datetime(2026, 7, 1, 12, tzinfo=UTC), timedelta(hours=1)


class Scope:
    """What a run that was started at noon by an hourly schedule offers."""

    now = NOON + timedelta(seconds=5)

    def tick(self, back: int) -> datetime:
        return NOON - back * HOUR


class Unscheduled(Scope):
    def tick(self, back: int) -> datetime:
        raise MissingValue("tick", "no schedule started this run")


@activity
async def look(since: datetime, until: datetime) -> int:
    return 0


def value(ref: Any, scope: Any = None) -> Any:
    return resolve(ref, scope or Scope())


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (tick(), NOON),
        (tick(-1), NOON - HOUR),
        (tick(-3) + HOUR, NOON - 2 * HOUR),
        (tick() - timedelta(minutes=1) + HOUR, NOON + timedelta(minutes=59)),
        (tick(-1, default=now()), NOON - HOUR),
    ],
)
def test_tick_is_the_scheduled_time_or_one_before_it(ref: Any, expected: datetime) -> None:
    """Also shifted by a fixed time; the default is for other runs."""
    assert value(ref) == expected


def test_run_that_no_schedule_started_has_a_default_or_none() -> None:
    """The default may be another reference and is not shifted; without it the value is missing."""
    assert value(tick(default=now() - HOUR) + HOUR, Unscheduled()) == NOON + timedelta(seconds=5) - HOUR
    with pytest.raises(MissingValue, match="no schedule started this run"):
        value(tick(), Unscheduled())


@pytest.mark.parametrize("place", [1, "x", True, 0.0, None])
def test_place_that_is_none_is_refused(place: Any) -> None:
    """Only the run's own time and earlier ones are known; the text says how they are written."""
    with pytest.raises(NodeMisuse, match=r"Write tick\(\) for the run's own time, tick\(-1\) for the last one"):
        tick(place)


def test_tick_is_shifted_by_a_timedelta_alone() -> None:
    """The text names the reference and shows how."""
    shifted: Any = tick(-1)
    with pytest.raises(NodeMisuse, match=r"tick\(-1\) was shifted by 3600; .* Write tick\(\) \+ timedelta"):
        shifted + 3600
    assert repr(tick(-1) + HOUR) == "tick(-1) + datetime.timedelta(seconds=3600)"


def test_flow_without_a_schedule_has_no_tick() -> None:
    """build() says so with the fix, unless there is a default."""
    with_default = look(since=tick(-1, default=now()), until=tick(default=now()))
    flow("f").triggered_by(manual()).then(with_default).build()
    flow("f").triggered_by(schedule("@daily")).then(look(since=tick(-1), until=tick())).build()
    with pytest.raises(FlowError) as caught:
        flow("f").triggered_by(manual()).then(look(since=tick(-1), until=now())).build()
    assert (
        '"look(since=...)" reads tick(-1), but the flow has no schedule, so no run of it has a scheduled time. '
        "Add one with .triggered_by(schedule(...)), or give a default: tick(default=now())."
    ) in str(caught.value)

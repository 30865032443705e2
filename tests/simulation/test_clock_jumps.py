"""The machine's clock is set forward or back: nobody is forgotten, and no wait begins more than once anew."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from resolute import ActivityError, activity, current, flow, manual, output, secret
from resolute.providers import pagerduty
from tests.simulation.alerts import by_hand
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


@activity
async def one() -> int:
    return 1


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(days=1)], ids=["an hour back", "a day forward"])
def test_a_clock_that_is_set_wakes_every_sleeper(shift: timedelta) -> None:
    """None is forgotten, and none sleeps longer than once more."""
    made = flow("f").triggered_by(manual()).then(one()).then_sleep(timedelta(minutes=10)).then(one().as_("two")).build()
    rig = Rig(1, [made])

    async def program() -> None:
        await rig.up()
        await rig.engine.start("f", run_id="r")
        await rig.wait(minutes=5)
        rig.clock.shift(shift)
        before = rig.loop.time()
        await rig.engine.result("r")
        assert rig.loop.time() - before <= 10 * 60 + 60

    rig.run(program)
    assert rig.statuses() == {"r": "succeeded"}


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(days=1)], ids=["an hour back", "a day forward"])
def test_a_clock_that_is_set_loses_no_retry(shift: timedelta) -> None:
    """A node that backs off for a minute waits another minute at most."""

    @activity
    async def fails() -> int:
        if current().attempt < 2:
            raise ActivityError("busy", retry_after=timedelta(minutes=1))
        return current().attempt

    rig = Rig(1, [flow("f").triggered_by(manual()).then(fails()).build()])

    async def program() -> None:
        await rig.up()
        await rig.engine.start("f", run_id="r")
        await rig.wait(seconds=50)
        rig.clock.shift(shift)
        before = rig.loop.time()
        assert (await rig.finish("r")).output == {"fails": 2}
        assert rig.loop.time() - before <= 60 + 30

    rig.run(program)


def test_a_clock_set_back_during_a_round_does_not_stretch_the_loop() -> None:
    """The next round begins one interval later at most."""
    rounds: list[float] = []

    @activity
    async def look() -> bool:
        rounds.append(rig.loop.time())
        if len(rounds) == 2:
            rig.clock.shift(timedelta(hours=-1))
        return len(rounds) == 4

    loop: dict[str, Any] = {"until": output("look") == True, "every": timedelta(minutes=5), "at_most": 9}  # noqa: E712
    rig = Rig(1, [flow("f").triggered_by(manual()).then_loop("poll", look(), **loop).build()])

    async def program() -> None:
        await rig.up()
        await rig.engine.start("f", run_id="r")
        await rig.finish("r")

    rig.run(program)
    waits = [later - earlier for earlier, later in pairwise(rounds)]
    assert all(wait <= 10 * 60 for wait in waits), waits


def test_a_clock_set_back_does_not_keep_the_fallback_of_a_page_from_running() -> None:
    """Somebody is called ten minutes after the clock was set, at the latest."""
    called: list[float] = []

    @activity
    async def call_somebody() -> str:
        called.append(rig.loop.time())
        return "called"

    page = pagerduty.trigger_event(
        routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary="down", source="check", severity="critical"
    ).or_else(call_somebody(), after=timedelta(minutes=10))
    rig = Rig(1, [flow("f").triggered_by(manual()).then(page).build()])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("f", run_id="r")
        await rig.wait(minutes=5)
        rig.clock.shift(timedelta(hours=-1))
        await rig.finish("r")

    rig.run(program)
    assert called[0] <= 16 * 60


@pytest.mark.parametrize("by", [timedelta(hours=-1), timedelta(minutes=-10)])
@pytest.mark.parametrize("kind", ["503", "429_retry_after", "cut_before", "apply_then_cut"])
def test_clock_that_is_set_back_delays_no_page(kind: str, by: timedelta) -> None:
    """A page that backs off or is held for seconds is not held for as long as the clock was wrong."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", [kind])
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=0.1)
        rig.clock.shift(by)
        await rig.wait(minutes=1)

    rig.run(program)
    assert rig.statuses() == {"p": "succeeded"}
    assert len(rig.pagerduty.incidents) == 1

"""Health is true: what goes wrong is seen, what is well is not told to be wrong, and it heals."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from resolute import Flow, Retry, activity, flow, input_data, manual, schedule, secret
from resolute.health import Health
from resolute.providers import pagerduty
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


@activity(timeout=timedelta(hours=2))
async def work(hours: float = 0.0) -> None:
    await asyncio.sleep(hours * 3600)


@activity(retry=Retry(attempts=1))
async def fail(error: Any = None) -> None:
    raise ValueError("no route")


page = pagerduty.trigger_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary="down", severity="critical")
working = flow("working").triggered_by(manual()).then(work(hours=input_data("hours", default=0))).build()
paging = flow("paging").triggered_by(manual()).then(page).build()
failing = flow("failing").triggered_by(manual()).then(fail()).build()


def ticking(**settings: Any) -> Flow:
    """A flow that ticks every ten minutes."""
    return flow("ticking").triggered_by(schedule("*/10 * * * *", **settings)).then(work()).build()


async def failing_checks(rig: Rig) -> list[str]:
    """The names of the checks that are not well now."""
    return [check.name for check in (await Health(rig.engine, None).look()).failing]


async def detail_of(rig: Rig, name: str) -> str:
    """What a check says now."""
    [check] = (await Health(rig.engine, None).look()).only([name]).checks
    return check.detail


def test_busy_worker_is_well() -> None:
    """Ticks, pages, sleeps and failures that are told are its daily work."""
    asleep = flow("asleep").triggered_by(manual()).then(work()).then_sleep(timedelta(hours=3)).build()
    rig = Rig(1, [ticking(), paging, failing, asleep])

    async def program() -> None:
        await rig.up(on_failure=work())
        for name in ("paging", "failing", "asleep"):
            await rig.engine.start(name)
        for _ in range(60):
            assert await failing_checks(rig) == []
            await rig.wait(minutes=1)

    rig.run(program)


def test_run_that_is_not_taken_up_is_seen_and_healing_too() -> None:
    """As many runs as fit into memory hold on to it, so that the next one waits."""
    rig = Rig(1, [working])

    async def program() -> None:
        await rig.up(max_concurrent=1)
        for number in range(100):
            await rig.engine.start("working", {"hours": 0.0 if number else 1.0})
        assert (await rig.engine.start("working", run_id="waits")).status == "queued"
        await rig.wait(minutes=4)
        assert await failing_checks(rig) == []
        await rig.wait(minutes=4)
        assert await failing_checks(rig) == ["due_runs"]
        assert await detail_of(rig, "due_runs") == "Run waits is due for 8 min and was not taken up."
        await rig.wait(hours=1)
        assert await failing_checks(rig) == []

    rig.run(program)


def test_late_tick_is_seen() -> None:
    """A schedule that is stuck, here because it waits for whoever is to hear of missed ticks; not when it is paused."""
    rig = Rig(1, [ticking(catch_up="skip")])

    async def never(*told: Any) -> None:
        await asyncio.Event().wait()

    async def program() -> None:
        (await rig.up()).core.on_missed = never
        await rig.wait(minutes=1)
        rig.clock.shift(timedelta(minutes=25))
        await rig.wait(minutes=1)
        assert await failing_checks(rig) == ["schedules"]
        assert await detail_of(rig, "schedules") == "Late: ticking (*/10 * * * *) since 2026-03-02 10:10:00 UTC."
        await rig.engine.schedules.pause("ticking", "schedule:*/10 * * * *:UTC", True)
        assert await failing_checks(rig) == []
        await rig.engine.schedules.pause("ticking", "schedule:*/10 * * * *:UTC", False)
        await rig.kill()
        await rig.up()
        await rig.wait(minutes=1)
        assert await failing_checks(rig) == []

    rig.run(program)


def test_paused_schedule_is_not_late() -> None:
    """Nor is one right after it goes on."""
    rig = Rig(1, [ticking()])

    async def program() -> None:
        engine = await rig.up()
        await engine.schedules.pause("ticking", "schedule:*/10 * * * *:UTC", True)
        await rig.wait(hours=3)
        assert await failing_checks(rig) == []
        await engine.schedules.pause("ticking", "schedule:*/10 * * * *:UTC", False)
        assert await failing_checks(rig) == []

    rig.run(program)


def test_pages_that_do_not_arrive_are_seen() -> None:
    """From five minutes on, with PagerDuty's last word; once they have arrived all is well."""
    rig = Rig(1, [paging])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind="503")
        await rig.engine.start("paging")
        await rig.wait(minutes=4)
        assert await failing_checks(rig) == []
        await rig.wait(minutes=3)
        assert await failing_checks(rig) == ["unsettled_pages"]
        assert "503" in await detail_of(rig, "unsettled_pages")
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=3)
        assert await failing_checks(rig) == []

    rig.run(program)


def test_rejected_page_is_told_for_an_hour() -> None:
    """With what PagerDuty said of it."""
    rig = Rig(1, [paging])

    async def program() -> None:
        rig.environ["PAGERDUTY_ROUTING_KEY"] = "0" * 32
        await rig.up()
        await rig.engine.start("paging")
        await rig.wait(minutes=1)
        assert await failing_checks(rig) == ["rejected_pages"]
        assert (await detail_of(rig, "rejected_pages")).startswith("1 in the last 60 min, the newest row 1: ")
        await rig.wait(hours=1)
        assert await failing_checks(rig) == []

    rig.run(program)


def test_failure_that_nobody_was_told_of_is_seen() -> None:
    """For an hour, like a page that was rejected."""
    rig = Rig(1, [failing])

    async def program() -> None:
        await rig.up(on_failure=fail(error=input_data("error")))
        await rig.engine.start("failing", run_id="r")
        await rig.wait(minutes=1)
        assert await failing_checks(rig) == ["notices"]
        await rig.wait(hours=1)
        assert await failing_checks(rig) == []

    rig.run(program)

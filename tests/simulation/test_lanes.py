"""The order of sends for one alert: what leaves, what gives way to a newer decision, who is woken."""

from __future__ import annotations

import asyncio

import pytest

from resolute import Flow, activity, flow, output, schedule
from resolute.providers import pagerduty
from tests.simulation.alerts import (
    KEY,
    SEEDS,
    by_hand,
    incidents,
    node,
    processed,
    settled,
    somebody_else,
    trigger,
)
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


# A resolve that comes too late


def hourly(reports: dict[int, str], begun: list[Rig]) -> Flow:
    """Checks every hour; `reports` says what it finds in the first minutes of which hour, otherwise nothing."""

    @activity
    async def check() -> str:
        now = begun[0].clock.now()
        return reports.get(now.hour, "nothing") if now.minute < 5 else "nothing"

    return (
        flow("hourly")
        .triggered_by(schedule("0 * * * *"))
        .then(check())
        .when(output("check") == "critical", key="is_critical")
        .then(trigger().as_("page"))
        .end_when()
        .when(output("check") == "healthy", key="is_healthy")
        .then(pagerduty.resolve_event(routing_key=KEY, dedup_key="disk"))
        .end_when()
        .build()
    )


@pytest.mark.parametrize("kind", ["503", "refused", "cut_before", "429_bare"])
def test_resolve_decided_an_hour_ago_is_superseded_by_the_page_of_now(kind: str) -> None:
    """Healthy at 11:00, broken at 12:00, PagerDuty back at 12:10: the incident stays open."""
    rigs: list[Rig] = []
    rig = Rig(1, [hourly({11: "healthy", 12: "critical"}, rigs)])
    rigs.append(rig)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=kind)
        await rig.wait(hours=2, minutes=10)
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=30)

    rig.run(program)
    assert settled(rig) == [("resolve", "expired"), ("trigger", "accepted")]
    assert incidents(rig) == ["triggered"]


@pytest.mark.parametrize("seed", SEEDS)
def test_scheduled_resolve_expires_and_leaves_a_newer_incident_open(seed: int) -> None:
    """Decided at 11:00, first possible at 12:10: it does not close what somebody else opened at 12:00."""
    rigs: list[Rig] = []
    rig = Rig(seed, [hourly({11: "healthy"}, rigs)], slow_disk=True)
    rigs.append(rig)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "refused", "cut_before"]))
        await rig.wait(hours=1, minutes=rig.random.choice([0.01, 0.1, 1, 5]))
        await rig.kill()
        await rig.wait(minutes=58)
        somebody_else(rig, "trigger")
        await rig.wait(minutes=12)
        await rig.up()
        await rig.wait(minutes=30)

    rig.run(program)
    resolve = [row for row in rig.rows() if row.action == "resolve"]
    assert [row.status for row in resolve] in (["expired"], [])  # killed before the decision was on disk
    assert all("the next check decides anew" in row.message for row in resolve)
    assert incidents(rig) == ["triggered"]
    assert set(rig.statuses().values()) == {"succeeded"}


def test_resolve_of_a_manual_run_waits_like_a_page() -> None:
    """Nobody would decide it anew, so it is sent whenever PagerDuty is back."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        await rig.engine.start("page", run_id="p")
        await rig.finish("p")
        rig.pagerduty.faults.outage()
        await rig.engine.start("resolve", run_id="r")
        await rig.wait(minutes=70)
        assert incidents(rig) == ["triggered"]
        rig.pagerduty.faults.outage(False)
        await rig.finish("r")
        await rig.wait(seconds=5)

    rig.run(program)
    assert settled(rig) == [("trigger", "accepted"), ("resolve", "accepted")]
    assert incidents(rig) == ["resolved"]


# Order


@pytest.mark.parametrize("seed", SEEDS)
def test_acknowledge_over_a_pending_page_still_pages_and_then_acknowledges(seed: int) -> None:
    """An acknowledge supersedes nothing: somebody else may still have to be told."""
    rig = Rig(seed, by_hand(), slow_disk=True)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "refused", "429_bare"]))
        await rig.engine.start("page", run_id="p")
        await rig.engine.start("acknowledge", run_id="a")
        await rig.wait(minutes=rig.random.choice([1, 20]))
        if rig.random.random() < 0.5:
            await rig.kill()
            await rig.up()
        rig.pagerduty.faults.outage(False)
        assert (await rig.finish("p")).status == (await rig.finish("a")).status == "succeeded"
        await rig.wait(seconds=5)

    rig.run(program)
    assert processed(rig) == [("trigger", "opened"), ("acknowledge", "acknowledged")]


@pytest.mark.parametrize("seed", SEEDS)
def test_run_behind_another_goes_on_though_the_worker_dies_between_settlement_and_wake_up(seed: int) -> None:
    """A page that waits for the request before it is sent within minutes, whatever dies and whenever."""
    rig = Rig(seed, by_hand(), slow_disk=True)
    rig.pagerduty.faults.slow_s = 2

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["slow"])
        await rig.engine.start("page", run_id="p")
        await rig.engine.start("acknowledge", run_id="a")
        await rig.wait(seconds=rig.random.uniform(1.5, 3.5))
        await rig.kill()
        await rig.up()
        await rig.wait(minutes=3)

    rig.run(program)
    assert rig.statuses() == {"p": "succeeded", "a": "succeeded"}
    assert incidents(rig) == ["acknowledged"]


@pytest.mark.parametrize("seed", range(20))
def test_superseded_run_is_woken_and_goes_on(seed: int) -> None:
    """Its node says "superseded", the nodes behind it run, also when the worker dies in between."""
    rig = Rig(seed, by_hand(), slow_disk=True)
    newer = rig.random.choice(["page", "resolve"])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="older")
        await rig.wait(minutes=rig.random.choice([0, 0.5, 10]))
        starting = asyncio.create_task(rig.engine.start(newer, run_id="newer"))
        if rig.random.random() < 0.7:
            await rig.wait(seconds=rig.random.choice([0.0, 0.001, 0.005, 0.01, 0.3, 0.6]))
            await rig.kill()
            await rig.up()
            await rig.engine.start(newer, run_id="newer")
        await asyncio.wait({starting})
        await rig.wait(minutes=2)
        view = await rig.engine.get("older")
        assert view.status == "succeeded"
        page = node(view, "page")
        assert page.output["status"] == page.output["ledger_status"] == "superseded"
        assert page.output["message"].startswith(f"a newer {'trigger' if newer == 'page' else 'resolve'} (row 2)")
        assert node(view, "goes_on").output == "went on"
        rig.pagerduty.faults.outage(False)
        await rig.finish("newer")

    rig.run(program)
    assert [row.status for row in rig.rows()] == ["superseded", "accepted"]


def test_superseded_run_is_woken_at_once() -> None:
    """It does not wait for its own next attempt."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="older")
        await rig.wait(minutes=20)
        begun = rig.clock.now()
        await rig.engine.start("resolve", run_id="newer")
        await rig.finish("older")
        assert rig.clock.now() == begun

    rig.run(program)

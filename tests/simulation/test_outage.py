"""PagerDuty is down for 90 minutes under a five-minute schedule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from pydantic import BaseModel

from resolute import Flow, activity, current, flow, output, schedule, secret
from resolute.providers import pagerduty
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

KINDS = ("503", "refused", "cut_before", "apply_then_cut", "html_502", "429_bare")


class Health(BaseModel):
    """What the check found."""

    status: str
    was_critical: bool


def _alerting(is_down: Callable[[], bool], checked: list[bool]) -> Flow:
    @activity
    async def check() -> Health:
        checked.append(is_down())
        status = "critical" if is_down() else "healthy"
        return Health(status=status, was_critical=current().ledger.is_open("system-health"))

    key = secret("PAGERDUTY_ROUTING_KEY")
    return (
        flow("alerting")
        .triggered_by(schedule("*/5 * * * *"))
        .then(check().as_("health"))
        .when(lambda state: state.get("health", Health).status == "critical")
        .then(
            pagerduty.trigger_event(
                routing_key=key, summary="down", severity="critical", dedup_key="system-health", source="check"
            )
        )
        .end_when()
        .when((output("health.status") == "healthy") & (output("health.was_critical") == True))  # noqa: E712
        .then(pagerduty.resolve_event(routing_key=key, dedup_key="system-health"))
        .end_when()
        .build()
    )


def _outage(rig: Rig, kind: str, kills: bool, checked: list[bool]) -> None:
    """Down from 10:01 to 11:31, with the machine's worker killed meanwhile or not; then an hour of peace."""

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=1)
        rig.pagerduty.faults.outage(kind=kind)
        for _ in range(6):
            await rig.wait(minutes=15)
            if kills:
                await rig.kill()
                await rig.wait(seconds=20)
                await rig.up()
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=60)

    rig.run(program)
    assert len(checked) >= 18 + 12, "a tick did not check"


@pytest.mark.parametrize("kills", [False, True], ids=["worker lives", "worker killed"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_ends_in_one_incident_that_is_still_open(kind: str, kills: bool) -> None:
    """Every tick checks; when PagerDuty is back there is one open incident, and every send is settled."""
    checked: list[bool] = []
    rig = Rig(1, [_alerting(lambda: True, checked)])
    _outage(rig, kind, kills, checked)
    assert [incident.status for incident in rig.pagerduty.incidents] == ["triggered"]
    assert len(rig.pagerduty.alerts) == 1
    assert set(rig.statuses().values()) == {"succeeded"}
    rows = rig.rows()
    assert {row.status for row in rows} == {"superseded", "accepted"}
    assert all(row.message for row in rows)
    late = next(row for row in rows if row.status == "accepted" and row.late_s)
    assert late.late_s >= timedelta(minutes=60).total_seconds()
    if kind != "apply_then_cut":  # there the first page came through, and only its answer was lost
        assert rig.pagerduty.incidents[0].title.startswith("[1 h ")


@pytest.mark.parametrize("kills", [False, True], ids=["worker lives", "worker killed"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_over_which_the_system_heals_leaves_nothing_open(kind: str, kills: bool) -> None:
    """It breaks and heals while PagerDuty is away: nobody is left with an open incident."""
    checked: list[bool] = []
    rig = Rig(2, [_alerting(lambda: rig.clock.now() < healed, checked)])
    healed = rig.clock.now() + timedelta(minutes=70)
    _outage(rig, kind, kills, checked)
    assert "triggered" not in [incident.status for incident in rig.pagerduty.incidents]
    assert len(rig.pagerduty.incidents) <= 1
    assert set(rig.statuses().values()) == {"succeeded"}
    assert {row.status for row in rig.rows()} <= {"superseded", "accepted", "expired"}


@pytest.mark.parametrize("seed", range(12))
def test_a_system_that_flaps_through_an_outage_ends_in_the_state_of_its_last_check(seed: int) -> None:
    """Whatever came in between, PagerDuty shows what the last check found."""
    checked: list[bool] = []
    rig = Rig(seed, [_alerting(lambda: flaps[int((rig.clock.now() - begin) / timedelta(minutes=5))], checked)])
    begin = rig.clock.now()
    flaps = [rig.random.random() < 0.5 for _ in range(60)]
    _outage(rig, rig.random.choice(KINDS), rig.random.random() < 0.5, checked)
    opened = [incident.status == "triggered" for incident in rig.pagerduty.incidents]
    assert sum(opened) == int(checked[-1])
    assert set(rig.statuses().values()) == {"succeeded"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_tick_of_an_outage_checks_on_time(kind: str) -> None:
    """A run that waits for a delivery does not stop the checks behind it; each settled row says why it was not sent."""
    checked: list[bool] = []
    rig = Rig(3, [_alerting(lambda: True, checked)])
    _outage(rig, kind, False, checked)
    runs = sorted(rig.tables.runs.values(), key=lambda run: run.no)
    due = [datetime.fromisoformat(run.id.partition("@")[2]) for run in runs]
    assert [later - earlier for earlier, later in pairwise(due)] == [timedelta(minutes=5)] * (len(runs) - 1)
    for run, at in zip(runs, due, strict=True):
        entry = rig.tables.entries[run.no]["health"]
        assert entry.finished_at is not None
        assert entry.finished_at - at <= timedelta(seconds=1)
    waited = [row for row in rig.rows() if row.status == "superseded"]
    assert len(waited) >= 16
    assert all(row.message.startswith("a newer trigger (row ") for row in waited)


@pytest.mark.parametrize("seed", range(20))
def test_an_outage_with_workers_that_die_at_any_time(seed: int) -> None:
    """Kills within seconds of ticks and sends: one incident, the state of the last check, everything settled."""
    checked: list[bool] = []
    rig = Rig(seed, [_alerting(lambda: rig.clock.now() < healed, checked)], slow_disk=True)
    healed = rig.clock.now() + timedelta(minutes=rig.random.choice([40, 88, 600]))
    kind = rig.random.choice(["503", "refused", "cut_before", "apply_then_cut", "html_502", "cut_then_apply"])

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=1)
        rig.pagerduty.faults.outage(kind=kind)
        for _ in range(18):
            await rig.wait(minutes=4.95, seconds=rig.random.uniform(0, 4))
            await rig.kill()
            await rig.wait(seconds=rig.random.uniform(0, 3))
            await rig.up()
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=40)

    rig.run(program)
    shown = [incident.status for incident in rig.pagerduty.incidents]
    assert shown.count("triggered") == int(checked[-1])
    if kind not in ("apply_then_cut", "cut_then_apply"):
        assert len(shown) <= 1
    assert set(rig.statuses().values()) == {"succeeded"}
    assert all(row.is_settled and row.message for row in rig.rows())

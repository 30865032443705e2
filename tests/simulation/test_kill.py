"""The kill test: whatever dies and whenever, every page is delivered and none twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from resolute import activity, current, flow, manual, output, secret
from resolute.providers import pagerduty
from tests.simulation.rig import Rig

FAULTS = {
    "503": 0.10,
    "429": 0.04,
    "429_bare": 0.04,
    "cut_before": 0.08,
    "apply_then_cut": 0.10,
    "slow": 0.05,
    "html_502": 0.04,
    "500_applied": 0.04,
}


@pytest.mark.simulation
@pytest.mark.parametrize("seed", range(200))
def test_every_page_is_delivered_and_none_twice_whatever_dies(seed: int) -> None:
    """20 to 30 runs that page once each, through faults and kills: one alert and one settled row each."""
    executed: Counter[str] = Counter()
    finished: set[str] = set()

    @activity
    async def check(number: int) -> dict[str, int]:
        place = current().idempotency_key
        assert place not in finished, f"{place} ran again after it had finished"
        executed[place] += 1
        await asyncio.sleep(0.01)
        return {"number": number}

    paging = (
        flow("paging")
        .triggered_by(manual())
        .then(check(number=7).as_("health"))
        .when(output("health.number") == 7)
        .then(pagerduty.trigger_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary="down", severity="critical"))
        .end_when()
        .then(check(number=8).as_("after"))
        .build()
    )
    rig = Rig(seed, [paging], slow_disk=True)
    rig.pagerduty.faults.mix(FAULTS, rig.random)
    ids = [f"run-{number}" for number in range(rig.random.randint(20, 30))]

    async def program() -> None:
        left = list(ids)
        await rig.up()
        for life in range(rig.random.randint(3, 8)):
            for run_id in left[: rig.random.randint(2, 9)]:
                task = asyncio.create_task(rig.engine.start("paging", run_id=run_id))
                del task
            # A short life after short lives would park a run whose attempt was the only one each time.
            lives = (0.005, 0.05, 0.5, 3.0, 30.0, 90.0) if life % 3 else (3.0, 30.0, 90.0)
            await rig.wait(seconds=rig.random.choice(lives))
            await rig.kill()
            note_finished()
            left = [run_id for run_id in left if run_id not in rig.tables.run_no]
            await rig.wait(seconds=rig.random.choice((0.1, 5.0, 70.0)))
            await rig.up()
        for run_id in left:
            await rig.engine.start("paging", run_id=run_id)
        for run_id in ids:
            await rig.engine.result(run_id)
        await rig.wait(seconds=10)

    def note_finished() -> None:
        for no, entries in rig.tables.entries.items():
            run = rig.tables.runs[no]
            finished.update(f"{run.id}/{entry.position}" for entry in entries.values() if entry.status == "done")

    rig.run(program)
    assert rig.statuses() == dict.fromkeys(ids, "succeeded")
    assert [row.status for row in rig.rows()] == ["accepted"] * len(ids)
    assert {row.run_id for row in rig.rows()} == set(ids)
    assert Counter(alert.alert_key for alert in rig.pagerduty.alerts) == Counter(row.dedup_key for row in rig.rows())
    assert len(rig.pagerduty.incidents) == len(ids)

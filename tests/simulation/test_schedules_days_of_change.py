"""Ticks around the days of change in Europe/Berlin, a restart each day: each has its run or was told to be missed."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from resolute import activity, flow, schedule
from resolute.cron import ticks_after
from resolute.engines.embedded.store import Forget, Prune
from tests.simulation.rig import Rig

KEPT, PRUNED_EVERY = timedelta(hours=2), timedelta(hours=4)


@activity
async def look() -> int:
    return 1


DAYS = 4


@pytest.mark.parametrize("ahead", [pytest.param(25, id="hour lost"), pytest.param(235, id="hour repeated")])
def test_every_tick_is_accounted_for(ahead: int) -> None:
    """Run once or told to be missed once, and never both; finished runs are pruned and the store stays as it is."""
    rule = schedule("*/5 * * * *", timezone="Europe/Berlin")
    rig = Rig(1, [flow("f").triggered_by(rule).then(look()).build()])
    run: Counter[datetime] = Counter()
    missed: Counter[datetime] = Counter()
    sizes: list[int] = []

    async def on_missed(flow: str, trigger: str, first: datetime, last: datetime, count: int) -> None:
        told = between(first - timedelta(minutes=1), last)
        assert len(told) == count
        missed.update(told)

    def between(after: datetime, until: datetime) -> list[datetime]:
        found: list[datetime] = []
        for tick in ticks_after(rule.cron, rule.timezone, after):
            if tick > until:
                return found
            found.append(tick)
        return found

    async def prune() -> None:
        store, now = rig.engine.core.store, rig.clock.now()
        old = await store.prunable(now - KEPT, None, 1000)
        run.update(at for no in old if (at := rig.tables.runs[no].scheduled_at))
        await store.commit([*(Prune(no, now) for no in old), Forget(now - 2 * KEPT)])
        sizes.append(len(rig.tables.runs) + len(rig.tables.entries) + len(rig.tables.pruned))

    async def program() -> None:
        rig.clock.shift(timedelta(days=ahead))
        (await rig.up()).core.on_missed = on_missed
        begun = rig.clock.now()
        for _ in range(DAYS):
            for _ in range(timedelta(days=1) // PRUNED_EVERY):
                await asyncio.sleep(PRUNED_EVERY.total_seconds() - rig.random.randint(0, 400))
                await prune()
            await rig.kill()
            await rig.wait(minutes=rig.random.choice((0, 1, 4, 17)))
            (await rig.up()).core.on_missed = on_missed
            await rig.wait(seconds=1)
        await rig.engine.close()
        run.update(at for each in rig.tables.runs.values() if (at := each.scheduled_at))
        assert {each.status for each in rig.tables.runs.values()} <= {"succeeded", "running"}
        assert run + missed == Counter(between(begun, rig.clock.now()))
        rig._engine = None

    rig.run(program)
    assert sum(missed.values()) > 0
    assert sum(run.values()) > 250 * DAYS
    assert max(sizes) < 200

"""A year of schedules, a restart each day, all four days of change: no tick is lost and the store stays as it is."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import takewhile

import pytest

from resolute import Flow, activity, flow, schedule
from resolute.cron import ticks_after
from resolute.engines.embedded.retention import Rule
from resolute.model.trigger import Schedule
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

KEPT = timedelta(days=2)
#: (flow, trigger) of a schedule.
Name = tuple[str, str]


@activity
async def look() -> int:
    return 1


def ticking(name: str, *rules: Schedule, minutes: float = 0) -> Flow:
    """A flow whose runs take that long."""
    made = flow(name).triggered_by(*rules).then(look())
    return (made.then_sleep(timedelta(minutes=minutes)) if minutes else made).build()


NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"
FLOWS = [
    ticking("tens", schedule("*/10 * * * *")),
    ticking("quarters", schedule("*/15 * * * *", timezone=BERLIN, overlap="skip"), minutes=20),
    ticking(
        "hours",
        schedule("5 * * * *", timezone=NEW_YORK, catch_up="all"),
        schedule("30 2 * * *", timezone=NEW_YORK),
        schedule("30 2 * * *", timezone=BERLIN, catch_up="skip"),
    ),
    ticking("nights", schedule("*/20 1-3 * * *", timezone=NEW_YORK, overlap="queue"), minutes=25),
]


class Account:
    """What became of each tick: its run, told to be missed, or skipped, which is only counted."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.run: dict[Name, set[datetime]] = defaultdict(set)
        self.missed: dict[Name, list[datetime]] = defaultdict(list)
        self.skipped: dict[Name, int] = defaultdict(int)
        self.sizes: list[tuple[int, int, int]] = []

    def expected(self, name: Name, after: datetime, until: datetime) -> list[datetime]:
        """The ticks by the cron rule."""
        [rule] = [rule for flow in FLOWS for rule in flow.schedules if (flow.name, rule.id) == name]
        return list(takewhile(lambda at: at <= until, ticks_after(rule.cron, rule.timezone, after)))

    async def on_missed(self, flow: str, trigger: str, first: datetime, last: datetime, count: int) -> None:
        told = self.expected((flow, trigger), first - timedelta(seconds=1), last)
        assert len(told) == count
        self.missed[flow, trigger] += told

    def close_day(self) -> None:
        """Take down what is there at the end of a day, before the worker is killed."""
        tables, schedules = self.rig.tables, self.rig.engine.schedules
        for run in tables.runs.values():
            if run.scheduled_at is not None:
                self.run[run.flow, run.trigger].add(run.scheduled_at)
        for (name, trigger, fate), count in schedules.fates.items():
            if fate == "skipped":
                self.skipped[name, trigger] += count
        entries = sum(map(len, tables.entries.values()))
        self.sizes.append((len(tables.runs), entries, len(tables.pruned)))


@pytest.mark.parametrize(
    "days", [28, pytest.param(372, marks=[pytest.mark.ci_only, pytest.mark.timeout(300)])], ids=["weeks", "year"]
)
def test_every_tick_is_accounted_for_and_the_store_stays_as_it_is(days: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each has its run, was told to be missed, or was skipped; the store holds as much in the end as after a month."""
    caplog.set_level(logging.CRITICAL)
    rig = Rig(1, FLOWS)
    account = Account(rig)

    async def program() -> None:
        begun = rig.clock.now()
        for _ in range(days):
            engine = await rig.up()
            engine.core.on_missed = account.on_missed
            engine.retain(Rule(KEPT))
            await rig.wait(hours=23, seconds=rig.random.randint(0, 3000))
            account.close_day()
            await rig.kill()
            await rig.wait(minutes=rig.random.choice((0, 0, 1, 4, 17, 90)))
        (await rig.up()).core.on_missed = account.on_missed
        await rig.wait(seconds=1)
        account.close_day()
        for name in [(each.name, rule.id) for each in FLOWS for rule in each.schedules]:
            expected = account.expected(name, begun, rig.clock.now())
            run, missed = account.run[name], account.missed[name]
            assert len(run) + len(missed) + account.skipped[name] == len(expected)
            assert len(run.union(missed)) == len(run) + len(missed)
            assert run.union(missed) <= set(expected)
        assert {run.status for run in rig.tables.runs.values()} <= {"succeeded", "waiting", "queued"}

    rig.run(program)
    ran, missed = sum(map(len, account.run.values())), sum(map(len, account.missed.values()))
    skipped = sum(account.skipped.values())
    assert max(rig.tables.runs) == ran
    assert ran + missed + skipped > 265 * days
    assert min(missed, skipped) > days / 2
    for count, kept in zip(zip(*account.sizes, strict=True), (3, 6, 32), strict=True):
        assert max(count) <= kept * ran / days

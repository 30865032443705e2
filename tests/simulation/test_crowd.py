"""Many runs about two alerts, through faults, kills and cancellations: in the end PagerDuty shows the truth."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from resolute import Flow, flow, manual
from resolute.errors import EngineError
from resolute.providers import pagerduty
from tests.simulation.alerts import KEY, goes_on, trigger
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

ALERTS = ("disk", "cpu")
FAULTS = {
    "503": 0.15,
    "429_retry_after": 0.05,
    "cut_before": 0.1,
    "apply_then_cut": 0.1,
    "slow": 0.1,
    "html_502": 0.05,
}


def flows() -> list[Flow]:
    """For each alert a flow for each action, and one that has somebody called after a while."""
    made = []
    for key in ALERTS:
        for name, node in (
            ("page", trigger(key)),
            ("acknowledge", pagerduty.acknowledge_event(routing_key=KEY, dedup_key=key)),
            ("resolve", pagerduty.resolve_event(routing_key=KEY, dedup_key=key)),
            ("call", trigger(key).as_("page").or_else(goes_on().as_("called"), after=timedelta(seconds=20))),
        ):
            made.append(flow(f"{name}-{key}").triggered_by(manual()).then(node, goes_on()).build())
    return made


@pytest.mark.parametrize("seed", range(40))
def test_the_newest_decision_about_an_alert_is_what_is_left_of_a_crowd(seed: int) -> None:
    """Every run ends, every row is settled, and what is open is what the newest accepted decision says."""
    rig = Rig(seed, flows(), slow_disk=True)
    names = [made.name for made in rig.flows]
    rig.pagerduty.rules.events_per_minute = None

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.mix(FAULTS, rig.random)
        started: list[str] = []
        for number in range(30):
            started.append(f"r{number}")
            start = rig.engine.start(rig.random.choice(names), run_id=started[-1])
            task = asyncio.create_task(start)
            await rig.wait(seconds=rig.random.choice([0, 0.01, 0.5, 2, 10, 70]))
            if rig.random.random() < 0.2:
                await rig.kill()
                await rig.wait(seconds=rig.random.choice([0.1, 5, 90]))
                await rig.up()
            elif rig.random.random() < 0.2 and task.done():
                with suppress(EngineError):
                    await rig.engine.cancel(rig.random.choice(started))
            await asyncio.wait({task})
        rig.pagerduty.faults.clear()
        await rig.wait(minutes=30)
        assert not rig.engine.broken.done()

    rig.run(program)
    assert set(rig.statuses().values()) <= {"succeeded", "cancelled"}
    assert all(row.is_settled and row.repeat_at is None for row in rig.rows())
    for key in ALERTS:
        decisions = [row for row in rig.rows() if row.dedup_key == key and row.action != "acknowledge"]
        if decisions and decisions[-1].message == "Event processed":
            is_open = any(alert.alert_key == key and alert.status == "triggered" for alert in rig.pagerduty.alerts)
            assert is_open == (decisions[-1].action == "trigger"), f"{key} after {decisions[-1].action}"

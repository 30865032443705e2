"""The notice of a failure, whatever the worker dies of and when: one page for each run that failed, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from resolute import ActivityError, activity, flow, input_data, manual, secret, text
from resolute.engines.embedded.failure_notice import NOTICE_FLOW
from resolute.engines.embedded.store import Op
from resolute.errors import RunNotFound
from resolute.jobs import Job, prepare_call
from resolute.providers import pagerduty
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

#: More than a failed run and its notice commit.
BOUNDARIES = 8
PAGE = pagerduty.trigger_event(
    routing_key=secret("PAGERDUTY_ROUTING_KEY"),
    summary=text("{run}", run=input_data("run_id")),
    severity="error",
).as_("tell")


@activity
async def check(fails: bool) -> None:
    if fails:
        raise ActivityError("no route", permanent=True)


checked = flow("checked").triggered_by(manual()).then(check(fails=input_data("fails"))).build()


class EvenRig(Rig):
    """A rig whose disk takes a millisecond for each batch."""

    def _delay(self, batch: Sequence[Op]) -> float:
        return 0.001

    @property
    def pending(self) -> int:
        return 0 if self._store is None else self._store.pending


@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.parametrize("boundary", range(1, BOUNDARIES + 1))
def test_failure_is_paged_once_at_whatever_batch_the_worker_dies(boundary: int, is_durable: bool) -> None:
    """The batch is lost with the worker, or durable and nobody has heard of it."""
    rig = EvenRig(1, [checked], slow_disk=True)

    async def program() -> None:
        starting = asyncio.create_task((await rig.up(on_failure=PAGE)).start("checked", {"fails": True}, run_id="r"))
        for _ in range(10_000):
            if rig.tables.commits == boundary - 1 and rig.pending:
                await rig.kill(kept=int(is_durable))
                await rig.up(on_failure=PAGE)
                break
            await rig.wait(seconds=0.0002)
        starting.cancel()
        await rig.engine.start("checked", {"fails": True}, run_id="r")
        await rig.engine.result("r")
        await rig.wait(minutes=3)

    rig.run(program)
    assert [(row.title, row.status) for row in rig.rows()] == [("r", "accepted")]
    assert [incident.title for incident in rig.pagerduty.incidents] == ["r"]
    assert bool(rig.kills) == (boundary <= rig.tables.commits)


def test_job_whose_process_died_is_told_by_the_next_worker() -> None:
    """Its key was gone with the process, so that its page could not leave."""
    key = "0123456789abcdef0123456789abcdef"
    job = Job("Page", "create_pagerduty_incident", {"title": "Disk full", "service_key": key})
    call = prepare_call(job)
    rig = Rig(1, [call.flow, checked])

    async def program() -> None:
        rig.pagerduty.faults.outage(kind="503")
        engine = await rig.up()
        await engine.start(call.flow.name, call.input, run_id="job", secrets=call.secrets)
        await rig.wait(seconds=5)
        await rig.kill()
        rig.pagerduty.faults.outage(False)
        await rig.up(on_failure=PAGE)
        await rig.wait(minutes=1)

    rig.run(program)
    assert [(row.title, row.status) for row in rig.rows()] == [("Disk full", "undelivered"), ("job", "accepted")]


@pytest.mark.parametrize("seed", range(40))
def test_every_failure_is_paged_once_whatever_dies(seed: int) -> None:
    """Runs that fail and runs that do not, through kills, a slow disk and a PagerDuty that cuts connections."""
    rig = Rig(seed, [checked], slow_disk=True)
    rig.pagerduty.faults.mix({"503": 0.1, "apply_then_cut": 0.1, "cut_before": 0.1}, rig.random)
    runs = {f"run-{number}": rig.random.random() < 0.7 for number in range(12)}

    async def is_there(run_id: str) -> bool:
        try:
            return bool(await rig.engine.get(run_id))
        except RunNotFound:
            return False

    async def program() -> None:
        await rig.up(on_failure=PAGE)
        for _ in range(rig.random.randint(2, 5)):
            begun = [run_id for run_id in runs if not await is_there(run_id) and rig.random.random() < 0.4]
            starting = [
                asyncio.create_task(rig.engine.start("checked", {"fails": runs[id]}, run_id=id)) for id in begun
            ]
            await rig.wait(seconds=rig.random.choice((0.002, 0.05, 0.4, 3.0)))
            await rig.kill()
            await asyncio.gather(*starting, return_exceptions=True)
            await rig.up(on_failure=PAGE)
        for run_id, fails in runs.items():
            await rig.engine.start("checked", {"fails": fails}, run_id=run_id)
            await rig.engine.result(run_id)
        await rig.wait(hours=1)

    rig.run(program)
    failed = sorted(run_id for run_id, fails in runs.items() if fails)
    assert sorted(row.title for row in rig.rows()) == failed
    assert sorted(incident.title for incident in rig.pagerduty.incidents) == failed
    assert {run.status for run in rig.tables.runs.values() if run.flow == NOTICE_FLOW} <= {"succeeded"}

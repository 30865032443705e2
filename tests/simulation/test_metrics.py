"""Metrics count what happened, once each, with labels that nobody outside can choose."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from resolute import ActivityError, Retry, activity, current, flow, input_data, manual, run_id, schedule
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.threads import Inline
from resolute.metrics import Metrics
from resolute.providers import pagerduty
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from resolute.simulator import SimulatorTransport
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


@activity
async def shaky() -> int:
    if not current().repeated:
        raise ValueError("not yet")
    return 1


@activity
async def lasting() -> None:
    current().heartbeat("half way")
    await asyncio.sleep(20)


@activity
async def broken() -> None:
    raise ActivityError("no", permanent=True)


well = flow("well").triggered_by(manual()).then(shaky().with_retry(Retry(attempts=2))).build()
slow = flow("slow").triggered_by(manual()).then(lasting()).then_sleep(timedelta(minutes=10)).build()
bad = flow("bad").triggered_by(manual()).then(broken()).build()
hourly = flow("hourly").triggered_by(schedule("0 * * * *", catch_up="skip")).then(shaky()).build()
paging = (
    flow("paging")
    .triggered_by(manual())
    .then(pagerduty.trigger_event(summary="down", source="a", severity="critical", dedup_key=run_id()))
    .build()
)
closing = flow("closing").triggered_by(manual()).then(pagerduty.resolve_event(dedup_key=input_data("of"))).build()


class MeteredRig(Rig):
    """A rig whose worker counts."""

    async def up(self, **options: Any) -> EmbeddedEngine:
        """Start a worker on what the last one left, with metrics of its own."""
        account = PagerDutyProvider(
            PagerDutyConfig(service_key=self.pagerduty.routing_key), transport=SimulatorTransport(self.pagerduty)
        )
        secrets = Secrets(self.environ)
        account.open(self.environ, self.clock, secrets)
        name = (account.kind, account.name)
        self._store = MemoryStore(self.tables)
        self._engine = EmbeddedEngine(
            self._store,
            self.flows,
            clock=self.clock,
            randomness=self.random,
            secrets=secrets,
            providers={name: account},
            paging={name: account.paging},
            threads=Inline(),
            **options,
        )
        self.metrics = Metrics(self._engine)
        self._before = asyncio.all_tasks()
        await self._engine.open()
        return self._engine

    async def finish_all(self, *flows: str) -> None:
        """Run each of these flows to its end."""
        for name in flows:
            run = await self.engine.start(name)
            await self.engine.result(run.id)

    def value(self, name: str, **labels: str) -> float | None:
        """A number of the page, None when it is not there."""
        return numbers(self.metrics.render()).get((name, tuple(sorted(labels.items()))))


def numbers(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The page as Prometheus reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_runs_are_counted_and_timed_by_flow_and_status() -> None:
    """Each once, whatever its journal writes in between."""
    rig = MeteredRig(1, [well, slow, bad])

    async def program() -> None:
        await rig.up()
        await rig.finish_all("well", "well", "slow", "bad")
        for name, status, count in (("well", "succeeded", 2), ("slow", "succeeded", 1), ("bad", "failed", 1)):
            assert rig.value("resolute_runs_started_total", flow=name) == count
            assert rig.value("resolute_runs_finished_total", flow=name, status=status) == count
        assert rig.value("resolute_runs_finished_total", flow="bad", status="succeeded") == 0
        assert rig.value("resolute_run_duration_seconds_sum", flow="slow") == pytest.approx(620, abs=1)

    rig.run(program)


def test_every_start_of_a_crowd_is_counted_once() -> None:
    """Also where there is no room in memory, so that later ones are on disk before earlier ones."""
    rig = MeteredRig(1, [well])

    async def program() -> None:
        await rig.up(max_concurrent=1)
        runs = await asyncio.gather(*(rig.engine.start("well") for _ in range(150)))
        for run in runs:
            await rig.engine.result(run.id)
        assert rig.value("resolute_runs_started_total", flow="well") == 150
        assert rig.value("resolute_runs_finished_total", flow="well", status="succeeded") == 150

    rig.run(program)


def test_nothing_is_remembered_of_a_run_that_has_ended() -> None:
    """Also of one that was cancelled in the middle of an attempt."""
    rig = MeteredRig(1, [slow])

    async def program() -> None:
        await rig.up()
        run = await rig.engine.start("slow")
        await rig.wait(seconds=1)
        assert set(rig.metrics._under_way) == {run.id}
        await rig.engine.cancel(run.id)
        assert not rig.metrics._under_way

    rig.run(program)


def test_attempts_and_failures_are_counted_by_flow_and_activity() -> None:
    """A sign of life is no second attempt."""
    rig = MeteredRig(1, [well, slow, bad])

    async def program() -> None:
        await rig.up()
        await rig.finish_all("well", "slow", "bad")
        expected = {("well", "shaky"): (2, 1), ("slow", "lasting"): (1, 0), ("bad", "broken"): (1, 1)}
        for (name, act), (attempts, failures) in expected.items():
            assert rig.value("resolute_attempts_total", flow=name, activity=act) == attempts
            assert rig.value("resolute_attempt_failures_total", flow=name, activity=act) == failures
        assert rig.value("resolute_attempt_duration_seconds_sum", flow="slow", activity="lasting") == pytest.approx(20)

    rig.run(program)


def test_sends_are_counted_when_they_are_settled() -> None:
    """Until then they are unsettled and grow old; each request that had no success is a failure."""
    rig = MeteredRig(1, [paging])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        run = await rig.engine.start("paging")
        await rig.wait(minutes=10)
        assert rig.value("resolute_ledger_rows_unsettled", status="pending") == 1
        assert rig.value("resolute_oldest_unsettled_page_age_seconds") == pytest.approx(600)
        assert rig.value("resolute_runs", status="waiting") == 1
        assert rig.value("resolute_ledger_rows_settled_total", status="rejected") == 0
        rig.pagerduty.faults.outage(False)
        await rig.engine.result(run.id)
        assert rig.value("resolute_ledger_rows_unsettled", status="pending") == 0
        assert rig.value("resolute_oldest_unsettled_page_age_seconds") == 0
        assert rig.value("resolute_ledger_rows_settled_total", status="accepted") == 1
        labels = {"flow": "paging", "activity": "pagerduty.trigger_event"}
        attempts = rig.value("resolute_attempts_total", **labels)
        assert attempts is not None
        assert attempts > 5
        assert rig.value("resolute_attempt_failures_total", **labels) == attempts - 1
        assert (
            rig.value("resolute_attempt_duration_seconds_count", **labels) is None
        )  # of all of them is no time of one

    rig.run(program)


def test_a_send_that_changes_later_is_not_counted_again() -> None:
    """The row of a page changes once more when its alert is resolved."""
    rig = MeteredRig(1, [paging, closing])

    async def program() -> None:
        await rig.up()
        page = await rig.engine.start("paging")
        await rig.engine.result(page.id)
        run = await rig.engine.start("closing", {"of": page.id})
        await rig.engine.result(run.id)
        await rig.wait(minutes=5)
        assert rig.value("resolute_ledger_rows_settled_total", status="accepted") == 2

    rig.run(program)


def test_what_an_earlier_worker_counted_is_not_counted_again() -> None:
    """A run that it began is only finished by this one, and its page is settled once."""
    rig = MeteredRig(1, [slow, paging])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        *runs, doomed = [await rig.engine.start(name) for name in ("slow", "paging", "paging")]
        await rig.wait(minutes=1)
        await rig.kill(kept=0)
        await rig.up()
        await rig.engine.cancel(doomed.id)
        rig.pagerduty.faults.outage(False)
        for run in runs:
            await rig.engine.result(run.id)
        for name in ("slow", "paging"):
            assert rig.value("resolute_runs_started_total", flow=name) == 0
            assert rig.value("resolute_runs_finished_total", flow=name, status="succeeded") == 1
        for status in ("accepted", "cancelled"):
            assert rig.value("resolute_ledger_rows_settled_total", status=status) == 1

    rig.run(program)


def test_what_is_under_way_is_seen_when_it_is_asked_for() -> None:
    """Runs in memory, runs that wait, and how long a due one has waited."""
    rig = MeteredRig(1, [slow])

    async def program() -> None:
        await rig.up()
        run = await rig.engine.start("slow")
        await rig.wait(seconds=1)
        assert (rig.value("resolute_live_runs"), rig.value("resolute_runs", status="waiting")) == (1, 0)
        await rig.wait(seconds=60)
        assert (rig.value("resolute_live_runs"), rig.value("resolute_runs", status="waiting")) == (0, 1)
        assert rig.value("resolute_oldest_ready_run_age_seconds") == 0
        rig.clock.shift(timedelta(hours=1))
        assert rig.value("resolute_oldest_ready_run_age_seconds") == pytest.approx(3600 + 61 - 620)
        await rig.engine.result(run.id)

    rig.run(program)


def test_ticks_are_counted_by_their_fate() -> None:
    """Also those that nobody was there for."""
    rig = MeteredRig(1, [hourly])

    async def program() -> None:
        await rig.up()
        await rig.wait(hours=3)
        await rig.kill(kept=0)
        await rig.wait(hours=5)
        await rig.up()
        await rig.wait(hours=2)
        fates = {fate: rig.value("resolute_ticks_total", flow="hourly", fate=fate) for fate in ("run", "missed")}
        assert fates == {"run": 2, "missed": 5}

    rig.run(program)


def test_unknown_names_are_other() -> None:
    """Labels are what the worker was given; a flow that came later, such as a job, makes no series of its own."""
    rig = MeteredRig(1, [well])

    async def program() -> None:
        engine = await rig.up()
        engine.add_flow(bad)
        await rig.finish_all("bad")
        assert rig.value("resolute_runs_finished_total", flow="other", status="failed") == 1
        assert rig.value("resolute_attempt_failures_total", flow="other", activity="other") == 1
        assert b'"bad"' not in rig.metrics.render()

    rig.run(program)

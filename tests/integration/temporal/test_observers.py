"""Who hears of runs on a real Temporal server: hooks, metrics, and the notices of `Worker(on_failure=...)`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from resolute import RunFailed, Worker, input_data
from resolute.engine import RunView
from resolute.engines.temporal import notices
from resolute.hooks import RunEvent
from tests.integration.temporal import flows
from tests.integration.temporal.workers import SOON, until, working

pytestmark = pytest.mark.ci_only

TELL = flows.act(given=input_data("")).as_("tell")


async def test_a_replay_tells_nothing_again(address: str, tmp_path: Path) -> None:
    """Whoever walks the run from its beginning tells only what is new."""
    told: list[str] = []

    def hook(event: RunEvent) -> None:
        told.append(f"{event.kind} {event.key}".strip())

    async with working(address, tmp_path, flows.gated(), hooks=[hook]) as worker:
        await worker.client.start("gated", run_id="r")
        await until(lambda: "run_parked" in told)
    assert told == ["run_started", "attempt_started first", "node_finished first", "run_parked"]
    async with working(address, tmp_path, flows.gated(), hooks=[hook]) as worker:
        await worker.client.run("r").signal("ok")
        await until(lambda: "run_finished" in told)
    assert told[4:] == ["attempt_started last", "node_finished last", "run_finished"]


async def test_a_failure_is_told_once_each_time_that_the_run_fails(address: str, tmp_path: Path) -> None:
    """By a run of its own, whose id says which failure it tells."""
    flows.broken.add("bad")
    async with working(address, tmp_path, flows.failing(), on_failure=TELL) as worker:
        run = await worker.client.start("failing", run_id="r")
        for retries in range(2):
            with pytest.raises(RunFailed):
                await run.result(SOON)
            told = await worker.client.run(f"~worker-failure:r:{retries}").result(SOON)
            assert (told["tell"]["kind"], told["tell"]["flow"]) == ("run_failed", "failing")
            assert [fault["key"] for fault in told["tell"]["errors"]] == ["bad"]
            await run.retry()
        assert flows.attempts["tell"] == 2


async def test_a_run_that_is_stuck_is_told(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, though every worker looks for such runs again and again."""
    monkeypatch.setattr(notices, "LOOK_EVERY", timedelta(seconds=1))
    async with working(address, tmp_path, flows.gated()) as worker:
        await worker.client.start("gated", run_id="r")
        await until(lambda: flows.attempts["first"] == 1)
    async with working(address, tmp_path, flows.gated("other"), on_failure=TELL) as worker:
        await worker.client.run("r").signal("ok")
        await until(lambda: flows.attempts["tell"] == 1, timedelta(minutes=3))
        engine: Any = worker.client._engine
        assert worker.engine.notices is not None
        await notices.RemoteNotices(worker.engine.notices, engine).look()  # as another worker does
        [told] = await _told(worker)
        assert (told["kind"], told["run_id"]) == ("needs_attention", "r")
        assert "first" in told["error"]


async def test_missed_ticks_are_told_once(address: str, tmp_path: Path) -> None:
    """Also when the worker that told of them has died before it had noted that."""
    async with working(address, tmp_path, flows.failing(), on_failure=TELL) as worker:
        at = worker.ports.clock.now().replace(microsecond=0)
        for _ in range(2):
            await worker.engine.missed("failing", "schedule", at, at, 1)
        assert [told["kind"] for told in await _told(worker)] == ["missed_ticks"]


async def _told(worker: Worker) -> list[Any]:
    """What the node of every notice was given."""
    found: Sequence[RunView] = []
    while not found:  # a list may lack the newest second
        found = await worker.client.runs(flow="~worker-failure")
    return [(await worker.client.run(notice.id).result(SOON))["tell"] for notice in found]


async def test_a_worker_counts_what_it_does(address: str, tmp_path: Path) -> None:
    """Runs, attempts and their failures, under the names that they have on the embedded engine."""
    flows.broken.add("bad")
    async with working(address, tmp_path, flows.failing(), flows.page_alone(), dashboard="127.0.0.1:0") as worker:
        with pytest.raises(RunFailed):
            await (await worker.client.start("failing", run_id="r")).result(SOON)
        await (await worker.client.start("page-alone", run_id="p")).result(SOON)
        page: dict[tuple[str, str], Any] = {}
        while page.get(("runs_finished_total", "page-alone,succeeded")) != 1:
            page = await _scraped(f"{worker.dashboard_url}/metrics")
    [act] = {labels for name, labels in page if name == "attempts_total" and labels.endswith("failing")}
    assert (page["attempts_total", act], page["attempt_failures_total", act]) == (2, 1)
    assert page["runs_started_total", "failing"] == page["runs_finished_total", "failed,failing"] == 1
    assert page["run_duration_seconds_count", "failing"] == 1
    assert page["attempt_duration_seconds_count", act] == 2


async def _scraped(url: str) -> dict[tuple[str, str], Any]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        text = (await client.get(url)).text
    return {
        (sample.name.removeprefix("resolute_"), ",".join(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

"""`GET /metrics` of a worker on a real file: what Prometheus sees."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from resolute import Worker, WorkerConfig, activity, flow, manual, unsigned, webhook
from resolute.clock import monotonic
from resolute.engines.embedded import census
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.hooks import RunEvent
from resolute.metrics import Metrics
from resolute.ports import Ports

LOOK_S = 0.01  # between two looks at what another task has done
DEADLINE_S = 30.0
Page = dict[tuple[str, str], float]


@activity
async def note() -> None:
    pass


hooked = flow("hooked").triggered_by(webhook("/in", signature=unsigned)).then(note()).build()
asks = flow("asks").triggered_by(manual()).then_gate("approve").build()


def breaks(event: RunEvent) -> None:
    if event.flow == "hooked":
        raise RuntimeError("no route")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolute.db"


@pytest.fixture
async def worker(path: Path) -> AsyncIterator[Worker]:
    """A worker that shows what it counts."""
    config = WorkerConfig(engine=f"sqlite:///{path}", webhooks="127.0.0.1:0", dashboard="127.0.0.1:0")
    async with Worker(config, flows=[hooked, asks], hooks=[breaks]) as up:
        yield up


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def scrape(worker: Worker) -> Page:
    """The numbers of the page by name and labels."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{worker.dashboard_url}/metrics")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    return numbers(answer.text)


def numbers(page: str) -> Page:
    """What a page holds, by name and labels."""
    return {
        (sample.name.removeprefix("resolute_"), ",".join(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


@contextmanager
def locked_by_another_program(path: Path) -> Iterator[None]:
    """Nothing can be written to the store meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_counts_of_a_real_worker(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    """Runs, commits, hook errors and answers to webhooks."""
    with caplog.at_level(logging.CRITICAL, "resolute.hooks"):
        async with httpx2.AsyncClient(base_url=str(worker.webhooks_url), trust_env=False) as sender:
            answers = [await sender.post(path, content=b"x") for path in ("/in", "/in", "/secret-path")]
        await worker.client.run(answers[0].json()["run_id"]).result()
        await worker.client.start("asks")
    page = await scrape(worker)
    assert [answer.status_code for answer in answers] == [202, 202, 404]
    assert (page["webhook_answers_total", "202"], page["webhook_answers_total", "404"]) == (2, 1)
    assert (page["runs_started_total", "hooked"], page["runs_started_total", "asks"]) == (1, 1)
    assert page["runs_finished_total", "hooked,succeeded"] == 1
    assert page["runs", "queued"] == page["runs", "needs_attention"] == 0
    assert page["hook_errors_total", ""] > 0
    assert page["journal_commits_total", ""] >= 3
    assert page["store_readable", ""] == 1
    assert not any("secret-path" in labels for _, labels in page)


async def test_a_journal_that_is_held_shows_and_comes_back(worker: Worker, path: Path) -> None:
    """The page is there meanwhile; the numbers of runs are read without a write."""
    with locked_by_another_program(path):
        starting = asyncio.create_task(worker.client.start("asks", run_id="one"))
        deadline = monotonic() + DEADLINE_S
        while (page := await scrape(worker))["journal_held_seconds", ""] == 0:
            assert monotonic() < deadline, "it was never held"
            await asyncio.sleep(LOOK_S)
        assert page["runs", "waiting"] == 0
    await starting
    assert (await scrape(worker))["journal_held_seconds", ""] == 0


async def test_a_store_that_cannot_be_read_costs_only_its_numbers(path: Path) -> None:
    """The rest of the page is there, and one number says so: here before the store is made."""
    ports = Ports()
    engine = EmbeddedEngine(
        SqliteStore(path), [asks], clock=ports.clock, randomness=ports.randomness, secrets=ports.secrets
    )
    page = numbers(Metrics(engine).render().decode())
    assert page["store_readable", ""] == 0
    assert ("runs", "waiting") not in page
    assert page["journal_held_seconds", ""] == 0
    assert not files_in(path.parent)


@pytest.mark.parametrize(
    ("statement", "values"), [(census._COUNT, ("waiting",)), (census._FIRST_DUE, ())], ids=["count", "first due"]
)
async def test_no_question_looks_at_what_has_finished(
    worker: Worker, path: Path, statement: str, values: tuple[str, ...]
) -> None:
    """A store with a million runs is asked as fast as an empty one: each answer comes from a part of an index."""
    with closing(sqlite3.connect(path)) as reader:
        [(*_, plan)] = reader.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    assert plan.startswith("SEARCH runs USING")
    assert "runs_by_status" in plan or "runs_due" in plan


def test_who_shows_nothing_does_not_load_the_client() -> None:
    """Neither the engine nor a worker needs it."""
    code = "import sys, resolute.worker, resolute.cli.worker; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

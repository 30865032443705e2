"""The kill test on a real machine: real processes, real SQLite, real sockets, real `kill -9`."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from resolute.client import Client
from resolute.engine import RunQuery
from tests.acceptance.machine import Machine

FAULTS = {
    "503": 0.08,
    "429": 0.03,
    "429_retry_after": 0.01,
    "429_bare": 0.03,
    "cut_before": 0.06,
    "apply_then_cut": 0.08,
    "slow": 0.06,
    "html_502": 0.02,
}


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("runs", "seed"),
    [pytest.param(30, 1, id="30 runs"), pytest.param(300, 2, id="300 runs", marks=pytest.mark.ci_only)],
)
@pytest.mark.timeout(600)
def test_pages_once_for_each_run_however_often_the_worker_is_killed(tmp_path: Path, runs: int, seed: int) -> None:
    """Every run ends, with one alert and one settled row, and no finished node runs again."""
    draw = random.Random(seed)
    ids = [f"run-{number:03}" for number in range(runs)]
    done_at_kill: list[tuple[set[str], int]] = []
    with Machine(tmp_path) as machine:
        machine.pagerduty.faults.slow_s = 0.7
        machine.pagerduty.faults.wait_s = 1
        machine.pagerduty.faults.mix(FAULTS, random.Random(seed))
        machine.start()
        left = list(ids)
        while left:
            batch, left = left[:20], left[20:]
            machine.ask(lambda client, batch=batch: _start(client, batch))
            _wait_for_requests(machine, draw.randint(1, 30))
            machine.kill()
            done_at_kill.append((_done(machine), machine.calls.stat().st_size))
            machine.start()
        for run_id in ids:
            machine.result(run_id)
        assert machine.stop() == 0
        machine.wait_for(lambda: machine.server.call(lambda sim: sim.pending == 0))  # accepted, not yet worked on
        views = machine.ask(lambda client: client.runs(limit=runs + 1))
        rows = machine.rows()
        alerts = machine.server.call(lambda sim: [alert.alert_key for alert in sim.alerts])
        incidents = machine.server.call(lambda sim: len(sim.incidents))
        stored = machine.bytes_of_files()

    assert machine.kills == len(done_at_kill) >= 2
    assert {view.id: view.status for view in views} == dict.fromkeys(ids, "succeeded")
    assert Counter(row.run_id for row in rows) == Counter(ids)
    assert {row.status for row in rows} == {"accepted"}
    assert Counter(alerts) == Counter(row.dedup_key for row in rows)
    assert incidents == runs
    calls = machine.calls.read_bytes()
    for done, offset in done_at_kill:
        again = done.intersection(calls[offset:].decode().split())
        assert not again, f"finished nodes ran again: {again}"
    assert machine.pagerduty.routing_key.encode() not in stored
    assert machine.pagerduty.api_key.encode() not in stored


def _wait_for_requests(machine: Machine, number: int) -> None:
    """Return when so many more requests have come, or nothing is left to send."""
    end = machine.server.call(lambda sim: len(sim.requests)) + number
    machine.wait_for(lambda: machine.server.call(lambda sim: len(sim.requests)) >= end or _all_done(machine))


async def _start(client: Client, ids: list[str]) -> None:
    for run_id in ids:
        await client.start("paging", run_id=run_id)


def _all_done(machine: Machine) -> bool:
    return all(run.status == "succeeded" for run in machine.read(lambda reader: reader.runs(RunQuery(limit=1000))))


def _done(machine: Machine) -> set[str]:
    """Every node whose output is on disk."""

    async def done(reader: object) -> set[str]:
        found = set()
        for run in await reader.runs(RunQuery(limit=1000)):  # type: ignore[attr-defined]
            _, entries = await reader.load(run.no)  # type: ignore[attr-defined]
            found.update(f"{run.id}/{entry.position}" for entry in entries if entry.status == "done")
        return found

    return machine.read(done)

"""Two workers on Temporal with one incident log, killed every few seconds while a storm of runs pages."""

from __future__ import annotations

import random
from collections import Counter
from typing import Final

import pytest

from tests.acceptance.temporal.fleet import Fleet
from tests.acceptance.temporal.histories import histories, secrets_in
from tests.acceptance.temporal.incident_log import SharedLog
from tests.postgres_server import PASSWORD, QUOTED, PostgresServer

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only, pytest.mark.timeout(300)]

FAULTS: Final = {"503": 0.1, "cut_before": 0.06, "apply_then_cut": 0.08, "429": 0.04}
RUNS: Final = 500
KILLS: Final = 6


def test_every_run_pages_once_however_often_a_worker_is_killed(fleet: Fleet, postgres: PostgresServer) -> None:
    """Each of 500 runs ends with one alert and one accepted row, nobody thinks it open, and no secret was told."""
    log, draw = SharedLog(postgres), random.Random(1)
    fleet.environ["RESOLUTE_DATABASE_URL"] = log.url
    fleet.pagerduty.faults.mix(FAULTS, random.Random(1))
    fleet.up("a", "b")
    runs = {f"run-{number}": {"key": f"key-{number}"} for number in range(RUNS)}
    fleet.start_runs("page", runs)
    for kill in range(1, KILLS + 1):
        fleet.until(lambda kill=kill: fleet.requests >= kill * RUNS // (KILLS + 1))
        victim = draw.choice("ab")
        fleet.kill(victim)
        fleet.up(victim)
    fleet.until(fleet.all_ended)
    fleet.until(lambda: not [row for name in "ab" for row in fleet.rows_of(name) if not row.is_settled])
    assert fleet.stop() == [0, 0]
    assert fleet.statuses(*runs) == {"succeeded": RUNS}
    alerts = fleet.pagerduty_says(lambda sim: Counter(alert.alert_key for alert in sim.alerts))
    assert alerts == Counter(given["key"] for given in runs.values())
    rows = log.rows()
    assert Counter(row.run_id for row in rows) == Counter(runs.keys())
    assert Counter(row.status for row in rows) == {"accepted": RUNS}
    told = histories(fleet)
    assert len(told) == RUNS
    assert not secrets_in(told, [fleet.key, fleet.pagerduty.api_key, PASSWORD, QUOTED])

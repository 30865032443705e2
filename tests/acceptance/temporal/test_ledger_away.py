"""The incident log that two workers on Temporal share is away for half a minute."""

from __future__ import annotations

import random
import threading
from collections import Counter
from itertools import groupby
from typing import Final

import pytest

from resolute.clock import monotonic
from tests.acceptance.temporal.fleet import Fleet
from tests.acceptance.temporal.incident_log import SharedLog
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only, pytest.mark.timeout(300)]

FAULTS: Final = {"503": 0.06, "cut_before": 0.03, "apply_then_cut": 0.06}
AWAY_S: Final = 30.0
KEYS: Final = 24


def test_pages_leave_while_the_shared_log_is_away(fleet: Fleet, postgres: PostgresServer) -> None:
    """Triggers at once; what needs their order waits and follows. Each event has its row, a killed worker's too."""
    log, pause = SharedLog(postgres), threading.Event()
    fleet.environ["RESOLUTE_DATABASE_URL"] = log.url
    fleet.pagerduty.faults.mix(FAULTS, random.Random(1))
    fleet.up("a", "b")
    keys = [f"key-{number}" for number in range(KEYS)]
    pages, acknowledges, resolves = (
        {f"{flow}-{key}": {"key": key} for key in keys} for flow in ("page", "acknowledge", "resolve")
    )
    before, meanwhile = dict(list(pages.items())[: KEYS // 2]), dict(list(pages.items())[KEYS // 2 :])
    fleet.start_runs("page", before)
    fleet.until(fleet.all_ended)
    postgres.stop()
    back_s = monotonic() + AWAY_S
    try:
        fleet.start_runs("page", meanwhile)
        fleet.until(fleet.all_ended, back_s - monotonic())
        fleet.start_runs("acknowledge", acknowledges)
        fleet.kill("a")
        fleet.up("a")
        pause.wait(back_s - monotonic())
        assert fleet.statuses(*acknowledges) == {"running": KEYS}
        assert {request.action for request in fleet.events()} == {"trigger"}
    finally:
        postgres.start()
    fleet.start_runs("resolve", resolves)
    fleet.until(fleet.all_ended)
    fleet.until(lambda: log.statuses()["accepted"] + log.statuses()["superseded"] == 3 * KEYS)
    assert fleet.stop() == [0, 0]
    for key in keys:
        applied = [event.action for event in fleet.events() if event.applied and event.dedup_key == key]
        assert [action for action, _ in groupby(applied)] in (
            ["trigger", "acknowledge", "resolve"],
            ["trigger", "resolve"],
        )
    rows = log.rows()
    assert Counter(row.run_id for row in rows) == Counter([*pages, *acknowledges, *resolves])
    deferred = {row.run_id for row in rows if any(remark.startswith("deferred") for remark in row.remarks)}
    assert deferred >= set(meanwhile)

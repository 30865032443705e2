"""Pages of a worker on Temporal that was killed and never comes back: another one sees to them."""

from __future__ import annotations

from typing import Final

import pytest

from tests.acceptance.temporal.fleet import Fleet
from tests.acceptance.temporal.incident_log import SharedLog
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only, pytest.mark.timeout(300)]

#: The alert is claimed for twice as long as a request may take.
MODULE: Final = """
from datetime import timedelta
from resolute import Worker, WorkerConfig, flow, manual, secret
from resolute.providers import pagerduty

KEY = secret("PAGERDUTY_ROUTING_KEY")
page = pagerduty.trigger_event(routing_key=KEY, summary="fire", source="test", severity="critical", dedup_key="a")
undo = pagerduty.resolve_event(routing_key=KEY, dedup_key="a")
account = pagerduty.PagerDutyConfig(timeout=timedelta(seconds=2))
worker = Worker(
    WorkerConfig(),
    flows=[flow("page").triggered_by(manual()).then(page.undo(undo)).build()],
    providers=[pagerduty.PagerDutyProvider(account)],
)
"""


def test_page_of_a_worker_that_was_killed_is_undone_by_another_one(fleet: Fleet, postgres: PostgresServer) -> None:
    """It had come to PagerDuty, and nobody was told: the run that is cancelled meanwhile takes it back all the same."""
    log = SharedLog(postgres)
    fleet.environ["RESOLUTE_DATABASE_URL"] = log.url
    fleet.module = fleet.write("paging.py", MODULE)
    fleet.pagerduty.faults.script("events", ["slow"])
    fleet.up("a", "b")
    fleet.start_runs("page", {"r": None})
    fleet.until(lambda: fleet.requests == 1)
    fleet.kill(next(name for name in "ab" if fleet.rows_of(name)))
    fleet.ask(lambda client: client.run("r").cancel())
    fleet.until(lambda: fleet.statuses("r") == {"cancelled": 1})
    assert fleet.pagerduty_says(lambda sim: [incident.status for incident in sim.incidents]) == ["resolved"]
    fleet.until(lambda: [row.status for row in log.rows()] == ["accepted", "accepted"])

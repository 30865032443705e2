"""Changes over REST are made once: real processes, real sockets, cut connections, `kill -9`; PagerDuty is the judge."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from resolute.client import Client
from resolute.engine import RunQuery
from resolute.engines.embedded.owner import holder
from resolute.simulator import Incident, PagerDutySimulator
from tests.acceptance.machine import Machine

SCRIPT = Path(__file__).with_name("writing_worker.py")
FAULTS = {
    "cut_before": 0.1,
    "apply_then_cut": 0.12,
    "500_applied": 0.03,
    "html_502_applied": 0.03,
    "503": 0.04,
    "429": 0.02,
    "slow": 0.08,
}
TITLES = ["First, seen", "Second", "Third", "Fourth"]
# What the flow writes on the first incident of a run, as the incident's own log tells it.
WRITTEN = [
    ("annotate_log_entry", "Note 1"),
    ("field_value_change_log_entry", None),
    ("annotate_log_entry", "Note 2"),
    ("acknowledge_log_entry", None),
    ("annotate_log_entry", "Note 3"),
    ("urgency_change_log_entry", None),
    ("annotate_log_entry", "Note 4"),
    ("resolve_log_entry", None),
]
NOTES = [kind for kind in WRITTEN if kind[1]]
CHANGES = [kind for kind in WRITTEN if not kind[1]]


class WritingMachine(Machine):
    """A machine whose worker changes incidents."""

    def start(self) -> None:
        """Start the worker; returns once it can be asked."""
        environ = {**self.environ, "PAGERDUTY_FROM": self.pagerduty.first_user.email}
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(self.store)], cwd=self.folder, env=environ, stderr=log
            )
        self.wait_for(lambda: (found := holder(self.store)) is not None and found.address is not None)

    def sees_requests(self, number: int) -> None:
        """Return when so many more requests have come, or every run has ended."""
        end = self.server.call(_requests) + number
        self.wait_for(lambda: self.server.call(_requests) >= end or set(self.statuses().values()) == {"succeeded"})

    def statuses(self) -> dict[str, str]:
        return {run.id: run.status for run in self.read(lambda reader: reader.runs(RunQuery(limit=1000)))}


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("runs", "kills", "seed"),
    [
        pytest.param(4, 3, 1, id="16 of each"),
        pytest.param(50, 25, 2, id="200 of each", marks=pytest.mark.ci_only),
        pytest.param(50, 25, 3, id="200 of each, another time", marks=pytest.mark.ci_only),
    ],
)
@pytest.mark.timeout(900)
def test_each_change_is_made_once_and_in_order_however_often_the_worker_is_killed(
    tmp_path: Path, runs: int, kills: int, seed: int
) -> None:
    """As many incidents, notes and changes as the runs ask for, each once and in the order of its flow."""
    draw = random.Random(seed)
    ids = [f"run-{number:02}" for number in range(runs)]
    with WritingMachine(tmp_path) as machine:
        service = next(iter(machine.pagerduty.world.services))
        machine.pagerduty.faults.slow_s = 0.3
        machine.pagerduty.faults.wait_s = 1
        machine.pagerduty.faults.mix(FAULTS, random.Random(seed), scope="rest")
        machine.start()
        for kill in range(kills):
            begun = ids[kill * runs // kills : (kill + 1) * runs // kills]
            machine.ask(lambda client, begun=begun: _start(client, begun, service))
            machine.sees_requests(draw.randint(1, 40))
            machine.kill()
            machine.start()
        for run_id in ids:
            machine.result(run_id)
        assert machine.stop() == 0
        statuses = machine.statuses()
        faults, made = machine.server.call(lambda simulator: (_faults(simulator), _made(simulator)))

    assert statuses == dict.fromkeys(ids, "succeeded")
    assert {"cut_before", "apply_then_cut"} <= set(faults)
    assert {run: [incident.title for incident in found] for run, found in made.items()} == dict.fromkeys(ids, TITLES)
    written = {run: _written(found[0]) for run, found in made.items()}
    assert written == dict.fromkeys(ids, WRITTEN)
    lines = [line for log in written.values() for line in log]
    counted = (sum(map(len, made.values())), *(sum(line in kinds for line in lines) for kinds in (NOTES, CHANGES)))
    assert counted == (4 * runs, 4 * runs, 4 * runs)
    assert all(not _written(incident) for found in made.values() for incident in found[1:])


async def _start(client: Client, ids: list[str], service: str) -> None:
    for run_id in ids:
        await client.start("written", {"service": service}, run_id=run_id)


def _requests(simulator: PagerDutySimulator) -> int:
    return len(simulator.requests)


def _faults(simulator: PagerDutySimulator) -> Counter[str | None]:
    return Counter(request.fault for request in simulator.requests)


def _made(simulator: PagerDutySimulator) -> dict[str, list[Incident]]:
    """The incidents of each run, by number; the key that a run's node makes up names the run."""
    made = defaultdict(list)
    for incident in simulator.incidents:
        made[str(incident.incident_key).split("/")[1]].append(incident)
    return dict(made)


def _written(incident: Incident) -> list[tuple[str, str | None]]:
    """What was written on an incident over REST after it was made."""
    kinds = {kind for kind, _ in WRITTEN}
    return [(entry.type, entry.note) for entry in incident.log if entry.type in kinds]

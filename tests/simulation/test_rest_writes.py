"""Changes over REST happen once: workers that die at any moment, answers that are lost, a slow disk; virtual time."""

from __future__ import annotations

import random

import pytest

from resolute import flow, input_data, manual, output
from resolute.providers import pagerduty
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from resolute.simulator import SimulatorTransport
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

#: What REST requests meet; a request that is applied seconds after its connection was cut is left out, since no
#: look-up can find it before that.
WEATHER = ["ok", "ok", "slow", "apply_then_cut", "500_applied", "html_502_applied", "503", "cut_before", "429"]

written = (
    flow("written")
    .triggered_by(manual("go"))
    .then(pagerduty.create_incident(title="Failover failed", service_id=input_data("service")).as_("made"))
    .then(pagerduty.add_note(incident_id=output("made.incident.id"), content="First").as_("first"))
    .then(pagerduty.add_note(incident_id=output("made.incident.id"), content="Second").as_("second"))
    .then(pagerduty.update_incident(id=output("made.incident.id"), status="acknowledged"))
    .build()
)


class WritingRig(Rig):
    """A machine whose worker changes incidents."""

    async def start(self) -> None:
        """Start a worker on what the last one left."""
        config = PagerDutyConfig(default_from=self.pagerduty.first_user.email)
        account = PagerDutyProvider(config, transport=SimulatorTransport(self.pagerduty))
        account.open(self.environ, self.clock, Secrets(self.environ))
        await self.up(providers={("pagerduty", ""): account}, paging={("pagerduty", ""): account.paging})


@pytest.mark.parametrize("seed", range(40))
def test_each_change_is_made_once_whatever_happens(seed: int) -> None:
    """One incident, each note once, one acknowledgement, in the order of the flow."""
    rig = WritingRig(seed, [written], slow_disk=bool(seed % 2))
    chance = random.Random(seed)

    async def program() -> None:
        await rig.start()
        service = next(iter(rig.pagerduty.world.services))
        run = await rig.engine.start("written", {"service": service}, run_id="r")
        rig.pagerduty.faults.script("rest", chance.choices(WEATHER, k=10))
        for _ in range(chance.randrange(6)):
            await rig.wait(seconds=chance.choice([0.001, 0.4, 3, 11, 40]))
            await rig.kill()
            await rig.wait(seconds=chance.choice([0, 5, 300]))
            await rig.start()
        assert (await rig.finish(run.id)).status == "succeeded"

    rig.run(program)
    [incident] = rig.pagerduty.incidents
    assert [note.content for note in incident.notes] == ["First", "Second"]
    assert incident.status == "acknowledged"
    assert [entry.type for entry in incident.log].count("acknowledge_log_entry") == 1

"""A storm of pages while listings use up the REST limit: nothing is lost, and no page waits for them; virtual time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from resolute import Flow, flow, input_data, manual, secret
from resolute.engine import RunView
from resolute.ledger.pace import CONFIRMED_BY, FLOOR
from resolute.providers import pagerduty
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from resolute.simulator import SimRequest, SimulatorTransport
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

SERVICES = 5
KEYS = [f"alert-{number:02}" for number in range(50)]
FRESH = [f"fresh-{number:02}" for number in range(24)]
#: Between two pages: five hundred a minute for each routing key, of which PagerDuty takes a hundred and twenty.
PAUSE = timedelta(seconds=0.024)


def flows() -> list[Flow]:
    """For each service of the storm a page and a resolve; a page of another service, a listing, a look at one."""

    def page(name: str) -> Any:
        key = input_data("key")
        return pagerduty.trigger_event(routing_key=secret(name), summary="Down", severity="critical", dedup_key=key)

    def resolve(name: str) -> Any:
        return pagerduty.resolve_event(routing_key=secret(name), dedup_key=input_data("key"))

    listing = pagerduty.list_all_incidents(since=input_data("since"), statuses=input_data("statuses"))
    nodes = {
        "fresh": page("KEY_FRESH"),
        "listing": listing.as_("listed"),
        "look": pagerduty.get_incident(id=input_data("id")),
        **{f"trigger-{number}": page(f"KEY_{number}") for number in range(SERVICES)},
        **{f"resolve-{number}": resolve(f"KEY_{number}") for number in range(SERVICES)},
    }
    return [flow(name).triggered_by(manual()).then(node).build() for name, node in nodes.items()]


class Storm(Rig):
    """An account with months behind it, and a worker that pages, resolves, lists and looks.

    Attributes:
        decided: the last decision about each key.
        begun, ended: of the storm.
        resolved: the old incidents that were resolved in it.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed, flows())
        world = self.pagerduty.world
        for number in range(SERVICES):
            self.environ[f"KEY_{number}"] = world.add_service(f"Service {number}").routing_key
        self.environ["KEY_FRESH"] = world.add_service("Fresh").routing_key
        self.decided: dict[str, str] = {}
        self.resolved: set[str] = set()
        self.begun = self.ended = self.clock.now()

    async def grow_old(self, incidents: int) -> None:
        """So many open incidents, over months; a hundred and fifty at a time, which is more than a page has rows."""
        rules = self.pagerduty.rules
        rules.rest_per_minute = None
        headers = {
            "authorization": f"Token token={self.pagerduty.api_key}",
            "from": self.pagerduty.first_user.email,
            "content-type": "application/json",
            "accept": "application/vnd.pagerduty+json;version=2",
        }
        service = {"id": next(iter(self.pagerduty.world.services)), "type": "service_reference"}
        incident = {"type": "incident", "title": "Long ago", "urgency": "low", "service": service}
        request = SimRequest("POST", "/incidents", headers, json.dumps({"incident": incident}).encode())
        for number in range(incidents):
            if number % 150 == 0:
                await self.wait(hours=30)
            assert self.pagerduty.handle(request).status == 201
        await self.wait(hours=1)
        rules.rest_per_minute = 960

    async def open(self, answers_in: timedelta, events_per_minute: int | None) -> None:
        """Start a worker, which may know the limit of a routing key, and let PagerDuty's REST API take its time."""
        config = PagerDutyConfig(confirm=True, events_per_minute=events_per_minute)
        account = PagerDutyProvider(config, transport=SimulatorTransport(self.pagerduty))
        account.open(self.environ, self.clock, Secrets(self.environ))
        await self.up(providers={("pagerduty", ""): account}, paging={("pagerduty", ""): account.paging})
        self.pagerduty.faults.slow_s = answers_in.total_seconds()
        self.pagerduty.faults.mix({"slow": 1.0}, scope="rest")
        self.begun = self.clock.now()

    async def list_all(self, *statuses: str) -> str:
        """A run that lists every incident so far, or those of these statuses."""
        since = (self.begun - timedelta(days=900)).isoformat()
        return (await self.engine.start("listing", {"since": since, "statuses": list(statuses)})).id

    async def blow(self, triggers: int) -> list[str]:
        """So many triggers of random keys, with resolves, look-ups, and pages of new keys of another service between.

        Returns:
            The runs of all of them; meanwhile old incidents are resolved by hand, so that the lists change.
        """
        old = [incident.id for incident in self.pagerduty.incidents]
        fresh = dict(zip(range(0, triggers, triggers // len(FRESH)), FRESH, strict=False))
        runs = []
        for number in range(triggers):
            runs.append(await self.decide("trigger"))
            if number % 10 == 0:
                runs.append(await self.decide("resolve"))
            if number % 3 == 0:
                runs.append((await self.engine.start("look", {"id": self.random.choice(old)})).id)
            if number % 5 == 0:
                self.resolved.add(self.pagerduty.resolve(self.random.choice(old)).id)
            if number in fresh:
                runs.append((await self.engine.start("fresh", {"key": fresh[number]})).id)
            await self.wait(seconds=PAUSE.total_seconds())
        self.ended = self.clock.now()
        return runs

    async def decide(self, action: str) -> str:
        """A run that triggers or resolves a key."""
        number = self.random.randrange(len(KEYS))
        self.decided[KEYS[number]] = action
        return (await self.engine.start(f"{action}-{number % SERVICES}", {"key": KEYS[number]})).id

    def listed(self, run: RunView) -> list[str]:
        """What a listing has found; it went on for as long as the storm did."""
        assert run.finished_at is not None
        assert run.finished_at - self.begun > 0.8 * (self.ended - self.begun)
        assert isinstance(run.output, dict)
        return [incident["id"] for incident in run.output["listed"]]

    def answers(self, api: str) -> Counter[int | None]:
        """How often requests of the storm were answered with what."""
        return Counter(each.status for each in self.pagerduty.requests if each.api == api and each.at >= self.begun)

    def waited(self, keys: Sequence[str]) -> list[timedelta]:
        """How long what was accepted of these keys took from its decision to its acceptance."""
        rows = [row for row in self.rows() if row.dedup_key in keys and row.status == "accepted"]
        return [row.settled_at - row.created_at for row in rows if row.settled_at is not None]

    def shown(self) -> dict[str, str]:
        """The status of the newest alert of each key."""
        return {alert.alert_key: alert.status for alert in self.pagerduty.alerts}


@pytest.mark.parametrize(
    ("triggers", "incidents", "stated", "tries"),
    [
        pytest.param(1_000, 900, FLOOR, 0, id="1,000 triggers, stated"),
        # Each routing key meets the limit once and makes sure of it by two tries, five seconds apart. From then on
        # nothing goes beyond it but one try a minute, for as long as events wait.
        pytest.param(1_000, 900, None, 1 + CONFIRMED_BY, id="1,000 triggers, learned"),
        pytest.param(5_000, 12_000, FLOOR, 0, id="5,000 triggers, stated", marks=pytest.mark.ci_only),
        pytest.param(5_000, 12_000, None, 2 + CONFIRMED_BY, id="5,000 triggers, learned", marks=pytest.mark.ci_only),
    ],
)
@pytest.mark.timeout(600)
def test_a_storm_loses_nothing_and_no_page_waits_for_a_listing(
    triggers: int, incidents: int, stated: int | None, tries: int
) -> None:
    """Each key ends as it was last decided, within the limits; a new service's pages leave at once; lists are whole."""
    storm = Storm(1)
    old: list[str] = []
    listings: list[RunView] = []

    async def program() -> None:
        await storm.grow_old(incidents)
        old.extend(incident.id for incident in storm.pagerduty.incidents)
        await storm.open(triggers * PAUSE / (incidents / 100), stated)
        lists = [await storm.list_all(), await storm.list_all("triggered", "acknowledged")]
        for run in await storm.blow(triggers):
            await storm.engine.result(run)
        listings.extend([await storm.engine.result(run) for run in lists])
        await storm.wait(seconds=1)  # PagerDuty works on events after it has accepted them

    storm.run(program)
    assert set(storm.statuses().values()) == {"succeeded"}
    assert {row.status for row in storm.rows()} == {"accepted", "superseded"}
    assert {key: storm.shown()[key] for key in storm.decided} == {
        key: "triggered" if action == "trigger" else "resolved" for key, action in storm.decided.items()
    }
    assert max(storm.waited(KEYS)) <= timedelta(seconds=70)
    assert len(storm.waited(FRESH)) == len(FRESH)
    assert max(storm.waited(FRESH)) <= timedelta(seconds=1)
    assert storm.answers("events")[429] <= SERVICES * tries
    assert set(storm.answers("rest")) == {200}
    every, still_open = (storm.listed(run) for run in listings)
    assert len(every) == len(set(every))
    assert len(still_open) == len(set(still_open))
    assert not set(old) - set(every)
    assert not set(old) - set(still_open) - storm.resolved

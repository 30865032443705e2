"""An accepted page of which no incident came is told, once, and never sent again: the real engine on virtual time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest

from resolute import flow, manual, secret
from resolute.ledger.confirmation import CONFIRMED_AT_ONCE, NOBODY
from resolute.providers import pagerduty
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from resolute.simulator import SimulatorTransport
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


disk = (
    flow("disk")
    .triggered_by(manual("go"))
    .then(pagerduty.trigger_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary="Disk full", dedup_key="disk"))
    .build()
)
each = (
    flow("each")
    .triggered_by(manual("go"))
    .then(pagerduty.trigger_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary="Disk full"))
    .build()
)


class ConfirmingRig(Rig):
    """A machine whose worker looks up what came of its pages."""

    def account(self) -> PagerDutyProvider:
        """The account, open."""
        config = PagerDutyConfig(api_key=self.environ.get("PAGERDUTY_API_KEY"), confirm=True)
        provider = PagerDutyProvider(config, transport=SimulatorTransport(self.pagerduty))
        provider.open(self.environ, self.clock, Secrets(self.environ))
        return provider

    async def start(self) -> None:
        """Start a worker with this account."""
        account = self.account()
        await self.up(providers={("pagerduty", ""): account}, paging={("pagerduty", ""): account.paging})

    def looks(self) -> int:
        """How often incidents were asked for."""
        return sum(request.path == "/incidents" for request in self.pagerduty.requests)

    def sends(self) -> int:
        """How many events were sent."""
        return sum(request.api == "events" for request in self.pagerduty.requests)


def rehearse(program: Callable[[ConfirmingRig], Awaitable[None]], *, api_key: bool = True) -> ConfirmingRig:
    """What is left after the program."""
    rig = ConfirmingRig(0, [disk, each], api_key=api_key)

    async def whole() -> None:
        await rig.start()
        await program(rig)

    rig.run(whole)
    return rig


async def page_and_wait(rig: ConfirmingRig) -> None:
    """One page, and two minutes."""
    await rig.engine.start("disk", run_id="r")
    await rig.finish("r")
    await rig.wait(minutes=2)


def test_a_page_that_opens_an_incident_is_looked_up_once() -> None:
    """All is well, and nothing is said."""
    rig = rehearse(page_and_wait)
    [row] = rig.rows()
    assert (row.status, row.remarks, row.repeat_at) == ("accepted", (), None)
    assert (rig.looks(), rig.sends()) == (1, 1)


@pytest.mark.parametrize("reason", ["disabled", "maintenance", "suppressed"])
def test_a_page_that_pagerduty_swallows_is_told(reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """In the log and in its row; it counts as delivered and is not sent again."""

    async def program(rig: ConfirmingRig) -> None:
        setattr(next(iter(rig.pagerduty.world.services.values())), reason, True)
        await page_and_wait(rig)

    with caplog.at_level(logging.WARNING, logger="resolute.ledger"):
        rig = rehearse(program)
    [row] = rig.rows()
    assert (row.status, row.remarks) == ("accepted", (NOBODY,))
    assert "row 1 (disk): accepted, but no incident came of it" in caplog.text
    assert rig.sends() == 1


def test_an_incident_that_was_resolved_at_once_is_an_incident() -> None:
    """Somebody was quick, and was notified."""

    async def program(rig: ConfirmingRig) -> None:
        await rig.engine.start("disk", run_id="r")
        await rig.finish("r")
        await rig.wait(seconds=5)
        rig.pagerduty.resolve(rig.pagerduty.incidents[0].id)
        await rig.wait(minutes=2)

    [row] = rehearse(program).rows()
    assert row.remarks == ()


def test_an_alert_that_another_tool_has_open_is_an_incident() -> None:
    """It was made long before, and is there."""

    async def program(rig: ConfirmingRig) -> None:
        await page_and_wait(rig)
        rig.tables.rows.clear()  # what was sent then is another tool's
        await rig.kill()
        await rig.wait(hours=30)
        await rig.start()
        await rig.engine.start("disk", run_id="again")
        await rig.finish("again")
        await rig.wait(minutes=2)

    [row] = rehearse(program).rows()
    assert row.remarks == ()


@pytest.mark.parametrize("kind", ["503", "apply_then_cut", "401", "html_502"])
def test_a_look_up_that_fails_is_no_verdict(kind: str) -> None:
    """It is one look and no duty: the page is delivered."""

    async def program(rig: ConfirmingRig) -> None:
        next(iter(rig.pagerduty.world.services.values())).disabled = True
        rig.pagerduty.faults.script("rest", [kind])
        await page_and_wait(rig)

    rig = rehearse(program)
    [row] = rig.rows()
    assert (row.remarks, row.repeat_at) == ((), None)
    assert rig.looks() <= 1


def test_without_an_api_key_nobody_asks() -> None:
    """Paging alone needs none."""
    rig = rehearse(page_and_wait, api_key=False)
    [row] = rig.rows()
    assert (row.remarks, row.repeat_at, rig.looks()) == ((), None, 0)


def test_a_worker_that_dies_meanwhile_asks_when_it_is_back() -> None:
    """The time of the look-up stands in the row."""

    async def program(rig: ConfirmingRig) -> None:
        next(iter(rig.pagerduty.world.services.values())).disabled = True
        await rig.engine.start("disk", run_id="r")
        await rig.finish("r")
        await rig.wait(seconds=1)
        await rig.kill()
        await rig.wait(minutes=10)
        await rig.start()
        await rig.wait(minutes=1)

    rig = rehearse(program)
    assert [row.remarks for row in rig.rows()] == [(NOBODY,)]
    assert rig.sends() == 1


def test_a_storm_is_not_looked_up_page_by_page() -> None:
    """Its first pages say whether the service takes any; the others leave the API key to those who need it."""

    async def program(rig: ConfirmingRig) -> None:
        rig.pagerduty.rules.events_per_minute = None
        for number in range(3 * CONFIRMED_AT_ONCE):
            await rig.engine.start("each", run_id=f"r{number}")
        for number in range(3 * CONFIRMED_AT_ONCE):
            await rig.finish(f"r{number}")
        await rig.wait(minutes=3)

    rig = rehearse(program)
    assert rig.looks() == CONFIRMED_AT_ONCE
    assert {row.repeat_at for row in rig.rows()} == {None}

"""Pages of several accounts, and of runs that end before their page is settled."""

from __future__ import annotations

import asyncio

import pytest

from resolute.errors import EngineError
from resolute.providers import pagerduty
from tests.simulation.alerts import (
    SEEDS,
    by_hand,
    goes_on,
    incidents,
    one,
    settled,
    trigger,
)
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


# Accounts


def test_via_goes_to_the_other_account_and_has_lanes_of_its_own() -> None:
    """The same dedup key in two accounts: neither waits for the other, and each gets its own page."""
    key = pagerduty.trigger_event(summary="Disk full", source="db-1", severity="critical", dedup_key="disk")
    rig = Rig(1, [one("us", trigger().as_("page")), one("eu", key.via("eu").as_("page"))])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("us", run_id="u")
        await rig.engine.start("eu", run_id="e")
        await rig.finish("e")
        await rig.wait(seconds=5)
        assert (incidents(rig), len(rig.eu.incidents)) == ([], 1)
        rig.pagerduty.faults.outage(False)
        await rig.finish("u")
        await rig.wait(seconds=5)

    rig.run(program)
    assert (len(rig.pagerduty.incidents), len(rig.eu.incidents)) == (1, 1)
    assert len({row.lane for row in rig.rows()}) == 2
    assert [row.instance for row in rig.rows()] == ["", "eu"]


def test_page_through_an_unknown_account_fails_its_run_alone() -> None:
    """The worker goes on, and the error says what to add."""
    rig = Rig(1, [one("apac", trigger().via("apac")), *by_hand()])

    async def program() -> None:
        await rig.up()
        await rig.engine.start("apac", run_id="a")
        view = await rig.finish("a")
        assert view.status == "failed"
        assert view.error.startswith('The provider "pagerduty" with name="apac" was not given to the worker')
        await rig.engine.start("page", run_id="p")
        assert (await rig.finish("p")).status == "succeeded"

    rig.run(program)


def test_page_of_an_account_that_the_next_worker_lacks_waits_for_one_that_has_it() -> None:
    """A worker started without the account neither breaks nor gives the page up."""
    key = pagerduty.trigger_event(summary="Disk full", source="db-1", severity="critical", dedup_key="disk")
    rig = Rig(1, [one("eu", key.via("eu").as_("page")), *by_hand()])

    async def program() -> None:
        await rig.up()
        rig.eu.faults.outage()
        await rig.engine.start("eu", run_id="e")
        await rig.wait(seconds=10)
        await rig.kill()
        rig.eu.faults.outage(False)
        await rig.up()
        del rig.engine.core.paging["pagerduty", "eu"]
        rig.engine.core.log._services = rig.engine.core.paging
        await rig.wait(minutes=5)
        await rig.engine.start("page", run_id="p")
        assert (await rig.finish("p")).status == "succeeded"
        assert rig.statuses()["e"] == "waiting"
        await rig.kill()
        await rig.up()
        await rig.finish("e")
        await rig.wait(seconds=1)

    rig.run(program)
    assert len(rig.eu.incidents) == 1


# Runs that end before their page


@pytest.mark.parametrize("seed", SEEDS)
def test_cancelling_a_run_settles_its_pending_page(seed: int) -> None:
    """It is never sent, and the lane is free for the next one."""
    rig = Rig(seed, by_hand(), slow_disk=True)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "refused"]))
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=rig.random.uniform(1, 100))
        assert (await rig.engine.cancel("p")).status == "cancelled"
        if rig.random.random() < 0.5:
            await rig.kill()
            await rig.up()
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=5)
        assert incidents(rig) == []
        await rig.engine.start("acknowledge", run_id="a")
        await rig.finish("a")

    rig.run(program)
    assert settled(rig) == [("trigger", "cancelled"), ("acknowledge", "accepted")]
    assert rig.statuses() == {"p": "cancelled", "a": "succeeded"}


@pytest.mark.parametrize(
    ("kind", "status", "page"),
    [("slow", "cancelled", "accepted"), ("503", "cancelled", "cancelled"), ("400_error_string", "failed", "rejected")],
)
def test_cancelling_lets_a_page_on_its_way_settle_first(kind: str, status: str, page: str) -> None:
    """What has left cannot be called back; the run ends once its answer is known."""
    rig = Rig(1, by_hand())
    rig.pagerduty.faults.slow_s = 5
    ended: list[float] = []

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", [kind, "503", "503"])
        await rig.engine.start("page", run_id="p")
        begun = rig.clock.now()
        try:
            await rig.engine.cancel("p")
        except EngineError:
            assert status == "failed"
        ended.append((rig.clock.now() - begun).total_seconds())
        await rig.wait(minutes=1)

    rig.run(program)
    assert rig.statuses() == {"p": status}
    assert settled(rig) == [("trigger", page)]
    assert [entry.key for entry in rig.tables.entries[1].values()] == ["page"]
    assert ended[0] == (5 if kind == "slow" else 0)


@pytest.mark.parametrize("kind", ["apply_then_cut", "cut_before"])
def test_cancelling_leaves_a_page_of_unknown_outcome_to_the_engine(kind: str) -> None:
    """It may be on somebody's phone already: it is sent until its outcome is known."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", [kind])
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=0.01)
        await rig.engine.cancel("p")
        await rig.wait(minutes=1)

    rig.run(program)
    assert rig.statuses() == {"p": "cancelled"}
    assert settled(rig) == [("trigger", "accepted")]
    assert incidents(rig) == ["triggered"]


@pytest.mark.parametrize("seed", range(60))
def test_cancelled_run_stays_cancelled_whatever_wakes_it(seed: int) -> None:
    """A wake-up that comes while it is being cancelled does not bring it back."""
    rig = Rig(seed, by_hand(), slow_disk=True)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=rig.random.uniform(0, 3))
        newer = asyncio.create_task(rig.engine.start("resolve", run_id="r"))
        await rig.wait(seconds=rig.random.choice([0, 0.001, 0.005, rig.random.uniform(0, 0.7)]))
        try:
            status = (await rig.engine.cancel("p")).status
        except EngineError:  # it has gone on as superseded and ended before
            status = "succeeded"
        await newer
        await rig.wait(minutes=3)
        assert rig.statuses()["p"] == status
        assert status in ("cancelled", "succeeded")
        rig.pagerduty.faults.outage(False)
        await rig.finish("r")

    rig.run(program)
    assert [row.status for row in rig.rows()] in (["superseded", "accepted"], ["cancelled", "accepted"])


@pytest.mark.parametrize("seed", SEEDS)
def test_page_of_a_run_that_no_longer_fits_its_flow_is_delivered(seed: int) -> None:
    """A deploy during an outage parks the run; its page goes out all the same."""
    rig = Rig(seed, by_hand(), slow_disk=True)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "cut_before", "apply_then_cut"]))
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=rig.random.uniform(0, 60))
        await rig.kill()
        rig.flows = [one("page", goes_on().as_("page"))] if rig.random.random() < 0.5 else by_hand()[1:]
        await rig.up()
        await rig.wait(minutes=2)
        assert rig.statuses() == {"p": "needs_attention"}
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=2)

    rig.run(program)
    assert settled(rig) == [("trigger", "accepted")]
    assert incidents(rig) == ["triggered"]

"""Requests whose answer was lost: second resolves, look-ups, and repeats that page nobody twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from resolute import Retry, flow, manual, secret
from resolute.providers import pagerduty
from tests.simulation.alerts import (
    SEEDS,
    by_hand,
    incidents,
    one,
    processed,
    trigger,
)
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("kind", ["apply_then_cut", "cut_before", "cut_then_apply", "html_502_applied", "slow"])
@pytest.mark.parametrize("seed", range(4))
def test_resolve_over_a_page_whose_answer_was_lost_leaves_nothing_open(seed: int, kind: str) -> None:
    """Also when the page reaches PagerDuty seconds after the resolve: a second resolve follows a minute later."""
    rig = Rig(seed, by_hand(), slow_disk=True)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", [kind])
        await rig.engine.start("page", run_id="p")
        if kind == "slow":  # the answer takes longer than anybody waits; meanwhile the worker dies
            await rig.wait(seconds=5)
            await rig.kill()
            await rig.up()
        await rig.engine.start("resolve", run_id="r")
        await rig.finish("r")
        if seed % 2:
            await rig.wait(seconds=rig.random.uniform(0, 55))
            await rig.kill()
            await rig.wait(seconds=rig.random.uniform(0, 90))
            await rig.up()
        await rig.wait(minutes=3)

    rig.run(program)
    assert rig.statuses() == {"p": "succeeded", "r": "succeeded"}
    assert set(incidents(rig)) <= {"resolved"}
    assert rig.rows()[-1].repeat_at is None
    if rig.rows()[0].status == "superseded":
        assert rig.rows()[0].message.endswith("(outcome unknown)")
        assert Counter(event.action for event in rig.pagerduty.processed)["resolve"] == 2


def test_second_resolve_closes_what_a_late_page_opened() -> None:
    """The page arrives five seconds after the resolve, which met nothing."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["cut_then_apply"])
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=0.1)
        await rig.engine.start("resolve", run_id="r")
        await rig.finish("r")
        await rig.wait(seconds=30)
        assert incidents(rig) == ["triggered"]
        await rig.wait(seconds=60)

    rig.run(program)
    assert processed(rig) == [("resolve", "no_open_alert"), ("trigger", "opened"), ("resolve", "resolved")]


def test_second_resolve_follows_a_page_that_was_accepted_at_its_second_try() -> None:
    """Its first request arrives after the resolve and opens another incident, which nobody would close."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["cut_then_apply"])
        await rig.engine.start("page", run_id="p")
        await rig.finish("p")
        await rig.engine.start("resolve", run_id="r")
        await rig.finish("r")
        await rig.wait(minutes=2)

    rig.run(program)
    assert incidents(rig) == ["resolved", "resolved"]


@pytest.mark.parametrize("after_s", [0.0, 0.05, 10, 59])
@pytest.mark.parametrize("kind", ["ok", "slow"])
def test_newer_page_drops_the_second_resolve(after_s: float, kind: str) -> None:
    """The problem is back: nothing closes its incident, whenever the page was decided."""
    rig = Rig(1, by_hand())
    rig.pagerduty.faults.slow_s = 5

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["cut_then_apply", kind])
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=0.1)
        await rig.engine.start("resolve", run_id="r")
        await rig.wait(seconds=after_s)
        await rig.engine.start("page", run_id="again")
        await rig.wait(minutes=5)

    rig.run(program)
    assert incidents(rig)[-1] == "triggered"
    assert [row.status for row in rig.rows()] == ["superseded", "accepted", "accepted"]
    assert [event.action for event in rig.pagerduty.processed].count("resolve") == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_page_decided_while_the_second_resolve_is_on_its_way_comes_last(seed: int) -> None:
    """And the worker lives on, whatever is answered."""
    rig = Rig(seed, by_hand(), slow_disk=True)
    rig.pagerduty.faults.slow_s = 5

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["cut_before", "ok", rig.random.choice(["slow", "503", "cut_before"])])
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=0.1)
        await rig.engine.start("resolve", run_id="r")
        await rig.finish("r")
        await rig.wait(seconds=rig.random.uniform(58, 66))
        await rig.engine.start("page", run_id="again")
        await rig.finish("again")
        await rig.wait(minutes=5)

    rig.run(program)
    assert incidents(rig) == ["triggered"]
    assert not rig.engine.broken.done()


def after_an_hour_away(seed: int, *, api_key: bool) -> Rig:
    """A page whose answer is lost, a worker that dies, a person who resolves, the worker back an hour later."""
    rig = Rig(seed, by_hand(), api_key=api_key, slow_disk=True)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", [rig.random.choice(["apply_then_cut", "slow", "500_applied"])])
        starting = asyncio.create_task(rig.engine.start("page", run_id="p"))
        while not rig.pagerduty.requests:
            await rig.wait(seconds=0.01)
        await rig.wait(seconds=rig.random.uniform(0.0, 0.4))
        await rig.kill()
        await asyncio.wait({starting})
        rig.pagerduty.faults.clear()
        await rig.wait(minutes=1)
        rig.pagerduty.resolve(rig.pagerduty.incidents[0].id)
        await rig.wait(minutes=59)
        await rig.up()
        await rig.finish("p")
        await rig.wait(seconds=5)

    rig.run(program)
    return rig


@pytest.mark.parametrize("seed", SEEDS)
def test_page_whose_answer_was_lost_is_looked_for_before_it_is_repeated(seed: int) -> None:
    """A person has resolved the incident meanwhile: there is exactly one, and nobody is paged again."""
    rig = after_an_hour_away(seed, api_key=True)
    assert incidents(rig) == ["resolved"]
    (row,) = rig.rows()
    assert (row.status, row.message) == ("accepted", "found at the service by look-up")
    assert not row.may_repeat


@pytest.mark.parametrize("seed", SEEDS)
def test_page_whose_answer_was_lost_is_repeated_where_nobody_can_be_asked(seed: int) -> None:
    """Without an API key it is better twice than never, and the row says so."""
    rig = after_an_hour_away(seed, api_key=False)
    assert incidents(rig) == ["resolved", "triggered"]
    (row,) = rig.rows()
    assert (row.status, row.may_repeat) == ("accepted", True)


def test_incident_that_was_over_before_the_page_is_not_taken_for_it() -> None:
    """Flapping within minutes: the look-up finds the incident of before, and the page is sent all the same."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        await rig.engine.start("page", run_id="first")
        await rig.wait(minutes=1)
        await rig.engine.start("resolve", run_id="r")
        await rig.wait(minutes=1)
        rig.pagerduty.faults.outage(kind="cut_before", scope="events")
        await rig.engine.start("page", run_id="second")
        await rig.wait(minutes=2)
        rig.pagerduty.faults.outage(False)
        await rig.finish("second")
        await rig.wait(seconds=5)

    rig.run(program)
    assert incidents(rig) == ["resolved", "triggered"]
    assert rig.rows()[-1].message == "Event processed"


def test_two_services_paged_under_one_dedup_key_both_hear_of_it() -> None:
    """The look-up finds the incident of the one; that says nothing about the other."""
    other = pagerduty.trigger_event(
        routing_key=secret("OTHER_KEY"), summary="Disk full", source="db-1", severity="critical", dedup_key="disk"
    )
    rig = Rig(1, [one("both", trigger().as_("page"), other.as_("other"))])
    service = rig.pagerduty.world.add_service("Storage")
    rig.environ["OTHER_KEY"] = service.routing_key

    async def program() -> None:
        rig.pagerduty.faults.script("events", ["ok", *["cut_before"] * 8])
        await rig.up()
        await rig.engine.start("both", run_id="b")
        await rig.finish("b")
        await rig.wait(seconds=5)

    rig.run(program)
    assert [incident.service_id for incident in rig.pagerduty.incidents][1:] == [service.id]
    assert [row.may_repeat for row in rig.rows()] == [False, True]


def test_requests_lost_with_their_worker_do_not_count_against_the_attempts() -> None:
    """Two attempts are allowed, four die with the worker, and the page still goes out."""
    key = secret("PAGERDUTY_ROUTING_KEY")
    node = pagerduty.trigger_event(routing_key=key, summary="down", dedup_key="k").with_retry(Retry(attempts=2))
    rig = Rig(1, [flow("page").triggered_by(manual()).then(node).build()])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["slow"] * 4 + ["503"])
        await rig.engine.start("page", run_id="p")
        for _ in range(4):
            await rig.wait(seconds=2)
            await rig.kill()
            await rig.up()
        await rig.finish("p")

    rig.run(program)
    (row,) = rig.rows()
    assert (row.status, row.attempts, row.lost) == ("accepted", 6, 4)
    assert incidents(rig) == ["triggered"]

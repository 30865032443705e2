"""Pages that wait: folded, late, held by the server, with a fallback beside them, given up in the end."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from resolute import Retry, activity, flow, manual, secret
from resolute.providers import pagerduty
from tests.simulation.alerts import (
    SEEDS,
    by_hand,
    goes_on,
    incidents,
    node,
    one,
    processed,
    settled,
    trigger,
)
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


# Beside what hangs


def test_page_leaves_while_everything_else_hangs() -> None:
    """A network that is down for all checks is when pages have to leave: they wait for none of their slots."""

    @activity
    async def hang() -> None:
        await asyncio.Event().wait()

    checking = flow("check").triggered_by(manual()).then(hang()).build()
    rig = Rig(1, [*by_hand(), checking])

    async def program() -> None:
        await rig.up(max_concurrent=2)
        for number in range(2):
            await rig.engine.start("check", run_id=f"check{number}")
        await rig.wait(seconds=1)
        await rig.engine.start("page", run_id="page")
        await rig.wait(seconds=5)
        assert [row.status for row in rig.rows()] == ["accepted"]

    rig.run(program)


# Folded and late


def test_second_page_is_folded_and_says_so() -> None:
    """It is sent, PagerDuty folds it, and the remark names the row that opened the alert and its age."""
    rig = Rig(1, by_hand())
    remarks: list[str] = []

    async def program() -> None:
        await rig.up()
        await rig.engine.start("page", run_id="first")
        await rig.wait(minutes=90)
        await rig.engine.start("page", run_id="second")
        remarks.extend(node(await rig.finish("second"), "page").output["remarks"])
        await rig.wait(seconds=5)

    rig.run(program)
    assert processed(rig) == [("trigger", "opened"), ("trigger", "folded")]
    assert remarks == ["folded into the open alert of row 1, 1 h 30 min old"]
    assert rig.rows()[1].folded_into == 1


def test_page_folded_into_an_alert_of_more_than_a_day_warns(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody may have been notified this time; the log says so, also after a restart."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        await rig.engine.start("page", run_id="first")
        await rig.wait(hours=24, minutes=1)
        await rig.kill()
        await rig.up()
        await rig.engine.start("page", run_id="second")
        await rig.finish("second")

    with caplog.at_level(logging.WARNING, "resolute.ledger"):
        rig.run(program)
    assert "the alert is open since row 1, 24 h 1 min: nobody may have been notified this time" in caplog.text


def test_page_after_a_person_resolved_opens_a_new_incident() -> None:
    """The ledger takes the alert for open; PagerDuty knows better, which is why the page is sent."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        await rig.engine.start("page", run_id="first")
        await rig.wait(minutes=1)
        rig.pagerduty.resolve(rig.pagerduty.incidents[0].id)
        await rig.wait(minutes=9)
        await rig.engine.start("page", run_id="second")
        await rig.finish("second")
        await rig.wait(seconds=5)

    rig.run(program)
    assert incidents(rig) == ["resolved", "triggered"]
    assert rig.rows()[1].remarks == ("folded into the open alert of row 1, 10 min old",)


@pytest.mark.parametrize("seed", SEEDS)
def test_late_page_says_so_and_counts_from_the_first_page_it_stands_for(seed: int) -> None:
    """Summary, `timestamp` and row tell since when somebody should have known, also across a kill."""
    rig = Rig(seed, by_hand(), slow_disk=True)
    begun = rig.clock.now()

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "refused"]))
        for number in range(3):
            await rig.engine.start("page", run_id=f"p{number}")
            await rig.wait(minutes=20)
            if rig.random.random() < 0.5:
                await rig.kill()
                await rig.up()
        rig.pagerduty.faults.outage(False)
        await rig.finish("p2")
        await rig.wait(seconds=5)

    rig.run(program)
    (incident,) = rig.pagerduty.incidents
    assert incident.title in ("[1 h 0 min late] Disk full", "[1 h 1 min late] Disk full")
    assert incident.alerts[0].payload["timestamp"].startswith(begun.strftime("%Y-%m-%dT%H:%M:0"))
    *superseded, row = rig.rows()
    assert [other.status for other in superseded] == ["superseded", "superseded"]
    assert (row.since - begun) < timedelta(seconds=2)
    assert row.late_s >= 3600
    assert row.remarks[-1].endswith("min late")


def test_page_within_five_minutes_is_not_called_late() -> None:
    """A summary that cries late after a hiccup would only confuse."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="p")
        await rig.wait(minutes=4)
        rig.pagerduty.faults.outage(False)
        await rig.finish("p")
        await rig.wait(seconds=5)

    rig.run(program)
    assert rig.pagerduty.incidents[0].title == "Disk full"
    assert rig.rows()[0].late_s == 0


def test_the_day_of_a_page_counts_from_the_first_page_it_stands_for() -> None:
    """A page that takes over another one's place does not get another 24 hours."""
    day = Retry(attempts=None, deadline=timedelta(hours=2))
    rig = Rig(1, [one("page", trigger().as_("page").with_retry(day))])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="first")
        await rig.wait(minutes=90)
        await rig.engine.start("page", run_id="second")
        await rig.wait(minutes=29)
        assert rig.statuses() == {"first": "succeeded", "second": "waiting"}
        await rig.wait(minutes=2)

    rig.run(program)
    assert settled(rig) == [("trigger", "superseded"), ("trigger", "undelivered")]
    assert rig.statuses()["second"] == "failed"


# Delays named by the server


@pytest.mark.parametrize("seed", SEEDS)
def test_named_delay_holds_every_row_of_its_routing_key_but_no_other(seed: int) -> None:
    """429 with Retry-After: nothing of that key leaves before, not even from a new run or a new worker."""
    other = pagerduty.trigger_event(
        routing_key=secret("OTHER_KEY"), summary="Disk full", source="db-1", severity="critical", dedup_key="disk"
    )
    rig = Rig(seed, [*by_hand(), one("cpu", trigger("cpu")), one("other", other)], slow_disk=True)
    rig.environ["OTHER_KEY"] = rig.pagerduty.world.add_service("Storage").routing_key
    rig.pagerduty.faults.wait_s = 600

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["429_retry_after"])
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=2)
        if rig.random.random() < 0.5:
            await rig.kill()
            await rig.up()
        for name in ("cpu", "resolve", "other"):
            await rig.engine.start(name, run_id=name)
        assert (await rig.finish("other")).status == "succeeded"
        await rig.wait(minutes=20)

    rig.run(program)
    refused, *later = [record for record in rig.pagerduty.requests if record.api == "events"]
    other_key = rig.environ["OTHER_KEY"][-4:]
    for record in later:
        if record.routing_key is not None and not record.routing_key.endswith(other_key):
            assert record.at - refused.at >= timedelta(seconds=600)
    assert set(rig.statuses().values()) == {"succeeded"}


@pytest.mark.timeout(20)
def test_left_page_waits_for_a_named_delay_without_spinning() -> None:
    """A page without a waiter is held like any other, and the worker has time for other things."""
    rig = Rig(1, [one("page", trigger().or_else(goes_on(), after=timedelta(seconds=5))), one("cpu", trigger("cpu"))])
    rig.pagerduty.faults.wait_s = 300

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="p")
        await rig.finish("p")
        rig.pagerduty.faults.outage(False)
        rig.pagerduty.faults.script("events", ["429_retry_after"])
        await rig.engine.start("cpu", run_id="c")
        await rig.wait(minutes=10)

    rig.run(program)
    assert [row.status for row in rig.rows()] == ["accepted", "accepted"]


@pytest.mark.timeout(20)
def test_second_resolve_waits_for_a_request_of_its_lane_without_spinning() -> None:
    """It is due while an acknowledge is on its way."""
    rig = Rig(1, by_hand())
    rig.pagerduty.faults.slow_s = 9

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["cut_before", "ok", "slow"])
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=0.1)
        await rig.engine.start("resolve", run_id="r")
        await rig.finish("r")
        await rig.wait(seconds=58)
        await rig.engine.start("acknowledge", run_id="a")
        await rig.wait(minutes=2)

    rig.run(program)
    assert [action for action, _ in processed(rig)] == ["resolve", "acknowledge", "resolve"]


# Another way to be told


@pytest.mark.parametrize("seed", SEEDS)
def test_fallback_runs_after_its_time_while_the_page_goes_on(seed: int) -> None:
    """`or_else(after=10 min)`: somebody is called once, and the page still arrives once, whatever dies."""
    called: list[float] = []

    @activity
    async def call_somebody() -> str:
        called.append((rig.clock.now() - begun).total_seconds())
        return "called"

    node_ = trigger().as_("page").or_else(call_somebody(), after=timedelta(minutes=10))
    rig = Rig(seed, [one("page", node_, goes_on())], slow_disk=True)
    begun = rig.clock.now()

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "refused", "429_bare"]))
        await rig.engine.start("page", run_id="p")
        for _ in range(3):
            await rig.wait(minutes=rig.random.uniform(0, 9))
            if rig.random.random() < 0.6:
                await rig.kill()
                await rig.wait(seconds=rig.random.uniform(0, 30))
                await rig.up()
        view = await rig.finish("p")
        assert view.status == "succeeded"
        assert node(view, "page").status == "failed"
        assert node(view, "page").error.startswith("not accepted within 0:10:00 (row 1); sending goes on.")
        await rig.wait(minutes=10)
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=5)

    rig.run(program)
    assert len(called) in (1, 2)  # twice only where the worker died before the first call was on disk
    assert 600 <= called[0] < 700
    assert len(called) == 1 or rig.kills > 0
    assert settled(rig) == [("trigger", "accepted")]
    assert incidents(rig) == ["triggered"]


def test_fallback_does_not_run_for_a_page_that_is_accepted_in_time() -> None:
    """Nobody is called for nothing."""
    rig = Rig(1, [one("page", trigger().as_("page").or_else(goes_on(), after=timedelta(minutes=10)))])
    keys: list[str] = []

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["503"] * 6)
        await rig.engine.start("page", run_id="p")
        keys.extend(found.key for found in (await rig.finish("p")).nodes)

    rig.run(program)
    assert keys == ["page"]


@pytest.mark.parametrize("seed", SEEDS)
def test_left_page_gives_way_to_a_newer_decision(seed: int) -> None:
    """The fallback has run, the problem is over: the old page is never sent, not even after a restart."""
    rig = Rig(seed, [one("page", trigger().or_else(goes_on(), after=timedelta(minutes=1))), *by_hand()[2:]])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "refused", "429_bare"]))
        await rig.engine.start("page", run_id="p")
        await rig.finish("p")
        await rig.wait(seconds=rig.random.uniform(0, 90))
        await rig.engine.start("resolve", run_id="r")
        await rig.wait(seconds=rig.random.uniform(0, 3))
        await rig.kill()
        await rig.up()
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=10)

    rig.run(program)
    assert settled(rig) == [("trigger", "superseded"), ("resolve", "accepted")]
    assert processed(rig) == [("resolve", "no_open_alert")]


@pytest.mark.parametrize("hops", range(4))
def test_left_page_gives_way_in_the_moment_in_which_it_is_due(hops: int) -> None:
    """The all-clear is decided between waking the page and sending it: nothing is sent and nothing breaks."""
    rig = Rig(1, [one("page", trigger().or_else(goes_on(), after=timedelta(minutes=1))), *by_hand()[2:]])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="p")
        await rig.finish("p")
        due_at = rig.rows()[0].due_at
        assert due_at is not None
        # The loop takes timers that are a nanosecond apart for simultaneous; ours comes first.
        await asyncio.sleep((due_at - rig.clock.now()).total_seconds() - 5e-10)
        for _ in range(hops):
            await asyncio.sleep(0)
        await rig.engine.start("resolve", run_id="r")
        rig.pagerduty.faults.outage(False)
        await rig.finish("r")
        await rig.wait(minutes=5)
        assert not rig.engine.broken.done()

    rig.run(program)
    assert settled(rig) == [("trigger", "superseded"), ("resolve", "accepted")]


# The end of sending


def test_page_that_is_not_accepted_for_a_day_fails_its_node_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """24 hours by default; then the run fails, says what PagerDuty answered, and the log shows an error."""
    rig = Rig(1, by_hand())
    rig.pagerduty.faults.wait_s = 3000

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind="503_retry_after")
        await rig.engine.start("page", run_id="p")
        await rig.wait(hours=23, minutes=59)
        assert rig.statuses() == {"p": "waiting"}
        await rig.wait(minutes=2)

    rig.run(program)
    assert rig.statuses() == {"p": "failed"}
    (run,) = rig.tables.runs.values()
    assert run.error_key == "page"
    assert run.error.startswith("not accepted within 24 h; the last answer was: PagerDuty answered 503")
    assert any(record.levelno == logging.ERROR and run.error in record.getMessage() for record in caplog.records)


def test_rejected_page_fails_at_once_and_frees_its_lane() -> None:
    """Repeating it cannot help; the next one is sent right away."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["400_error_string"])
        await rig.engine.start("page", run_id="p")
        assert (await rig.finish("p")).status == "failed"
        await rig.engine.start("page", run_id="again")
        assert (await rig.finish("again")).status == "succeeded"
        await rig.wait(seconds=1)

    rig.run(program)
    assert settled(rig) == [("trigger", "rejected"), ("trigger", "accepted")]
    assert "Something is not right" in rig.rows()[0].error_message
    assert incidents(rig) == ["triggered"]

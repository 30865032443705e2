"""The order of sends for one alert, through the real engine: what leaves, what is dropped, what people are told.

Every test says what the ledger promises a person on call; kills drop the engine and keep its store.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from resolute import Flow, Node, Retry, activity, current, flow, manual, output, schedule, secret
from resolute.engine import NodeView, RunView
from resolute.errors import EngineError
from resolute.providers import pagerduty
from resolute.simulator import SimRequest
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

KEY = secret("PAGERDUTY_ROUTING_KEY")
SEEDS = range(12)


def trigger(key: str = "disk", **fields: Any) -> Node[Any]:
    return pagerduty.trigger_event(
        routing_key=KEY, summary="Disk full", source="db-1", severity="critical", dedup_key=key, **fields
    )


def one(name: str, *nodes: Node[Any]) -> Flow:
    """A flow of these nodes that is started by hand."""
    return flow(name).triggered_by(manual()).then(*nodes).build()


@activity
async def goes_on() -> str:
    return "went on"


def by_hand() -> list[Flow]:
    """One flow for each action on the alert "disk"; each goes on to another node afterwards."""
    return [
        one("page", trigger().as_("page"), goes_on()),
        one("acknowledge", pagerduty.acknowledge_event(routing_key=KEY, dedup_key="disk"), goes_on()),
        one("resolve", pagerduty.resolve_event(routing_key=KEY, dedup_key="disk"), goes_on()),
    ]


def node(view: RunView, key: str) -> NodeView:
    return next(found for found in view.nodes if found.key == key)


def incidents(rig: Rig) -> list[str]:
    """The status of every incident, oldest first."""
    return [incident.status for incident in rig.pagerduty.incidents]


def processed(rig: Rig) -> list[tuple[str, str]]:
    """Every event that took effect: action and effect."""
    return [(event.action, event.effect) for event in rig.pagerduty.processed]


def settled(rig: Rig) -> list[tuple[str, str]]:
    """The incident log: action and status."""
    return [(row.action, row.status) for row in rig.rows()]


def somebody_else(rig: Rig, action: str) -> None:
    """Another sender uses the same routing key and dedup key; it is not hit by the faults."""
    event: dict[str, Any] = {"routing_key": rig.pagerduty.routing_key, "event_action": action, "dedup_key": "disk"}
    if action == "trigger":
        event["payload"] = {"summary": "Disk full again", "source": "db-1", "severity": "critical"}
    rig.pagerduty.faults.outage(False)
    assert rig.pagerduty.handle(SimRequest("POST", "/v2/enqueue", {}, json.dumps(event).encode())).status == 202


# A resolve that comes too late


def hourly(reports: dict[int, str], begun: list[Rig]) -> Flow:
    """Checks every hour; `reports` says what it finds in the first minutes of which hour, otherwise nothing."""

    @activity
    async def check() -> str:
        now = begun[0].clock.now()
        return reports.get(now.hour, "nothing") if now.minute < 5 else "nothing"

    return (
        flow("hourly")
        .triggered_by(schedule("0 * * * *"))
        .then(check())
        .when(output("check") == "critical", key="is_critical")
        .then(trigger().as_("page"))
        .end_when()
        .when(output("check") == "healthy", key="is_healthy")
        .then(pagerduty.resolve_event(routing_key=KEY, dedup_key="disk"))
        .end_when()
        .build()
    )


@pytest.mark.parametrize("kind", ["503", "refused", "cut_before", "429_bare"])
def test_resolve_decided_an_hour_ago_is_superseded_by_the_page_of_now(kind: str) -> None:
    """Healthy at 11:00, broken at 12:00, PagerDuty back at 12:10: the incident stays open."""
    rigs: list[Rig] = []
    rig = Rig(1, [hourly({11: "healthy", 12: "critical"}, rigs)])
    rigs.append(rig)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=kind)
        await rig.wait(hours=2, minutes=10)
        rig.pagerduty.faults.outage(False)
        await rig.wait(minutes=30)

    rig.run(program)
    assert settled(rig) == [("resolve", "expired"), ("trigger", "accepted")]
    assert incidents(rig) == ["triggered"]


@pytest.mark.parametrize("seed", SEEDS)
def test_scheduled_resolve_expires_and_leaves_a_newer_incident_open(seed: int) -> None:
    """Decided at 11:00, first possible at 12:10: it does not close what somebody else opened at 12:00."""
    rigs: list[Rig] = []
    rig = Rig(seed, [hourly({11: "healthy"}, rigs)], slow_disk=True)
    rigs.append(rig)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "refused", "cut_before"]))
        await rig.wait(hours=1, minutes=rig.random.choice([0.01, 0.1, 1, 5]))
        await rig.kill()
        await rig.wait(minutes=58)
        somebody_else(rig, "trigger")
        await rig.wait(minutes=12)
        await rig.up()
        await rig.wait(minutes=30)

    rig.run(program)
    resolve = [row for row in rig.rows() if row.action == "resolve"]
    assert [row.status for row in resolve] in (["expired"], [])  # killed before the decision was on disk
    assert all("the next check decides anew" in row.message for row in resolve)
    assert incidents(rig) == ["triggered"]
    assert set(rig.statuses().values()) == {"succeeded"}


def test_resolve_of_a_manual_run_waits_like_a_page() -> None:
    """Nobody would decide it anew, so it is sent whenever PagerDuty is back."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        await rig.engine.start("page", run_id="p")
        await rig.finish("p")
        rig.pagerduty.faults.outage()
        await rig.engine.start("resolve", run_id="r")
        await rig.wait(minutes=70)
        assert incidents(rig) == ["triggered"]
        rig.pagerduty.faults.outage(False)
        await rig.finish("r")
        await rig.wait(seconds=5)

    rig.run(program)
    assert settled(rig) == [("trigger", "accepted"), ("resolve", "accepted")]
    assert incidents(rig) == ["resolved"]


# Order


@pytest.mark.parametrize("seed", SEEDS)
def test_acknowledge_over_a_pending_page_still_pages_and_then_acknowledges(seed: int) -> None:
    """An acknowledge supersedes nothing: somebody else may still have to be told."""
    rig = Rig(seed, by_hand(), slow_disk=True)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["503", "refused", "429_bare"]))
        await rig.engine.start("page", run_id="p")
        await rig.engine.start("acknowledge", run_id="a")
        await rig.wait(minutes=rig.random.choice([1, 20]))
        if rig.random.random() < 0.5:
            await rig.kill()
            await rig.up()
        rig.pagerduty.faults.outage(False)
        assert (await rig.finish("p")).status == (await rig.finish("a")).status == "succeeded"
        await rig.wait(seconds=5)

    rig.run(program)
    assert processed(rig) == [("trigger", "opened"), ("acknowledge", "acknowledged")]


@pytest.mark.parametrize("seed", SEEDS)
def test_run_behind_another_goes_on_though_the_worker_dies_between_settlement_and_wake_up(seed: int) -> None:
    """A page that waits for the request before it is sent within minutes, whatever dies and whenever."""
    rig = Rig(seed, by_hand(), slow_disk=True)
    rig.pagerduty.faults.slow_s = 2

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", ["slow"])
        await rig.engine.start("page", run_id="p")
        await rig.engine.start("acknowledge", run_id="a")
        await rig.wait(seconds=rig.random.uniform(1.5, 3.5))
        await rig.kill()
        await rig.up()
        await rig.wait(minutes=3)

    rig.run(program)
    assert rig.statuses() == {"p": "succeeded", "a": "succeeded"}
    assert incidents(rig) == ["acknowledged"]


@pytest.mark.parametrize("seed", range(20))
def test_superseded_run_is_woken_and_goes_on(seed: int) -> None:
    """Its node says "superseded", the nodes behind it run, also when the worker dies in between."""
    rig = Rig(seed, by_hand(), slow_disk=True)
    newer = rig.random.choice(["page", "resolve"])

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="older")
        await rig.wait(minutes=rig.random.choice([0, 0.5, 10]))
        starting = asyncio.create_task(rig.engine.start(newer, run_id="newer"))
        if rig.random.random() < 0.7:
            await rig.wait(seconds=rig.random.choice([0.0, 0.001, 0.005, 0.01, 0.3, 0.6]))
            await rig.kill()
            await rig.up()
            await rig.engine.start(newer, run_id="newer")
        await asyncio.wait({starting})
        await rig.wait(minutes=2)
        view = await rig.engine.get("older")
        assert view.status == "succeeded"
        page = node(view, "page")
        assert page.output["status"] == page.output["ledger_status"] == "superseded"
        assert page.output["message"].startswith(f"a newer {'trigger' if newer == 'page' else 'resolve'} (row 2)")
        assert node(view, "goes_on").output == "went on"
        rig.pagerduty.faults.outage(False)
        await rig.finish("newer")

    rig.run(program)
    assert [row.status for row in rig.rows()] == ["superseded", "accepted"]


# Lost answers


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
        rig.pagerduty.faults.slow_s = 8
        rig.pagerduty.faults.mix({"503": 0.5, "refused": 0.3, "slow": 0.0})
        rig.pagerduty.faults.outage()
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


# What a check may ask


def seen_by_a_check(before: Callable[[Rig], Any], *, restart: bool) -> bool:
    """What `ledger.is_open` says inside an activity after `before` and, if wanted, a kill."""
    seen: list[bool] = []

    @activity
    async def look() -> bool:
        seen.append(current().ledger.is_open("disk"))
        assert current().ledger.is_open("cpu") is False
        return seen[-1]

    rig = Rig(1, [*by_hand(), one("look", look())])
    rig.pagerduty.faults.slow_s = 9

    async def program() -> None:
        await rig.up()
        await before(rig)
        if restart:
            await rig.kill()
            await rig.up()
        await rig.engine.start("look", run_id="l")
        await rig.finish("l")

    rig.run(program)
    return seen[0]


async def nothing(rig: Rig) -> None:
    """Nothing was ever sent."""


async def pending(rig: Rig) -> None:
    rig.pagerduty.faults.outage()
    await rig.engine.start("page", run_id="p")
    await rig.wait(seconds=5)


async def in_flight(rig: Rig) -> None:
    rig.pagerduty.faults.script("events", ["slow"])
    await rig.engine.start("page", run_id="p")
    await rig.wait(seconds=5)


async def unknown(rig: Rig) -> None:
    rig.pagerduty.faults.outage(kind="cut_before")
    await rig.engine.start("page", run_id="p")
    await rig.wait(seconds=5)


async def accepted(rig: Rig) -> None:
    await rig.engine.start("page", run_id="p")
    await rig.finish("p")


async def resolve_pending(rig: Rig) -> None:
    await accepted(rig)
    rig.pagerduty.faults.outage()
    await rig.engine.start("resolve", run_id="r")
    await rig.wait(seconds=5)


async def resolved(rig: Rig) -> None:
    await accepted(rig)
    await rig.engine.start("resolve", run_id="r")
    await rig.finish("r")


async def acknowledged(rig: Rig) -> None:
    await accepted(rig)
    await rig.engine.start("acknowledge", run_id="a")
    await rig.finish("a")


async def folded(rig: Rig) -> None:
    await accepted(rig)
    await rig.engine.start("page", run_id="p2")
    await rig.finish("p2")


async def folded_and_resolved(rig: Rig) -> None:
    await folded(rig)
    await rig.engine.start("resolve", run_id="r")
    await rig.finish("r")


async def rejected(rig: Rig) -> None:
    rig.pagerduty.faults.script("events", ["400_error_string"])
    await rig.engine.start("page", run_id="p")
    await rig.finish("p")


async def cancelled(rig: Rig) -> None:
    await pending(rig)
    await rig.engine.cancel("p")


async def never_sent_and_superseded_by_a_resolve(rig: Rig) -> None:
    await pending(rig)
    await rig.engine.start("resolve", run_id="r")
    await rig.wait(seconds=5)


async def unknown_and_superseded_by_a_resolve(rig: Rig) -> None:
    await unknown(rig)
    await rig.engine.start("resolve", run_id="r")
    await rig.wait(seconds=5)


async def unknown_and_resolved(rig: Rig) -> None:
    await unknown_and_superseded_by_a_resolve(rig)
    rig.pagerduty.faults.outage(False)
    await rig.finish("r")


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("before", "is_open"),
    [
        (nothing, False),
        (pending, True),
        (in_flight, True),
        (unknown, True),
        (accepted, True),
        (acknowledged, True),
        (folded, True),
        (resolve_pending, True),
        (resolved, False),
        (folded_and_resolved, False),
        (rejected, False),
        (cancelled, False),
        (never_sent_and_superseded_by_a_resolve, False),
        (unknown_and_superseded_by_a_resolve, True),
        (unknown_and_resolved, False),
    ],
)
def test_is_open_says_whether_an_alert_may_be_open(before: Callable[[Rig], Any], is_open: bool, restart: bool) -> None:
    """From the decision to page until a later resolve is accepted, the same before and after a restart."""
    assert seen_by_a_check(before, restart=restart) is is_open


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


@pytest.mark.parametrize("seed", range(30))
def test_cancelled_run_stays_cancelled_whatever_wakes_it(seed: int) -> None:
    """A wake-up that comes while it is being cancelled does not bring it back."""
    rig = Rig(seed, by_hand(), slow_disk=True)

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage()
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=rig.random.uniform(0, 3))
        newer = asyncio.create_task(rig.engine.start("resolve", run_id="r"))
        await rig.wait(seconds=rig.random.choice([0, 0.001, 0.002, 0.005, 0.3]))
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


@pytest.mark.parametrize("by", [timedelta(hours=-1), timedelta(minutes=-10)])
@pytest.mark.parametrize("kind", ["503", "429_retry_after", "cut_before", "apply_then_cut"])
def test_clock_that_is_set_back_delays_no_page(kind: str, by: timedelta) -> None:
    """A page that backs off or is held for seconds is not held for as long as the clock was wrong."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.script("events", [kind])
        await rig.engine.start("page", run_id="p")
        await rig.wait(seconds=0.1)
        rig.clock.shift(by)
        await rig.wait(minutes=1)

    rig.run(program)
    assert rig.statuses() == {"p": "succeeded"}
    assert len(rig.pagerduty.incidents) == 1

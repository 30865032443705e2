"""Reading and changing incidents through the client, against the local PagerDuty."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute.errors import ConfigError, InputError, ProviderRejected
from resolute.providers.pagerduty import Incident, PagerDutyClient
from resolute.providers.pagerduty.client_changes import NOTE_BYTES
from resolute.providers.pagerduty.config import PagerDutySettings
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from tests.unit.providers.pagerduty.conftest import NOW
from tests.unit.providers.pagerduty.test_client_simulated import HandClock

HOUR = timedelta(hours=1)


class Desk:
    """A simulated account, its clock, and a client with a sender's address."""

    def __init__(self, default_from: str | None = None) -> None:
        self.clock = HandClock()
        self.simulator = PagerDutySimulator(self.clock)
        self.simulator.rules.rest_per_minute = None
        self.service = next(iter(self.simulator.world.services))
        settings = PagerDutySettings(
            api_key=self.simulator.api_key, default_from=default_from or self.simulator.first_user.email
        )
        self.client = PagerDutyClient(settings, clock=self.clock, transport=SimulatorTransport(self.simulator))

    async def make(self, key: str = "k", **more: Any) -> Incident:
        """A new incident of the first service."""
        given = {"title": f"Problem {key}", "service_id": self.service, "incident_key": key, **more}
        return await self.client.create_incident(**given)

    async def make_many(self, count: int, apart: timedelta) -> list[str]:
        """Ids of so many incidents, one after the other."""
        ids = []
        for number in range(count):
            ids.append((await self.make(str(number))).id)
            self.clock.time += apart
        return ids

    def sent(self) -> list[str]:
        """What was asked for, e.g. "GET /incidents"."""
        return [f"{request.method} {request.path}" for request in self.simulator.requests]


@pytest.fixture
def desk() -> Desk:
    """One service, three people, no rate limit."""
    return Desk()


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(milliseconds=10), timedelta(seconds=7), timedelta(days=2)])
async def test_every_incident_is_listed_once_and_in_order(desk: Desk, apart: timedelta) -> None:
    """Also where hundreds were created in one second, or over two years, and the last of them just now."""
    since = desk.clock.time
    ids = await desk.make_many(210, apart)
    found = [incident.id async for incident in desk.client.iter_incidents(since=since)]
    assert found == ids


async def test_nothing_is_skipped_when_incidents_leave_the_filter_meanwhile(desk: Desk) -> None:
    """With pages counted by rows, each one that is resolved would hide one of the next page."""
    since = desk.clock.time
    ids = await desk.make_many(150, timedelta(seconds=5))
    found = []
    async for incident in desk.client.iter_incidents(since=since, statuses=["triggered"]):
        found.append(incident.id)
        desk.simulator.resolve(incident.id)
    assert found == ids


@pytest.mark.ci_only
async def test_the_wall_at_ten_thousand_rows_is_no_end(desk: Desk) -> None:
    """PagerDuty gives no row behind the 10,000th of one question, and so there are several."""
    since = desk.clock.time
    ids = await desk.make_many(10_250, timedelta(seconds=1))
    found = [incident.id async for incident in desk.client.iter_incidents(since=since)]
    assert found == ids


async def test_a_range_without_its_end_means_until_now(desk: Desk) -> None:
    """PagerDuty would look at the month that begins there, and find nothing of today."""
    await desk.make()
    page = await desk.client.list_incidents(since=desk.clock.time - timedelta(days=90))
    assert [incident.title for incident in page.incidents] == ["Problem k"]
    assert (page.total, page.more) == (None, False)


async def test_a_page_says_whether_there_are_more(desk: Desk) -> None:
    """Nothing is cut off in silence, and PagerDuty counts only when asked to."""
    await desk.make_many(3, HOUR)
    page = await desk.client.list_incidents(limit=2, sort_by="created_at:desc", with_total=True)
    assert [incident.title for incident in page.incidents] == ["Problem 2", "Problem 1"]
    assert (page.total, page.more) == (3, True)


async def test_the_latest_incidents_come_newest_first_over_several_pages(desk: Desk) -> None:
    """As many as are wanted, and whether there are older ones."""
    since = desk.clock.time
    ids = await desk.make_many(130, timedelta(seconds=5))
    page = await desk.client.latest_incidents(since=since, limit=120)
    assert [incident.id for incident in page.incidents] == ids[:-121:-1]
    assert (page.more, (await desk.client.latest_incidents(since=since, limit=130)).more) == (True, False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"limit": 0}, "1 to 100"),
        ({"limit": 101}, "1 to 100"),
        ({"offset": 9_901, "limit": 100}, "list_all_incidents"),
        ({"offset": -1}, "0 to 10,000"),
        ({"since": NOW - timedelta(days=200)}, "six months"),
        ({"since": NOW.replace(tzinfo=None)}, "offset"),
        ({"since": NOW, "until": NOW - HOUR}, "Exchange them"),
        ({"service_ids": [""]}, "empty id"),
    ],
)
async def test_what_pagerduty_would_misread_is_not_asked(desk: Desk, given: dict[str, Any], words: str) -> None:
    """It would answer another question, and nobody would notice."""
    with pytest.raises(InputError, match=words):
        await desk.client.list_incidents(**given)
    assert desk.sent() == []


async def test_an_empty_key_is_no_filter_and_is_not_sent(desk: Desk) -> None:
    """PagerDuty reads an empty `incident_key` as "every open incident"."""
    await desk.make()
    with pytest.raises(InputError, match="match every open incident"):
        await desk.client.find_incidents(" ", since=NOW - HOUR, until=NOW + HOUR)
    assert len((await desk.client.list_incidents(incident_key="")).incidents) == 1


async def test_an_incident_is_found_by_id_and_by_number(desk: Desk) -> None:
    """Both stand in PagerDuty's web page."""
    made = await desk.make(body="It has been on fire since noon.", urgency="low")
    assert (await desk.client.get_incident(made.id)).urgency == "low"
    assert (await desk.client.get_incident("1")).id == made.id
    with pytest.raises(InputError, match="Give the id"):
        await desk.client.get_incident(" ")
    with pytest.raises(ProviderRejected, match="404"):
        await desk.client.get_incident("../services")


async def test_an_update_sends_what_was_set_and_nothing_else(desk: Desk) -> None:
    """A null priority or an empty title would be a 400."""
    made = await desk.make()
    changed = await desk.client.update_incident(made.id, title="Worse")
    assert (changed.title, changed.status, changed.urgency) == ("Worse", "triggered", made.urgency)
    resolved = await desk.client.update_incident(made.id, status="resolved", resolution="restarted")
    assert (resolved.status, resolved.assignments) == ("resolved", [])


async def test_a_status_that_is_there_already_is_no_failure(desk: Desk) -> None:
    """PagerDuty may answer 1001 or 1002; with another change beside it, that one would be lost and it is told."""
    desk.simulator.rules.repeats_are_errors = True
    made = await desk.make()
    for _ in range(2):
        assert (await desk.client.update_incident(made.id, status="acknowledged")).status == "acknowledged"
    with pytest.raises(ProviderRejected) as caught:
        await desk.client.update_incident(made.id, status="acknowledged", title="Worse")
    assert caught.value.code == 1002


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nothing to change"),
        ({"title": "  "}, "nothing to change"),
        ({"resolution": "done"}, 'status="resolved"'),
        ({"status": "acknowledged", "resolution": "done"}, 'status="resolved"'),
        ({"escalation_level": 0}, "1 or more"),
        ({"escalation_policy_id": "P1", "assignee_ids": ["U1"]}, "exclude each other"),
        ({"assignee_ids": [" "]}, "Give the id"),
    ],
)
async def test_an_update_that_cannot_be_is_refused_before_it_is_sent(
    desk: Desk, given: dict[str, Any], words: str
) -> None:
    """The sentence names what to write instead."""
    with pytest.raises(InputError, match=words):
        await desk.client.update_incident("Q1", **given)
    assert desk.sent() == []


async def test_a_change_needs_the_address_of_a_user(desk: Desk) -> None:
    """Told before anything is sent, by our words and not by a 400 with a misleading code."""
    settings = PagerDutySettings(api_key=desk.simulator.api_key)
    client = PagerDutyClient(settings, clock=desk.clock, transport=SimulatorTransport(desk.simulator))
    with pytest.raises(ConfigError, match="PAGERDUTY_FROM"):
        await client.add_note("Q1", content="text")
    assert desk.sent() == []


async def test_a_sender_whom_the_account_does_not_know_is_told_with_the_fix() -> None:
    """PagerDuty says "Requester User Not Found" to every change."""
    desk = Desk(default_from="nobody@example.com")
    with pytest.raises(ProviderRejected, match="PAGERDUTY_FROM") as caught:
        await desk.make()
    assert caught.value.code == 1008


async def test_a_call_may_name_another_sender(desk: Desk) -> None:
    """The note stands there under that person's name."""
    other = list(desk.simulator.world.users.values())[1]
    made = await desk.make()
    note = await desk.client.add_note(made.id, content="on it", from_email=other.email)
    assert note.user is not None
    assert (note.user.id, note.content) == (other.id, "on it")
    assert [each.id for each in await desk.client.list_notes(made.id)] == [note.id]


async def test_a_note_that_is_too_long_is_cut(desk: Desk) -> None:
    """At a whole character, and it says so at its end."""
    made = await desk.make()
    note = await desk.client.add_note(made.id, content="ü" * NOTE_BYTES)
    assert len(note.content.encode()) <= NOTE_BYTES
    assert note.content.endswith("ü … (cut)")


async def test_snoozing_lets_an_acknowledged_incident_rest(desk: Desk) -> None:
    """It is triggered again when the time is over; a week is the longest."""
    made = await desk.make()
    await desk.client.update_incident(made.id, status="acknowledged")
    assert (await desk.client.snooze_incident(made.id, duration=HOUR)).status == "acknowledged"
    desk.clock.time += HOUR + timedelta(minutes=1)
    assert (await desk.client.get_incident(made.id)).status == "triggered"
    with pytest.raises(InputError, match="7 days"):
        await desk.client.snooze_incident(made.id, duration=timedelta(days=8))


async def test_what_belongs_to_an_incident_is_listed(desk: Desk) -> None:
    """Its alerts with their details, and its history with who did what."""
    payload = {"summary": "Disk full", "source": "db-1", "severity": "critical", "custom_details": {"disk": "/data"}}
    event: dict[str, Any] = {"event_action": "trigger", "dedup_key": "disk", "payload": payload}
    await desk.client.enqueue(event, desk.simulator.routing_key)
    desk.clock.time += HOUR
    [found] = await desk.client.find_incidents("disk", since=NOW - HOUR, until=NOW + HOUR)
    await desk.client.update_incident(found.id, status="resolved", resolution="made room")
    [alert] = (await desk.client.list_alerts(found.id)).alerts
    assert (alert.alert_key, alert.status, alert.severity) == ("disk", "resolved", "critical")
    assert alert.details == {"disk": "/data"}
    entries = (await desk.client.list_log_entries(found.id)).log_entries
    assert {"trigger_log_entry", "resolve_log_entry"} <= {entry.type for entry in entries}
    assert "made room" in [entry.note for entry in entries]


async def test_priorities_are_numbered_by_their_place(desk: Desk) -> None:
    """PagerDuty lists them most severe first and has no field that says so."""
    priorities = await desk.client.list_priorities()
    assert [priority.order for priority in priorities] == list(range(len(priorities)))
    assert all(priority.name for priority in priorities)


async def test_services_and_users_are_iterated_over_all_pages(desk: Desk) -> None:
    """Twenty-five rows are what PagerDuty gives who does not ask for more."""
    policy = next(iter(desk.simulator.world.policies.values()))
    for number in range(130):
        desk.simulator.world.add_service(f"Service {number:03}", policy)
    names = [service.name async for service in desk.client.iter_services(query="Service 1")]
    assert names == [f"Service {number}" for number in range(100, 130)]
    assert len([service async for service in desk.client.iter_services()]) == 131
    page = await desk.client.list_services(limit=5)
    assert (len(page.services), page.more) == (5, True)
    assert [user.email async for user in desk.client.iter_users(query="ada")] == ["ada@example.com"]
    assert await desk.client.find_user("nobody@example.com") is None

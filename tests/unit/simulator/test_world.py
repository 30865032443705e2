"""Settings of the account that decide what an event becomes: overrides, maintenance, support hours, grouping."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from resolute.errors import ConfigError
from resolute.simulator import Service
from resolute.simulator.pagerduty.resources import Grouping, SupportHours
from resolute.simulator.pagerduty.rota import final_shifts
from tests.unit.simulator.account import START, Account


@pytest.fixture
def service(account: Account) -> Service:
    """The first service."""
    return next(iter(account.sim.world.services.values()))


def test_override_takes_the_place_of_the_rotation(account: Account) -> None:
    """Before and after it the rotation goes on, cut to fit."""
    world = account.sim.world
    schedule = next(iter(world.schedules.values()))
    _, ben, chris = world.users.values()
    world.add_override(schedule, chris, START + timedelta(hours=1), START + timedelta(hours=2))
    world.add_override(schedule, ben, START + timedelta(hours=1, minutes=30), START + timedelta(hours=3))
    shifts = final_shifts(schedule, START, START + timedelta(hours=4))
    assert [(world.users[each.user_id].name.split()[0], each.start.strftime("%H:%M")) for each in shifts] == [
        ("Ada", "00:00"),
        ("Chris", "13:00"),
        ("Ben", "13:30"),
        ("Ada", "15:00"),
    ]


def test_override_is_who_is_paged(account: Account) -> None:
    """The incident is assigned to the one who stands in."""
    world = account.sim.world
    schedule, chris = next(iter(world.schedules.values())), list(world.users.values())[2]
    world.add_override(schedule, chris, START, START + timedelta(hours=1))
    account.send()
    [(user_id, _)] = account.sim.incidents[0].assignments
    assert user_id == chris.id


def test_schedule_is_shown_over_a_range(account: Account) -> None:
    """Entries are cut to it, and cover it in full."""
    schedule_id, schedule = next(iter(account.sim.world.schedules.items()))
    chris = list(account.sim.world.users.values())[2]
    account.sim.world.add_override(schedule, chris, START + timedelta(hours=22), START + timedelta(hours=26))
    query = {"since": "2026-03-31T12:00:00Z", "until": "2026-04-01T12:00:00Z"}
    shown = account.get(f"/schedules/{schedule_id}", **query)["schedule"]
    final = shown["final_schedule"]
    assert [(each["user"]["summary"], each["start"], each["end"]) for each in final["rendered_schedule_entries"]] == [
        ("Ada Moreno", "2026-03-31T12:00:00Z", "2026-04-01T10:00:00Z"),
        ("Chris Lindqvist", "2026-04-01T10:00:00Z", "2026-04-01T12:00:00Z"),
    ]
    assert final["rendered_coverage_percentage"] == 100
    assert shown["overrides_subschedule"]["rendered_coverage_percentage"] == 8.3


def test_override_that_ends_before_it_begins_is_refused(account: Account) -> None:
    """Whoever writes it is told."""
    world = account.sim.world
    with pytest.raises(ConfigError, match="not after its start"):
        world.add_override(next(iter(world.schedules.values())), account.sim.first_user, START, START)


def test_maintenance_window_swallows_events(account: Account, service: Service) -> None:
    """Triggers and resolves alike, from its start up to its end."""
    account.sim.rules.processing_delay = timedelta(0)
    account.send(key="before")
    window = account.clock.now()
    account.sim.world.add_maintenance([service], window, window + timedelta(hours=1))
    assert account.get(f"/services/{service.id}")["service"]["status"] == "maintenance"
    account.send(key="during")
    account.send("resolve", "before")
    account.wait(seconds=3598)
    account.send(key="after")
    assert [(alert.alert_key, alert.status) for alert in account.sim.alerts] == [
        ("before", "triggered"),
        ("after", "triggered"),
    ]


@pytest.mark.parametrize(
    ("at", "severity", "urgency"),
    [
        (datetime(2026, 4, 1, 10, tzinfo=UTC), "critical", "high"),
        (datetime(2026, 4, 1, 10, tzinfo=UTC), "warning", "low"),
        (datetime(2026, 4, 1, 17, tzinfo=UTC), "critical", "low"),
        (datetime(2026, 4, 4, 10, tzinfo=UTC), "critical", "low"),
    ],
)
def test_support_hours_decide_the_urgency(
    account: Account, service: Service, at: datetime, severity: str, urgency: str
) -> None:
    """A Wednesday at ten is within them; five in the afternoon and a Saturday are not."""
    account.sim.rules.processing_delay = timedelta(0)
    service.support_hours = SupportHours((1, 2, 3, 4, 5), time(9), time(17), "severity_based", "low")
    account.clock.advance(at - account.clock.now())
    account.send(severity=severity)
    assert account.sim.incidents[0].urgency == urgency


def test_alerts_join_an_open_incident_by_time(account: Account, service: Service) -> None:
    """Within the window of the first alert; later ones open another incident."""
    service.grouping = Grouping("time", timedelta(minutes=5))
    account.send(key="a")
    account.send(key="b")
    account.wait(minutes=6)
    account.send(key="c")
    keys = [[alert.alert_key for alert in incident.alerts] for incident in account.sim.incidents]
    assert keys == [["a", "b"], ["c"]]
    assert [event.effect for event in account.sim.processed] == ["opened", "grouped", "opened"]


@pytest.mark.parametrize(("needs_all", "count"), [(True, 2), (False, 1)])
def test_alerts_join_an_open_incident_by_content(
    account: Account, service: Service, needs_all: bool, count: int
) -> None:
    """When all of the fields agree, or one of them."""
    service.grouping = Grouping("content_based", fields=("component", "custom_details.host"), needs_all=needs_all)
    account.send(key="a", component="db", custom_details={"host": "one"})
    account.send(key="b", component="db", custom_details={"host": "two"})
    assert len(account.sim.incidents) == count


def test_grouped_incident_resolves_with_its_last_alert(account: Account, service: Service) -> None:
    """Not with the first."""
    service.grouping = Grouping("time")
    account.send(key="a")
    account.send(key="b")
    account.send("resolve", "a")
    assert account.sim.incidents[0].status == "triggered"
    account.send("resolve", "b")
    assert account.sim.incidents[0].status == "resolved"


def test_change_events_page_nobody(account: Account) -> None:
    """They are kept, with the service of their key."""
    event = {"routing_key": account.sim.routing_key, "payload": {"summary": "Deployed"}}
    assert account.post(event, path="/v2/change/enqueue").json()["message"] == "Change event processed"
    [change] = account.sim.change_events
    assert (change.payload["summary"], change.service_id) == ("Deployed", next(iter(account.sim.world.services)))
    assert account.sim.incidents == []


def test_change_event_with_too_many_links_is_refused(account: Account) -> None:
    """In a shape of its own."""
    event = {"routing_key": account.sim.routing_key, "payload": {"summary": "x"}, "links": [{"href": "y"}] * 51}
    answer = account.post(event, path="/v2/change/enqueue")
    assert (answer.status, answer.json()) == (400, {"error": ["links should have at most 50 item(s)"]})

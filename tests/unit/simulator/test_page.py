"""The page with its buttons, and the admin routes, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser

import httpx2
import pytest

from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.app import SimulatorApp
from resolute.simulator.pagerduty.deliveries import WebhookReply
from resolute.simulator.pagerduty.movable_clock import MovableClock
from resolute.simulator.pagerduty.page import PAGES, environment_lines, render_page
from tests.unit.simulator.account import PAYLOAD, Account, ManualClock

URL = "http://127.0.0.1:8080"


@pytest.fixture
async def client(account: Account) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser, nearly."""
    transport = httpx2.ASGITransport(SimulatorApp(account.sim, URL).asgi)
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


class Text(HTMLParser):
    """The words of a page, and its forms' addresses."""

    def __init__(self, page: bytes | str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.forms: list[str | None] = []
        self.tags: list[str] = []
        self.feed(page if isinstance(page, str) else page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "form":
            self.forms.append(dict(attrs)["action"])

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    def __contains__(self, words: str) -> bool:
        return words in " ".join(self.words)


def test_page_of_an_empty_account_says_what_to_do(account: Account) -> None:
    """Base URLs and keys stand ready to be copied."""
    page = Text(render_page(account.sim, URL, refresh=True))
    assert "None yet. Send a trigger event" in page
    assert f"export PAGERDUTY_EVENTS_URL={URL} export PAGERDUTY_API_URL={URL}" in page
    assert f"export PAGERDUTY_SERVICE_KEY={account.sim.routing_key}" in page


def test_page_lists_open_incidents_first_and_newest_first(account: Account) -> None:
    """Each with its alerts, their keys and how many events they took."""
    for key in ("one", "two", "three"):
        account.send(key=key)
    account.send(key="one")
    account.send("resolve", "three")
    account.clock.advance(timedelta(minutes=5))
    page = Text(render_page(account.sim, URL, refresh=True))
    assert [word for word in page.words if word in ("#1", "#2", "#3")] == ["#2", "#1", "#3"]
    assert "one · critical · 2 events folded into one alert" in page
    assert "5 min ago" in page
    assert len(page.forms) == 4


def test_page_escapes_what_events_say(account: Account) -> None:
    """A summary is text, whatever it contains; half a character is no reason to fail."""
    account.send(summary="<script>alert(1)</script>", key="\ud800")
    page = Text(render_page(account.sim, URL, refresh=False))
    assert "<script>alert(1)</script>" in page
    assert "script" not in page.tags


def test_environment_lines_are_safe_in_a_shell(account: Account) -> None:
    """An address with an odd character is quoted."""
    account.sim.first_user.email = "o'neil@example.com"
    assert environment_lines(account.sim, URL)[-1] == """export PAGERDUTY_FROM='o'"'"'neil@example.com'"""


async def test_time_is_put_forward(client: httpx2.AsyncClient) -> None:
    """Where the clock is the simulator's own: what is due in an hour happens now."""
    clock = {"advance_s": 3600}
    refused = await client.post("/_simulator/clock", json=clock)
    assert (refused.status_code, "cannot be moved" in refused.text) == (400, True)
    simulator = PagerDutySimulator(MovableClock(ManualClock()), processing_delay=timedelta(minutes=59))
    own = httpx2.ASGITransport(SimulatorApp(simulator, URL).asgi)
    async with httpx2.AsyncClient(transport=own, base_url=URL) as client:
        event = {"routing_key": simulator.routing_key, "event_action": "trigger", "payload": PAYLOAD}
        await client.post("/v2/enqueue", json=event)
        assert simulator.incidents == []
        assert (await client.post("/_simulator/clock", json=clock)).status_code == 200
    assert [incident.status for incident in simulator.incidents] == ["triggered"]


async def test_webhooks_are_doubled_by_an_order(account: Account, client: httpx2.AsyncClient) -> None:
    """And no longer once all faults are cleared."""
    await client.post("/_simulator/faults", json={"webhook_duplicates": 2})
    assert account.sim.faults.webhook_duplicates == 2
    await client.post("/_simulator/faults", json={"clear": True})
    assert account.sim.faults.webhook_duplicates == 0


async def test_rules_are_changed(account: Account, client: httpx2.AsyncClient) -> None:
    """All that an order names, or nothing of it."""
    good = {"unknown_key": "drop", "processing_delay_s": 3, "time_zone": "Europe/Berlin"}
    assert (await client.post("/_simulator/rules", json=good)).status_code == 200
    rules = account.sim.rules
    assert (rules.unknown_key, rules.processing_delay, str(rules.time_zone)) == (
        "drop",
        timedelta(seconds=3),
        "Europe/Berlin",
    )
    for bad in ({"strict": True, "time_zone": "Mars/Olympus"}, {"strict": True, "gravity": 1}):
        assert (await client.post("/_simulator/rules", json=bad)).status_code == 400
    assert not rules.strict


async def test_state_of_a_long_life_can_be_read(account: Account, client: httpx2.AsyncClient) -> None:
    """With notes, snoozes and webhooks."""
    account.sim.webhooks.subscriptions.add("http://receiver.invalid/hook")
    account.send()
    account.update("1", status="acknowledged")
    account.write("POST", "/incidents/1/notes", {"note": {"content": "Looking."}})
    account.write("POST", "/incidents/1/snooze", {"duration": 60})
    state = (await client.get("/_simulator/state")).json()
    assert state["incidents"][0]["log"][-1]["duration"] == 60
    assert state["webhooks"] == {"waiting": 3}


async def test_services_show_who_is_on_call(account: Account, client: httpx2.AsyncClient) -> None:
    """Level by level, with the state of each service and its routing keys."""
    account.send()
    page = Text((await client.get("/services-page?refresh=off")).text)
    assert "Checkout" in page
    assert "critical high urgency 1" in page
    assert "1. Ada Moreno 2. Chris Lindqvist" in page
    assert account.sim.routing_key in page


async def test_webhooks_show_what_came_of_them(account: Account, client: httpx2.AsyncClient) -> None:
    """Each delivery with its attempts, and when the next is due."""
    empty = Text((await client.get("/webhooks-page")).text)
    assert "None. Make one with POST /webhook_subscriptions" in empty
    account.sim.webhooks.subscriptions.add("http://receiver.invalid/hook")
    account.sim.receiver = lambda request: WebhookReply(503)
    account.send()
    page = Text((await client.get("/webhooks-page")).text)
    assert "http://receiver.invalid/hook active" in page
    assert "incident.triggered" in page
    assert "waiting again in 29 s http://receiver.invalid/hook" in page
    assert f"about {account.sim.incidents[0].id}" in page


async def test_every_page_leads_to_the_others(client: httpx2.AsyncClient) -> None:
    """And says which it is."""
    for path, name in PAGES:
        text = (await client.get(path)).text
        assert f'<a href="{path}" aria-current="page">{name}</a>' in text
        assert all(f'href="{other}"' in text for other, _ in PAGES)


async def test_own_document_is_served(client: httpx2.AsyncClient) -> None:
    """With the address that it was asked at."""
    document = (await client.get("/openapi.json")).json()
    assert (document["openapi"], document["servers"]) == ("3.0.3", [{"url": URL}])


async def test_buttons_acknowledge_and_resolve(account: Account, client: httpx2.AsyncClient) -> None:
    """A form post, then back to the page."""
    account.send()
    for status in ("acknowledged", "resolved"):
        [path, *_] = Text((await client.get("/")).text).forms
        answer = await client.post(str(path), headers={"Origin": URL})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert account.sim.incidents[0].status == status
    assert Text((await client.get("/")).text).forms == []


@pytest.mark.parametrize("path", ["/incidents-page/1/resolve", "/_simulator/faults"])
@pytest.mark.parametrize("origin", ["http://evil.invalid", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8080"])
async def test_other_sites_cannot_press_them(
    account: Account, client: httpx2.AsyncClient, path: str, origin: str
) -> None:
    """A browser names the site a form came from."""
    account.send()
    answer = await client.post(path, headers={"Origin": origin}, json={})
    assert (answer.status_code, account.sim.incidents[0].status) == (403, "triggered")


async def test_button_of_a_forgotten_incident(client: httpx2.AsyncClient) -> None:
    """A page from before a restart gets a 404 with words."""
    answer = await client.post("/incidents-page/PGONE/resolve")
    assert answer.status_code == 404
    assert "PGONE" in answer.text


async def test_state_shows_keys_incidents_and_counts(account: Account, client: httpx2.AsyncClient) -> None:
    """Enough to set up a client and to check what it did."""
    account.send()
    state = (await client.get("/_simulator/state")).json()
    assert state["services"][0]["routing_keys"] == [account.sim.routing_key]
    assert state["api_keys"][0] == {"token": account.sim.api_key, "read_only": False}
    assert [incident["status"] for incident in state["incidents"]] == ["triggered"]
    assert [alert["alert_key"] for alert in state["alerts"]] == ["disk"]
    assert state["requests"] == {"events 202": 1}


async def test_export_is_one_line_per_happening(account: Account, client: httpx2.AsyncClient) -> None:
    """A request, the three log entries of the incident, the processed event."""
    account.send()
    lines = (await client.get("/_simulator/export")).text.splitlines()
    assert len(lines) == 5


async def test_faults_are_ordered_over_http(account: Account, client: httpx2.AsyncClient) -> None:
    """Script, mix, outage and durations in one body."""
    order = {"script": {"events": ["503", "slow"]}, "mix": {"rates": {"500": 1}}, "slow_s": 0.5}
    assert (await client.post("/_simulator/faults", json=order)).status_code == 200
    assert [account.enqueue().status, account.enqueue().delay_s, account.enqueue().status] == [503, 0.5, 500]
    await client.post("/_simulator/faults", json={"clear": True, "outage": {"kind": "504"}})
    assert account.enqueue().status == 504
    await client.post("/_simulator/faults", json={"outage": {"on": False}})
    assert account.enqueue().status == 202


@pytest.mark.parametrize(
    "order",
    [
        {"script": {"events": ["503", "nonsense"]}},
        {"script": {"events": ["503"]}, "outage": {"kind": "nonsense"}},
        {"script": {"events": ["503"]}, "mix": {"rates": {"500": 2}}},
        {"scripts": {}},
        [],
    ],
)
async def test_bad_order_switches_nothing(account: Account, client: httpx2.AsyncClient, order: object) -> None:
    """It is refused as a whole, with reasons."""
    answer = await client.post("/_simulator/faults", json=order)
    assert answer.status_code == 400
    assert answer.json()["errors"]
    assert account.sim.faults.scripted == 0

"""The page with its buttons, and the admin routes, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser

import httpx2
import pytest

from resolute.simulator.pagerduty.app import SimulatorApp
from resolute.simulator.pagerduty.page import environment_lines, render_page
from tests.unit.simulator.account import Account

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
    """A request, the two log entries of the incident, the processed event."""
    account.send()
    lines = (await client.get("/_simulator/export")).text.splitlines()
    assert len(lines) == 4


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

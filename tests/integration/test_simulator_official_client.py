"""The official Python client, `pagerduty`, works against the simulator as against PagerDuty."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from resolute.simulator import SimulatorTransport
from resolute.simulator.pagerduty.deliveries import WebhookReply, WebhookRequest
from tests.unit.simulator.account import Account

pytestmark = pytest.mark.ci_only  # the client is one of the tools of `make check`, not of `make test`


@pytest.fixture
def pagerduty() -> Any:
    """The client's package; missing is a failure, not a skip."""
    return importlib.import_module("pagerduty")


@pytest.fixture
def account() -> Account:
    """The default account, with PagerDuty's own addresses in its links."""
    account = Account()
    account.sim.world.base_url = "https://api.pagerduty.com"
    return account


@pytest.fixture
def rest(pagerduty: Any, account: Account) -> Any:
    """A REST client with a key of the account; it repeats without waiting."""
    transport = SimulatorTransport(account.sim)
    client = pagerduty.RestApiV2Client(account.sim.api_key, default_from="ada@example.com", transport=transport)
    client.sleep_timer = 0
    return client


@pytest.fixture
def events(pagerduty: Any, account: Account) -> Any:
    """An Events client with the first service's routing key; it repeats without waiting."""
    client = pagerduty.EventsApiV2Client(account.sim.routing_key, transport=SimulatorTransport(account.sim))
    client.sleep_timer = 0
    return client


def later(account: Account, seconds: float = 1) -> None:
    """Let time pass."""
    account.clock.advance(timedelta(seconds=seconds))


def test_an_alert_lives_from_trigger_to_resolve(account: Account, events: Any, rest: Any) -> None:
    """Each event shows in REST once the processing delay has passed."""
    key = events.trigger("Disk full", "db-1", custom_details={"free": "1%"})
    statuses = []
    for step in (None, events.acknowledge, events.resolve):
        if step:
            step(key)
        later(account)
        [incident] = rest.list_all("incidents", params={"incident_key": key})
        statuses.append(incident["status"])
    assert statuses == ["triggered", "acknowledged", "resolved"]
    [alert] = rest.rget(f"/incidents/{incident['id']}/alerts")
    assert (alert["alert_key"], alert["status"], alert["body"]["details"]) == (key, "resolved", {"free": "1%"})


def test_change_events_are_taken(account: Account, events: Any) -> None:
    """They page nobody."""
    links = [{"href": "https://example.com", "text": "Build"}]
    events.submit("Deployed 1.2", source="ci", links=links, timestamp="2026-03-31T12:00:00Z")
    assert [change.payload["summary"] for change in account.sim.change_events] == ["Deployed 1.2"]
    assert account.sim.incidents == []


def test_long_lists_are_walked_page_by_page(account: Account, rest: Any) -> None:
    """The client takes 100 rows at a time, and counts them with `total`."""
    for number in range(230):
        rest.rpost("/services", json={"name": f"Service {number:03}", "escalation_policy": policy_of(account)})
    names = [service["name"] for service in rest.iter_all("services", params={"query": "Service"})]
    assert (names, rest.get_total("services")) == ([f"Service {number:03}" for number in range(230)], 231)


def policy_of(account: Account) -> dict[str, str]:
    """A reference to the first policy."""
    return {"id": next(iter(account.sim.world.policies)), "type": "escalation_policy_reference"}


def test_an_incident_is_made_and_changed(account: Account, rest: Any) -> None:
    """Also by sending the whole incident back, but for a priority of null, which PagerDuty refuses."""
    service = {"id": next(iter(account.sim.world.services)), "type": "service_reference"}
    made = rest.rpost("incidents", json={"type": "incident", "title": "By hand", "service": service})
    assert made.pop("priority") is None
    made["status"] = "acknowledged"
    changed = rest.rput(made, json=made)
    assert (changed["status"], changed["assignments"][0]["assignee"]["summary"]) == ("acknowledged", "Ada Moreno")
    resolved = rest.rput("incidents", json=[{"id": made["id"], "type": "incident", "status": "resolved"}])
    assert [each["status"] for each in resolved] == ["resolved"]


def test_notes_and_the_log_are_kept(account: Account, rest: Any) -> None:
    """A note is by the user in `From`; the log tells it."""
    account.send()
    rest.rpost("/incidents/1/notes", json={"content": "Looking."})
    [note] = rest.rget("/incidents/1/notes")
    assert (note["content"], note["user"]["summary"]) == ("Looking.", "Ada Moreno")
    kinds = [entry["type"] for entry in rest.iter_all("/incidents/1/log_entries")]
    assert kinds[0] == "annotate_log_entry"
    assert kinds[-1] == "trigger_log_entry"


def test_the_account_is_looked_up(account: Account, rest: Any) -> None:
    """Who is on call, users by address, services by name, schedules with their layers, priorities."""
    first = min(rest.iter_all("oncalls", params={"include": ["users"]}), key=lambda each: each["escalation_level"])
    assert first["user"]["email"] == "ada@example.com"
    assert rest.find("users", "ben@example.com", attribute="email")["name"] == "Ben Okafor"
    assert rest.find("services", "checkout")["status"] == "active"
    [schedule] = rest.list_all("schedules")
    assert [each["user"]["summary"] for each in rest.rget(schedule)["schedule_layers"][0]["users"]] == [
        "Ada Moreno",
        "Ben Okafor",
    ]
    assert [each["name"] for each in rest.rget("priorities")] == ["P1", "P2", "P3", "P4", "P5"]


def test_references_are_followed(account: Account, rest: Any) -> None:
    """The client reads what an object refers to, and asks what the account is able to do."""
    account.send()
    incident = rest.rget("/incidents/1")
    assert rest.rget(incident["escalation_policy"])["num_loops"] == 0
    assert rest.rget(incident["first_trigger_log_entry"])["type"] == "trigger_log_entry"
    assert rest.rget(rest.rget("users")[0]["contact_methods"][0])["address"] == "ada@example.com"
    assert (rest.subdomain, rest.account_has_ability("priorities")) == ("api", True)
    account.sim.world.abilities.remove("priorities")
    assert not rest.account_has_ability("priorities")


def test_the_client_learns_whose_key_it_has(pagerduty: Any, account: Account, rest: Any) -> None:
    """It asks for the current user, and reads the refusal of an account's key."""
    assert rest.api_key_access == "account"
    key = account.sim.world.add_user_key(account.sim.first_user)
    own = pagerduty.RestApiV2Client(key.token, transport=SimulatorTransport(account.sim))
    assert own.api_key_access == "user"
    assert own.rget("users/me")["name"] == "Ada Moreno"


def test_an_app_works_with_a_token(pagerduty: Any, account: Account) -> None:
    """The client trades id and secret for a token, and reads with it."""
    app, transport = account.sim.world.add_oauth_client(["users.read"]), SimulatorTransport(account.sim)
    oauth = pagerduty.OAuthTokenClient(app.secret, app.id, transport=transport)
    token = oauth.get_scoped_app_token("as_account-us.acme users.read")["access_token"]
    rest = pagerduty.RestApiV2Client(token, auth_type="bearer", transport=transport)
    assert rest.list_all("users")[0]["name"] == "Ada Moreno"
    assert rest.get("/incidents").status_code == 403


def test_a_subscription_is_made_pinged_and_deleted(account: Account, rest: Any) -> None:
    """The secret is shown once; the ping carries the subscription's id."""
    sent: list[WebhookRequest] = []
    account.sim.receiver = lambda request: sent.append(request) or WebhookReply(202)
    method = {"type": "http_delivery_method", "url": "https://receiver.invalid/"}
    wanted = {"type": "webhook_subscription", "delivery_method": method, "events": ["incident.triggered"]}
    made = rest.rpost("webhook_subscriptions", json=wanted | {"filter": {"type": "account_reference"}})
    path = f"/webhook_subscriptions/{made['id']}"
    assert rest.post(f"{path}/ping").status_code == 202
    account.sim.settle()
    assert [dict(request.headers)["X-Webhook-Subscription"] for request in sent] == [made["id"]]
    assert made["delivery_method"]["secret"]
    assert rest.rget(path)["delivery_method"]["secret"] is None
    rest.rdelete(path)
    assert rest.list_all("webhook_subscriptions") == []


@pytest.mark.parametrize(
    ("ask", "status", "words"),
    [
        (lambda rest: rest.rget("/incidents/PNONE"), 404, "Not Found"),
        (lambda rest: rest.rget("/incidents", params={"statuses[]": ["open"]}), 400, "Status must be a list"),
        (lambda rest: rest.rpost("/incidents", json={"type": "incident", "title": "x"}), 400, "Service not found"),
        (lambda rest: rest.rput("/incidents/1", json={"type": "incident", "priority": None}), 400, "Priority id"),
    ],
)
def test_refusals_are_read(
    pagerduty: Any, account: Account, rest: Any, ask: Callable[[Any], Any], status: int, words: str
) -> None:
    """The client's own error carries status and text."""
    account.send()
    with pytest.raises(pagerduty.HttpError) as caught:
        ask(rest)
    assert caught.value.response.status_code == status
    assert words in caught.value.response.text


def test_a_wrong_key_ends_at_once(pagerduty: Any, account: Account) -> None:
    """401 is not repeated."""
    client = pagerduty.RestApiV2Client("x" * 20, transport=SimulatorTransport(account.sim))
    with pytest.raises(pagerduty.HttpError):
        client.rget("users")
    assert [record.status for record in account.sim.requests] == [401]


@pytest.mark.parametrize("faults", [["429", "429_bare"], ["cut_before", "refused"], ["apply_then_cut"]])
def test_faults_are_repeated_by_the_client(account: Account, events: Any, faults: list[str]) -> None:
    """One alert comes of it, as the key is the same each time."""
    account.sim.faults.script("events", faults)
    events.trigger("Disk full", "db-1", dedup_key="disk")
    later(account)
    assert [(alert.alert_key, alert.status) for alert in account.sim.alerts] == [("disk", "triggered")]
    assert len(account.sim.requests) == len(faults) + 1

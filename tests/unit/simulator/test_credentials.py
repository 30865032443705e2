"""Keys of the account, of users, and OAuth tokens: who may do what, and in whose name."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from resolute.simulator import SimAnswer, SimRequest
from resolute.simulator.pagerduty.resources import Role
from tests.unit.simulator.account import Account

NOTE = {"note": {"content": "Looking."}}
HOOK = "/webhook_subscriptions"


def ask(account: Account, authorization: str, method: str, path: str, body: object = None) -> SimAnswer:
    """A request with this credential, without `From`."""
    return account.request(method, path, body=body, headers={"Authorization": authorization})


def test_user_key_acts_as_its_user(account: Account) -> None:
    """No `From` is needed."""
    account.send()
    ben = account.sim.world.find_user("ben@example.com")
    assert ben
    key = account.sim.world.add_user_key(ben)
    answer = ask(account, f"Token token={key.token}", "POST", "/incidents/1/notes", NOTE)
    assert (answer.status, answer.json()["note"]["user"]["summary"]) == (200, "Ben Okafor")


@pytest.mark.parametrize(
    ("role", "note", "service"),
    [("admin", 200, 400), ("user", 200, 400), ("limited_user", 200, 403), ("read_only_user", 403, 403)],
)
def test_a_user_key_has_its_users_rights(account: Account, role: Role, note: int, service: int) -> None:
    """Responders act on incidents, managers also make services; an empty one is 400, not 403."""
    account.send()
    key = account.sim.world.add_user_key(account.sim.world.add_user("Eve Adams", role=role))
    own = f"Token token={key.token}"
    assert ask(account, own, "POST", "/incidents/1/notes", NOTE).status == note
    assert ask(account, own, "POST", "/services", {"service": {}}).status == service


@pytest.mark.parametrize(
    ("scopes", "read", "write"),
    [(["incidents.read"], 200, 403), (["incidents.write"], 200, 200), (["services.read"], 403, 403), ([], 403, 403)],
)
def test_bearer_token_needs_its_scope(account: Account, scopes: list[str], read: int, write: int) -> None:
    """Writing includes reading."""
    account.send()
    token = account.sim.world.add_bearer_token(scopes, user=account.sim.first_user)
    bearer = f"Bearer {token.token}"
    assert ask(account, bearer, "GET", "/incidents/1").status == read
    assert ask(account, bearer, "POST", "/incidents/1/notes", NOTE).status == write


def test_each_kind_of_key_has_its_scheme(account: Account) -> None:
    """A token sent as a key is nobody, and the other way round."""
    token = account.sim.world.add_bearer_token(["users.read"]).token
    assert ask(account, f"Token token={token}", "GET", "/users").status == 401
    assert ask(account, f"Bearer {account.sim.api_key}", "GET", "/users").status == 401


def test_token_of_an_app_needs_from(account: Account) -> None:
    """It belongs to no user."""
    account.send()
    token = account.sim.world.add_bearer_token(["incidents.write"]).token
    answer = ask(account, f"Bearer {token}", "POST", "/incidents/1/notes", NOTE)
    assert (answer.status, answer.json()["error"]["code"]) == (400, 2016)


def test_keys_of_one_user_share_a_limit(account: Account) -> None:
    """Another user's and the account's are not touched."""
    world = account.sim.world
    ada, ben, _ = world.users.values()
    account.sim.rules.rest_per_minute = 1
    keys = [world.add_user_key(user) for user in (ada, ada, ben)]
    statuses = [ask(account, f"Token token={key.token}", "GET", "/users").status for key in keys]
    assert statuses == [200, 429, 200]


def test_scarce_operations_have_a_limit_of_their_own(account: Account) -> None:
    """The headers are those of the nearest one."""
    account.sim.rules.scarce_per_minute = 2
    first, _, third = (account.request("GET", "/oncalls") for _ in range(3))
    assert (first.header("ratelimit-limit"), first.header("ratelimit-remaining")) == ("2", "1")
    assert third.status == 429
    assert account.request("GET", "/users").header("ratelimit-limit") == "960"


def test_strict_refuses_what_is_forgiven_otherwise(account: Account) -> None:
    """The remarks become the errors."""
    query = {"limit": 1000, "since": "2026-03-01T00:00:00", "urgencies[]": ""}
    assert account.request("GET", "/incidents", query).status == 200
    account.sim.rules.strict = True
    answer = account.request("GET", "/incidents", query)
    assert answer.status == 400
    assert [error.partition(":")[0] for error in answer.json()["error"]["errors"]] == ["strict"] * 4


def test_strict_refuses_a_write_before_it_is_made(account: Account) -> None:
    """Without the header that pins the version."""
    account.send()
    account.sim.rules.strict = True
    headers = {"Accept": "*/*", "From": "ada@example.com"}
    assert account.request("POST", "/incidents/1/notes", body=NOTE, headers=headers).status == 400
    assert account.sim.incidents[0].notes == []


def test_a_lost_ability_is_402(account: Account) -> None:
    """For the list and for the field."""
    account.send()
    account.sim.world.abilities.remove("priorities")
    priority = {"id": next(iter(account.sim.world.priorities)), "type": "priority_reference"}
    assert account.request("GET", "/priorities").status == 402
    assert account.update("1", priority=priority).status == 402


def token_for(account: Account, **change: str) -> SimAnswer:
    """Ask for a token as an app that may read incidents."""
    app = account.sim.world.add_oauth_client(["incidents.read"])
    form = {"grant_type": "client_credentials", "client_id": app.id, "client_secret": app.secret}
    body = urlencode(form | {"scope": "as_account-us.acme incidents.read"} | change).encode()
    return account.sim.handle(SimRequest("POST", "/oauth/token", {}, body))


def test_an_app_gets_a_token_for_a_day(account: Account) -> None:
    """Then it has to ask again."""
    answer = token_for(account).json()
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 86_400)
    bearer = f"Bearer {answer['access_token']}"
    account.wait(seconds=86_399)
    assert ask(account, bearer, "GET", "/incidents").status == 200
    account.wait(seconds=1)
    assert ask(account, bearer, "GET", "/incidents").status == 401


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_secret": "guess"}, 401, "invalid_client"),
        ({"client_id": "guess"}, 401, "invalid_client"),
        ({"scope": "incidents.read"}, 400, "invalid_scope"),
        ({"scope": "as_account-us.acme services.write"}, 400, "invalid_scope"),
    ],
)
def test_a_bad_request_for_a_token_is_refused(account: Account, change: dict[str, str], status: int, word: str) -> None:
    """In the words of OAuth."""
    answer = token_for(account, **change)
    assert (answer.status, answer.json()) == (status, {"error": word})

"""What every REST operation has in common: credentials, limits, paging, refusals."""

from __future__ import annotations

from datetime import timedelta

import pytest

from resolute.simulator import SimRequest
from tests.unit.simulator.account import Account


@pytest.mark.parametrize(
    "authorization", [None, "", "Token {key}", "Token token=wrong", "Bearer {key}", "token={key}", "Token token="]
)
def test_bad_credentials_are_401(account: Account, authorization: str | None) -> None:
    """Leaving out the words `Token token=` is the classic mistake."""
    sent = {} if authorization is None else {"Authorization": authorization.format(key=account.sim.api_key)}
    answer = account.sim.handle(SimRequest("GET", "/incidents", sent))
    assert answer.status == 401
    assert answer.json() == {"error": {"message": "Authentication Failed", "code": 2006}}


def test_unknown_path_and_wrong_method(account: Account) -> None:
    """404 in PagerDuty's shape, 405 with the methods that exist."""
    missing = account.request("GET", "/nowhere")
    assert (missing.status, missing.json()) == (404, {"error": {"message": "Not Found", "code": 2100}})
    wrong = account.request("DELETE", "/incidents/PABC")
    assert (wrong.status, wrong.header("Allow")) == (405, "GET, PUT")


def test_every_answer_has_its_own_request_id(account: Account) -> None:
    """Errors included, on both hosts; the record knows it too."""
    answers = [
        account.request("GET", "/users"),
        account.request("GET", "/nowhere"),
        account.enqueue(),
        account.post({}),
    ]
    ids = [answer.header("X-Request-Id") for answer in answers]
    assert len(set(ids)) == 4
    assert ids == [record.request_id for record in account.sim.requests]


def test_rate_limit_counts_down_and_refuses(account: Account) -> None:
    """`ratelimit-reset` is the number of seconds to wait, not a date."""
    account.sim.rules.rest_per_minute = 2
    first = account.request("GET", "/users")
    account.clock.advance(timedelta(seconds=15))
    account.request("GET", "/users")
    refused = account.request("GET", "/users")
    assert (first.header("ratelimit-limit"), first.header("ratelimit-remaining")) == ("2", "1")
    assert (refused.status, refused.json()["error"]["code"]) == (429, 2020)
    assert (refused.header("ratelimit-remaining"), refused.header("ratelimit-reset")) == ("0", "45")
    account.clock.advance(timedelta(seconds=45))
    assert account.request("GET", "/users").status == 200


def test_read_only_key_reads_and_does_not_write(account: Account) -> None:
    """A write with it is 403."""
    account.send()
    [key] = [key.token for key in account.sim.world.api_keys.values() if key.read_only]
    sent = {"Authorization": f"Token token={key}", "From": "ada@example.com"}
    assert account.request("GET", "/incidents/1", headers=sent).status == 200
    assert account.request("PUT", "/incidents/1", body={}, headers=sent).status == 403


@pytest.mark.parametrize(("sender", "code"), [(None, 2016), ("", 2016), ("Ada", 1028), ("nobody@example.com", 1008)])
def test_write_needs_a_known_sender(account: Account, sender: str | None, code: int) -> None:
    """Three mistakes with `From`, three codes."""
    account.send()
    answer = account.update("1", sender, status="acknowledged")
    assert (answer.status, answer.json()["error"]["code"]) == (400, code)
    assert account.sim.incidents[0].status == "triggered"


def test_sender_rule_can_be_relaxed(account: Account) -> None:
    """Some accounts were seen to take writes without it."""
    account.send()
    account.sim.rules.require_from = False
    assert account.update("1", None, status="acknowledged").status == 200


def test_body_without_content_type_is_read_as_a_form(account: Account) -> None:
    """The answer then puzzles people: the JSON was fine."""
    account.send()
    sent = {"From": "ada@example.com", "Content-Type": "text/plain"}
    answer = account.request("PUT", "/incidents/1", body={"incident": {}}, headers=sent)
    assert answer.json()["error"] == {
        "message": "Invalid Input Provided",
        "code": 2001,
        "errors": ["params must be a Hash"],
    }


def test_lists_are_paged_by_25(account: Account) -> None:
    """`more` says whether to go on; `total` is null unless asked for."""
    for number in range(40):
        account.sim.world.add_user(f"User {number}", f"u{number}@example.com")
    first = account.get("/users")
    second = account.get("/users", offset=25, total="true")
    assert (len(first["users"]), first["limit"], first["offset"], first["more"], first["total"]) == (
        25,
        25,
        0,
        True,
        None,
    )
    assert (len(second["users"]), second["more"], second["total"]) == (18, False, 43)


def test_limit_is_clamped_and_the_wall_stands_at_10000(account: Account) -> None:
    """A limit above 100 is cut to 100 without a word, and only then compared with the wall."""
    assert account.get("/users", limit=10_000, offset=9_900)["limit"] == 100
    answer = account.request("GET", "/users", {"limit": 100, "offset": 9_901})
    assert answer.status == 400
    assert "exceeds maximum allowed value of 10000" in answer.json()["error"]["errors"][0]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": "ten"}, {"limit": "9" * 5000}, {"offset": -1}])
def test_nonsense_in_paging_is_refused(account: Account, query: dict[str, object]) -> None:
    """Numbers only, and at least one row."""
    assert account.request("GET", "/users", query).status == 400


def test_total_can_be_absent(account: Account) -> None:
    """Both forms were seen; a client must take either."""
    account.sim.rules.unasked_total = "absent"
    assert "total" not in account.get("/services")


def test_what_the_real_service_would_misread_is_remarked(account: Account) -> None:
    """A test of a client asserts that this stays empty."""
    query = {"since": "2026-03-30T00:00:00", "statuses[]": "", "total": "True", "limit": 500, "user_ids": "PX"}
    account.request("GET", "/incidents", query, headers={"Accept": "*/*"})
    remarks = "\n".join(account.sim.requests[-1].remarks)
    assert len(account.sim.requests[-1].remarks) == 7
    for words in (
        "Accept",
        "without offset",
        "since without until",
        "statuses[]",
        "total=True",
        "limit=500",
        "user_ids",
    ):
        assert words in remarks
    account.get("/incidents", statuses=["triggered"])
    assert not account.sim.requests[-1].remarks


def test_services_and_users_are_listed(account: Account) -> None:
    """By name, by a part of it, with the service's state."""
    account.sim.world.add_service("Search index")
    account.send()
    assert [each["name"] for each in account.get("/services")["services"]] == ["Checkout", "Search index"]
    assert [each["status"] for each in account.get("/services", name="Checkout")["services"]] == ["critical"]
    assert [each["status"] for each in account.get("/services", query="SEARCH")["services"]] == ["active"]
    [ben] = account.get("/users", query="ben")["users"]
    assert (ben["name"], ben["email"], ben["type"]) == ("Ben Okafor", "ben@example.com", "user")


def test_records_hold_no_whole_key(account: Account) -> None:
    """Neither the list of requests nor the export can leak one."""
    account.send()
    account.get("/incidents")
    record = account.sim.requests[0]
    assert (record.routing_key, record.action, record.dedup_key) == (
        f"•••• {account.sim.routing_key[-4:]}",
        "trigger",
        "disk",
    )
    assert [record.outcome for record in account.sim.requests] == ["202", "200"]
    assert account.sim.routing_key not in account.sim.export()
    assert account.sim.api_key not in account.sim.export()

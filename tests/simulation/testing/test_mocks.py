"""What a test says about nodes: mocks and failures, and what happens when they do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute import (
    ActivityError,
    Flow,
    Page,
    Payload,
    Retry,
    activity,
    current,
    flow,
    input_data,
    manual,
    output,
    paginated,
    secret,
    text,
)
from resolute.model.activity import Node, SecretText
from resolute.providers import pagerduty
from resolute.testing import FlowFailed, FlowTester, ScriptError


class Health(BaseModel):
    """What a check says."""

    status: str
    load: float = 0.0
    details: dict[str, Any] = {}


@dataclass
class Login:
    """A dataclass with a secret in it."""

    user: str
    password: str


class Header(Payload):
    """A model with a secret in it."""

    name: str
    value: str


@activity
async def check(url: str) -> Health:
    return Health(status=f"asked {url}")


@activity(retry=Retry(attempts=3))
def tell(text: str, token: SecretText = "", people: list[str] | None = None) -> str:
    return f"told {text}"


@paginated
async def hosts(page: int | None) -> Page[str]:
    return Page(items=[f"host-{page or 0}"], next=None if page else 1)


def one(*nodes: Node[Any]) -> Flow:
    return flow("one").triggered_by(manual()).then(*nodes).build()


CHECKED = one(check(url="http://shop"), tell(text=output("check.status")))


def test_a_dict_does_for_a_model() -> None:
    """The flow sees the declared type, as if the function had returned it."""
    tester = FlowTester()
    tester.mock("check", {"status": "critical", "load": 2})
    state = tester.run(CHECKED)
    assert state["check"] == Health(status="critical", load=2.0)
    assert state["tell"] == "told critical"


def test_a_function_gets_the_resolved_inputs_by_name() -> None:
    """Plain or async; what it returns is the output."""
    tester = FlowTester()

    async def answer(url: str) -> dict[str, str]:
        return {"status": f"{url} as {current().key}"}

    tester.mock("check", answer)
    tester.mock("tell", lambda **inputs: repr(inputs))
    assert tester.run(CHECKED).result == {
        "check": {"status": "http://shop as check", "load": 0.0, "details": {}},
        "tell": "{'text': 'http://shop as check'}",
    }


def test_another_activity_stands_in_with_its_function() -> None:
    """A fake that is an activity itself need not be taken apart."""

    @activity
    async def fake(url: str) -> Health:
        return Health(status="fake")

    tester = FlowTester()
    tester.mock("check", fake)
    assert tester.run(CHECKED)["check"].status == "fake"


def test_each_call_gets_its_own_value() -> None:
    """An exception among them is raised, and the node's retries go on to the next; runs go on where the last ended."""
    tester = FlowTester()
    tester.mock("tell", each=[ConnectionError("reset"), "second", lambda text: f"third {text}"])
    assert tester.run(one(tell(text="a")))["tell"] == "second"
    assert tester.run(one(tell(text="b")))["tell"] == "third b"
    assert [call["text"] for call in tester.calls("tell")] == ["a", "a", "b"]


def test_running_out_of_values_ends_the_test_with_an_error() -> None:
    """Also where the flow would go on with a fallback."""
    tester = FlowTester()
    tester.mock("tell", each=["once"])
    twice = one(tell(text="a"), tell(text="b").as_("again").or_else(tell(text="c").as_("other")))
    tester.mock("again", each=[])
    with pytest.raises(ScriptError, match=r'The mock of "again" was given 0 values with each=\[\.\.\.\]'):
        tester.run(twice)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"load": 1}, r'The mock of "check" does not fit what check returns, Health: status: Field required'),
        (lambda url: {"status": 3}, r"does not fit what check returns, Health: status: Input should be a valid string"),
        (lambda host: None, r"cannot be called with the node's inputs \(url\): missing a required argument: 'host'"),
        (check(url="x"), r'The mock of "check" is a node\. Give the value'),
    ],
)
def test_a_mock_that_does_not_fit_is_told_with_key_and_type(value: Any, words: str) -> None:
    """The test fails, and not the run under test."""
    tester = FlowTester()
    tester.mock("check", value)
    with pytest.raises(ScriptError, match=words):
        tester.run(CHECKED)


def test_an_unknown_key_is_told_with_the_one_that_was_meant() -> None:
    """Nothing is run before every key is known."""
    tester = FlowTester()
    tester.mock("chekc", {"status": "critical"})
    with pytest.raises(ScriptError, match=r'tester\.mock\("chekc"\) names no node of the flow\. Did you mean "check"'):
        tester.run(CHECKED)
    tester = FlowTester(flows=[CHECKED])
    tester.fail("hosts", "no")
    with pytest.raises(ScriptError, match=r'tester\.fail\("hosts"\).* Its nodes: "check", "tell"\.'):
        tester.run(CHECKED)
    with pytest.raises(ScriptError, match=r'tester\.calls\("tel"\).* Did you mean "tell"\?'):
        tester.calls("tel")


@pytest.mark.parametrize(("value", "each"), [((), {}), (("x",), {"each": ["y"]})])
def test_a_mock_is_either_a_value_or_one_for_each_call(value: tuple[str, ...], each: dict[str, Any]) -> None:
    """Neither and both are mistakes that are told at once."""
    with pytest.raises(ScriptError, match="takes a value or a function, or else each="):
        FlowTester().mock("check", *value, **each)


def test_failures_go_through_the_nodes_retries() -> None:
    """Two failures cost two waits; the third attempt is the function itself."""
    tester = FlowTester()
    tester.fail("tell", ConnectionError("reset"), times=2)
    begun = tester.now
    state = tester.run(one(tell(text="a")))
    assert (state["tell"], len(tester.calls("tell"))) == ("told a", 3)
    assert tester.now - begun == timedelta(seconds=3)


@pytest.mark.parametrize("error", ["no route", ActivityError("no route"), ActivityError("no route", permanent=True)])
def test_a_failure_for_good_fails_the_run(error: Any) -> None:
    """With the error that the test named; a permanent one at the first attempt."""
    tester = FlowTester()
    tester.fail("tell", error)
    with pytest.raises(FlowFailed, match='failed at "tell": no route') as caught:
        tester.run(CHECKED)
    assert caught.value.state["check"].status == "asked http://shop"
    assert len(tester.calls("tell")) == (1 if getattr(error, "permanent", False) else 3)


def test_a_fallback_runs_when_its_node_is_made_to_fail() -> None:
    """Fallbacks, undo and failure nodes are nodes like all others."""
    tester = FlowTester()
    tester.fail("tell", KeyError)
    tester.mock("phone", "rang")
    state = tester.run(one(tell(text="a").or_else(tell(text="b").as_("phone"))))
    assert ("tell" in state, state["phone"]) == (False, "rang")


@pytest.mark.parametrize(("error", "times"), [(7, None), ("no", 0)])
def test_what_is_no_error_cannot_be_raised(error: Any, times: int | None) -> None:
    """The mistake is told where it is made."""
    with pytest.raises(ScriptError, match="takes an exception or a text, and times from 1"):
        FlowTester().fail("tell", error, times=times)


def test_a_mock_of_a_paginated_node_is_the_whole_list() -> None:
    """Unmocked, each page is a call."""
    tester = FlowTester()
    assert tester.run(one(hosts()))["hosts"] == ["host-0", "host-1"]
    assert tester.calls("hosts") == [{"page": None}, {"page": 1}]
    tester.mock("hosts", ["a", "b", "c"])
    assert tester.run(one(hosts()))["hosts"] == ["a", "b", "c"]


def test_secrets_are_shown_by_name() -> None:
    """The function gets the value, who reads the calls does not; a mocked node needs none."""
    tester = FlowTester(secrets={"TOKEN": "xoxb-very-secret"})
    got: list[str] = []

    def note(text: str, token: str, people: list[str]) -> str:
        got.append(token)
        return "noted"

    sent = one(tell(text="a", token=secret("TOKEN"), people=[text("{x}", x=input_data())]))
    tester.mock("tell", note)
    tester.run(sent, "ada")
    assert got == ["xoxb-very-secret"]
    assert tester.calls("tell") == [{"text": "a", "token": "secret(TOKEN)", "people": ["ada"]}]
    without = FlowTester()
    without.mock("tell", note)
    without.run(sent, "ada")
    assert got[1] == "secret(TOKEN)"


def test_secrets_inside_other_inputs_are_shown_by_name() -> None:
    """In dicts, lists, models and dataclasses."""

    @activity
    async def post(headers: list[Header], login: Login, extra: dict[str, Any]) -> str:
        return headers[0].value + login.password

    token = secret("TOKEN")
    node = post(headers=[Header(name="x", value=token)], login=Login("ada", token), extra={"a": [1, {"b": token}]})
    tester = FlowTester(secrets={"TOKEN": "short"})
    assert tester.run(one(node))["post"] == "shortshort"
    [call] = tester.calls("post")
    assert (call["headers"][0].value, call["login"].password) == ("secret(TOKEN)", "secret(TOKEN)")
    assert call["extra"] == {"a": [1, {"b": "secret(TOKEN)"}]}


def test_calls_are_kept_as_they_were() -> None:
    """A function may change what it is given."""

    @activity
    async def empties(people: list[str]) -> int:
        people.clear()
        return 0

    tester = FlowTester()
    tester.run(one(empties(people=["ada", "ben"])))
    assert tester.calls("empties") == [{"people": ["ada", "ben"]}]


def test_a_mocked_page_is_not_sent() -> None:
    """Its content is never refused either: what is missing in it is marked."""
    page = pagerduty.trigger_event(
        routing_key=secret("KEY"), summary=text("{check.details.host} is down"), custom_details=output("check.load")
    )
    tester = FlowTester()
    tester.mock("trigger_event", {"dedup_key": "mocked"})
    state = tester.run(one(check(url="x"), page))
    assert state["trigger_event"].dedup_key == "mocked"
    assert tester.calls("trigger_event")[0]["summary"] == "<missing check.details.host> is down"
    assert tester.pages() == []

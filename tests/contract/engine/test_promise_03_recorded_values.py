"""Promise 3: a flow sees recorded values only, the same ones however often it is walked."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute import Flow, activity, env, input_data, now, output, secret
from tests.contract.engine.book import after, hang
from tests.contract.engine.flows import KEY, act, begin, book, do, of
from tests.contract.engine.machine import Machine, node

HOUR = timedelta(hours=1)


class Health(BaseModel):
    status: str
    at: datetime
    parts: dict[str, tuple[int, float]] = {}


@activity
async def measure() -> Health:
    """A typed output."""
    found: Health = await book().perform(None)
    return found


HEALTHY = Health(status="ok", at=datetime(2026, 3, 1, tzinfo=UTC), parts={"cpu": (3, 0.5)})


async def through_a_kill(machine: Machine, made: Flow, key: str, input: Any = None) -> None:
    """Run the flow; its worker is killed in the first attempt of a node."""
    machine.book.will(key, hang)
    await machine.up(made)
    await machine.start(input=input)
    await machine.called(key)
    await machine.kill()
    await machine.up(made)


@pytest.mark.parametrize("kill", [False, True], ids=["", "killed"])
async def test_an_output_is_what_its_type_says(machine: Machine, kill: bool) -> None:
    """Predicates are given the declared model, kill or not."""
    seen: list[Any] = []
    made = begin().then(measure(), do("b")).when(lambda state: bool(seen.append(state["measure"])), then=do("c"))
    machine.book.will("measure", HEALTHY)
    if kill:
        await through_a_kill(machine, made.build(), "b")
        await machine.result()
    else:
        await machine.run(made.build())
    assert seen
    assert all(isinstance(found, Health) and found == HEALTHY for found in seen)


ODD = {
    "nan": math.nan,
    "far": -math.inf,
    "surrogate": "\ud800",
    "nul": "\0",
    "large": 2**70,
    "float": 0.1 + 0.2,
    "nested": [[], {}, None, True, {"": [""]}],
}


@pytest.mark.parametrize("kill", [False, True], ids=["", "killed"])
async def test_odd_values_survive(machine: Machine, kill: bool) -> None:
    """What the next node is given is what the one before put out."""
    machine.book.will("a", ODD)
    made = of(do("a"), do("b", output("a")))
    if kill:
        await through_a_kill(machine, made, "b")
        await machine.result()
    else:
        await machine.run(made)
    for call in machine.book.of("b"):
        assert repr(call.given) == repr(ODD)


@pytest.mark.parametrize(
    "value", [{1, 2}, (1, 2), {1: 2}, object(), b"\xff"], ids=["set", "tuple", "keys", "object", "bytes"]
)
async def test_a_value_that_does_not_survive_fails_its_node_at_once(machine: Machine, value: Any) -> None:
    """A flow never goes on with what a crash would change."""
    machine.book.will("a", value)
    view = await machine.run(of(do("a", tries=3), do("b")))
    assert (view.status, view.error_key, node(view, "a").attempt) == ("failed", "a", 1)
    assert machine.book.attempted() == ["a"]


async def test_an_output_is_a_copy(machine: Machine) -> None:
    """What the activity does to its own data later changes nothing."""
    mine = {"size": 1}
    machine.book.will("a", lambda call: mine)
    machine.book.will("b", lambda call: mine.update(size=2))
    view = await machine.run(of(do("a"), do("b"), do("c", output("a"))))
    assert (machine.book.calls[-1].given, view.output["a"]) == ({"size": 1}, {"size": 1})


@pytest.mark.needs("decisions")
async def test_a_decision_is_made_once(machine: Machine) -> None:
    """The predicate is not asked again, and the other way is never taken."""
    asked: list[int] = []

    def first_time(state: Any) -> bool:
        asked.append(1)
        return len(asked) == 1

    made = begin().when(first_time, then=do("a"), otherwise=do("b")).then_sleep(HOUR).then(do("c")).build()
    await through_a_kill(machine, made, "c")
    await machine.result()
    assert (machine.book.attempted(), len(asked)) == (["a", "c", "c"], 1)


@pytest.mark.needs("decisions")
async def test_the_end_of_a_loop_is_decided_once_for_each_round(machine: Machine) -> None:
    """A predicate that changes its mind does not change the past."""
    asked: list[int] = []

    def third_time(state: Any) -> bool:
        asked.append(1)
        return len(asked) >= 3

    made = begin().then_loop("l", do("a"), until=third_time, at_most=9).then(do("b")).build()
    await through_a_kill(machine, made, "b")
    await machine.result()
    assert (machine.book.attempted(), len(asked)) == (["a", "a", "a", "b", "b"], 3)


async def test_all_times_of_a_node_are_one_instant(machine: Machine) -> None:
    """Kept over its retries and over a kill."""
    made = of(act(given={"at": now(), "ago": now() - HOUR}).as_("a").with_retry(do("x", tries=3).retry))
    machine.book.will("a", ValueError("no"), after(60, ValueError("no")))
    await machine.up(made)
    await machine.start()
    await machine.called("a", 2)
    await machine.kill()
    await machine.wait(hours=3)
    await machine.up(made)
    await machine.result()
    times = [
        (datetime.fromisoformat(c.given["at"]), datetime.fromisoformat(c.given["ago"])) for c in machine.book.calls
    ]
    assert len(times) == 3
    assert len(set(times)) == 1
    assert times[0][0] - times[0][1] == HOUR


@pytest.mark.needs("environment")
async def test_an_environment_variable_is_recorded(machine: Machine) -> None:
    """A node sees the value of when it became ready."""
    machine.environ["POLICY"] = "first"
    made = of(do("a", env("POLICY")), do("b", env("POLICY")))
    machine.book.will("a", hang)
    await machine.up(made)
    await machine.start()
    await machine.called("a")
    await machine.kill()
    machine.environ["POLICY"] = "second"
    await machine.up(made)
    await machine.result()
    assert [call.given for call in machine.book.calls] == ["first", "first", "second"]


async def test_a_secret_is_not_recorded(machine: Machine) -> None:
    """Each attempt reads it anew, and no journal holds it."""
    machine.environ["TOKEN"] = "first-token"
    made = of(act(given=secret("TOKEN")).as_("a"), do("b"))
    machine.book.will("a", hang, 1)
    await machine.up(made)
    await machine.start()
    await machine.called("a")
    assert "first-token" not in str(await machine.engine.get("r"))
    await machine.kill()
    machine.environ["TOKEN"] = "second-token"
    await machine.up(made)
    assert "second-token" not in str(await machine.result())
    assert [call.given for call in machine.book.of("a")] == ["first-token", "second-token"]


async def test_a_secret_that_an_activity_puts_out_is_scrubbed(machine: Machine) -> None:
    """Flow and journal see the same, kill or not."""
    machine.book.will("a", lambda call: {"header": f"Token {call.given}"})
    view = await machine.run(of(act(given=KEY).as_("a"), do("b", output("a.header"))))
    assert machine.book.of("b")[0].given == view.output["a"]["header"] == "Token ••••"


async def test_the_round_of_a_loop_begins_when_it_did(machine: Machine) -> None:
    """A kill does not stretch the interval: it counts from the start of the round."""
    made = begin().then_loop("l", do("a"), until=output("a") == "up", every=10 * timedelta(minutes=1), at_most=3)
    machine.book.will("a", after(60), hang, "up")
    await machine.up(made.build())
    await machine.start()
    await machine.wait(minutes=5)
    await machine.kill()
    await machine.up(made.build())
    await machine.called("a", 2)
    [first, second] = machine.book.calls
    assert abs(second.at - first.at - 10 * timedelta(minutes=1)) < timedelta(seconds=2)


async def test_a_sleep_ends_when_it_was_to_end(machine: Machine) -> None:
    """Whether or not a worker was there meanwhile."""
    made = begin().then(do("a")).then_sleep(HOUR).then(do("b")).build()
    await machine.up(made)
    await machine.start()
    await machine.wait(minutes=20)
    await machine.kill()
    await machine.wait(minutes=20)
    await machine.up(made)
    await machine.result()
    [a, b] = machine.book.calls
    assert abs(b.at - a.at - HOUR) < timedelta(seconds=2)


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(days=1)], ids=["back", "forward"])
async def test_a_clock_that_is_set_does_not_lengthen_a_sleep(machine: Machine, shift: timedelta) -> None:
    """At worst it begins once more, also when a kill comes on top."""
    made = begin().then_sleep(timedelta(minutes=10)).build()
    await machine.up(made)
    await machine.start()
    await machine.wait(minutes=5)
    machine.clock.shift(shift)
    await machine.kill()
    await machine.up(made)
    began_s = machine.loop.time()
    await machine.result()
    assert machine.loop.time() - began_s <= 11 * 60


async def test_a_sleep_may_take_its_time_from_an_output(machine: Machine) -> None:
    """Seconds, recorded when it begins."""
    machine.book.will("a", 90)
    view = await machine.run(begin().then(do("a")).then_sleep(output("a")).build())
    assert view.finished_at is not None
    assert timedelta(seconds=90) <= view.finished_at - view.created_at < timedelta(seconds=92)


@pytest.mark.needs("large-values")
async def test_a_large_value_is_kept_once_however_often_it_is_handed_on(machine: Machine) -> None:
    """A megabyte through three nodes and a decision, kill or not."""
    text = "x" * 1_000_000
    nodes = do("a"), do("b", output("a")), do("c", output("b")), do("d")
    made = begin().then(*nodes).when(output("c") == text, then=do("e")).returns(output("d")).build()
    machine.book.will("a", text)
    await through_a_kill(machine, made, "d")
    await machine.result()
    assert [call.given == text for call in machine.book.calls[1:3]] == [True, True]
    assert machine.book.attempted()[-1] == "e"
    assert machine.large_values() == 1


@pytest.mark.needs("large-values")
async def test_a_large_value_is_told_by_size_and_digest(machine: Machine) -> None:
    """Who looks at a run is not handed a megabyte for each node; its result is whole."""
    machine.book.will("a", "x" * 1_000_000)
    view = await machine.run(begin().then(do("a")).returns(output("a")).build())
    assert node(view, "a").output["large_value"]["characters"] == 1_000_002
    assert (await machine.engine.result("r")).output == "x" * 1_000_000


async def test_a_result_is_what_returns_says(machine: Machine) -> None:
    """References at any depth; the default is all outputs by key."""
    made = begin().then(do("a", {"x": [1, 2]}), do("b")).returns({"last": output("a.x.-1"), "in": input_data("n")})
    assert (await machine.run(made.build(), {"n": 7})).output == {"last": 2, "in": 7}

"""`FlowTester`: runs of flows in virtual time, and what a test sees of them."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute import (
    ConfigError,
    Flow,
    Retry,
    RunFailed,
    activity,
    current,
    cursor,
    env,
    flow,
    input_data,
    item,
    manual,
    output,
    secret,
)
from resolute.errors import InputError
from resolute.model.activity import Node
from resolute.testing import FlowFailed, FlowTester, ScriptError

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


class Order(BaseModel):
    """An input."""

    size: int = 1


@activity
async def count(step: int = 1) -> int:
    known = current().memory.get("count", 0)
    assert isinstance(known, int)
    current().memory["count"] = known + step
    return known + step


@activity
def double(number: int) -> int:
    return 2 * number


@activity
async def breaks() -> int:
    raise ValueError("broken")


def one(*nodes: Node[Any], name: str = "one") -> Flow:
    return flow(name).triggered_by(manual()).then(*nodes).build()


COUNTED = one(count())


def test_a_run_is_its_state_result_and_journal() -> None:
    """Outputs by key as predicates see them, typed by the node too."""
    node = double(number=input_data("size"))
    made = flow("f").triggered_by(manual()).accepts(Order).then(count(), node).returns([output("double")]).build()
    state = FlowTester().run(made, {"size": 4}, run_id="r")
    assert (state["count"], state[node], state.get("double", int), "none" in state) == (1, 8, 8, False)
    assert (state.input, state.run_id, state.status, state.result) == (Order(size=4), "r", "succeeded", [8])
    assert [(entry.position, entry.status) for entry in state.run.nodes if entry.kind == "node"] == [
        ("count", "done"),
        ("double", "done"),
    ]


def test_a_key_that_a_run_does_not_have_is_told_with_those_it_has() -> None:
    """As in a predicate."""
    state = FlowTester().run(COUNTED)
    with pytest.raises(Exception, match=r'reads state\["cuont"\].* Known here: "count"\. Did you mean "count"\?'):
        state["cuont"]


def test_outputs_of_repeated_nodes_are_there_in_order() -> None:
    """The latest under its key, all of them with `all`."""
    made = (
        flow("f")
        .triggered_by(manual())
        .then_loop("loop", count(), until=output("count") >= 3, at_most=5)
        .then_each("each", over=[5, 6], body=double(number=item()))
        .build()
    )
    state = FlowTester().run(made)
    assert (state["count"], state.all("count"), state.all("double")) == (3, [1, 2, 3], [10, 12])
    assert state["each"].results == [{"double": 10}, {"double": 12}]


def test_memory_cursors_and_clock_go_on_between_runs() -> None:
    """As between the runs of one worker."""
    made = (
        flow("f")
        .triggered_by(manual())
        .with_cursor("at", int, start=0)
        .then(count(), double(number=cursor("at")))
        .then_advance("at", output("count"))
        .then_sleep(timedelta(hours=3))
        .build()
    )
    tester = FlowTester(start=START)
    assert [tester.run(made)["double"] for _ in range(3)] == [0, 2, 4]
    assert (tester.memory(made), tester.cursors("f"), tester.memory("other")) == ({"count": 3}, {"at": 3}, {})
    assert tester.now == START + timedelta(hours=9)


def test_a_run_that_fails_raises_what_a_client_would_with_its_state() -> None:
    """What had come of it by then can still be looked at, a failed branch and its siblings included."""
    made = flow("f").triggered_by(manual()).then_parallel("both", count(), breaks()).build()
    with pytest.raises(RunFailed, match='failed at "both": 1 of 2 branches failed') as caught:
        FlowTester().run(made)
    assert isinstance(caught.value, FlowFailed)
    state = caught.value.state
    assert (state["count"], state.status, state.result, "breaks" in state) == (1, "failed", None, False)
    assert (caught.value.status, caught.value.key) == ("failed", "both")


def test_the_same_run_id_is_the_same_run() -> None:
    """A repeat starts nothing."""
    tester = FlowTester()
    assert [tester.run(COUNTED, run_id="r")["count"] for _ in range(2)] == [1, 1]
    assert len(tester.calls("count")) == 1


def test_one_seed_is_one_history() -> None:
    """Ids and jitter are drawn from it."""
    ids = [[FlowTester(seed=seed).run(COUNTED).run_id for _ in range(2)] for seed in (1, 2)]
    assert ids[0][0] == ids[0][1] != ids[1][0] == ids[1][1]


async def test_runs_work_inside_a_running_loop() -> None:
    """Awaited or not; the test's own loop goes on with real time."""
    tester = FlowTester(start=START)
    slow = flow("f").triggered_by(manual()).then(count()).then_sleep(timedelta(days=9)).build()
    assert (await tester.arun(slow))["count"] == 1
    assert tester.run(slow)["count"] == 2
    tester.advance(timedelta(hours=1))
    assert tester.now == START + timedelta(days=18, hours=1)


async def test_two_runs_of_one_tester_go_one_after_the_other() -> None:
    """Side by side they are told to use a tester each."""
    tester = FlowTester()

    @activity
    async def nested() -> int:
        tester.run(COUNTED)
        return 1

    with pytest.raises(FlowFailed, match="The tester is running a flow already"):
        await tester.arun(one(nested().with_retry(Retry(attempts=1))))
    assert (await tester.arun(COUNTED))["count"] == 1


def test_an_input_that_does_not_fit_is_refused() -> None:
    """And the next run is not disturbed by it."""
    made = flow("f").triggered_by(manual()).accepts(Order).then(double(number=input_data("size"))).build()
    tester = FlowTester()
    with pytest.raises(InputError, match='does not fit what flow "f" accepts'):
        tester.run(made, {"size": "large"})
    assert tester.run(made)["double"] == 2


def test_a_flow_that_is_not_built_is_refused() -> None:
    """With what is missing."""
    with pytest.raises(ScriptError, match=r"runs a finished flow, not .* Add \.build\(\)"):
        FlowTester().run(flow("f").triggered_by(manual()).then(count()))  # type: ignore[arg-type]


def test_a_start_without_a_time_zone_is_refused() -> None:
    """All times are aware."""
    with pytest.raises(ConfigError, match="has no time zone"):
        FlowTester(start=datetime(2026, 8, 1))


# What flows need from outside


def test_everything_that_is_missing_is_told_together() -> None:
    """Secrets, variables and flows, each with what to write."""

    @activity
    async def send(token: str, region: str) -> None: ...

    made = (
        flow("f")
        .triggered_by(manual())
        .then(send(token=secret("TOKEN"), region=env("REGION")))
        .then_children("sub", "conted", inputs=[1])
        .build()
    )
    with pytest.raises(ConfigError) as caught:
        FlowTester(flows=[one(count(), name="counted")]).run(made)
    assert [line for line in str(caught.value).splitlines() if line.startswith("  - ")] == [
        '  - The children "sub" of flow "f" are runs of "conted", which the tester does not have. '
        "Give it: FlowTester(flows=[...]).",
        '  - Node "send" uses the secret TOKEN. Give it: FlowTester(secrets={"TOKEN": "..."}), '
        'or mock the node: tester.mock("send", ...).',
        '  - Node "send" reads the variable REGION. Give it: FlowTester(env={"REGION": "..."}), '
        "or env(..., default=...) in the flow.",
    ]


def test_what_is_given_reaches_the_flow() -> None:
    """And the machine's own environment does not."""

    @activity
    async def tell(token: str, region: str, home: str) -> list[str]:
        return [str(len(token)), region, home]

    node = tell(token=secret("TOKEN"), region=env("REGION"), home=env("HOME", default="none"))
    tester = FlowTester(secrets={"TOKEN": "very-secret"}, env={"REGION": "eu"})
    assert tester.run(one(node))["tell"] == ["11", "eu", "none"]


def test_a_flow_given_by_name_is_run_with_its_mocks() -> None:
    """Mocks and calls reach child runs."""
    parent = flow("parent").triggered_by(manual()).then_children("sub", "one", inputs=[1, 2]).build()
    tester = FlowTester(flows=[COUNTED])
    tester.mock("count", 7)
    assert tester.run(parent)["sub"].results == [{"count": 7}, {"count": 7}]
    assert len(tester.calls("count")) == 2


def test_another_version_of_a_flow_takes_the_place_of_the_first() -> None:
    """A test may try both one after the other."""
    tester = FlowTester()
    tester.run(COUNTED)
    assert tester.run(one(count(), double(number=output("count"))))["double"] == 4


# Functions of the user


def test_functions_run_as_they_are() -> None:
    """A plain one in a thread, where it may run a loop of its own; one on a socket or with a thread in real time."""

    @activity
    def plain() -> int:
        current().heartbeat()
        return asyncio.run(asyncio.sleep(0, 3))

    @activity
    async def to_thread() -> int:
        return await asyncio.to_thread(lambda: 4)

    @activity
    async def talks() -> bytes:
        here, there = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=here)
        there.sendall(b"hello\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        there.close()
        return line

    @activity
    async def listens() -> bytes:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[bytes] = loop.create_future()

        def ask() -> None:
            answer = subprocess.check_output([sys.executable, "-c", "print(5)"])
            loop.call_soon_threadsafe(told.set_result, answer)

        threading.Thread(target=ask).start()
        return await told

    state = FlowTester().run(one(plain(), to_thread(), talks(), listens()))
    assert [state[key] for key in ("plain", "to_thread", "talks", "listens")] == [3, 4, b"hello\n", b"5\n"]


def test_what_a_run_has_logged_is_logged_once() -> None:
    """Looking at what it has come to does not log it again."""
    made = one(breaks().or_else(count()))
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("resolute.run").addHandler(handler)
    FlowTester().run(made, run_id="r")
    logging.getLogger("resolute.run").removeHandler(handler)
    assert heard.count("run r: breaks: ValueError: broken failed, going on with count") == 1


def test_importing_the_package_does_not_import_its_testing() -> None:
    """What only tests need costs nobody else anything."""
    code = "import sys, resolute; from resolute import Worker, flow; print([m for m in sys.modules if 'testing' in m])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "resolute.testing" not in done.stdout

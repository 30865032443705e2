"""What goes wrong in one run: it is told, within its time, and the next run knows nothing of it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute import (
    ActivityError,
    Flow,
    Retry,
    RunConflict,
    activity,
    current,
    env,
    flow,
    input_data,
    manual,
    output,
    schedule,
    secret,
)
from resolute.clock import SystemClock
from resolute.engine import RunQuery, RunView
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.memory import MemoryStore
from resolute.engines.embedded.recovery import LOST_LIMIT
from resolute.errors import InputError, NodeMisuse
from resolute.providers import pagerduty
from resolute.secrets import Secrets
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


class Order(BaseModel):
    """An input."""

    size: int = 1


def _run(made: Flow, input: Any = None) -> RunView:
    """The flow's run once it has ended."""
    rig = Rig(1, [made])
    found: list[RunView] = []

    async def program() -> None:
        await rig.up()
        await rig.engine.start(made.name, input, run_id="r")
        await rig.engine.result("r")
        found.append(await rig.engine.get("r"))

    rig.run(program)
    return found[0]


def _nodes(view: RunView) -> dict[str, tuple[str, int]]:
    """Position → status and attempts."""
    return {node.position: (node.status, node.attempt) for node in view.nodes}


@activity
async def one() -> int:
    return 1


@activity
async def breaks() -> int:
    raise ValueError("no route to host")


def test_a_predicate_that_raises_fails_its_run_and_names_the_place() -> None:
    """The text holds flow, step, error and line."""
    made = flow("f").triggered_by(manual()).then(one()).when(lambda state: state["none"]).then(breaks()).end_when()
    view = _run(made.build())
    assert (view.status, view.error_key) == ("failed", "one~when")
    assert 'step "one~when" reads state["none"], which this run does not have. Known here: "one".' in view.error


def test_an_unforeseen_error_in_a_predicate_is_told_with_its_line() -> None:
    """The author finds it without a debugger."""
    made = flow("f").triggered_by(manual()).then(one()).when(lambda state: 1 / 0).then(breaks()).end_when().build()  # type: ignore[arg-type,return-value]
    view = _run(made)
    assert view.error.startswith(
        'Flow "f": the predicate of "one~when" raised ZeroDivisionError: division by zero (line '
    )


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_activity_that_never_returns_is_given_up_in_time(stubborn: bool) -> None:
    """Also one that swallows its cancellation; what it still does is dropped."""

    swallowed: list[int] = []

    @activity
    async def hangs() -> int:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if not stubborn or swallowed:
                    raise
                swallowed.append(current().attempt)

    node = hangs().with_timeout(timedelta(seconds=30)).with_retry(Retry(attempts=2))
    view = _run(flow("f").triggered_by(manual()).then(node).build())
    assert (view.status, _nodes(view)["hangs"]) == ("failed", ("failed", 2))
    assert "hangs did not return within 0:00:30" in view.error


def test_an_output_that_the_journal_cannot_keep_fails_at_once() -> None:
    """Repeating would not help; the text says what to declare."""

    @activity
    async def odd() -> Any:
        return {1, 2}

    view = _run(flow("f").triggered_by(manual()).then(odd()).build())
    assert _nodes(view)["odd"] == ("failed", 1)
    assert "Declare the return type of the activity" in view.error


def test_an_input_that_does_not_fit_fails_its_node_at_once() -> None:
    """The output of one activity is checked against the types of the next."""

    @activity
    async def needs(number: int) -> int:
        return number

    made = flow("f").triggered_by(manual()).then(needs(number=input_data("size"))).build()
    view = _run(made, {"size": "large"})
    assert _nodes(view)["needs"] == ("failed", 1)
    assert "The resolved inputs of needs do not fit: number: Input should be a valid integer" in view.error


def test_a_missing_input_or_variable_is_named() -> None:
    """Nothing is attempted with half of its inputs."""

    @activity
    async def needs(name: str) -> str:
        return name

    view = _run(flow("f").triggered_by(manual()).then(needs(name=env("NOT_SET"))).build())
    assert "The environment variable NOT_SET is not set. Set it, or give env(..., default=...)" in view.error


def test_a_missing_secret_is_named_and_never_its_value() -> None:
    """The run tells which variable to set."""

    @activity
    async def needs(token: str) -> str:
        return token

    view = _run(flow("f").triggered_by(manual()).then(needs(token=secret("NOT_SET"))).build())
    assert view.status == "failed"
    assert "The secret NOT_SET is not set" in view.error


def test_a_secret_that_comes_back_in_an_output_or_error_is_scrubbed() -> None:
    """Neither journal nor state ever holds it."""

    @activity
    async def echoes(token: str) -> str:
        return f"token {token}"

    @activity
    async def complains(token: str) -> str:
        raise ActivityError(f"bad token {token}", permanent=True)

    key = secret("PAGERDUTY_ROUTING_KEY")
    view = _run(flow("f").triggered_by(manual()).then(echoes(token=key), complains(token=key)).build())
    assert next(node for node in view.nodes if node.key == "echoes").output == "token ••••"
    assert view.error == "bad token ••••"


@pytest.mark.parametrize(
    ("error", "attempts", "seconds"),
    [
        (lambda: ValueError("x"), 3, 3),
        (lambda: ActivityError("x", permanent=True), 1, 0),
        (lambda: ActivityError("x", retry_after=timedelta(minutes=5)), 3, 600),
    ],
    ids=["any", "permanent", "named delay"],
)
def test_failures_are_repeated_as_the_error_says(error: Callable[[], Exception], attempts: int, seconds: float) -> None:
    """Three attempts, after one and two seconds, unless the error says otherwise."""

    @activity
    async def fails() -> int:
        raise error()

    view = _run(flow("f").triggered_by(manual()).then(fails()).build())
    assert _nodes(view)["fails"] == ("failed", attempts)
    assert view.finished_at is not None
    assert (view.finished_at - view.created_at).total_seconds() == pytest.approx(seconds, abs=0.1)


def test_a_node_with_a_fallback_goes_on() -> None:
    """The fallback has its own key, and the first failure stays in the journal."""
    made = flow("f").triggered_by(manual()).then(breaks().with_retry(Retry(attempts=1)).or_else(one())).build()
    view = _run(made)
    assert (view.status, view.output) == ("succeeded", {"one": 1})
    assert _nodes(view) == {"breaks": ("failed", 1), "one": ("done", 1)}


def test_the_failure_node_is_told_what_failed() -> None:
    """It gets key, error, run and the run's own input."""

    @activity
    async def tell(of: dict[str, Any]) -> dict[str, Any]:
        return of

    node = tell(of=input_data())
    made = flow("f").triggered_by(manual()).then(breaks().with_retry(Retry(attempts=1))).on_failure(node).build()
    view = _run(made, {"size": 3})
    assert view.status == "failed"
    told: Any = next(item for item in view.nodes if item.key == "tell").output
    assert told == {
        "key": "breaks",
        "error": "ValueError: no route to host",
        "errors": [{"key": "breaks", "position": "breaks", "error": "ValueError: no route to host"}],
        "run_id": "r",
        "flow": "f",
        "input": {"size": 3},
    }


def test_a_loop_that_does_not_come_to_its_end_fails_or_goes_on() -> None:
    """As the flow says."""
    begin = flow("f").triggered_by(manual())
    never = {"until": output("one") == 2, "at_most": 3}
    failed = _run(begin.then_loop("poll", one(), **never).build())  # type: ignore[arg-type]
    assert failed.error == 'The loop "poll" ended: its test did not hold after 3 rounds (at_most).'
    goes_on = _run(begin.then_loop("poll", one(), on_end="continue", **never).build())  # type: ignore[arg-type]
    assert goes_on.status == "succeeded"


def test_a_failure_of_one_run_leaves_the_next_alone() -> None:
    """They share a worker and nothing else."""
    made = (
        flow("f")
        .triggered_by(manual())
        .accepts(Order)
        .then(one())
        .when(input_data("size") == 1)
        .then(breaks())
        .end_when()
        .build()
    )
    rig = Rig(1, [made])

    async def program() -> None:
        await rig.up()
        await rig.engine.start("f", {"size": 1}, run_id="bad")
        await rig.engine.start("f", {"size": 2}, run_id="good")
        await rig.engine.result("bad")
        await rig.engine.result("good")
        with pytest.raises(InputError, match='The input does not fit what flow "f" accepts: size'):
            await rig.engine.start("f", {"size": "x"})

    rig.run(program)
    assert rig.statuses() == {"bad": "failed", "good": "succeeded"}


def test_the_same_id_is_the_same_run_unless_it_asks_for_something_else() -> None:
    """So a start may be repeated when its answer was lost."""
    made = flow("f").triggered_by(manual()).then(one()).build()
    rig = Rig(1, [made])

    async def program() -> None:
        await rig.up()
        await asyncio.gather(*(rig.engine.start("f", {"n": 1}, run_id="r") for _ in range(20)))
        with pytest.raises(RunConflict, match='Run "r" exists already, with another flow or input'):
            await rig.engine.start("f", {"n": 2}, run_id="r")

    rig.run(program)
    assert rig.statuses() == {"r": "succeeded"}


def test_more_runs_than_fit_into_memory_all_end() -> None:
    """The others wait on disk."""
    made = flow("f").triggered_by(manual()).then(one()).build()
    rig = Rig(1, [made], slow_disk=True)

    async def program() -> None:
        await rig.up(max_concurrent=2)
        await asyncio.gather(*(rig.engine.start("f", run_id=f"r{n}") for n in range(500)))
        for number in range(500):
            await rig.engine.result(f"r{number}")

    rig.run(program)
    assert set(rig.statuses().values()) == {"succeeded"}


def test_memory_is_seen_with_the_output_of_its_node_or_not_at_all() -> None:
    """A failed attempt leaves nothing; a finished one is there for the next run, after a kill too."""
    seen: list[int] = []

    @activity
    async def count(fail: bool) -> int:
        memory = current().memory
        seen.append(int(str(memory.get("n", 0))))
        memory["n"] = seen[-1] + 1
        if fail and not current().repeated:
            raise ValueError("after the write")
        return seen[-1]

    made = flow("f").triggered_by(manual()).then(count(fail=input_data("fail"))).build()
    rig = Rig(1, [made])

    async def program() -> None:
        await rig.up()
        for number, fail in enumerate((False, True, False)):
            await rig.engine.start("f", {"fail": fail}, run_id=f"r{number}")
            await rig.engine.result(f"r{number}")
            await rig.kill()
            await rig.up()

    rig.run(program)
    assert seen == [0, 1, 1, 2]


def test_retries_are_counted_over_kills_and_lost_attempts_are_not() -> None:
    """Two failures before the kill and one after it make three; the attempt that died is repeated."""
    begun: list[tuple[int, bool]] = []

    @activity
    async def fails() -> int:
        begun.append((current().attempt, current().repeated))
        if len(begun) == 3:
            await asyncio.sleep(3600)
        raise ValueError("down")

    rig = Rig(1, [flow("f").triggered_by(manual()).then(fails()).build()])

    async def program() -> None:
        await rig.up()
        await rig.engine.start("f", run_id="r")
        await rig.wait(seconds=60)
        await rig.kill()
        await rig.up()
        await rig.engine.result("r")

    rig.run(program)
    assert begun == [(1, False), (2, True), (3, True), (3, True)]
    (entry,) = rig.tables.entries[1].values()
    assert (entry.status, entry.failures) == ("failed", 3)


def test_a_node_that_kills_its_worker_again_and_again_is_parked() -> None:
    """Five times as the only running attempt: somebody has to look at it."""
    begun: list[bool] = []

    @activity
    async def kills() -> int:
        begun.append(current().repeated)
        await asyncio.sleep(3600)
        return 1

    rig = Rig(1, [flow("f").triggered_by(manual()).then(kills()).build()])

    async def program() -> None:
        await rig.up()
        await rig.engine.start("f", run_id="r")
        for _ in range(LOST_LIMIT):
            await rig.wait(seconds=5)
            await rig.kill()
            await rig.up()
        assert (await rig.engine.result("r")).status == "needs_attention"

    rig.run(program)
    assert begun == [False] + [True] * (LOST_LIMIT - 1)
    assert "The worker ended 5 times in a row" in rig.tables.runs[1].error


@pytest.mark.parametrize(("hours", "made_up"), [(2, 1), (30, 1)])
def test_of_the_ticks_missed_while_no_worker_ran_the_latest_is_made_up(hours: int, made_up: int) -> None:
    """One run for the latest missed time, never one for each, and no time twice."""
    made = flow("f").triggered_by(schedule("*/5 * * * *")).then(one()).build()
    rig = Rig(1, [made])

    async def program() -> None:
        await rig.up()
        await rig.wait(minutes=11)
        await rig.kill()
        await rig.wait(hours=hours, minutes=1)
        await rig.up()
        await rig.wait(seconds=10)
        await rig.kill()
        await rig.up()
        await rig.wait(minutes=5)

    rig.run(program)
    assert len(rig.statuses()) == 2 + made_up + 1
    assert "f@2026-03-02T10:05:00Z" in rig.statuses()


def test_runs_are_listed_newest_first_and_by_flow_and_status() -> None:
    """What an operator asks first."""
    good = flow("good").triggered_by(manual()).then(one()).build()
    bad = flow("bad").triggered_by(manual()).then(breaks().with_retry(Retry(attempts=1))).build()
    rig = Rig(1, [good, bad])

    async def program() -> None:
        await rig.up()
        for name in ("good", "bad", "good"):
            run = await rig.engine.start(name)
            await rig.engine.result(run.id)
        listed = await rig.engine.runs(RunQuery())
        assert [run.flow for run in listed] == ["good", "bad", "good"]
        assert [run.status for run in await rig.engine.runs(RunQuery(flow="bad"))] == ["failed"]
        assert len(await rig.engine.runs(RunQuery(status="succeeded", limit=1))) == 1

    rig.run(program)


class Broken(BaseModel):
    """A report with a property that cannot be read."""

    used: int = 1

    @property
    def ratio(self) -> float:
        return self.used / 0


@activity
async def report() -> Broken:
    return Broken()


def test_an_input_that_cannot_be_read_fails_its_run_alone() -> None:
    """A property of the author's own model raises; the run says where, and the worker goes on."""

    @activity
    async def takes(ratio: float) -> float:
        return ratio

    made = flow("f").triggered_by(manual()).then(report(), takes(ratio=output("report.ratio"))).build()
    view = _run(made)
    assert (view.status, view.error_key) == ("failed", "takes")
    assert '"report" cannot tell its "ratio": ZeroDivisionError: division by zero' in view.error


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), BaseException("odd")])
def test_an_activity_that_ends_the_process_ends_its_attempt_only(error: BaseException) -> None:
    """`sys.exit()` in one activity does not stop everybody's checks."""

    @activity
    async def exits() -> int:
        raise error

    view = _run(flow("f").triggered_by(manual()).then(exits().with_retry(Retry(attempts=1))).build())
    assert view.error == f"exits raised {type(error).__name__}; an activity ends by returning."


def test_an_error_that_nobody_foresaw_fails_one_run_and_not_the_worker() -> None:
    """A delay that is no time at all: the run fails and says so, the next one is run."""

    @activity
    async def fails() -> int:
        raise ActivityError("busy", retry_after=5)  # type: ignore[arg-type]

    made = flow("f").triggered_by(manual()).then(fails()).build()
    rig = Rig(1, [made, flow("good").triggered_by(manual()).then(one()).build()])

    async def program() -> None:
        await rig.up()
        await rig.engine.start("f", run_id="bad")
        assert (await rig.finish("bad")).error.startswith("The run failed in an unforeseen way: TypeError")
        await rig.engine.start("good", run_id="good")
        assert (await rig.finish("good")).status == "succeeded"

    rig.run(program)


def test_current_is_there_inside_an_activity_only() -> None:
    """A predicate has its state instead, and the error says so."""
    with pytest.raises(NodeMisuse, match="Call it inside one; a predicate has its state instead"):
        current()
    made = flow("f").triggered_by(manual()).then(one()).when(lambda state: current().repeated).then(breaks()).end_when()
    view = _run(made.build())
    assert (view.status, view.error_key) == ("failed", "one~when")
    assert "current() was called outside an activity" in view.error


@pytest.mark.parametrize("seed", range(20))
def test_the_failure_node_runs_though_the_worker_dies_in_between(seed: int) -> None:
    """It gets the same input, and finishes exactly once, whenever the worker dies."""
    finished: list[dict[str, Any]] = []

    @activity
    async def tell(of: dict[str, Any]) -> int:
        await asyncio.sleep(0.05)
        finished.append(of)
        return 1

    made = (
        flow("f").triggered_by(manual()).then(breaks().with_retry(Retry(attempts=2))).on_failure(tell(of=input_data()))
    )
    rig = Rig(seed, [made.build()], slow_disk=True)

    async def program() -> None:
        await rig.up()
        await rig.engine.start("f", {"size": 3}, run_id="r")
        for _ in range(3):
            await rig.wait(seconds=rig.random.uniform(0, 1.2))
            await rig.kill()
            await rig.up()
        assert (await rig.finish("r")).status == "failed"

    rig.run(program)
    assert len(finished) >= 1
    assert all(told == finished[0] for told in finished)
    assert (finished[0]["key"], finished[0]["input"]) == ("breaks", {"size": 3})
    entry = rig.tables.entries[1]["~failure[0]/tell"]
    assert (entry.status, entry.output) == ("done", "1")


@pytest.mark.parametrize("seed", range(10))
def test_a_page_is_never_parked_for_a_worker_that_dies_again_and_again(seed: int) -> None:
    """Seven workers die while it is on its way; it is delivered, and once."""
    page = pagerduty.trigger_event(
        routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary="down", source="check", severity="critical"
    )
    rig = Rig(seed, [flow("f").triggered_by(manual()).then(page).build()], slow_disk=True)
    rig.pagerduty.faults.slow_s = 5

    async def program() -> None:
        await rig.up()
        rig.pagerduty.faults.outage(kind=rig.random.choice(["slow", "apply_then_cut"]))
        await rig.engine.start("f", run_id="r")
        for _ in range(LOST_LIMIT + 2):
            await rig.wait(seconds=rig.random.uniform(0.4, 4))
            await rig.kill()
            await rig.up()
        rig.pagerduty.faults.outage(False)
        assert (await rig.finish("r")).status == "succeeded"
        await rig.wait(seconds=5)

    rig.run(program)
    assert len(rig.pagerduty.incidents) == 1


@pytest.mark.parametrize("seed", range(10))
def test_memory_that_was_written_outlives_the_cancelling_of_its_run(seed: int) -> None:
    """The next run sees what a node wrote, also where its run was cancelled in the moment of the commit."""
    seen: list[int] = []

    @activity
    async def count() -> int:
        seen.append(int(str(current().memory.get("n", 0))))
        current().memory["n"] = seen[-1] + 1
        return seen[-1]

    made = flow("f").triggered_by(manual()).then(count()).then_sleep(timedelta(hours=1)).build()
    rig = Rig(seed, [made], slow_disk=True)

    async def program() -> None:
        await rig.up()
        for number in range(6):
            await rig.engine.start("f", run_id=f"r{number}")
            await rig.wait(seconds=rig.random.choice([0.0, 0.001, 0.002, 0.005, 0.3]))
            await rig.engine.cancel(f"r{number}")

    rig.run(program)
    written = [int(text) for (_, key), text in rig.tables.memory.items() if key == "n"]
    done = [entries for entries in rig.tables.entries.values() if entries["count"].status == "done"]
    assert written == [len(done)]


async def test_a_plain_function_that_never_returns_is_given_up_in_its_thread() -> None:
    """In real time: the run ends, the thread holds nobody else, its late result is dropped."""
    release = threading.Event()

    @activity
    def hangs() -> int:
        release.wait()
        return 1

    node = hangs().with_timeout(timedelta(milliseconds=20)).with_retry(Retry(attempts=1))
    flows = [flow("f").triggered_by(manual()).then(node).build(), flow("g").triggered_by(manual()).then(one()).build()]
    engine = EmbeddedEngine(
        MemoryStore(), flows, clock=SystemClock(), randomness=random.Random(1), secrets=Secrets({}), environ={}
    )
    await engine.open()
    try:
        await engine.start("f", run_id="r")
        view = await engine.result("r", timedelta(seconds=20))
        assert (view.status, view.error_key) == ("failed", "hangs")
        assert "hangs did not return within 0:00:00.020000" in view.error
        await engine.start("g", run_id="next")
        assert (await engine.result("next", timedelta(seconds=20))).status == "succeeded"
    finally:
        release.set()
        await engine.close()

"""Child runs: started once by their parent, alive without it, and found again by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute import activity, flow, input_data, manual
from resolute.engine import StepFailed
from resolute.engines.embedded.branches import Parked
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.live_run import LiveRun
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


def _rig(executed: list[int]) -> Rig:
    @activity
    async def work(number: int) -> int:
        executed.append(number)
        if number < 0:
            raise ValueError("below zero")
        return number + 1

    child = flow("child").triggered_by(manual()).then(work(number=input_data("n"))).returns(input_data("n")).build()
    parent = flow("parent").triggered_by(manual()).then_sleep(timedelta(days=1)).build()
    return Rig(1, [child, parent])


async def _parent(engine: EmbeddedEngine) -> LiveRun:
    """The parent as a walk through its flow would find it."""
    row = await engine.core.store.find("p")
    assert row is not None
    return LiveRun(engine.core, *await engine.core.store.load(row.no))


async def _spawn(engine: EmbeddedEngine, number: int, flow: str = "child") -> Any:
    return await (await _parent(engine)).spawn("sub", "sub", flow, lambda now: {"n": number})


def test_a_child_is_started_once_and_outlives_a_kill_of_its_parent() -> None:
    """Asked again after the kill, the engine gives the result of the same child."""
    executed: list[int] = []
    rig = _rig(executed)

    async def program() -> None:
        engine = await rig.up()
        await engine.start("parent", run_id="p")
        await rig.wait(seconds=1)
        with pytest.raises(Parked):
            await _spawn(engine, 7)
        await rig.kill()
        engine = await rig.up()
        await engine.result("p/sub")
        assert await _spawn(engine, 7) == 7
        assert await _spawn(engine, 8) == 7, "the recorded child answers"

    rig.run(program)
    assert executed.count(7) == len(executed) >= 1
    assert rig.statuses()["p/sub"] == "succeeded"


@pytest.mark.parametrize(
    ("number", "flow", "words"),
    [(-1, "child", "The run p/sub failed: ValueError: below zero"), (1, "none", 'The flow "none" is not known here')],
)
def test_a_child_that_fails_fails_its_step(number: int, flow: str, words: str) -> None:
    """The step tells what became of the child, or why there is none."""
    rig = _rig([])

    async def program() -> None:
        engine = await rig.up()
        await engine.start("parent", run_id="p")
        await rig.wait(seconds=1)
        if flow == "child":
            with pytest.raises(Parked):
                await _spawn(engine, number, flow)
            await engine.result("p/sub")
        for _ in range(2):
            with pytest.raises(StepFailed, match=words):
                await _spawn(engine, number, flow)

    rig.run(program)


def test_a_parent_is_woken_when_its_child_has_ended() -> None:
    """It does not wait for its own look a minute later."""
    rig = _rig([])

    async def program() -> None:
        engine = await rig.up()
        await engine.start("parent", run_id="p")
        await rig.wait(seconds=1)
        with pytest.raises(Parked):
            await _spawn(engine, 1)
        assert (await engine.get("p")).waiting_for == '"sub" waits for run p/sub'
        await engine.result("p/sub")
        await rig.wait(seconds=1)
        assert "sleeps until" in (await engine.get("p")).waiting_for

    rig.run(program)

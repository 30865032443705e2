"""Hooks hear of what is on disk, once each, and cannot touch a run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from resolute import Retry, activity, current, flow, manual
from resolute.hooks import RunEvent
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


@activity
async def shaky() -> int:
    if not current().repeated:
        raise ValueError("not yet")
    return 1


MADE = (
    flow("f")
    .triggered_by(manual())
    .then(shaky().with_retry(Retry(attempts=2)))
    .then_sleep(timedelta(minutes=1))
    .then(shaky().as_("again").with_retry(Retry(attempts=1)))
    .build()
)


def test_a_run_is_heard_from_start_to_end() -> None:
    """In the order in which it went to disk, with attempts and errors."""
    rig = Rig(1, [MADE])
    heard: list[RunEvent] = []

    async def program() -> None:
        await rig.up(hooks=[heard.append])
        await rig.engine.start("f", run_id="r")
        await rig.engine.result("r")

    rig.run(program)
    assert [(event.kind, event.position, event.attempt) for event in heard] == [
        ("run_started", "", 0),
        ("attempt_started", "shaky", 1),
        ("attempt_failed", "shaky", 1),
        ("run_parked", "", 0),
        ("attempt_started", "shaky", 2),
        ("node_finished", "shaky", 2),
        ("run_parked", "", 0),
        ("attempt_started", "again", 1),
        ("node_failed", "again", 1),
        ("run_finished", "", 0),
    ]
    assert (heard[-1].status, heard[-1].error) == ("failed", "ValueError: not yet")


def test_what_a_hook_hears_is_on_disk() -> None:
    """At each event the journal holds it already."""
    rig = Rig(3, [MADE], slow_disk=True)
    missing: list[RunEvent] = []

    def look(event: RunEvent) -> None:
        entry = rig.tables.entries.get(1, {}).get(event.position)
        if 1 not in rig.tables.runs or (event.position and entry is None):
            missing.append(event)

    async def program() -> None:
        await rig.up(hooks=[look])
        await rig.engine.start("f", run_id="r")
        await rig.engine.result("r")

    rig.run(program)
    assert not missing


def test_a_hook_that_raises_leaves_the_run_untouched() -> None:
    """It is counted, and the run ends as it would have."""
    rig = Rig(1, [MADE])
    errors: list[int] = []

    def breaks(event: RunEvent) -> None:
        raise RuntimeError("the dashboard is down")

    async def program() -> None:
        engine = await rig.up(hooks=[breaks])
        await engine.start("f", run_id="r")
        await engine.result("r")
        errors.append(engine.core.hooks.errors)

    rig.run(program)
    assert (rig.statuses(), errors) == ({"r": "failed"}, [10])

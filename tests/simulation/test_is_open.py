"""What a check learns when it asks the ledger whether an alert is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from resolute import activity, current
from tests.simulation.alerts import (
    by_hand,
    one,
)
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation


def seen_by_a_check(before: Callable[[Rig], Any], *, restart: bool) -> bool:
    """What `ledger.is_open` says inside an activity after `before` and, if wanted, a kill."""
    seen: list[bool] = []

    @activity
    async def look() -> bool:
        seen.append(current().ledger.is_open("disk"))
        assert current().ledger.is_open("cpu") is False
        return seen[-1]

    rig = Rig(1, [*by_hand(), one("look", look())])
    rig.pagerduty.faults.slow_s = 9

    async def program() -> None:
        await rig.up()
        await before(rig)
        if restart:
            await rig.kill()
            await rig.up()
        await rig.engine.start("look", run_id="l")
        await rig.finish("l")

    rig.run(program)
    return seen[0]


async def nothing(rig: Rig) -> None:
    """Nothing was ever sent."""


async def pending(rig: Rig) -> None:
    rig.pagerduty.faults.outage()
    await rig.engine.start("page", run_id="p")
    await rig.wait(seconds=5)


async def in_flight(rig: Rig) -> None:
    rig.pagerduty.faults.script("events", ["slow"])
    await rig.engine.start("page", run_id="p")
    await rig.wait(seconds=5)


async def unknown(rig: Rig) -> None:
    rig.pagerduty.faults.outage(kind="cut_before")
    await rig.engine.start("page", run_id="p")
    await rig.wait(seconds=5)


async def accepted(rig: Rig) -> None:
    await rig.engine.start("page", run_id="p")
    await rig.finish("p")


async def resolve_pending(rig: Rig) -> None:
    await accepted(rig)
    rig.pagerduty.faults.outage()
    await rig.engine.start("resolve", run_id="r")
    await rig.wait(seconds=5)


async def resolved(rig: Rig) -> None:
    await accepted(rig)
    await rig.engine.start("resolve", run_id="r")
    await rig.finish("r")


async def acknowledged(rig: Rig) -> None:
    await accepted(rig)
    await rig.engine.start("acknowledge", run_id="a")
    await rig.finish("a")


async def folded(rig: Rig) -> None:
    await accepted(rig)
    await rig.engine.start("page", run_id="p2")
    await rig.finish("p2")


async def folded_and_resolved(rig: Rig) -> None:
    await folded(rig)
    await rig.engine.start("resolve", run_id="r")
    await rig.finish("r")


async def rejected(rig: Rig) -> None:
    rig.pagerduty.faults.script("events", ["400_error_string"])
    await rig.engine.start("page", run_id="p")
    await rig.finish("p")


async def cancelled(rig: Rig) -> None:
    await pending(rig)
    await rig.engine.cancel("p")


async def never_sent_and_superseded_by_a_resolve(rig: Rig) -> None:
    await pending(rig)
    await rig.engine.start("resolve", run_id="r")
    await rig.wait(seconds=5)


async def unknown_and_superseded_by_a_resolve(rig: Rig) -> None:
    await unknown(rig)
    await rig.engine.start("resolve", run_id="r")
    await rig.wait(seconds=5)


async def unknown_and_resolved(rig: Rig) -> None:
    await unknown_and_superseded_by_a_resolve(rig)
    rig.pagerduty.faults.outage(False)
    await rig.finish("r")


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("before", "is_open"),
    [
        (nothing, False),
        (pending, True),
        (in_flight, True),
        (unknown, True),
        (accepted, True),
        (acknowledged, True),
        (folded, True),
        (resolve_pending, True),
        (resolved, False),
        (folded_and_resolved, False),
        (rejected, False),
        (cancelled, False),
        (never_sent_and_superseded_by_a_resolve, False),
        (unknown_and_superseded_by_a_resolve, True),
        (unknown_and_resolved, False),
    ],
)
def test_is_open_says_whether_an_alert_may_be_open(before: Callable[[Rig], Any], is_open: bool, restart: bool) -> None:
    """From the decision to page until a later resolve is accepted, the same before and after a restart."""
    assert seen_by_a_check(before, restart=restart) is is_open

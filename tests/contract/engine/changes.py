"""What the tests of changed flows share: a run that has done something, and goes on under another flow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from resolute import Flow
from resolute.engine import RunView
from resolute.model.flow import FlowBuilder, Fragment
from tests.contract.engine.flows import begin, do, page
from tests.contract.engine.machine import Machine

HOUR = timedelta(hours=1)


def yes(state: Any) -> bool:
    return True


def no(state: Any) -> bool:
    return False


def pause(part: FlowBuilder | Fragment) -> Any:
    """The part with an hour's sleep in which the flow is changed."""
    return part.then_sleep(HOUR, key="pause")


def done(*parts: Any) -> FlowBuilder:
    """What a run has done before the sleep."""
    return pause(begin().then(*parts))


OLD = done(do("a"), page()).then(do("b")).build()


async def go_on(machine: Machine, old: Flow, new: Flow, input: Any = None) -> RunView:
    """The run that was begun under the old flow, once it has come to an end under the new one."""
    await machine.up(old)
    await machine.start(input=input)
    await machine.status("waiting")
    await machine.kill()
    await machine.up(new)
    return await machine.result()

"""`Bench`: the flows of a test on its machine, with stand-ins for their activities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.schedules import tick_run_id
from resolute.engines.embedded.store import PutTick
from resolute.model.recipe import Flow, with_children
from resolute.model.steps import Children, walk_steps
from resolute.model.trigger import Schedule
from resolute.testing.machine import Machine
from resolute.testing.needs import fill_environ
from resolute.testing.replaced import replaced
from resolute.testing.result import FlowResult, result_of
from resolute.testing.script import ScriptError
from resolute.testing.stand_in import stand_in
from resolute.testing.store import Death


@dataclass(frozen=True, eq=False)
class Order:
    """What a worker is to run.

    Attributes:
        run_id: None for one that the engine makes.
        schedule, at: the schedule and the time that start it, None when nobody but the test does.
    """

    flow: str
    input: Any = None
    run_id: str | None = None
    schedule: Schedule | None = None
    at: datetime | None = None


class Bench:
    """The flows of a test on its machine.

    Attributes:
        flows: what a worker is given: the known flows with a stand-in for each activity, by name.
        keys: those of all nodes that were ever known, in order.
    """

    def __init__(self, machine: Machine, given: Mapping[str, str], flows: Iterable[Flow]) -> None:
        self.machine = machine
        self.flows: dict[str, Flow] = {}
        self._known = {flow.name: flow for flow in with_children(flows)}
        self._given = dict(given)
        self._environ = dict(given)
        self.keys = dict.fromkeys(node.key for flow in self._known.values() for node in flow.nodes())
        self._started: dict[Order, str] = {}

    def prepare(self, flow: Flow | None = None) -> None:
        """Make ready for a run of this flow, or for time to pass; raises ScriptError, ConfigError."""
        if flow is not None and not isinstance(flow, Flow):
            raise ScriptError(f"A tester runs a finished flow, not {flow!r}. Add .build() to what makes it.")
        machine, family = self.machine, self._family(flow) if flow is not None else []
        self._known.update({member.name: member for member in family})
        known = list(self._known.values())
        self.keys.update(dict.fromkeys(node.key for each in known for node in each.nodes()))
        machine.script.check((node for each in known for node in each.nodes()), self.keys)
        machine.operator.check(gate for each in known for gate in each.gates)
        self._environ = fill_environ(family, machine.script, machine.accounts, self._given)
        made = replaced(known, lambda node: stand_in(node, machine.script))
        self.flows = {name: replace(each, triggers=()) for name, each in made.items()}  # a test starts its runs itself

    def _family(self, flow: Flow) -> list[Flow]:
        """The flow and all that it starts runs of; each that it names is taken from those that are known."""
        found = dict.fromkeys(with_children((flow,)))
        waiting = list(found)
        while waiting:
            for step in walk_steps(waiting.pop(0).steps):
                named = self._known.get(step.flow) if isinstance(step, Children) and step.recipe is None else None
                for member in with_children((named,)) if named is not None else ():
                    if member not in found:
                        found[member] = None
                        waiting.append(member)
        return list(found)

    async def live(self, order: Order, death: Death | None = None, *, settle: timedelta | None = None) -> str:
        """The id of the run, once it has finished and the worker has ended.

        Args:
            death: when the worker dies; this never returns then.
            settle: for how long to go on until nothing at all is left to do.
        """
        machine = self.machine
        engine = await machine.up(self.flows.values(), self._environ, death)
        run_id = self._started.get(order) or await self._start(engine, order)
        self._started[order] = run_id  # the worker has said that it is on disk: nobody starts it twice
        machine.operator.begin(engine, run_id)
        await machine.finished(run_id)
        if settle is not None:
            await machine.quiet(settle)
        await machine.down()
        return run_id

    async def _start(self, engine: EmbeddedEngine, order: Order) -> str:
        if order.schedule is None or order.at is None:
            return (await engine.start(order.flow, order.input, run_id=order.run_id)).id
        seen = PutTick(order.flow, order.schedule.id, order.at)
        trigger = order.schedule.id
        run_id = tick_run_id(self._known[order.flow], trigger, order.at)
        return (await engine.start(order.flow, run_id=run_id, trigger=trigger, scheduled_at=order.at, also=[seen])).id

    async def idle(self, by: timedelta) -> None:
        """Let a worker do what is due for this long."""
        await self.machine.up(self.flows.values(), self._environ)
        await self.machine.pass_time(by)
        await self.machine.down()

    async def result(self, run_id: str) -> FlowResult:
        """What a run has come to."""
        tables = self.machine.tables
        return await result_of(self.flows[tables.runs[tables.run_no[run_id]].flow], tables, run_id)

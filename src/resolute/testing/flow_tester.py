"""`FlowTester`: runs flows in a test on the real engine, in virtual time, against a PagerDuty inside the process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from resolute.cron import ticks_after
from resolute.engine import SignalOutcome
from resolute.engines.embedded.core import cursors_of
from resolute.jsontypes import JsonValue
from resolute.model.codec import from_text
from resolute.model.recipe import Flow
from resolute.model.reference import MISSING
from resolute.model.trigger import Schedule
from resolute.simulator import PagerDutySimulator
from resolute.testing.accounts import SentEvent
from resolute.testing.bench import Bench, Order
from resolute.testing.machine import Machine
from resolute.testing.operator import Answer, Cancel
from resolute.testing.result import FlowFailed, FlowResult
from resolute.testing.script import ScriptError, check_key
from resolute.testing.virtual_time import START


class FlowTester:
    """Runs flows as a worker would; nothing reaches disk or network, and hours pass at once.

    Nodes run their own functions unless they are mocked; PagerDuty is `simulator`. Memory, incident log, cursors and
    clock go on from run to run, as between the ticks of one worker.

    Args:
        secrets: secrets by name. One that is a routing key may be left out: it is the simulated account's.
        env: environment variables by name; those of the machine are not seen by `env(...)`.
        start: the time at which the first run begins, with a time zone.
        flows: flows that child runs are started of by name, and flows whose mocks are said before their first run.
        seed: of everything that is drawn: ids and jitter. One seed is one history.
    """

    def __init__(
        self,
        *,
        secrets: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        start: datetime = START,
        flows: Iterable[Flow] = (),
        seed: int = 0,
    ) -> None:
        self._machine = Machine(start, seed)
        self.bench = Bench(self._machine, {**(env or {}), **(secrets or {})}, flows)

    # What the test says

    def mock(self, key: str, value: Any = MISSING, *, each: Sequence[Any] | None = None) -> None:
        """Let a node put out this instead of running its function; a mocked page is not sent.

        Args:
            key: the node's key; in child flows, fallbacks, undo and failure nodes too.
            value: what it puts out (a dict does for a model), an exception that it raises, or a function, plain or
                async, that gets the node's inputs by name.
            each: one of these for each call, in order; running out of them ends the test with an error.
        """
        self._machine.script.mock(key, value, each)

    def fail(self, key: str, error: BaseException | type[BaseException] | str, *, times: int | None = None) -> None:
        """Let the attempts of a node fail; its retries, fallback and undo go on from there.

        Args:
            error: what is raised. A text is an error that is tried again; for a page, a service out of reach.
            times: how many attempts, None for all.
        """
        self._machine.script.fail(key, error, times)

    def signal(
        self,
        key: str,
        outcome: SignalOutcome = "approved",
        *,
        by: str = "",
        reason: str = "",
        data: JsonValue = None,
        after: timedelta = timedelta(0),
    ) -> None:
        """Answer a gate of the next run that comes to it, this long after it has begun to wait.

        Each answer is given once. A gate in a loop or an each takes the answers in the order in which they were said.

        Args:
            key: the gate's key, or its position ("each[3]/approve") for one among several.
        """
        self._machine.operator.answers.append(Answer(key, outcome, by, reason, data, after))

    def cancel(self, *, after: timedelta = timedelta(0), by: str = "", reason: str = "") -> None:
        """Cancel the next run, this long after it has begun."""
        self._machine.operator.cancels.append(Cancel(after, by, reason))

    # Running

    def run(self, flow: Flow, input: Any = None, *, run_id: str | None = None) -> FlowResult:
        """A run of the flow once it has succeeded; works inside a running event loop, too.

        Raises:
            FlowFailed: it ended without success; `.state` is what it had come to.
            Stuck: it waits for something that cannot come, such as the answer of a gate.
            ScriptError: what the test has said does not fit the flow.
            ConfigError: the flow needs a secret, a variable or another flow that the tester was not given.
            InputError: the input does not fit what the flow accepts.
        """
        self.bench.prepare(flow)
        return self._result(Order(flow.name, input, run_id))

    async def arun(self, flow: Flow, input: Any = None, *, run_id: str | None = None) -> FlowResult:
        """The same as `run`, without holding up the event loop of the test."""
        return await asyncio.to_thread(self.run, flow, input, run_id=run_id)

    def tick(self, flow: Flow, at: datetime | None = None) -> FlowResult:
        """The run of a scheduled time of the flow, once it has succeeded; time passes until then.

        Args:
            at: the scheduled time; by default the next one.

        Raises:
            ScriptError: the flow has no schedule; and as `run`.
        """
        self.bench.prepare(flow)
        schedule, when = self._next_tick(flow, at)
        self.advance(when - self.now)
        self.bench.prepare(flow)
        return self._result(Order(flow.name, schedule=schedule, at=when))

    def advance(self, by: timedelta) -> None:
        """Let time pass: pages that are still being tried and child runs that go on are seen to meanwhile."""
        if by > timedelta(0):
            self.bench.prepare()
            self._machine.run(lambda: self.bench.idle(by))

    def _result(self, order: Order) -> FlowResult:
        async def run() -> FlowResult:
            return await self.bench.result(await self.bench.live(order))

        state = self._machine.run(run)
        if state.status != "succeeded":
            raise FlowFailed(state)
        return state

    def _next_tick(self, flow: Flow, at: datetime | None) -> tuple[Schedule, datetime]:
        if not flow.schedules:
            raise ScriptError(f'The flow "{flow.name}" has no schedule. Start it with tester.run(...).')
        if at is not None:
            return flow.schedules[0], at.astimezone(UTC)
        ticks = []
        for schedule in flow.schedules:
            seen = self._machine.tables.ticks.get((flow.name, schedule.id))
            just_before = self.now - timedelta(microseconds=1)
            after = just_before if seen is None else max(just_before, seen)
            ticks.append((next(ticks_after(schedule.cron, schedule.timezone, after)), schedule))
        when, schedule = min(ticks, key=lambda tick: tick[0])
        return schedule, when

    # What has come of it

    def calls(self, key: str) -> list[dict[str, Any]]:
        """The inputs of each call of a node, in order; every attempt is one. Secrets read `secret(NAME)`.

        A page counts once, when it is decided, however often it is sent.

        Raises:
            ScriptError: no flow that the tester knows has this key.
        """
        check_key("calls", key, self.bench.keys)
        return [call.inputs for call in self._machine.script.calls if call.key == key]

    def pages(self) -> list[SentEvent]:
        """The events that PagerDuty has accepted, in order."""
        return list(self._machine.accounts.events())

    @property
    def simulator(self) -> PagerDutySimulator:
        """The PagerDuty account of nodes without `.via(...)`: its faults, people, alerts and incidents."""
        return self.simulator_of("")

    def simulator_of(self, instance: str) -> PagerDutySimulator:
        """The account of nodes with `.via(instance)`."""
        return self._machine.accounts.of(instance).simulator

    @property
    def now(self) -> datetime:
        """The time in the test, UTC."""
        return self._machine.clock.now()

    def memory(self, flow: Flow | str) -> dict[str, JsonValue]:
        """What the activities of a flow have written into `current().memory`."""
        return self._kept(flow.name if isinstance(flow, Flow) else flow)

    def cursors(self, flow: Flow | str) -> dict[str, JsonValue]:
        """Where the cursors of a flow are, as JSON; one that was never moved is missing."""
        return self._kept(cursors_of(flow.name if isinstance(flow, Flow) else flow))

    def _kept(self, owner: str) -> dict[str, JsonValue]:
        memory = self._machine.tables.memory
        return {key: from_text(text) for (name, key), text in memory.items() if name == owner}

"""`Machine`: the computer of a test: the real engine on a store in memory, in virtual time.

What is on its disk stays when its worker ends or is killed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from resolute.engine import FINISHED, RunView, child_id
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.memory import Tables
from resolute.engines.embedded.store import Entry, RunRow
from resolute.engines.embedded.threads import Inline
from resolute.engines.embedded.views import ended
from resolute.errors import EngineError
from resolute.model.recipe import Flow
from resolute.providers.pagerduty import PagerDutyProvider
from resolute.secrets import Secrets
from resolute.testing.accounts import KIND, Accounts
from resolute.testing.lasting_clock import LastingClock
from resolute.testing.operator import Operator
from resolute.testing.script import Script
from resolute.testing.store import Death, WatchedStore
from resolute.testing.virtual_time import Stuck

T = TypeVar("T")

#: How often it is looked whether anything can still happen.
LOOK_EVERY_S: Final = 30.0
#: What is left of a wait that is shortened: the engine looks at the clock more often, and so comes to its end in time.
LAST_STRETCH: Final = timedelta(seconds=60)
#: A run that takes longer, or writes more batches, is taken for one that never ends.
LONGEST_RUN: Final = timedelta(days=366)
MOST_BATCHES: Final = 50_000
#: What becomes of runs and events when a test ends with an error.
GIVEN_UP: Final = "given up by the test"
#: How often a task is cancelled that holds on to its cancellation.
CANCELS: Final = 100
#: For how long requests on their way are waited for before the worker ends, and how often it is looked.
LAST_REQUESTS, REQUEST_LOOK_S = timedelta(minutes=2), 0.1


class Machine:
    """One computer with a PagerDuty outside.

    Attributes:
        clock: its wall clock, which is PagerDuty's as well.
        tables: its disk.
        accounts: what is outside.
        script, operator: what the test has said.
    """

    def __init__(self, start: datetime, seed: int) -> None:
        self.clock = LastingClock(start)
        self.tables = Tables()
        self.accounts = Accounts(self.clock, seed)
        self.script = Script()
        self.operator = Operator(self.tables, self.clock)
        self._random = random.Random(seed)
        self._engine: EmbeddedEngine | None = None
        self._store: WatchedStore | None = None
        self._providers: list[PagerDutyProvider] = []

    def run(self, program: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the program returns, in virtual time. When it raises, the worker is killed and its runs are given up."""

        async def attended() -> T:
            try:
                return await program()
            except Exception:
                await self.kill()
                self._give_up()
                raise

        return self.clock.run(attended)

    def _give_up(self) -> None:
        """Let no later worker go on with what is unfinished."""
        now = self.clock.now()
        for run in self.tables.runs.values():
            if run.status not in FINISHED:
                self.tables.runs[run.no] = replace(run, status="cancelled", error=GIVEN_UP, **ended(now))
        for row in self.tables.rows.values():
            if not row.is_settled:
                cancelled = replace(row, status="cancelled", message=GIVEN_UP, settled_at=now, awaited=False)
                self.tables.rows[row.id] = cancelled

    # Its worker

    @property
    def engine(self) -> EmbeddedEngine:
        """The engine of the worker that is up."""
        if self._engine is None:
            raise EngineError("The worker under test is down.")
        return self._engine

    async def up(self, flows: Iterable[Flow], environ: Mapping[str, str], death: Death | None = None) -> EmbeddedEngine:
        """Start a worker on what the last one left."""
        secrets = Secrets(environ)
        providers, paging = self.accounts.open(environ, secrets, self.script)
        self._providers = list(providers.values())
        self._store = WatchedStore(self.tables, self.operator.watch, death)
        self._engine = EmbeddedEngine(
            self._store,
            flows,
            clock=self.clock,
            randomness=self._random,
            secrets=secrets,
            providers={(KIND, instance): provider for instance, provider in providers.items()},
            paging={(KIND, instance): service for instance, service in paging.items()},
            threads=Inline(),
            environ=environ,
        )
        await self._engine.open()
        return self._engine

    async def down(self) -> None:
        """End the worker in order; what is left to do is done by the next one."""
        self.operator.leave()
        until = self.clock.now() + LAST_REQUESTS
        while self._has_requests and self.clock.now() < until:  # noqa: ASYNC110 - of a worker, seen from outside
            await asyncio.sleep(REQUEST_LOOK_S)
        await self.engine.close()
        for provider in self._providers:
            await provider.close()
        self._engine = None

    async def kill(self) -> None:
        """End the worker as `kill -9` would: every task but this one is gone, and what was not durable is lost."""
        self.operator.leave()
        if self._store is not None:
            self._store.crash()
        mine = asyncio.current_task()
        for _ in range(CANCELS):
            doomed = [task for task in asyncio.all_tasks() if task is not mine]
            if not doomed:
                break
            for task in doomed:
                task.cancel()
            await asyncio.wait(doomed, timeout=0)
        self._engine = None

    @property
    def _has_requests(self) -> bool:
        return any(row.status == "sending" and row.due_at is None for row in self.tables.rows.values())

    # Waiting

    async def finished(self, run_id: str) -> RunView:
        """The run once it has finished; raises Stuck, ScriptError."""
        began, batches = self.clock.now(), self.tables.commits
        view = await self._watched(self.engine.result(run_id), run_id, began + LONGEST_RUN, batches + MOST_BATCHES)
        self._check_script()
        return view

    async def pass_time(self, by: timedelta) -> None:
        """Let time pass; what is due is done."""
        until = self.clock.now() + by
        while (left_s := (until - self.clock.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left_s, LOOK_EVERY_S))
            self._check_script()
            self._leap(until)

    async def quiet(self, within: timedelta) -> None:
        """Return when nothing is left to do, or after that time."""
        until, look_s = self.clock.now() + within, 1.0
        while self.clock.now() < until and self._has_work:
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, LOOK_EVERY_S)
            self._check_script()
            self._leap(until)

    async def _watched(self, end: Coroutine[Any, Any, RunView], run_id: str, until: datetime, batches: int) -> RunView:
        ended = asyncio.create_task(end)
        try:
            while True:
                await asyncio.wait({ended}, timeout=LOOK_EVERY_S)
                if ended.done():
                    return ended.result()
                self._check_script()
                run = self.tables.runs[self.tables.run_no[run_id]]
                self._check_gates(run)
                if self.clock.now() > until or self.tables.commits > batches:
                    raise Stuck(
                        f'Run {run_id} of "{run.flow}" has not ended after {self.clock.now() - run.created_at} of '
                        f"virtual time: {run.waiting_for or run.status}. Give what it waits for an end: "
                        "a timeout, Retry(attempts=...), at_most=..."
                    )
                self._leap(until)
        finally:
            ended.cancel()

    def _check_script(self) -> None:
        fault = self.script.fault or self.operator.fault
        if fault is not None:
            self.script.fault = self.operator.fault = None
            raise fault

    def _check_gates(self, run: RunRow) -> None:
        """Raise Stuck when the run waits for an answer that nobody gives."""
        gates = self._unanswered(run) if self.operator.next_at is None else []
        if gates:
            told = " and ".join(f'"{gate.position}"' for gate in gates)
            raise Stuck(
                f'Run {run.id} of "{run.flow}" waits at the gate {told} for an answer that nobody gives, and without a '
                f'timeout. Say in the test how it is answered: tester.signal("{gates[0].key}").'
            )

    def _unanswered(self, run: RunRow) -> list[Entry]:
        """The gates that the run waits at for ever; none when anything else can still happen."""
        if run.status != "waiting" or run.deadline_at is not None:
            return []
        found: list[Entry] = []
        for entry in self.tables.entries.get(run.no, {}).values():
            if entry.kind == "signal" or entry.status not in ("waiting", "running"):
                continue
            if entry.kind == "gate" and entry.due_at is None:
                found.append(entry)
                continue
            child = self.tables.run_no.get(child_id(run.id, entry.position)) if entry.kind == "child" else None
            inside = [] if child is None else self._unanswered(self.tables.runs[child])
            if not inside:
                return []
            found.extend(inside)
        return found

    @property
    def _has_work(self) -> bool:
        """Whether a run is unfinished, an event unsettled, or a second request due."""
        return any(run.status not in FINISHED for run in self.tables.runs.values()) or any(
            not row.is_settled or row.repeat_at is not None for row in self.tables.rows.values()
        )

    def _leap(self, until: datetime) -> None:
        """Shorten a long wait in which nothing would happen: every run is parked, and no event is about to be sent."""
        now, times = self.clock.now(), [until, self.operator.next_at]
        for run in self.tables.runs.values():
            if run.status == "waiting":
                times.append(run.due_at)
            elif run.status not in FINISHED:
                return
        for row in self.engine.core.log.follow_ups():
            times.append(self.engine.core.log.follow_up_at(row) or now)
        wait = min(time for time in times if time is not None) - now
        if wait > 2 * LAST_STRETCH:
            self.clock.leap(wait - LAST_STRETCH)

"""One history of a run: undisturbed, or with the worker killed at batches of its journal and started anew."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from resolute.engines.embedded.memory import Tables
from resolute.engines.embedded.store import Entry, Op, RunRow
from resolute.model.recipe import Flow
from resolute.testing.bench import Order
from resolute.testing.flow_tester import FlowTester
from resolute.testing.observed import observe
from resolute.testing.script import Call
from resolute.testing.store import Death, Side

#: The id of every run that is crashed, so that its histories can be compared.
RUN_ID: Final = "crashed"
#: For how long a history goes on after its run, until every event is settled: pages are tried for a day.
SETTLE: Final = timedelta(hours=26)


@dataclass(frozen=True)
class Kill:
    """The end of a worker at a batch, counted from 1 since the history began."""

    boundary: int
    side: Side


@dataclass(frozen=True)
class Moment:
    """What was durable when the worker was killed.

    Attributes:
        calls: how many calls there had been.
        batch: what the batch says, for people.
        begun: idempotency keys of the nodes that the journal knows.
        in_flight: those of them that an attempt of was under way.
    """

    kill: Kill
    calls: int
    batch: str
    begun: frozenset[str]
    in_flight: frozenset[str]


@dataclass
class History:
    """What came of it.

    Attributes:
        boundaries: batches that the journal has committed.
        seen: what `observe` says.
        deliveries: how often PagerDuty has accepted each event of each alert.
    """

    kills: tuple[Kill, ...]
    moments: list[Moment] = field(default_factory=list)
    boundaries: int = 0
    calls: list[Call] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    deliveries: list[int] = field(default_factory=list)

    @property
    def called_again(self) -> Counter[str]:
        """The keys of nodes of which an attempt was made more than once, and how often."""
        made = Counter((call.key, call.idempotency_key, call.attempt) for call in self.calls if not call.is_page)
        return Counter(key for (key, _, _), times in made.items() for _ in range(times - 1))

    def wrong_calls(self) -> Iterator[str]:
        """Calls that no crash accounts for, a line each."""
        first: dict[tuple[str, int], tuple[int, Call]] = {}
        for number, call in enumerate(self.calls):
            token, life = (call.idempotency_key, call.attempt), self._life(number)
            before, known = first.setdefault(token, (life, call))
            if known is call:
                continue
            where = f"{call.position} (attempt {call.attempt} in run {call.run_id})"
            moment = self.moments[life - 1] if life else None
            if moment is None or before == life:
                yield f"calls, {where}: was made twice although nothing crashed in between"
            elif call.is_page and call.idempotency_key in moment.begun:
                yield f"calls, {where}: was decided anew although the journal had it"
            elif not call.is_page and call.idempotency_key not in moment.in_flight:
                yield f"calls, {where}: was made again although it was not under way when the worker died"
            if call.inputs != known.inputs and not call.is_page:
                yield f"calls, {where}: expected the inputs {known.inputs!r} again, actually {call.inputs!r}"
            first[token] = (life, known)

    def _life(self, number: int) -> int:
        return sum(moment.calls <= number for moment in self.moments)


def run_history(
    make: Callable[[], FlowTester], flow: Flow, input: Any, kills: Sequence[Kill], down_for: timedelta
) -> History:
    """One history on a tester of its own.

    Args:
        down_for: from a kill to the start of the next worker.
    """
    tester = make()
    bench = tester.bench
    machine = bench.machine
    machine.script.calls.clear()
    bench.prepare(flow)
    history = History(tuple(kills))
    start, order = machine.tables.commits, Order(flow.name, input, RUN_ID)

    async def program() -> None:
        for kill in kills:
            struck: asyncio.Future[Sequence[Op]] = asyncio.get_running_loop().create_future()
            death = Death(start + kill.boundary, kill.side, struck)
            life = asyncio.create_task(bench.live(order, death, settle=SETTLE))
            either: set[asyncio.Future[Any]] = {life, struck}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not struck.done():
                await life
                break
            await machine.kill()
            history.moments.append(_moment(kill, struck.result(), machine.tables, len(machine.script.calls)))
            await asyncio.sleep(down_for.total_seconds())
        else:
            await bench.live(order, settle=SETTLE)
        history.boundaries = machine.tables.commits - start
        history.calls = machine.script.calls
        history.seen = observe(await bench.result(RUN_ID), machine.tables, machine.accounts, history.calls)
        history.deliveries = [event.deliveries for event in machine.accounts.events()]

    machine.run(program)
    return history


def _moment(kill: Kill, batch: Sequence[Op], tables: Tables, calls: int) -> Moment:
    nodes = [
        (f"{tables.runs[no].id}/{entry.position}", entry)
        for no, entries in tables.entries.items()
        for entry in entries.values()
        if entry.kind == "node"
    ]
    return Moment(
        kill,
        calls,
        "; ".join(_told(batch)) or "nothing of the run",
        frozenset(key for key, _ in nodes),
        frozenset(key for key, entry in nodes if entry.status == "running" and not entry.row_id),
    )


def _told(batch: Sequence[Op]) -> Iterator[str]:
    for op in batch:
        if isinstance(op, Entry):
            yield f"{op.position} {op.status}"
        elif isinstance(op, RunRow):
            yield f"run {op.status}"

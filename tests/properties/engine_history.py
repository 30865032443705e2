"""What happens to a run from outside, as plain data, and the simulated machine to which it happens."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from resolute import Activity, activity, current
from resolute.context import Attempt
from resolute.engine import RunView
from resolute.errors import EngineError
from tests.properties.engine_model import Ended, Model, Recorded, parsed, plain
from tests.properties.engine_tree import Builder, Do, Kids, Parts, Repeat, Tree, round_of, value_of
from tests.simulation.rig import Rig

FAULTS = {"503": 0.1, "429": 0.1, "cut_before": 0.1, "apply_then_cut": 0.1, "500_applied": 0.05, "html_502": 0.05}


@dataclass(frozen=True)
class Kill:
    """The worker dies.

    Attributes:
        kept: of the batches under way, so many are durable all the same (their acknowledgement is lost).
        down_s: how long no worker runs.
        again: the next worker dies after so many steps of its recovery, None for not.
    """

    kept: int = 0
    down_s: float = 0.1
    again: int | None = None


@dataclass(frozen=True)
class Stop:
    """The worker is told to stop, and the next one starts."""

    grace_s: float = 0.0


@dataclass(frozen=True)
class Answer:
    """A signal for a gate; `times` is 2 for one that comes twice."""

    gate: int = 0
    outcome: Literal["approved", "rejected"] = "approved"
    by_position: bool = False
    times: int = 1


@dataclass(frozen=True)
class Cancel:
    """Somebody cancels the run."""


@dataclass(frozen=True)
class Again:
    """Somebody starts or retries the run once more."""

    what: Literal["start", "retry"] = "start"


@dataclass(frozen=True)
class Jump:
    """The machine's clock is set."""

    by_s: float = 0.0


Order = Answer | Cancel | Again


@dataclass(frozen=True)
class Cut:
    """An order that the worker dies in, after so many steps."""

    order: Order
    steps: int = 1
    kept: int = 0


Event = Kill | Stop | Answer | Cancel | Again | Jump | Cut


@dataclass(frozen=True)
class History:
    """What happens.

    Attributes:
        events: each with the seconds, or the small steps where it is an int, that pass before it.
        seed: of disk and network.
        retry: whether the run is retried in a mended world if it has failed.
    """

    events: tuple[tuple[float | int, Event], ...] = ()
    seed: int = 0
    slow_disk: bool = False
    faults: bool = False
    slots: int = 100
    retry: bool = False


@dataclass
class Calls:
    """What happened at one position of a run."""

    given: list[Any] = field(default_factory=list)
    finished_at: float | None = None
    begun: int = 0


class World:
    """One tree and its history on a simulated machine: it does what is told and notes what comes of it.

    Attributes:
        mended: whether what failed by itself succeeds from now on.
    """

    def __init__(self, tree: Tree, history: History) -> None:
        self.tree = tree
        self.history = history
        self.mended = False
        self.plan = dict(_nodes(tree.name, tree.parts))
        builder = Builder(self._activity(), self)
        builder.flow(tree)
        self.rig = Rig(history.seed, builder.flows, slow_disk=history.slow_disk)
        self.calls: dict[str, Calls] = defaultdict(Calls)
        self.undone: list[str] = []
        self.durable: dict[str, int] = {}
        self.accepted: list[str] = []
        self.sent = 0
        self.cancels: list[str] = []
        self.jumped = False

    # Activities

    def _activity(self) -> Activity[Any, Any]:
        @activity
        async def act(given: Any) -> Any:
            own = current()
            self._begin(own, given)
            node = self.plan.get((own.flow, own.key), Do())
            if node.seconds:
                await asyncio.sleep(node.seconds)
            if node.does == "hang" and not self.mended:
                await asyncio.Event().wait()
            if node.does == "fail" and not self.mended:
                raise ValueError("it does")
            if node.does == "flaky" and self.calls[own.idempotency_key].begun <= 2:
                raise ValueError("it is flaky")
            if own.key.startswith("undo_") and self.plan[own.flow, own.key.removeprefix("undo_")].undo == "fail":
                raise ValueError("it cannot be undone")
            self.calls[own.idempotency_key].finished_at = self.rig.loop.time()
            return value_of(own.key, own.position, given)

        return act

    def _begin(self, own: Attempt, given: Any) -> None:
        """Check that the attempt may begin: its batch is on disk, and it was never finished."""
        place = own.idempotency_key
        no = self.rig.tables.run_no[own.run_id]
        entry = self.rig.tables.entries[no][own.position]
        assert (entry.status, entry.attempt) == ("running", own.attempt), (
            f"{place} began before it was on disk: {entry}"
        )
        calls = self.calls[place]
        assert place not in self.durable, f"{place} began again after it had finished"
        assert not calls.given or calls.given[0] == given, f"{place} was given {given} after {calls.given[0]}"
        assert own.repeated or not calls.begun, f"{place} was not told that it is repeated"
        calls.given.append(given)
        calls.begun += 1
        if "~undo/" in own.position and (not self.undone or self.undone[-1] != place):
            self.undone.append(place)

    def note_durable(self) -> None:
        """Remember what is finished on disk."""
        for no, entries in self.rig.tables.entries.items():
            run_id = self.rig.tables.runs[no].id
            for entry in entries.values():
                if entry.kind == "node" and entry.status == "done":
                    self.durable[f"{run_id}/{entry.position}"] = entry.done_no

    # Events

    async def up(self) -> None:
        await self.rig.up(max_concurrent=self.history.slots)

    async def kill(self, kept: int) -> None:
        await self.rig.kill(kept)
        self.note_durable()

    async def steps(self, number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    async def happens(self, event: Event) -> None:
        match event:
            case Kill():
                await self.kill(event.kept)
                await asyncio.sleep(event.down_s)
                if event.again is not None:
                    opening = asyncio.create_task(self.up())
                    await self.steps(event.again)
                    await self._kill_opening(opening, event.kept)
                await self.up()
            case Stop():
                await self.rig.engine.close(timedelta(seconds=event.grace_s))
                self.note_durable()
                await self.up()
            case Jump():
                self.jumped = True
                self.rig.clock.shift(timedelta(seconds=event.by_s))
            case Cut():
                order = asyncio.create_task(self.order(event.order))
                await self.steps(event.steps)
                await self.kill(event.kept)
                await asyncio.gather(order, return_exceptions=True)
                await self.up()
            case Answer() | Cancel() | Again():
                await self.order(event)

    async def _kill_opening(self, opening: asyncio.Task[None], kept: int) -> None:
        """Kill a worker that may not be up yet."""
        if not opening.done():
            await self.rig.kill(kept)
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            self.note_durable()
            return
        opening.result()
        await self.kill(kept)

    async def order(self, order: Order) -> None:
        """Give an order; one that is refused must have a reason."""
        engine = self.rig.engine
        match order:
            case Answer():
                for _ in range(order.times if self.tree.gates else 0):
                    key, position = self.tree.gates[order.gate % len(self.tree.gates)]
                    await self.answer(position if order.by_position else key, order.outcome)
            case Cancel():
                self.cancels.append("sent")
                if await self._asked(engine.cancel("r")):
                    self.cancels.append("accepted")
            case Again(what="start"):
                view = await engine.start(self.tree.name, run_id="r")
                assert view.id == "r"
            case Again():
                await self.retry()

    async def retry(self) -> bool:
        """Retry the run; a cancel that came when it had failed already is over with that."""
        if await self._asked(self.rig.engine.retry("r")):
            self.cancels.clear()
            return True
        return False

    async def answer(self, gate: str, outcome: Literal["approved", "rejected"]) -> None:
        name = f"s{self.sent}"
        self.sent += 1
        if await self._asked(self.rig.engine.signal("r", gate, outcome, by=name)):
            self.accepted.append(name)

    async def _asked(self, asked: Awaitable[Any]) -> bool:
        """Whether an order was accepted."""
        try:
            await asked
        except EngineError:
            return False
        return True

    # The whole

    def run(self) -> None:
        """Let everything happen, and check what has come of it."""
        self.rig.run(self._whole)

    async def _whole(self) -> None:
        if self.history.faults:
            self.rig.pagerduty.faults.mix(FAULTS, self.rig.random)
        await self.up()
        await self.rig.engine.start(self.tree.name, run_id="r")
        for pause, event in self.history.events:
            if isinstance(pause, int):
                await self.steps(pause)
            else:
                await asyncio.sleep(pause)
            await self.happens(event)
        self.rig.pagerduty.faults.clear()
        view = await self.end()
        self.audit(view)
        if self.history.retry and view.status == "failed":
            self.mended = True
            await self.retried(view)

    async def retried(self, before: RunView) -> None:
        """Retry a failed run in a mended world."""
        undone = any(entry.position == "~undo" for run in self.family() for entry in run.journal.values())
        if not await self.retry():
            assert undone, "a run that was not undone could not be retried"
            return
        # What had failed beside a branch that was stopped is tried again by a second retry alone.
        self.audit(await self.end(), must_succeed=not before.error.startswith("The run did not end within"))

    async def end(self) -> RunView:
        """The run once it has ended; whatever it waits for comes."""
        for _ in range(4000):
            for run_id, status in self.rig.statuses().items():
                if status == "needs_attention":  # its attempt was the only one to be lost, five times in a row
                    await self.rig.engine.retry(run_id)
            view = await self.rig.engine.get("r")
            if view.is_finished:
                break
            for entry in view.nodes:
                if entry.kind == "gate" and entry.status == "waiting":
                    await self.answer(entry.position, "approved")
            await asyncio.sleep(20)
        await self.rig.engine.result("r", timedelta(days=2))
        for run in self.rig.tables.runs.values():
            await self.rig.engine.result(run.id, timedelta(days=2))
        # A clock that was set forward and back during one request may hold the next one for as long.
        await asyncio.sleep(2 * 3600 if self.jumped else 120)
        self.note_durable()
        return await self.rig.engine.get("r")

    # The audit

    def family(self) -> list[Ended]:
        """The run and its children."""
        return [run for row in self.rig.tables.runs.values() if (run := self.ended(row.id)) is not None]

    def ended(self, run_id: str) -> Ended | None:
        """The run with this id, None when there is none."""
        no = self.rig.tables.run_no.get(run_id)
        if no is None:
            return None
        run = self.rig.tables.runs[no]
        journal = {
            entry.position: Recorded(
                entry.position,
                entry.kind,
                entry.status,
                (parsed(entry.inputs) or {}).get("given") if entry.kind == "node" else None,
                parsed(entry.output),
                entry.failures,
            )
            for entry in self.rig.tables.entries.get(no, {}).values()
        }
        output = plain(parsed(run.output or ""))
        return Ended(run.id, run.status, run.error, run.error_key, output, journal, run.retries)

    def audit(self, view: RunView, *, must_succeed: bool = False) -> None:
        """Check the run, its children, its signals, its undo and its pages."""
        [run] = [run for run in self.family() if run.id == "r"]
        Model(self.tree, run, self.ended, mended=self.mended, must_succeed=must_succeed).check()
        if "accepted" in self.cancels:
            assert view.status != "succeeded", "a run whose cancel was accepted has succeeded"
        if view.status == "cancelled":
            assert self.cancels, "nobody has cancelled the run"
        self._signals(run)
        self._undo()
        self._pages()

    def _signals(self, run: Ended) -> None:
        """Every accepted signal is there once, in order, and was taken once, the oldest first."""
        signals = [entry for entry in run.journal.values() if entry.kind == "signal"]
        signals.sort(key=lambda entry: int(entry.position.removeprefix("~signal[").removesuffix("]")))
        names = [entry.output["by"] for entry in signals]
        assert len(set(names)) == len(names), f"a signal is there twice: {names}"
        assert [name for name in names if name in self.accepted] == self.accepted, f"{names} of {self.accepted}"
        taken = [e.output.get("by") for e in run.journal.values() if e.kind == "gate" and e.status == "done"]
        taken = [name for name in taken if name]
        assert len(set(taken)) == len(taken), f"a signal was taken twice: {taken}"
        if not run.retries:
            done = {entry.output["by"] for entry in signals if entry.status == "done"}
            assert done == set(taken), f"{done} are marked as taken, {taken} were"

    def _undo(self) -> None:
        """Each run was undone in the reverse of the order in which its nodes finished."""
        times: dict[str, list[float]] = defaultdict(list)
        for place in self.undone:
            run_and_node = place.partition("~undo/")[0]
            finished_at = self.calls[run_and_node].finished_at
            assert finished_at is not None, f"{run_and_node} was undone, and had never finished"
            run_id = max((run.id for run in self.rig.tables.runs.values() if place.startswith(f"{run.id}/")), key=len)
            times[run_id].append(finished_at)
        for run_id, finished in times.items():
            assert finished == sorted(finished, reverse=True), f"{run_id} was undone in the order {self.undone}"

    def _pages(self) -> None:
        """Each page that was accepted is one alert, and no other page is one."""
        self.rig.pagerduty.settle()
        alerts = sorted(alert.alert_key for alert in self.rig.pagerduty.alerts)
        assert len(set(alerts)) == len(alerts), f"somebody was paged twice: {alerts}"
        rows = self.rig.rows()
        assert len({row.idempotency_key for row in rows}) == len(rows)
        assert all(row.is_settled for row in rows), [row.status for row in rows]
        accepted = sorted(row.dedup_key for row in rows if row.status == "accepted")
        assert accepted == alerts, f"accepted were {accepted}, the alerts are {alerts}"


def _nodes(flow: str, parts: Parts) -> list[tuple[tuple[str, str], Do]]:
    """Every node by flow and key, with fallbacks and children's."""
    found: list[tuple[tuple[str, str], Do]] = []
    for part in Tree(flow, parts, ()).every():
        if isinstance(part, Do):
            node: Do | None = part
            while node is not None:
                found.append(((flow, node.key), node))
                node = node.fallback
        if isinstance(part, Repeat):
            found.append(((flow, round_of(part).key), round_of(part)))
        if isinstance(part, Kids):
            found.extend(_nodes(f"{flow}_{part.key}", part.child))
    return found

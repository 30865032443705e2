"""`StoreEngine`: a store seen from another process. Its owner is asked; without one the store itself is written."""

from __future__ import annotations

import asyncio
import difflib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from resolute.clock import SystemClock, SystemRandomness, new_id
from resolute.engine import FINISHED, RunQuery, RunView, SignalOutcome
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.large import referred
from resolute.engines.embedded.pruned import check_same_pruned, is_taken, missing, pruned_view
from resolute.engines.embedded.request import check_gate, check_run_id, check_same, input_digest
from resolute.engines.embedded.retention import Selection, selection_to_json
from resolute.engines.embedded.schedules import pause_ops
from resolute.engines.embedded.socket import view_from_json
from resolute.engines.embedded.space import Space
from resolute.engines.embedded.sqlite.reads import Reads
from resolute.engines.embedded.store import RunRow, Store, TickRow
from resolute.engines.embedded.views import view, with_large
from resolute.errors import EngineError, InputError
from resolute.jsontypes import JsonValue
from resolute.model.codec import NotJournalable, from_text, to_plain, to_text
from resolute.model.recipe import Flow
from resolute.model.steps import Gate
from resolute.postgres.address import PostgresAddress
from resolute.secrets import Secrets

#: Where a run's own input and output stand among the positions of its journal.
RUN_INPUT, RUN_OUTPUT = "run.input", "run.output"
#: More runs than any store has.
ALL: Final = 2**53


@dataclass(frozen=True)
class Taken:
    """A store that this process may write until it lets go, for it has no worker.

    Attributes:
        store: not yet opened.
    """

    store: Store
    let_go: Callable[[], None] = lambda: None


class StoreEngine(ABC):
    """Answers from the store; writes through its owner, or holds it for a moment where there is none.

    Attributes:
        path: what names the store.
    """

    path: Path | PostgresAddress

    @property
    def place(self) -> str:
        """Where the runs are, in words."""
        return str(self.path)

    @property
    @abstractmethod
    def reader(self) -> Reads:
        """What reads the store, whoever holds it."""

    @property
    @abstractmethod
    def has_worker(self) -> bool:
        """Whether a process that takes orders owns the store now."""

    @property
    @abstractmethod
    def owner(self) -> str:
        """What tells the process that owns the store now from every other, "" for none."""

    @abstractmethod
    async def order(self, method: str, *, is_secret: bool = False, **params: Any) -> Any:
        """What the owner answers, or `Taken` where the store has none.

        Args:
            is_secret: the parameters hold what must stand in no file and no database.

        Raises:
            StoreOwned: they do, and the owner is not to be reached without writing them down.
        """

    @abstractmethod
    async def outcome(self, run_id: str) -> RunView | Taken:
        """The run as the owner has ended it; `Taken` as soon as there is no owner that goes on with it."""

    @abstractmethod
    async def space(self) -> Space:
        """How large the store is now; raises StoreError where there is none."""

    @abstractmethod
    async def vacuum(self) -> None:
        """Give back to the disk what is free in the store, which needs the store for itself.

        Raises:
            StoreOwned: a worker or another command holds it.
            StoreUnavailable: there is no room for the copy that this takes for a while.
        """

    @abstractmethod
    async def _until_ended(self, run_id: str) -> None:
        """Wait until the run may have ended."""

    async def start(
        self, flow: str, input: JsonValue = None, *, run_id: str | None = None, trigger: str = "client"
    ) -> RunView:
        """A run that is on disk; a worker that owns the store begins it at once, or else the next one."""
        name = new_id(SystemClock(), SystemRandomness()) if run_id is None else run_id
        check_run_id(name)
        wanted = input_digest(flow, input)
        plain = to_plain(input)
        found = await self.order("start", flow=flow, input=plain, run_id=name, trigger=trigger)
        if not isinstance(found, Taken):
            return view_from_json(found)
        try:
            return await self._write_down(found.store, flow, to_text(plain), name, wanted, trigger)
        finally:
            found.let_go()

    async def _write_down(self, store: Store, flow: str, text: str, name: str, wanted: str, trigger: str) -> RunView:
        """Put the run into the store for the next worker."""
        opened = await store.open()
        try:
            existing, now = await store.known(name), SystemClock().now()
            if isinstance(existing, RunRow):
                check_same(existing, wanted)
                return view(existing)
            if existing is not None and await is_taken(store, existing, now):
                check_same_pruned(existing, wanted)
                return pruned_view(existing, flow)
            row = RunRow(
                no=opened.next_run_no,
                id=name,
                flow=flow,
                fingerprint="",
                status="queued",
                input=text,
                input_digest=wanted,
                trigger=trigger,
                created_at=now,
                due_at=now,
                waiting_for="a worker",
            )
            await store.commit([row])
            return view(row)
        finally:
            await store.close()

    async def get(self, run_id: str) -> RunView:
        reader = self.reader
        row, entries = await reader.load((await self._found(run_id)).no)
        return view(await with_large(reader, row), entries)

    async def look(self, run_id: str) -> RunView:
        """The run with its journal; of large values, also its own, only their size: `value` has them in full."""
        row, entries = await self.reader.load((await self._found(run_id)).no)
        return view(row, entries)

    async def value(self, run_id: str, position: str) -> JsonValue:
        """What a position of a run has put out, in full; `RUN_INPUT` and `RUN_OUTPUT` are the run's own.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has nothing there, or has not come so far.
        """
        reader = self.reader
        row, entries = await reader.load((await self._found(run_id)).no)
        texts = {RUN_INPUT: row.input, RUN_OUTPUT: row.output or ""}
        texts |= {entry.position: entry.output for entry in entries}
        if position not in texts:
            near = difflib.get_close_matches(position, texts, 3)
            hint = (
                f" Did you mean {' or '.join(near)}?" if near else f" `resolute runs show {run_id}` shows what it has."
            )
            raise EngineError(f'Run "{run_id}" has nothing at the position "{position}".{hint}')
        text = texts[position]
        if not text:
            status = next((entry.status for entry in entries if entry.position == position), row.status)
            raise EngineError(f'"{position}" of run "{run_id}" has put out nothing: it is {status.replace("_", " ")}.')
        digest = referred(text)
        found: JsonValue = from_text(text if digest is None else await reader.large(row.no, digest))
        return found

    async def _found(self, run_id: str) -> RunRow:
        reader = self.reader
        row = await reader.find(run_id)
        if row is None:
            raise await missing(reader, run_id)
        return row

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        return [view(row) for row in await self.reader.runs(query)]

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        """The run once it has finished. The store holds its output, however large."""
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            while True:
                row = await self._found(run_id)
                if row.status in FINISHED:
                    return view(await with_large(self.reader, row))
                await self._until_ended(run_id)

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        """End a run; without a worker, one with something to undo is left to the next worker."""
        await self._found(run_id)
        found = await self.order("cancel", run_id=run_id, by=by, reason=reason)
        if not isinstance(found, Taken):
            return view_from_json(found)
        async with self._alone(found) as engine:
            return await engine.cancel(run_id, by=by, reason=reason)

    async def retry(self, run_id: str) -> RunView:
        """Take a failed run up again; that needs its flow, and so a worker."""
        await self._found(run_id)
        found = await self.order("retry", run_id=run_id)
        if not isinstance(found, Taken):
            return view_from_json(found)
        found.let_go()
        raise EngineError(
            f'Run "{run_id}" goes on only where its flow is known, and no worker runs on {self.path}. '
            "Start one with `resolute worker MODULE`, then repeat this."
        )

    async def signal(
        self,
        run_id: str,
        gate: str,
        outcome: SignalOutcome = "approved",
        *,
        by: str = "",
        reason: str = "",
        data: JsonValue = None,
    ) -> None:
        """Answer a gate; without a worker the answer is kept in the file for the next one."""
        row = await self._found(run_id)
        try:
            plain = to_plain(data)
        except NotJournalable as error:
            raise InputError(f"The data of the answer cannot be kept: {error}. Give JSON values.") from error

        answer = {"outcome": outcome, "by": by, "reason": reason, "data": plain}
        found = await self.order("signal", run_id=run_id, gate=gate, **answer)
        if isinstance(found, Taken):
            async with self._alone(found) as engine:
                check_gate(await _gates_of(engine, row), run_id, gate)
                await engine.signal(run_id, gate, outcome, by=by, reason=reason, data=plain)

    async def ticks(self) -> dict[tuple[str, str], TickRow]:
        """How far each schedule is, by (flow, trigger); nothing while there is no store."""
        return await self.reader.ticks()

    async def pause(self, flow: str, triggers: Sequence[str], paused: bool) -> None:
        """Pause schedules or let them go on; without a worker it is written down for the next one."""
        for at, trigger in enumerate(triggers):
            found = await self.order("pause", flow=flow, trigger=trigger, paused=paused)
            if isinstance(found, Taken):
                await self._pause_here(found, flow, triggers[at:], paused)
                return

    async def _pause_here(self, taken: Taken, flow: str, triggers: Sequence[str], paused: bool) -> None:
        try:
            await taken.store.open()
            try:
                now = SystemClock().now()
                await taken.store.commit([op for trigger in triggers for op in pause_ops(flow, trigger, paused, now)])
            finally:
                await taken.store.close()
        finally:
            taken.let_go()

    async def prunable(self, selection: Selection) -> int:
        """How many runs `prune` would take out now."""
        return len(await self.reader.prunable(selection.before, selection.keep, ALL, selection.flow))

    async def prune(self, selection: Selection, progress: Callable[[int], None] = lambda count: None) -> int:
        """Take finished runs that nothing needs out of the store, a batch at a time; how many they were.

        Args:
            progress: called after each batch with their number so far.
        """
        count = 0
        while True:
            found = await self.order("prune", **selection_to_json(selection))
            if isinstance(found, Taken):
                async with self._alone(found) as engine:
                    while pruned := await engine.retention.prune(selection):
                        count += pruned
                        progress(count)
                    await engine.retention.forget()
                return count
            if not found:
                return count
            count += found
            progress(count)

    @asynccontextmanager
    async def _alone(self, taken: Taken) -> AsyncIterator[EmbeddedEngine]:
        """An engine on the store that knows no flow and drives nothing; the store is let go of after it."""
        engine = EmbeddedEngine(
            taken.store,
            (),
            clock=SystemClock(),
            randomness=SystemRandomness(),
            secrets=Secrets(),
            drives_all=False,
        )
        try:
            await engine.open()
            try:
                yield engine
            finally:
                await engine.close()
        finally:
            taken.let_go()


async def _gates_of(engine: EmbeddedEngine, row: RunRow) -> Flow | None:
    """The gates of a run's flow as it was when the run last went on; None where that was never written down."""
    outline = await engine.core.store.outline(row.fingerprint)
    if outline is None:
        return None
    lines = (line.split() for line in outline.splitlines())
    return Flow(row.flow, (), tuple(Gate(words[1]) for words in lines if words[0] == "gate"))

"""`FileEngine`: a store seen from another process. Its owner is asked; without one the file itself is used."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from resolute.clock import SystemClock, SystemRandomness, monotonic, new_id
from resolute.engine import FINISHED, RunQuery, RunView, SignalOutcome
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.large import referred
from resolute.engines.embedded.owner import Holder, Owner, holder
from resolute.engines.embedded.pruned import check_same_pruned, is_taken, missing, pruned_view
from resolute.engines.embedded.request import check_gate, check_run_id, check_same, input_digest
from resolute.engines.embedded.retention import Selection, selection_to_json
from resolute.engines.embedded.schedules import pause_ops
from resolute.engines.embedded.socket import OwnerGone, OwnerSilent, call, view_from_json
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import RunRow, TickRow
from resolute.engines.embedded.views import view, with_large
from resolute.errors import EngineError, InputError, StoreOwned
from resolute.jsontypes import JsonValue
from resolute.model.codec import NotJournalable, from_text, to_plain, to_text
from resolute.model.recipe import Flow
from resolute.model.steps import Gate
from resolute.secrets import Secrets

log = logging.getLogger("resolute.client")

#: How often the file is looked at while there is no owner to ask.
POLL_S: Final = 0.1
#: For how long an owner may not answer where it says it listens.
SILENT_S: Final = 5.0
#: Who is waited for is told after this time.
TELL_AFTER_S: Final = 0.5
#: Where a run's own input and output stand among the positions of its journal.
RUN_INPUT, RUN_OUTPUT = "run.input", "run.output"
#: More runs than any store has.
ALL: Final = 2**53

T = TypeVar("T")


async def ask_or_lock(
    path: Path, ask: Callable[[Path], Awaitable[T]], waiting: Callable[[Holder], None] = lambda holder: None
) -> T | Owner:
    """What the store's owner answers, or else the store itself. Who holds it and does not listen is waited for.

    Args:
        ask: asks the owner that listens at this address; may be called again when it goes away.
        waiting: called with each holder that is waited for, unless it lets go soon.

    Raises:
        StoreOwned: the owner lives and does not answer, or cannot be named.
    """
    held_by: int | None = None
    held_since = silent_since = 0.0
    while True:
        found = holder(path)
        try:
            if found is None or found.address is None:
                return await Owner.acquire(path, wait=False)
            return await ask(Path(found.address))
        except OwnerSilent as error:
            silent_since = silent_since or monotonic()
            if monotonic() - silent_since > SILENT_S:
                raise StoreOwned(
                    f"The store {path} is owned by {found}, which does not answer there: {error} "
                    "Run the command as the same user on the same machine, or stop that process."
                ) from error
        except OwnerGone as error:
            log.debug("the owner changes: %s", error)
            silent_since = 0.0
        except StoreOwned:
            found = holder(path)
            if found is not None and found.pid is None:
                raise
            if found is not None and found.pid != held_by:
                held_by, held_since = found.pid, monotonic()
            elif found is not None and held_since and monotonic() - held_since > TELL_AFTER_S:
                waiting(found)
                held_since = 0.0
        await asyncio.sleep(POLL_S)


class FileEngine:
    """Answers from the file; writes through its owner, or under the lock where there is none.

    Args:
        on_wait: called with who holds the store and is waited for.
    """

    def __init__(self, path: Path, *, on_wait: Callable[[Holder], None] = lambda holder: None) -> None:
        self.path = path
        self._on_wait = on_wait

    @property
    def has_worker(self) -> bool:
        """Whether a process that takes orders owns the store now."""
        found = holder(self.path)
        return found is not None and found.address is not None

    async def start(
        self, flow: str, input: JsonValue = None, *, run_id: str | None = None, trigger: str = "client"
    ) -> RunView:
        """A run that is on disk; a worker that owns the store begins it at once, or else the next one."""
        name = new_id(SystemClock(), SystemRandomness()) if run_id is None else run_id
        check_run_id(name)
        wanted = input_digest(flow, input)
        plain = to_plain(input)

        async def ask(address: Path) -> RunView:
            return await _ask(address, "start", flow=flow, input=plain, run_id=name, trigger=trigger)

        found = await ask_or_lock(self.path, ask, self._on_wait)
        if isinstance(found, RunView):
            return found
        try:
            return await self._write_down(found, flow, to_text(plain), name, wanted, trigger)
        finally:
            found.release()

    async def _write_down(self, owner: Owner, flow: str, text: str, name: str, wanted: str, trigger: str) -> RunView:
        """Put the run into the file for the next worker."""
        store = SqliteStore(self.path, owner=owner)
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
        reader = ReadOnlyStore(self.path)
        row, entries = await reader.load((await self._found(run_id)).no)
        return view(await with_large(reader, row), entries)

    async def look(self, run_id: str) -> RunView:
        """The run with its journal; of large values, also its own, only their size: `value` has them in full."""
        row, entries = await ReadOnlyStore(self.path).load((await self._found(run_id)).no)
        return view(row, entries)

    async def value(self, run_id: str, position: str) -> JsonValue:
        """What a position of a run has put out, in full; `RUN_INPUT` and `RUN_OUTPUT` are the run's own.

        Raises:
            RunNotFound: no run has this id.
            EngineError: the run has nothing there, or has not come so far.
        """
        reader = ReadOnlyStore(self.path)
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
        reader = ReadOnlyStore(self.path)
        row = await reader.find(run_id)
        if row is None:
            raise await missing(reader, run_id)
        return row

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        return [view(row) for row in await ReadOnlyStore(self.path).runs(query)]

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        """The run once it has finished. The owner tells when; the file holds its output, however large."""
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            while True:
                row = await self._found(run_id)
                if row.status in FINISHED:
                    return view(await with_large(ReadOnlyStore(self.path), row))
                found = holder(self.path)
                try:
                    if found is not None and found.address is not None:
                        await call(Path(found.address), "result", {"run_id": run_id})
                        continue
                except OwnerGone as error:
                    log.debug("the owner went away: %s", error)
                await asyncio.sleep(POLL_S)

    async def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> RunView:
        """End a run; without a worker, one with something to undo is left to the next worker."""
        await self._found(run_id)

        async def ask(address: Path) -> RunView:
            return await _ask(address, "cancel", run_id=run_id, by=by, reason=reason)

        found = await ask_or_lock(self.path, ask, self._on_wait)
        if isinstance(found, RunView):
            return found
        async with self._alone(found) as engine:
            return await engine.cancel(run_id, by=by, reason=reason)

    async def retry(self, run_id: str) -> RunView:
        """Take a failed run up again; that needs its flow, and so a worker."""
        await self._found(run_id)

        async def ask(address: Path) -> RunView:
            return await _ask(address, "retry", run_id=run_id)

        found = await ask_or_lock(self.path, ask, self._on_wait)
        if isinstance(found, RunView):
            return found
        found.release()
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

        async def ask(address: Path) -> bool:
            params = {"outcome": outcome, "by": by, "reason": reason, "data": plain}
            await call(address, "signal", {"run_id": run_id, "gate": gate, **params})
            return True

        found = await ask_or_lock(self.path, ask, self._on_wait)
        if isinstance(found, Owner):
            async with self._alone(found) as engine:
                check_gate(await _gates_of(engine, row), run_id, gate)
                await engine.signal(run_id, gate, outcome, by=by, reason=reason, data=plain)

    async def ticks(self) -> dict[tuple[str, str], TickRow]:
        """How far each schedule is, by (flow, trigger); nothing while there is no store."""
        return await ReadOnlyStore(self.path).ticks() if self.path.exists() else {}

    async def pause(self, flow: str, triggers: Sequence[str], paused: bool) -> None:
        """Pause schedules or let them go on; without a worker it is written down for the next one."""

        async def ask(address: Path) -> bool:
            for trigger in triggers:
                await call(address, "pause", {"flow": flow, "trigger": trigger, "paused": paused})
            return True

        found = await ask_or_lock(self.path, ask, self._on_wait)
        if not isinstance(found, Owner):
            return
        try:
            store = SqliteStore(self.path, owner=found)
            await store.open()
            try:
                now = SystemClock().now()
                await store.commit([op for trigger in triggers for op in pause_ops(flow, trigger, paused, now)])
            finally:
                await store.close()
        finally:
            found.release()

    async def prunable(self, selection: Selection) -> int:
        """How many runs `prune` would take out now."""
        reader = ReadOnlyStore(self.path)
        return len(await reader.prunable(selection.before, selection.keep, ALL, selection.flow))

    async def prune(self, selection: Selection, progress: Callable[[int], None] = lambda count: None) -> int:
        """Take finished runs that nothing needs out of the store, a batch at a time; how many they were.

        Args:
            progress: called after each batch with their number so far.
        """
        count = 0

        async def ask(address: Path) -> int:
            pruned: int = await call(address, "prune", selection_to_json(selection))
            return pruned

        while True:
            found = await ask_or_lock(self.path, ask, self._on_wait)
            if isinstance(found, Owner):
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
    async def _alone(self, owner: Owner) -> AsyncIterator[EmbeddedEngine]:
        """An engine on the file that knows no flow and drives nothing; the lock is let go of after it."""
        engine = EmbeddedEngine(
            SqliteStore(self.path, owner=owner),
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
            owner.release()


async def _gates_of(engine: EmbeddedEngine, row: RunRow) -> Flow | None:
    """The gates of a run's flow as it was when the run last went on; None where that was never written down."""
    outline = await engine.core.store.outline(row.fingerprint)
    if outline is None:
        return None
    lines = (line.split() for line in outline.splitlines())
    return Flow(row.flow, (), tuple(Gate(words[1]) for words in lines if words[0] == "gate"))


async def _ask(address: Path, method: str, **params: Any) -> RunView:
    return view_from_json(await call(address, method, params))

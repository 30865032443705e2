"""`FileEngine`: a store seen from another process. Its owner is asked; without one the file itself is used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from resolute.clock import SystemClock, SystemRandomness, monotonic, new_id
from resolute.engine import FINISHED, RunQuery, RunView
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.owner import Holder, Owner, holder
from resolute.engines.embedded.request import check_run_id, check_same, input_digest, no_gate, not_found
from resolute.engines.embedded.socket import OwnerGone, OwnerSilent, call, view_from_json
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import RunRow
from resolute.engines.embedded.views import view
from resolute.errors import StoreOwned
from resolute.jsontypes import JsonValue
from resolute.model.codec import to_plain, to_text
from resolute.secrets import Secrets

log = logging.getLogger("resolute.client")

#: How often the file is looked at while there is no owner to ask.
POLL_S: Final = 0.1
#: For how long an owner may not answer where it says it listens.
SILENT_S: Final = 5.0
#: Who is waited for is told after this time.
TELL_AFTER_S: Final = 0.5

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
    """Answers from the file; writes through its owner, or under the lock where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path

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

        found = await ask_or_lock(self.path, ask)
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
            existing = await store.find(name)
            if existing is not None:
                check_same(existing, wanted)
                return view(existing)
            now = SystemClock().now()
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
        row = await reader.find(run_id)
        if row is None:
            raise not_found(run_id)
        return view(*await reader.load(row.no))

    async def runs(self, query: RunQuery) -> Sequence[RunView]:
        return [view(row) for row in await ReadOnlyStore(self.path).runs(query)]

    async def result(self, run_id: str, timeout: timedelta | None = None) -> RunView:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            while True:
                run = await self.get(run_id)
                if run.status in FINISHED:
                    return run
                found = holder(self.path)
                try:
                    if found is not None and found.address is not None:
                        return await _ask(Path(found.address), "result", run_id=run_id)
                except OwnerGone as error:
                    log.debug("the owner went away: %s", error)
                await asyncio.sleep(POLL_S)

    async def cancel(self, run_id: str) -> RunView:
        await self.get(run_id)

        async def ask(address: Path) -> RunView:
            return await _ask(address, "cancel", run_id=run_id)

        found = await ask_or_lock(self.path, ask)
        if isinstance(found, RunView):
            return found
        try:
            return await self._cancel(found, run_id)
        finally:
            found.release()

    async def _cancel(self, owner: Owner, run_id: str) -> RunView:
        """Cancel the run in the file; nothing is driven."""
        engine = EmbeddedEngine(
            SqliteStore(self.path, owner=owner),
            (),
            clock=SystemClock(),
            randomness=SystemRandomness(),
            secrets=Secrets(),
            drives_all=False,
        )
        await engine.open()
        try:
            return await engine.cancel(run_id)
        finally:
            await engine.close()

    async def signal(self, run_id: str, gate: str, data: JsonValue = None, *, by: str = "") -> None:
        run = await self.get(run_id)
        raise no_gate(run_id, run.flow, gate)


async def _ask(address: Path, method: str, **params: Any) -> RunView:
    return view_from_json(await call(address, method, params))

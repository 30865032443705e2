"""`FileEngine`: a store in a file, seen from another process: its owner listens on a socket, or nobody has its lock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from resolute.clock import monotonic
from resolute.engine import RunView
from resolute.engines.embedded.owner import Holder, Owner, holder
from resolute.engines.embedded.socket import OwnerGone, OwnerSilent, call, view_from_json
from resolute.engines.embedded.space import Space
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.space import space, vacuum
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import TickRow
from resolute.engines.embedded.store_engine import StoreEngine, Taken
from resolute.errors import StoreOwned

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


class FileEngine(StoreEngine):
    """The engine of a store in a file.

    Args:
        on_wait: called with who holds the store and is waited for.
    """

    def __init__(self, path: Path, *, on_wait: Callable[[Holder], None] = lambda holder: None) -> None:
        self.path: Path = path
        self._on_wait = on_wait

    @property
    def reader(self) -> ReadOnlyStore:
        return ReadOnlyStore(self.path)

    @property
    def has_worker(self) -> bool:
        found = holder(self.path)
        return found is not None and found.address is not None

    @property
    def owner(self) -> str:
        found = holder(self.path)
        return "" if found is None else f"{found.pid} {found.address}"

    async def ticks(self) -> dict[tuple[str, str], TickRow]:
        return await super().ticks() if self.path.exists() else {}

    async def order(self, method: str, *, is_secret: bool = False, **params: Any) -> Any:
        async def ask(address: Path) -> Any:
            return _Answer(await call(address, method, params))

        found = await ask_or_lock(self.path, ask, self._on_wait)
        if isinstance(found, Owner):
            return Taken(SqliteStore(self.path, owner=found), found.release)
        return found.content

    async def outcome(self, run_id: str) -> RunView | Taken:
        found = await self.order("result", run_id=run_id)
        return found if isinstance(found, Taken) else view_from_json(found)

    async def space(self) -> Space:
        return await asyncio.to_thread(space, self.path)

    async def vacuum(self) -> None:
        await vacuum(self.path)

    async def _until_ended(self, run_id: str) -> None:
        found = holder(self.path)
        try:
            if found is not None and found.address is not None:
                await call(Path(found.address), "result", {"run_id": run_id})
                return
        except OwnerGone as error:
            log.debug("the owner went away: %s", error)
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True)
class _Answer:
    """What an owner answered."""

    content: Any

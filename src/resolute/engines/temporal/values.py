"""`Values`: what is kept beside a Temporal server: memory and cursors of flows, and values too large for a payload.

One worker keeps them in its store; workers that share a database keep them there, so that a run goes on with the same
values wherever its next attempt is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from resolute.engines.embedded.core import Core
from resolute.engines.embedded.store import Op, PutLarge, PutMemory
from resolute.errors import StoreUnavailable
from resolute.model.codec import from_text, to_text

#: Under which number large values are kept: a run on Temporal has none in this store.
NO_RUN: Final = 0
#: The memory in which stands what was written already; no flow has such a name.
APPLIED: Final = "~applied"
#: After this time nothing is tried a second time, and such a mark may go.
MARKS_KEPT: Final = timedelta(days=1)

#: A memory as it is → what is to be written to it, None for a key that is to go.
Decide = Callable[[Mapping[str, str]], Mapping[str, str | None]]


class Values(Protocol):
    """Where they are kept.

    Raises:
        StoreUnavailable: from every call: it cannot be asked now.
    """

    async def memory(self, name: str) -> Mapping[str, str]:
        """Key → JSON text."""
        ...

    async def change(self, mark: str, name: str, decide: Decide) -> None:
        """Write to a memory once, however often that is tried.

        Args:
            mark: what this write goes by.
        """
        ...

    async def keep(self, digest: str, text: str) -> None:
        """Keep a large text by its digest."""
        ...

    async def read(self, digest: str) -> str:
        """A large text; raises StoreDamaged where it is not to be had."""
        ...


class StoreValues:
    """In the store of one worker."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def memory(self, name: str) -> Mapping[str, str]:
        return await self._core.memory_of(name)

    async def change(self, mark: str, name: str, decide: Decide) -> None:
        core, now = self._core, self._core.clock.now()
        marks = await core.memory_of(APPLIED)
        if mark in marks:
            return
        batch: list[Op] = [PutMemory(name, key, text) for key, text in decide(await core.memory_of(name)).items()]
        old = [known for known, at in marks.items() if datetime.fromisoformat(from_text(at)) < now - MARKS_KEPT]
        batch.extend(PutMemory(APPLIED, known, None) for known in old)
        batch.append(PutMemory(APPLIED, mark, to_text(now.isoformat())))
        await core.store.commit(batch)
        for op in batch:
            if isinstance(op, PutMemory):
                core.remember(op)

    async def keep(self, digest: str, text: str) -> None:
        await self._core.store.commit([PutLarge(NO_RUN, digest, text)])

    async def read(self, digest: str) -> str:
        return await self._core.store.large(NO_RUN, digest)


class NotThere(Mapping[str, str]):
    """A memory that cannot be read now: only who asks it learns that. A page does not wait for a memory."""

    def __init__(self, error: StoreUnavailable) -> None:
        self._error = error

    def __getitem__(self, key: str) -> str:
        raise StoreUnavailable(str(self._error))

    def __iter__(self) -> Iterator[str]:
        raise StoreUnavailable(str(self._error))

    def __len__(self) -> int:
        raise StoreUnavailable(str(self._error))

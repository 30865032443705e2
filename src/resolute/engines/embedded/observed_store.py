"""`ObservedStore`: a store that tells an observer of each batch that it has taken.

What it tells is on disk, or will be before anything later is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from resolute.engines.embedded.store import Op, Opened, Store
from resolute.errors import StoreError


class Observer(Protocol):
    """Who is told what a store holds and takes."""

    def opened(self, opened: Opened) -> None:
        """The store is open."""
        ...

    def written(self, batch: Sequence[Op]) -> None:
        """The store has taken a batch."""
        ...


class ObservedStore:
    """Hands everything on to another store."""

    def __init__(self, store: Store, observer: Observer) -> None:
        self._store = store
        self._observer = observer

    async def open(self) -> Opened:
        opened = await self._store.open()
        self._observer.opened(opened)
        return opened

    async def commit(self, batch: Sequence[Op]) -> None:
        try:
            await self._store.commit(batch)
        except StoreError:
            raise
        except BaseException:  # who waited was cancelled; the batch had been handed in and is written all the same
            self._observer.written(batch)
            raise
        self._observer.written(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

"""`GroupStore`: a store that is written, and asked, through a `GroupWriter`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime

from resolute.engines.embedded.group_writer import GroupWriter
from resolute.engines.embedded.sqlite.reads import Found, Query, Reads
from resolute.engines.embedded.sqlite.rows import instant, prepare, to_row
from resolute.engines.embedded.store import Op, Opened, Store
from resolute.errors import StoreBroken, StoreError


class GroupStore(Reads, Store):
    """Between `open` and `close` it has a writer."""

    _writer: GroupWriter | None = None

    async def _opened(self) -> Opened:
        """What a worker begins with; raises StoreError."""
        [[run_no]], [[row_id]], rows, ticks = await self._ask(
            ("next_run_no", ()), ("next_row_id", ()), ("rows_that_matter", ()), ("ticks", ())
        )
        key = await self._digest_key()
        if key is None:
            raise StoreBroken(f"The store {self.path} has lost the key of its digests. {self.restore}")
        seen = {(flow, trigger): instant(at) for flow, trigger, at, _ in ticks}
        paused = frozenset((flow, trigger) for flow, trigger, _, is_paused in ticks if is_paused)
        return Opened(run_no, row_id, key, self._made(to_row, rows), seen, paused)

    @abstractmethod
    async def _digest_key(self) -> bytes | None:
        """The key of the digests, None when it was lost."""

    async def commit(self, batch: Sequence[Op]) -> None:
        prepared = [prepare(op) for op in batch]
        if prepared:
            await self._open_writer.hand_in(prepared, ())

    @property
    def held_since(self) -> datetime | None:
        return None if self._writer is None else self._writer.held_since

    def on_broken(self, tell: Callable[[StoreError], None]) -> None:
        self._open_writer.broke.add_done_callback(lambda broke: None if broke.cancelled() else tell(broke.result()))

    async def _ask(self, *queries: Query) -> Found:
        found: Found = await self._open_writer.hand_in([], queries)
        return found

    @property
    def _open_writer(self) -> GroupWriter:
        if self._writer is None:
            raise StoreError(f"The store {self.path} is not open. Call open() first.")
        return self._writer

"""`Turns`: runs that wait until the one before them has ended, in this process and over restarts."""

from __future__ import annotations

from collections.abc import Callable

from resolute.engine import FINISHED
from resolute.engines.embedded.store import RunRow, Store
from resolute.errors import RunNotFound


class Turns:
    """Who waits for whom.

    Args:
        wake: begins a run whose turn has come.
    """

    def __init__(self, store: Store, wake: Callable[[int], None]) -> None:
        self._store = store
        self._wake = wake
        self._waiting: dict[int, set[int]] = {}

    async def restore(self) -> None:
        """Take up what the last owner left."""
        for no, after_no in await self._store.in_turn():
            await self.queue(no, after_no)

    async def queue(self, no: int, after_no: int) -> None:
        """Wake a run, which is on disk, as soon as the other has ended, or now if it has."""
        while True:
            self._waiting.setdefault(after_no, set()).add(no)  # before the look: it may end during it
            first = await self._unfinished(after_no)
            if first == after_no:
                return
            waiting = self._waiting.get(after_no, set())
            waiting.discard(no)
            if not waiting:
                self._waiting.pop(after_no, None)
            if not first:
                self._wake(no)
                return
            after_no = first

    async def links(self) -> set[int]:
        """Runs that were cancelled in the queue: through them a queued run finds the one that it waits for."""
        waiting = dict(await self._store.in_turn())
        found: set[int] = set()
        for no in set(waiting.values()).difference(waiting):
            while no and no not in found:
                try:
                    row, _ = await self._store.load(no)
                except RunNotFound:
                    break
                if row.status not in FINISHED:
                    break
                found.add(no)
                no = row.after_no
        return found

    def is_awaited(self, no: int) -> bool:
        """Whether any run waits for this one."""
        return no in self._waiting

    async def ended(self, no: int) -> None:
        """Wake who waited for this run; if its own turn had not come, they wait for whom it waited for."""
        for waiting in sorted(self._waiting.pop(no, ())):
            await self.queue(waiting, no)

    async def has_come(self, row: RunRow) -> bool:
        """Whether a run may begin."""
        return row.status != "queued" or not row.after_no or not await self._unfinished(row.after_no)

    async def _unfinished(self, no: int) -> int:
        """The run that has to end first: this one, or whom it waited for when it was cancelled; 0 for none."""
        while no:
            try:
                row, _ = await self._store.load(no)
            except RunNotFound:  # it was pruned, so it has ended
                return 0
            if row.status not in FINISHED:
                return no
            no = row.after_no
        return 0

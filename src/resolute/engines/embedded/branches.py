"""`Branches`: what goes on side by side in one run, and when the run as a whole has nothing to do.

A branch that waits is parked. While others still work, it waits in memory; once every branch is parked
the run leaves memory, and its journal says when it goes on.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from resolute.clock import Clock
from resolute.engine import RunStopped, StepFailed

#: A branch looks at the clock no less often than this, so that one that jumped is noticed.
LONGEST_NAP_S: Final = 30.0
#: Waits that a waiting run names.
WAITS_TOLD: Final = 3


class Parked(BaseException):
    """The run has nothing to do now; its journal says when it goes on. Not an error: it only unwinds the walk."""


@dataclass(frozen=True, eq=False)
class _Wait:
    """A parked branch."""

    done: asyncio.Future[None]
    due_at: datetime | None
    waiting_for: str


#: Writes down that the whole run waits until a time, and for what.
AllParked = Callable[[datetime | None, str], None]


class Branches:
    """Counts the branches of a run that have something to do.

    Attributes:
        generation: goes up whenever something happened that a parked branch may wait for.
        left: whether the run has left memory, or is about to.
        leaving: set by `leave()`: what waits unwinds, and what is in flight goes on to its end.
    """

    def __init__(self, all_parked: AllParked) -> None:
        self.generation = 0
        self.left = False
        self.leaving = False
        self._all_parked = all_parked
        self._active = 1
        self._waits: dict[_Wait, None] = {}  # in the order in which they came, so that histories repeat

    @property
    def is_parked(self) -> bool:
        """Whether every branch waits."""
        return self._active == 0

    def wake(self) -> None:
        """Let every parked branch look again."""
        self.generation += 1
        for wait in list(self._waits):
            self._resume(wait)

    def leave(self) -> None:
        """Unwind what waits now and what would wait later."""
        self.leaving = True
        self._unwind()

    def _resume(self, wait: _Wait) -> None:
        if not wait.done.done():
            self._active += 1
            wait.done.set_result(None)

    def _unwind(self) -> None:
        for wait in self._waits:
            if not wait.done.done():
                wait.done.set_exception(Parked())
                wait.done.exception()  # seen: whoever waits for it may have been cancelled

    async def park(
        self,
        due_at: datetime | None,
        waiting_for: str,
        clock: Clock,
        flush: Callable[[], Awaitable[None]],
        seen: int,
    ) -> None:
        """Wait until that time or until woken; raises Parked when the run leaves memory."""
        if self.leaving:
            raise Parked
        if self.generation != seen:
            return
        loop = asyncio.get_running_loop()
        wait = _Wait(loop.create_future(), due_at, waiting_for)
        self._waits[wait] = None
        self._active -= 1
        timer: asyncio.TimerHandle | None = None
        try:
            if self._active:
                await flush()
                if due_at is not None:
                    left_s = (due_at - clock.now()).total_seconds()
                    timer = loop.call_later(min(max(left_s, 0.0), LONGEST_NAP_S), self._resume, wait)
            else:
                await self._rest(flush)
            await wait.done
        finally:
            self._waits.pop(wait, None)
            if timer is not None:
                timer.cancel()

    async def _rest(self, flush: Callable[[], Awaitable[None]]) -> None:
        """Every branch waits: write that down and leave memory, unless something comes meanwhile."""
        waits = sorted(self._waits, key=lambda wait: (wait.due_at is None, wait.due_at, wait.waiting_for))
        told = "; ".join(wait.waiting_for for wait in waits[:WAITS_TOLD])
        more = f"; and {len(waits) - WAITS_TOLD} more" if len(waits) > WAITS_TOLD else ""
        self._all_parked(waits[0].due_at, told + more)
        await flush()
        if self._active == 0:
            self.left = True
            self._unwind()

    async def gather(
        self, branches: Sequence[Coroutine[Any, Any, None]], flush: Callable[[], Awaitable[None]]
    ) -> list[StepFailed | RunStopped | None]:
        """What each branch raised, None for one that went well; all go on side by side to their end.

        Raises:
            Parked: every branch that has not ended waits, and so does the rest of the run.
        """
        if not branches:
            return []
        self._active += len(branches) - 1
        left = len(branches)

        async def go(branch: Coroutine[Any, Any, None]) -> StepFailed | RunStopped | None:
            nonlocal left
            end: StepFailed | RunStopped | None = None
            try:
                await branch
            except (StepFailed, RunStopped) as error:
                end = error
            left -= 1
            if left:  # the last one to end hands its place to the step that waits for all
                self._active -= 1
                if self._active:
                    await flush()  # what the branch has come to does not wait for its siblings
                elif not self.leaving:
                    await self._rest(flush)
            return end

        tasks = [asyncio.create_task(go(branch)) for branch in branches]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:  # who waits here may be cancelled a second time
                for branch in branches:
                    if inspect.getcoroutinestate(branch) == inspect.CORO_CREATED:
                        branch.close()
            raise
        errors = [task.exception() for task in tasks if not task.cancelled()]
        for error in sorted(filter(None, errors), key=lambda error: isinstance(error, Parked)):
            raise error
        return [task.result() for task in tasks]

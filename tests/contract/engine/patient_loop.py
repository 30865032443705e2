"""`PatientLoop`: virtual time that stands still while a thread is at work, as that of a store.

Or else real time, which leaps wherever nothing is left to do: for a server that has a time of its own.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, Final

from resolute.clock import monotonic
from resolute.testing.virtual_time import VirtualLoop

#: After so long without anything to do, real time is idle.
IDLE_S: Final = 0.01


class PatientLoop(VirtualLoop):
    """A virtual loop that takes calls from threads.

    Attributes:
        is_busy: whether a thread is at work that will call back. Only then the loop waits, in real time.
        on_idle: called in real time when nothing is left to do but to wait for a timer, with the time of that.
    """

    is_busy: Callable[[], bool] = staticmethod(lambda: False)
    on_idle: Callable[[float], None] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._real_since_s: float | None = None
        selector: Any = self._selector  # type: ignore[attr-defined]
        jump = selector.select

        def select(timeout: float | None = None) -> Any:
            if self._real_since_s is not None:
                return self._select(selector, timeout)
            if timeout != 0 and self.is_busy():
                return selectors.SelectSelector.select(selector, None)
            return jump(timeout)

        selector.select = select

    def go_real(self) -> None:
        """Wait as every loop does from now on, until `leap` says otherwise."""
        self._real_since_s = monotonic() - super().time()

    def leap(self, seconds: float) -> None:
        """Set real time forward."""
        assert self._real_since_s is not None, "virtual time leaps by itself"
        self._real_since_s -= seconds

    def _select(self, selector: Any, timeout: float | None) -> Any:
        """What is ready, in real time; where only a timer is waited for it is told that the loop is idle."""
        select = selectors.SelectSelector.select
        if self.on_idle is None or self.is_busy() or timeout is None or timeout <= IDLE_S:
            return select(selector, timeout)
        due_s = self.time() + timeout
        ready = select(selector, IDLE_S)
        if not ready:
            self.on_idle(due_s)
        return ready

    def time(self) -> float:
        return super().time() if self._real_since_s is None else monotonic() - self._real_since_s

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        if self._real_since_s is None:
            return super().run_in_executor(executor, func, *args)
        return asyncio.BaseEventLoop.run_in_executor(self, executor, func, *args)

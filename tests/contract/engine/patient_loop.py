"""`PatientLoop`: virtual time that stands still while a thread is at work, as that of a store; or else real time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from resolute.clock import monotonic
from resolute.testing.virtual_time import VirtualLoop


class PatientLoop(VirtualLoop):
    """A virtual loop that takes calls from threads.

    Attributes:
        is_busy: whether a thread is at work that will call back. Only then the loop waits, in real time.
    """

    is_busy: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(self) -> None:
        super().__init__()
        self._real_since_s: float | None = None
        selector: Any = self._selector  # type: ignore[attr-defined]
        jump = selector.select

        def select(timeout: float | None = None) -> Any:
            if self._real_since_s is not None:
                return selectors.SelectSelector.select(selector, timeout)
            if timeout != 0 and self.is_busy():
                return selectors.SelectSelector.select(selector, None)
            return jump(timeout)

        selector.select = select

    def go_real(self) -> None:
        """Wait as every loop does from now on, for a server that has a time of its own."""
        self._real_since_s = monotonic() - super().time()

    def time(self) -> float:
        return super().time() if self._real_since_s is None else monotonic() - self._real_since_s

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        if self._real_since_s is None:
            return super().run_in_executor(executor, func, *args)
        return asyncio.BaseEventLoop.run_in_executor(self, executor, func, *args)

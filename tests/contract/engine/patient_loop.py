"""`PatientLoop`: virtual time that stands still while a thread is at work, as that of a store."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any

from resolute.testing.virtual_time import VirtualLoop


class PatientLoop(VirtualLoop):
    """A virtual loop that takes calls from threads.

    Attributes:
        is_busy: whether a thread is at work that will call back. Only then the loop waits, in real time.
    """

    is_busy: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(self) -> None:
        super().__init__()
        selector: Any = self._selector  # type: ignore[attr-defined]
        jump = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout != 0 and self.is_busy():
                return selectors.SelectSelector.select(selector, None)
            return jump(timeout)

        selector.select = select

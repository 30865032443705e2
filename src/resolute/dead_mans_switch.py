"""`DeadMansSwitch`: asks an address outside again and again while all is well, and is silent when it is not.

Who watches the address, healthchecks.io or the like, alerts when the silence lasts, also when the machine is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import TracebackType
from typing import Final

import httpx2

from resolute.health_report import HealthReport

log = logging.getLogger("resolute.heartbeat")

#: For one request, from the connection to the answer.
TIMEOUT_S: Final = 10.0


class DeadMansSwitch:
    """Sends the heartbeats of one worker, inside `async with`.

    The address is a secret: who knows it can keep the watcher quiet. Of it only the host is ever named.

    Args:
        look: tells how the worker is.
    """

    def __init__(self, url: str, every: timedelta, look: Callable[[], Awaitable[HealthReport]]) -> None:
        self._url = httpx2.URL(url)
        self._every_s = every.total_seconds()
        self._look = look
        self._silent_for = ""
        self._is_lost = False
        self._task: asyncio.Task[None] | None = None
        self._unheard = _Unheard(str(self._url))
        # A redirect would hand the secret on to whoever is named in it.
        self._http = httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, headers={"User-Agent": "resolute"})

    async def __aenter__(self) -> DeadMansSwitch:
        logging.getLogger("httpx2").addFilter(self._unheard)
        self._task = asyncio.create_task(self._keep_on(), name="heartbeats")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._http.aclose()
        logging.getLogger("httpx2").removeFilter(self._unheard)

    async def _keep_on(self) -> None:
        while True:
            try:
                await self.beat()
            except Exception as error:  # the worker must not notice; and the error's text may show the address
                log.error("a heartbeat failed in an unforeseen way: %s", type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def beat(self) -> bool:
        """Whether a heartbeat was due and has arrived."""
        report = await self._look()
        failing = ", ".join(check.name for check in report.failing)
        if failing != self._silent_for:
            if failing:
                log.error("no heartbeats from now on, all is not well: %s", report.reasons)
            else:
                log.info("heartbeats again, all is well")
            self._silent_for = failing
        if failing:
            return False
        fault = await self._send()
        if fault and not self._is_lost:
            log.error("heartbeats do not arrive at %s: %s", self._url.host, fault)
        elif self._is_lost and not fault:
            log.info("heartbeats arrive at %s again", self._url.host)
        self._is_lost = bool(fault)
        return not fault

    async def _send(self) -> str:
        """What kept a heartbeat from arriving, "" for nothing. The error's own text may show the address."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self._http.stream("GET", self._url) as response:
                status = response.status_code
        except TimeoutError:
            return f"no answer within {TIMEOUT_S:g} s"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return type(error).__name__
        if 200 <= status < 300:
            return ""
        hint = ", and redirects are not followed" if 300 <= status < 400 else ""
        return f"the answer is {status}{hint}"


class _Unheard(logging.Filter):
    """Leaves out what the HTTP client logs of an address."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def filter(self, record: logging.LogRecord) -> bool:
        return self._url not in record.getMessage()

"""`ServiceManager`: tells systemd, where it started the worker, that it is up, that it lives and that it stops.

Signs of life are sent by the event loop itself: whatever blocks it for too long is noticed by the manager.
Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger("resolute.worker")


class ServiceManager:
    """The manager that started this process; without one every call does nothing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        is_for_us = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        limit_us = environ.get("WATCHDOG_USEC", "")
        #: Half of the time after which the manager takes the process for hung, as the source advises.
        self._beat_s = int(limit_us) / 2_000_000 if is_for_us and limit_us.isascii() and limit_us.isdecimal() else 0.0
        self._beats: asyncio.Task[None] | None = None

    def ready(self, status: str) -> None:
        """The worker is up; from now on its running event loop gives signs of life."""
        self._tell(f"READY=1\nSTATUS={' '.join(status.split())}")
        if self._address and self._beat_s:
            self._beats = asyncio.get_running_loop().create_task(self._beat())

    def stopping(self) -> None:
        """The worker ends; signs of life go on until its event loop ends."""
        self._tell("STOPPING=1")

    async def _beat(self) -> None:
        while True:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._beat_s)

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        # A name in the abstract namespace begins with a zero byte, which a variable cannot hold.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)  # a manager that does not listen must not hold up the loop
                sender.sendto(text.encode(), address)
        except OSError as error:
            log.warning("the service manager at %s was not told %s: %s", self._address, text.partition("\n")[0], error)

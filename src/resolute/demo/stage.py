"""The machinery of the demo: a real worker in a process of its own, and a PagerDuty that tells what it is asked."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from resolute.clock import Clock, monotonic
from resolute.engines.embedded.owner import holder
from resolute.errors import ResoluteError
from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.history import RequestRecord
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest

MODULE: Final = "resolute.demo.flow"
#: How long a worker may take to start on a slow machine.
START_S: Final = 30.0
_LOOK_S: Final = 0.02
_DROPPED: Final = ("PAGERDUTY_", "RESOLUTE_")
_PROXIES: Final = ("all_proxy", "http_proxy", "https_proxy")


class DemoFailed(ResoluteError):
    """The demo did not go as it must."""


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without anything that belongs to the user's own set-up of Resolute, or leads off this machine."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith(_DROPPED) and name.lower() not in _PROXIES
    }
    path = kept.get("PYTHONPATH")
    if path:  # the worker starts in another folder
        kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in path.split(os.pathsep) if part)
    return kept


class WorkerProcess:
    """`resolute worker` on the demo's flow, as anybody would start it; it can be killed and started again.

    Attributes:
        exit_codes: how each process so far has ended, -9 for one that was killed with SIGKILL.
    """

    def __init__(self, folder: Path, store: str, environ: Mapping[str, str]) -> None:
        """Its store, log and working directory are in `folder`."""
        self.exit_codes: list[int] = []
        self._folder = folder
        self._store = store
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self._folder / "worker.log"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise DemoFailed("The worker is not running.")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; `up` waits for it."""
        command = [sys.executable, "-m", "resolute.cli.main", "--store", self._store, "worker", MODULE]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def up(self, database: Path) -> None:
        """Return once the process owns its store and answers.

        Raises:
            DemoFailed: it ended instead, or took too long; the text ends with its last words.
        """
        deadline = monotonic() + START_S
        while True:
            owner = holder(database)
            if owner is not None and owner.pid == self.pid and owner.address:
                return
            if not self.is_running:
                code = self._reap()
                raise DemoFailed(f"The worker ended with exit code {code} instead of starting. {self.last_words()}")
            if monotonic() > deadline:
                raise DemoFailed(f"The worker was not up within {START_S:g} s. {self.last_words()}")
            await asyncio.sleep(_LOOK_S)

    def kill(self) -> None:
        """End it with SIGKILL, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def stop(self) -> None:
        """End it as an operator does; a second call does nothing."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def last_words(self) -> str:
        """The end of its log, for error texts."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join([f"The end of {self.log}:", *lines[-12:]]) if lines else f"Its log {self.log} is empty."

    def _reap(self) -> int:
        if self._process is None:
            raise DemoFailed("The worker is not running.")
        code = self._process.wait(timeout=15)
        self._process = None
        self.exit_codes.append(code)
        return code


class WatchedSimulator(PagerDutySimulator):
    """A PagerDuty that tells of each request after it was dealt with and before its answer leaves."""

    def __init__(self, clock: Clock, tell: Callable[[RequestRecord], None]) -> None:
        super().__init__(clock)
        self._tell = tell

    def handle(self, request: SimRequest) -> SimAnswer:
        """As of the simulator itself."""
        answer = super().handle(request)
        self._tell(self.requests[-1])
        return answer

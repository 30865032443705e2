"""The `resolute` command in a folder of its own, beside a simulated PagerDuty on a socket."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import resolute
from resolute.clock import SystemClock, monotonic
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.store import LedgerQuery
from resolute.ledger.row import Row
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.server import SimulatorServer

T = TypeVar("T")
DEADLINE_S = 30.0
LOOK_S = 0.01  # between two looks at what another process has done
SOURCE = str(Path(resolute.__file__).parents[1])


class Answer:
    """What a command that has ended said.

    Attributes:
        code: its exit code.
        out, err: standard output and error.
    """

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        """The one line of JSON on standard output."""
        [line] = self.out.splitlines()
        return json.loads(line)


class Running:
    """A command that runs; its output is read as it comes."""

    def __init__(self, process: subprocess.Popen[str], said: list[Answer]) -> None:
        self.process = process
        self._said = said
        self._lines: dict[str, list[str]] = {"out": [], "err": []}
        self._came = threading.Condition()
        self._readers = [self._read("out", process.stdout), self._read("err", process.stderr)]

    def _read(self, name: str, stream: IO[str] | None) -> threading.Thread:
        assert stream is not None

        def read() -> None:
            for line in stream:
                with self._came:
                    self._lines[name].append(line)
                    self._came.notify_all()
            stream.close()
            with self._came:
                self._came.notify_all()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        return reader

    def wait_for_line(self, text: str, stream: str = "err") -> str:
        """The first line that holds the text; fails when the command ends without it."""
        deadline = monotonic() + DEADLINE_S

        def found() -> str | None:
            return next((line for line in self._lines[stream] if text in line), None)

        with self._came:
            while (line := found()) is None:
                told = f"no {text!r} in {''.join(self._lines[stream])!r}"
                assert any(reader.is_alive() for reader in self._readers), told
                assert self._came.wait(deadline - monotonic()), told
            return line

    @property
    def errors(self) -> str:
        """What it has said so far on standard error."""
        with self._came:
            return "".join(self._lines["err"])

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> Answer:
        """Wait until it has ended."""
        code = self.process.wait(DEADLINE_S)
        for reader in self._readers:
            reader.join(DEADLINE_S)
        answer = Answer(code, "".join(self._lines["out"]), "".join(self._lines["err"]))
        self._said.append(answer)
        return answer


class Desk:
    """A folder in which commands are given, and the PagerDuty that they reach.

    Attributes:
        environ: variables of the commands, beside those of this process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "resolute.db"
        self.pagerduty = PagerDutySimulator(SystemClock())
        self.pagerduty.rules.processing_delay *= 0
        self.server = SimulatorServer(self.pagerduty)
        self.key = self.pagerduty.routing_key
        self.environ: dict[str, str] = {}
        self.said: list[Answer] = []
        self._running = ExitStack()

    def __enter__(self) -> Desk:
        self.server.start()
        self.environ |= {"PAGERDUTY_EVENTS_URL": self.server.url, "PAGERDUTY_API_URL": self.server.url}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
        self.server.stop()

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *arguments: str, **environ: str | None) -> Running:
        """Begin a command; it is killed at the end of the test if it still runs.

        Args:
            environ: further variables; None takes one away.
        """
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "resolute.cli.main", *arguments],
            cwd=self.folder,
            env=self._environ(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.callback(process.wait)
        self._running.callback(process.kill)
        return Running(process, self.said)

    def __call__(self, *arguments: str, stdin: str | None = "", **environ: str | None) -> Answer:
        """Give a command and wait until it has ended."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "resolute.cli.main", *arguments],
            cwd=self.folder,
            env=self._environ(environ),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        answer = Answer(done.returncode, done.stdout, done.stderr)
        self.said.append(answer)
        return answer

    def _environ(self, further: dict[str, str | None]) -> dict[str, str]:
        every = {**os.environ, "PYTHONPATH": SOURCE, **self.environ, **further}
        return {name: value for name, value in every.items() if value is not None}

    # What came of it

    def pagerduty_says(self, question: Callable[[PagerDutySimulator], T]) -> T:
        """The simulator's answer."""
        return self.server.call(question)

    @property
    def alerts(self) -> list[str]:
        """The keys of the alerts in PagerDuty."""
        return self.pagerduty_says(lambda simulator: [alert.alert_key for alert in simulator.alerts])

    @property
    def requests(self) -> int:
        """How many events were sent to PagerDuty, accepted or not."""
        return self.pagerduty_says(lambda sim: sum(record.api == "events" for record in sim.requests))

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Return as soon as it holds."""
        deadline, pause = monotonic() + DEADLINE_S, threading.Event()
        while not holds():
            assert monotonic() < deadline, "it did not come to that"
            pause.wait(LOOK_S)

    def read(self, question: Callable[[ReadOnlyStore], Coroutine[Any, Any, T]]) -> T:
        """Ask the store."""
        return asyncio.run(question(ReadOnlyStore(self.store)))

    @property
    def rows(self) -> list[Row]:
        """The incident log, oldest first."""
        return sorted(self.read(lambda store: store.ledger(LedgerQuery(limit=1000))), key=lambda row: row.id)

    def row(self) -> Row:
        """The one row of the incident log."""
        [row] = self.rows
        return row

    def holds(self, secret: str) -> bool:
        """Whether a secret stands in any file of the folder, or in what a command said."""
        files = [path.read_bytes() for path in self.folder.rglob("*") if path.is_file()]
        said = [text.encode() for answer in self.said for text in (answer.out, answer.err)]
        return any(secret.encode() in text for text in (*files, *said))

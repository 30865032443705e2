"""Runs a page of the documentation the way a reader does: block after block, in one folder and one shell.

A page may say how a block is run, in a comment before its fence:

    <!-- run: skip -->        not run: it needs what a test has not
    <!-- run: save NAME -->   kept as a file of this name, which later blocks use
    <!-- run: append NAME --> put at the end of that file
    <!-- run: background -->  a server in a window of its own; the page goes on once it answers
    <!-- run: waits -->       a command with --run-id in a window of its own; the page goes on once that run waits
    <!-- run: ends -->        no commands, but what the command that waited prints in the end, compared as `shows` does;
                             `ends CODE` where it ends with another code than 0
    <!-- run: paste -->       commands, after the reader has pasted the `export` lines that the simulator printed
    <!-- run: fails CODE -->  ends with this exit code
    <!-- run: shows -->       no commands, but what the block before it printed, line by line; … stands for anything,
                             and blanks do not matter

A fence inside a comment is run and not shown: what the reader of that page has done before.

Where nothing is said, a `python` block is run as a program and an `sh` block as commands, and both have to succeed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from resolute.clock import monotonic
from resolute.engines.embedded.files import FileEngine
from resolute.engines.embedded.owner import holder
from resolute.errors import RunNotFound, StoreError

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SIMULATOR_PORT = "8040"  # its default, as the pages write it; each page gets a port of its own
PATIENCE_S = 30.0
EXPORTS = 5  # lines that the simulator prints for the reader to paste, as the pages say
CURL = Path(__file__).with_name("curl.py")  # for machines that have none
_FENCE = re.compile(
    r"(?:^<!-- run: (?P<run>.+?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        line: of its first line of text, for messages.
        run: what the page says about running it, "" for nothing.
    """

    page: Path
    line: int
    language: str
    run: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    content = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            content.count("\n", 0, found.start("text")) + 1,
            found["language"],
            found["run"] or "",
            found["text"],
        )
        for found in _FENCE.finditer(content)
    ]


@dataclass(frozen=True)
class _Window:
    """Another terminal of the reader: what runs there and what it has printed."""

    process: subprocess.Popen[bytes]
    log: Path


class Reader:
    """Somebody who follows a page: a folder, a shell whose variables last, and servers in other windows."""

    def __init__(self, folder: Path, account: Mapping[str, str]) -> None:
        """`account` is what the reader has set before, e.g. the keys of a PagerDuty."""
        self.folder = folder / "page"
        self.folder.mkdir()
        self._kept = folder / "environment"
        self._port = str(_free_port())
        self._servers: list[subprocess.Popen[bytes]] = []
        self._waiting: list[_Window] = []
        self._exports: list[str] = []
        tools = folder / "bin"
        tools.mkdir()
        commands = {"resolute": '-m resolute.cli.main "$@"', "python": '"$@"', "python3": '"$@"'}
        if shutil.which("curl") is None:
            commands["curl"] = f'"{CURL}" "$@"'
        for name, arguments in commands.items():
            (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}\n', encoding="utf-8")
            (tools / name).chmod(0o755)
        self._environ = {
            **os.environ,
            **account,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{self.folder}",
            "PYTHONWARNINGS": "error",
        }
        self.output = ""

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
        for server in self._servers:
            server.wait(PATIENCE_S)

    def follow(self, block: Block) -> None:
        """Do what a block says; AssertionError when it does not come out as the page says."""
        word, _, detail = block.run.partition(" ")
        text = block.text.replace(SIMULATOR_PORT, self._port)
        text = re.sub(r"^resolute simulator\b", rf"\g<0> --port {self._port}", text, flags=re.MULTILINE)
        if word == "skip" or (block.language not in ("sh", "python") and word not in ("save", "shows", "ends")):
            return
        if word == "save":
            (self.folder / detail).write_text(text, encoding="utf-8")
        elif word == "append":
            with (self.folder / detail).open("a", encoding="utf-8") as file:
                file.write(f"\n\n{text}")
        elif word == "shows":
            self._compare(block)
        elif word == "background":
            self._serve(block, text)
        elif word == "waits":
            self._wait(block, text)
        elif word == "ends":
            self._end(block, int(detail or 0))
        elif block.language == "python":
            self._run(block, [sys.executable, "-c", text], 0)
        else:
            keep = f"trap 'export -p > \"{self._kept}\"' EXIT\n"
            before = f'. "{self._kept}"\n' if self._kept.exists() else ""
            if word == "paste":
                before += "\n".join([*self._exports, ""])
            code = int(detail) if word == "fails" else 0
            self._run(block, ["bash", "-euo", "pipefail", "-c", before + keep + text], code)

    def _run(self, block: Block, command: list[str], code: int) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
        )
        self.output = done.stdout
        assert done.returncode == code, f"{block.place} ended with {done.returncode}:\n{self.output}"

    def _environment(self) -> dict[str, str]:
        """The variables as the blocks so far have left them."""
        if not self._kept.exists():
            return self._environ
        command = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
        shown = subprocess.run(
            ["bash", "-c", f'. "{self._kept}"; exec "$0" "$@"', *command],
            env=self._environ,
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, str] = json.loads(shown.stdout)
        return found

    def _serve(self, block: Block, text: str) -> None:
        window = self._open(text)
        self._until(
            lambda: self._has_exports(window.log) if "simulator" in text else _works(self.folder), window, block
        )

    def _wait(self, block: Block, text: str) -> None:
        found = re.search(r"--run-id (\S+)", text)
        assert found, f"{block.place} names no run that could be waited for: add --run-id"
        window = self._open(text)
        self._waiting.append(window)
        self._until(lambda: _waits(self.folder, found[1]), window, block)

    def _end(self, block: Block, code: int) -> None:
        window = self._waiting.pop()
        ended = window.process.wait(PATIENCE_S)
        self.output = window.log.read_text()
        assert ended == code, f"what waited before {block.place} ended with {ended}:\n{self.output}"
        self._compare(block)

    def _open(self, text: str) -> _Window:
        log = self._kept.with_name(f"window {len(self._servers)}.log")
        with log.open("wb") as printed:
            process = subprocess.Popen(
                ["bash", "-euc", text],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )
        self._servers.append(process)
        return _Window(process, log)

    def _until(self, holds: Callable[[], bool], window: _Window, block: Block) -> None:
        """Return once it holds; what runs in the window goes on meanwhile."""
        deadline = monotonic() + PATIENCE_S
        while not holds():
            assert monotonic() < deadline, f"{block.place} does not come to that:\n{window.log.read_text()}"
            try:
                code = window.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"{block.place} ended with {code}:\n{window.log.read_text()}")

    def _has_exports(self, log: Path) -> bool:
        """Whether a simulator has printed what is to be pasted; it is kept."""
        self._exports = [line for line in log.read_text().splitlines() if line.startswith("  export ")]
        return len(self._exports) == EXPORTS

    def _compare(self, block: Block) -> None:
        printed = [_even(line) for line in self.output.splitlines()]
        for line in block.text.splitlines():
            pattern = ".*".join(map(re.escape, _even(line).split("…")))
            assert any(re.fullmatch(pattern, each) for each in printed), (
                f"{block.place} shows\n{line}\nbut what was printed is\n{self.output}"
            )


def _even(line: str) -> str:
    """The line with one blank between two words, so that the widths of columns do not matter."""
    return " ".join(line.split())


def _works(folder: Path) -> bool:
    """Whether a worker answers on the store of this folder."""
    owner = holder(folder / "resolute.db")
    return owner is not None and owner.address is not None


def _waits(folder: Path, run_id: str) -> bool:
    """Whether this run of the store of this folder waits for something."""
    try:
        return asyncio.run(FileEngine(folder / "resolute.db").get(run_id)).status == "waiting"
    except (RunNotFound, StoreError):  # it is about to be started
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

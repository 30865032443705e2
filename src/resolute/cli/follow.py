"""Following what changes: looks again and again without being a burden, and draws on a terminal or appends lines."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TextIO, TypeVar

import click

from resolute.clock import monotonic

#: Between two looks; where a look takes long, so many times as long as it took.
LOOK_EVERY_S: Final = 0.3
LOOKS_SHARE: Final = 10

T = TypeVar("T")


async def changes(look: Callable[[], Awaitable[T]]) -> AsyncIterator[T]:
    """What is seen at first, and then whatever differs from what was seen before."""
    last: T | None = None
    while True:
        began = monotonic()
        found = await look()
        if found != last:
            last = found
            yield found
        await asyncio.sleep(max(LOOK_EVERY_S, LOOKS_SHARE * (monotonic() - began)))


class Screen:
    """Lines at the end of a terminal that are drawn over again; on anything else nothing is drawn."""

    def __init__(self, stream: TextIO) -> None:
        self.can_draw = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._stream = stream
        self._drawn = 0

    def draw(self, lines: Sequence[str], *, top: int = 0) -> None:
        """Show these lines in the place of those before; too many lose some after the first `top`."""
        if not self.can_draw:
            return
        room = shutil.get_terminal_size().lines - 1
        if len(lines) > room:
            top = min(top, room // 2)
            below = lines[len(lines) - (room - top - 1) :]
            lines = [*lines[:top], f"({len(lines) - top - len(below)} lines are not shown here)", *below]
        if os.environ.get("NO_COLOR"):
            lines = [click.unstyle(line) for line in lines]
        # Without wrapping, which would make two lines of a long one.
        self._write(f"{self._back()}\x1b[?7l" + "".join(f"{line}\n" for line in lines) + "\x1b[?7h")
        self._drawn = len(lines)

    def clear(self) -> None:
        """Take the lines away."""
        if self._drawn:
            self._write(self._back())
            self._drawn = 0

    def _back(self) -> str:
        """Moves to where the lines begin and takes them away."""
        return f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

"""A rehearsal: a run's flow is walked by its journal alone, and nothing is begun or written.

It tells how the run stands with the flow as it is now: which entries were used up, what has failed,
and what the walk would begin next.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from resolute.engine import Fault, Finished, ResolvedInputs, RunStopped, StepFailed
from resolute.engines.embedded.large import referred
from resolute.engines.embedded.store import Entry, RunRow
from resolute.errors import ReplayMismatch
from resolute.interpreter import interpret
from resolute.jsontypes import JsonValue
from resolute.model.activity import Node
from resolute.model.codec import decode_output, describe, from_text
from resolute.model.recipe import Flow

#: Reads a large value by its digest; raises StoreDamaged.
ReadLarge = Callable[[str], Coroutine[Any, Any, str]]


@dataclass
class Rehearsed:
    """How a run stands.

    Attributes:
        unused: recorded entries that the walk did not come by, in their order.
        next: positions that the walk would begin or wait at.
        faults: what the run has failed with, () while it has not.
    """

    unused: tuple[Entry, ...] = ()
    next: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


class NotYet(BaseException):
    """A branch has come to where its journal ends. Not an error: it only unwinds the walk."""


async def rehearse(flow: Flow, run: RunRow, entries: Sequence[Entry], read_large: ReadLarge) -> Rehearsed:
    """Walk a run by its journal.

    Raises:
        ReplayMismatch: at some position the flow now has something else than what was recorded, or a value does not
            fit it any more.
        OutputError, StoreDamaged: a recorded value cannot be had or does not fit any more.
    """
    port = Rehearsal(run, {entry.position: entry for entry in entries}, read_large)
    try:
        await port.begin(flow)
        with suppress(NotYet, StepFailed, RunStopped):  # the port has noted how far the walk came, and why it ended
            await interpret(flow, port)
    except ValidationError as error:  # whose own text holds the values
        told = f"what it was given or has recorded does not fit the flow any more: {describe(error)}"
        raise ReplayMismatch(told) from None
    unused = (
        entry
        for entry in entries
        if entry.position not in port.used and entry.kind != "signal" and not _is_past(entry, run.retries)
    )
    faults = port.end.faults if isinstance(port.end, StepFailed) else ()
    return Rehearsed(tuple(unused), tuple(port.next), faults)


def _is_past(entry: Entry, retries: int) -> bool:
    """Whether the entry belongs to a failure that an operator has taken the run up after."""
    return any(entry.position.startswith(f"~failure[{number}]") for number in range(retries))


@dataclass
class Rehearsal:
    """The engine port of a rehearsal."""

    run: RunRow
    entries: Mapping[str, Entry]
    read_large: ReadLarge
    used: set[str] = field(default_factory=set)
    next: list[str] = field(default_factory=list)
    end: StepFailed | RunStopped | None = None
    input: Any = None
    _texts: dict[str, str] = field(default_factory=dict)

    async def begin(self, flow: Flow) -> None:
        self.input = from_text(await self._text(self.run.input))
        if flow.input_adapter is not None:
            given = {} if self.input is None else self.input
            self.input = flow.input_adapter.validate_python(given, strict=False)
        for entry in self.entries.values():
            if entry.kind not in ("node", "child"):
                self._texts[entry.position] = await self._text(entry.output)

    async def _text(self, stored: str) -> str:
        digest = referred(stored)
        return stored if digest is None else await self.read_large(digest)

    @property
    def run_id(self) -> str:
        return self.run.id

    @property
    def tick(self) -> tuple[str, datetime] | None:
        at = self.run.scheduled_at
        return None if at is None else (self.run.trigger, at)

    @property
    def retries(self) -> int:
        return self.run.retries

    def env(self, name: str) -> str | None:
        raise self._not_yet(f"env({name})")

    def cursor(self, name: str) -> JsonValue:
        raise self._not_yet(f"cursor({name})")

    def check(self) -> None:
        if self.run.stop and self.end is None:
            raise RunStopped(self.run.stop_reason, is_failure=self.run.stop == "timed_out")

    def shield(self, end: StepFailed | RunStopped) -> None:
        self.end = end

    def _not_yet(self, position: str) -> BaseException:
        if self.run.stop and self.end is None:
            return RunStopped(self.run.stop_reason, is_failure=self.run.stop == "timed_out")
        self.next.append(position)
        return NotYet()

    def _done(self, position: str, kind: str, activity: str = "") -> Entry:
        """The finished entry of this position; raises what it has come to otherwise."""
        entry = self.entries.get(position)
        if entry is None:
            raise self._not_yet(position)
        self.used.add(position)
        if entry.kind != kind or entry.activity != activity:
            raise ReplayMismatch(
                f'it recorded "{entry.activity or entry.kind}" at "{position}", where the flow now has '
                f'"{activity or kind}"'
            )
        if entry.status == "failed":
            raise StepFailed(entry.key, entry.error, position=position)
        if entry.status != "done":
            raise self._not_yet(position)
        return entry

    async def call(self, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Finished:
        entry = self._done(position, "node", node.activity.name)
        output = decode_output(await self._text(entry.output), node.activity.output_adapter, node.activity.name)
        return Finished(output, entry.done_no)

    def record(self, position: str, kind: str, key: str, decide: Callable[[datetime], JsonValue]) -> JsonValue:
        self._done(position, kind)
        value: JsonValue = from_text(self._texts[position])
        return value

    async def sleep(self, position: str, key: str, until: Callable[[datetime], datetime]) -> None:
        self._done(position, "sleep")

    async def wait_signal(self, position: str, key: str, until: Callable[[datetime], datetime | None]) -> JsonValue:
        return self.record(position, "gate", key, lambda now: None)

    async def spawn(self, position: str, key: str, flow: str, input: Callable[[datetime], JsonValue]) -> JsonValue:
        value: JsonValue = from_text(await self._text(self._done(position, "child", flow).output))
        return value

    def advance(
        self, position: str, key: str, name: str, move: Callable[[datetime, JsonValue], JsonValue]
    ) -> JsonValue:
        return self.record(position, "cursor", key, lambda now: None)

    async def gather(self, branches: Sequence[Coroutine[Any, Any, None]]) -> list[StepFailed | RunStopped | None]:
        ends: list[StepFailed | RunStopped | None] = []
        waits = False
        try:
            for branch in branches:
                try:
                    await branch
                    ends.append(None)
                except (StepFailed, RunStopped) as end:
                    ends.append(end)
                except NotYet:
                    waits = True
        finally:
            for branch in branches:
                branch.close()  # those behind a mismatch would be reported as forgotten
        if waits:
            raise NotYet
        return ends

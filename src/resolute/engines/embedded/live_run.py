"""`LiveRun`: a run while it is in memory, answering the interpreter from its journal."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any

from resolute.engine import Finished, ResolvedInputs, RunStopped, StepFailed
from resolute.engines.embedded.child_run import wait_for_child
from resolute.engines.embedded.core import cursors_of
from resolute.engines.embedded.node_work import begin_node, work
from resolute.engines.embedded.page_send import begin_page, send
from resolute.engines.embedded.run_state import RunState
from resolute.engines.embedded.store import Entry, PutMemory
from resolute.jsontypes import JsonValue
from resolute.model.activity import Node
from resolute.model.codec import decode_output, from_text, to_text
from resolute.model.recipe import Flow


class LiveRun(RunState):
    """Answers the interpreter for one run."""

    input: Any = None

    async def begin(self, flow: Flow) -> None:
        """Decode the run's input for the flow, and fetch what it may ask for without waiting.

        Raises:
            ValidationError: the input fits the flow no more.
            StoreDamaged: a recorded value is not what was written.
        """
        self.input = from_text(await self.text(self.row.input))
        if flow.input_adapter is not None:
            given = {} if self.input is None else self.input
            self.input = flow.input_adapter.validate_python(given, strict=False)
        await self.fetch()
        if flow.cursors:
            await self.core.memory_of(cursors_of(flow.name))

    def env(self, name: str) -> str | None:
        return self.core.environ.get(name)

    async def call(self, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Finished:
        entry = self.entries.get(position)
        if entry is None:
            self.may_begin()
            begin = begin_page if node.activity.is_paging else begin_node
            entry = begin(self, node, position, inputs)
        self.expect(entry, "node", node.activity.name)
        self.raise_ended(entry)
        if entry.status != "done":
            run = send if node.activity.is_paging else work
            output = await run(self, node, position)
            return Finished(output, self.entries[position].done_no)
        output = decode_output(await self.text(entry.output), node.activity.output_adapter, node.activity.name)
        return Finished(output, entry.done_no)

    def record(self, position: str, kind: str, key: str, decide: Callable[[datetime], JsonValue]) -> JsonValue:
        def made(entry: Entry, now: datetime) -> Entry:
            return entry.but(status="done", output=self.keep(to_text(decide(now))), finished_at=now)

        value: JsonValue = from_text(self.text_here(self.once(position, kind, key, made).output))
        return value

    def cursor(self, name: str) -> JsonValue:
        text = self.core.cursor(self.row.flow, name)
        value: JsonValue = None if text is None else from_text(text)
        return value

    def advance(
        self, position: str, key: str, name: str, move: Callable[[datetime, JsonValue], JsonValue]
    ) -> JsonValue:
        def made(entry: Entry, now: datetime) -> Entry:
            text = to_text(move(now, self.cursor(name)))
            self.core.move_cursor(self.row.flow, name, text)
            self.add(PutMemory(cursors_of(self.row.flow), name, text))
            return entry.but(status="done", output=text, finished_at=now)

        value: JsonValue = from_text(self.once(position, "cursor", key, made).output)
        return value

    async def sleep(self, position: str, key: str, until: Callable[[datetime], datetime]) -> None:
        entry = self.once(position, "sleep", key, lambda entry, now: entry.but(due_at=until(now)))
        while entry.status == "waiting":
            seen, now = self.branches.generation, self.core.clock.now()
            if self.stopping:
                raise self.cancelled(entry)
            if entry.due_at is None or entry.due_at <= now:
                self.finish(entry)
                return
            due = self.due(entry, entry.due_at, now)
            await self.park(due, f'"{key}" sleeps until {due:%Y-%m-%d %H:%M:%S} UTC', seen)
            entry = self.entries[position]

    async def wait_signal(self, position: str, key: str, until: Callable[[datetime], datetime | None]) -> JsonValue:
        entry = self.once(position, "gate", key, lambda entry, now: entry.but(due_at=until(now)))
        while entry.status == "waiting":
            seen, now = self.branches.generation, self.core.clock.now()
            if self.stopping:
                raise self.cancelled(entry)
            answer = self.signal_for(position, key)
            if answer is not None and (entry.due_at is None or answer.ready_at <= entry.due_at):
                self.finish(answer)
                entry = self.finish(entry, output=answer.output)
                break
            if entry.due_at is not None and entry.due_at <= now:
                timed_out = {"outcome": "timed_out", "at": entry.due_at.isoformat()}
                entry = self.finish(entry, output=to_text(timed_out))
                break
            due = None if entry.due_at is None else self.due(entry, entry.due_at, now)
            limit = "" if due is None else f" until {due:%Y-%m-%d %H:%M:%S} UTC"
            await self.park(due, f'the gate "{key}" waits for an answer{limit}', seen)
            entry = self.entries[position]
        value: JsonValue = from_text(await self.text(entry.output))
        return value

    async def spawn(self, position: str, key: str, flow: str, input: Callable[[datetime], JsonValue]) -> JsonValue:
        def made(entry: Entry, now: datetime) -> Entry:
            return entry.but(inputs=self.keep(to_text(input(now))))

        entry = self.once(position, "child", key, made, activity=flow)
        if entry.status == "waiting":
            entry = await wait_for_child(self, entry)
        value: JsonValue = from_text(await self.text(entry.output))
        return value

    async def gather(self, branches: Sequence[Coroutine[Any, Any, None]]) -> list[StepFailed | RunStopped | None]:
        return await self.branches.gather(branches, self.flush)

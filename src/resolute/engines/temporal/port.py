"""`WorkflowPort`: answers the interpreter inside a Temporal workflow.

A node is an activity whose id is its position, a sleep and a gate's limit are timers, a child is a child workflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from resolute.engine import Finished, ResolvedInputs, RunStopped, StepFailed
from resolute.engines.embedded.paging import paging
from resolute.engines.embedded.store import Entry
from resolute.engines.temporal.child import wait_for_child
from resolute.engines.temporal.journal import WorkflowJournal
from resolute.engines.temporal.order import AT_GATE, DROP_PAGE, PAGES, REMEMBER, Standing
from resolute.engines.temporal.witness import Witness
from resolute.errors import ConfigError, InputError
from resolute.jsontypes import JsonValue
from resolute.ledger.intent import Intent, Preparation
from resolute.model.activity import Node
from resolute.model.codec import decode_output, encode_inputs, from_text, to_plain, to_text
from resolute.model.inputs import take_secrets
from resolute.model.recipe import Flow

#: An attempt of which nothing was heard for so long is lost with its worker. Workers say that it lives every 3 s.
LOST_AFTER: Final = timedelta(seconds=10)
#: How much longer than its own limit an attempt may take before the server gives it up.
BACKSTOP: Final = timedelta(minutes=1)
#: An attempt that was lost is made again after this time; any other says itself when.
AGAIN: Final = RetryPolicy(initial_interval=timedelta(milliseconds=500), backoff_coefficient=1.0, maximum_attempts=0)
#: For our own activities, which write to a store: they are tried until they succeed.
ALWAYS: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))
#: How long one of our own activities may take.
OWN_LIMIT: Final = timedelta(minutes=1)


def pages_queue() -> str:
    """The task queue on which nothing waits for an attempt that hangs."""
    return workflow.info().task_queue + PAGES


class WorkflowPort(WorkflowJournal):
    """Answers the interpreter for one execution.

    Args:
        flows: the flows of this worker, by name.
        known: the environment variables and cursors of the flow, as they were when the execution began.

    Attributes:
        in_flight: what has to end before the run can be handed to its next execution.
        notes_gates: whether the history tells of each gate at which the run waits.
    """

    def __init__(
        self,
        flows: Mapping[str, Flow],
        flow: Flow,
        standing: Standing,
        known: Mapping[str, Any],
        witness: Witness | None = None,
    ) -> None:
        super().__init__(standing, witness)
        self.flows = flows
        self.flow = flow
        self.in_flight = 0
        self.notes_gates = False
        self._children = 0
        self.retried_at = workflow.now() if standing.row.retries else None
        self._env: Mapping[str, str] = known.get("env", {})
        self._cursors: dict[str, str] = dict(known.get("cursors", {}))
        self._moved: dict[str, str] = {}
        self._nodes = list(flow.nodes())
        self._attempts: set[asyncio.Task[Any]] = set()
        given = from_text(self.row.input)
        adapter = flow.input_adapter
        self._input = (
            given if adapter is None else adapter.validate_python({} if given is None else given, strict=False)
        )

    @property
    def input(self) -> Any:
        return self._input

    def env(self, name: str) -> str | None:
        return self._env.get(name)

    def stop(self, how: str, reason: str) -> None:
        """Stop the run from now on: its attempts are cancelled, its waits are over; a page on its way settles first."""
        if self.row.stop or self.shielded:
            return
        self.row = self.row.but(stop=how, stop_reason=reason)
        for attempt in self._attempts:
            attempt.cancel()

    # Nodes

    async def call(self, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Finished:
        entry = self.entries.get(position)
        if entry is None:
            self.check()
            begin = self._begin_page if node.activity.is_paging else self._begin
            entry = begin(node, position, inputs)
        self.expect(entry, "node", node.activity.name)
        self.raise_ended(entry)
        if entry.status != "done":
            entry = await self._attempted(node, entry)
        output = decode_output(entry.output, node.activity.output_adapter, node.activity.name)
        return Finished(output, entry.done_no)

    def _begin(self, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Entry:
        """Note that a node is ready, with its inputs."""
        now = workflow.now()
        entry = self.new(position, "node", node.key, now, status="running", activity=node.activity.name, attempt=1)
        try:
            values, places = take_secrets(inputs(now).values)
            plain = encode_inputs(values, node.activity.name)
        except StepFailed as failure:
            return self.failed(entry, failure.error)
        except InputError as error:
            return self.failed(entry, str(error))
        return self.put(entry.but(inputs=to_text(plain), secrets=to_text(places) if places else ""))

    def _begin_page(self, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Entry:
        """Note that a page is ready, with what it means to send."""
        now = workflow.now()
        entry = self.new(position, "node", node.key, now, status="running", activity=node.activity.name, attempt=1)
        try:
            resolved = inputs(now)
            values, places = take_secrets(resolved.values)
            names = {str(path[0]): name for path, name in places if len(path) == 1}
            instance = node.instance or ""
            about = Preparation(self.run_id, position, self.row.flow, instance, resolved.remarks, names)
            intent: Intent = paging(node.activity).prepare(values, about)
        except StepFailed as failure:
            return self.failed(entry, failure.error)
        except (InputError, ConfigError) as error:
            return self.failed(entry, str(error))
        self.intents[position] = to_plain(intent)
        return self.put(entry.but(inputs=to_text(intent.event)))

    async def _attempted(self, node: Node[Any], entry: Entry) -> Entry:
        """The entry of a node once an attempt has succeeded; raises StepFailed, RunStopped."""
        await self.flush()
        await self._stay()
        if self.stopping:
            raise self.cancelled(entry)
        entry = self.put(entry.but(status="running", due_at=None))
        found = await self._performed(node, entry)
        self.intents.pop(entry.position, None)
        self._cursors |= found.get("cursors", {})
        entry = self.finish(
            entry.but(
                attempt=found["attempt"],
                row_id=found.get("row_id", 0),
                heartbeat=found.get("heartbeat", ""),
                error="",
            ),
            output=to_text(found["output"]),
        )
        if found.get("memory"):
            await self._remember(entry.position, {"memory": found["memory"]})
        return entry

    async def _performed(self, node: Node[Any], entry: Entry) -> dict[str, Any]:
        """What an attempt has put out; raises StepFailed, RunStopped."""
        settles = False
        while True:
            task = workflow.start_activity(
                node.activity.name,
                self._order_for(node, entry),
                activity_id=entry.position,
                task_queue=pages_queue() if node.activity.is_paging else None,
                start_to_close_timeout=(node.timeout or node.activity.timeout) + BACKSTOP,
                heartbeat_timeout=LOST_AFTER,
                retry_policy=AGAIN,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
            with self._under_way(task, is_stopped=not settles):
                try:
                    found: dict[str, Any] = await task
                    return found
                except (ActivityError, asyncio.CancelledError) as error:
                    settles = await self._ended(node, entry, error)
                    if not settles:
                        raise

    def _order_for(self, node: Node[Any], entry: Entry) -> JsonValue:
        """What the worker that makes an attempt has to know."""
        number = next((n for n, known in enumerate(self._nodes) if known is node), None)
        order: dict[str, JsonValue] = {
            "flow": self.row.flow,
            "key": entry.key,
            "node": number,
            "ready_at": entry.ready_at.isoformat(),
            "attempts_before": entry.attempt if entry.failures or self.retried_at is not None else 0,
        }
        if node.activity.is_paging:
            order["intent"] = self.intents.get(entry.position)
            order["instance"] = node.instance
            order["scheduled"] = self.row.scheduled
            order["keeps"] = node.compensation is not None
        else:
            order["inputs"] = from_text(entry.inputs)
            order["secrets"] = from_text(entry.secrets) if entry.secrets else []
        if self.retried_at is not None:
            order["retried_at"] = self.retried_at.isoformat()
        return order

    async def _ended(self, node: Node[Any], entry: Entry, error: ActivityError | asyncio.CancelledError) -> bool:
        """Raise what becomes of a node whose attempts have ended without success.

        True for a page that may have been sent and is to be undone: it is settled first. False where this execution
        only leaves the memory of its worker.
        """
        cause = error.cause if isinstance(error, ActivityError) else None
        if isinstance(cause, ApplicationError):
            told = dict(cause.details[0]) if cause.details else {}
            entry = entry.but(attempt=told.get("attempt", entry.attempt), row_id=told.get("row_id", 0))
            entry = entry.but(failures=told.get("failures", entry.failures))
            self.failed(entry, told.get("error", cause.message))
        elif self.stopping:
            if node.activity.is_paging:
                order: dict[str, JsonValue] = {"position": entry.position, "keeps": node.compensation is not None}
                if self.retried_at is not None:
                    order["retried_at"] = self.retried_at.isoformat()
                if await self.ask(DROP_PAGE, order):
                    return True
            raise self.cancelled(entry) from None
        elif isinstance(error, asyncio.CancelledError):
            return False
        else:
            self.failed(entry, "It was ended from outside, and not by cancelling its run.")
        raise StepFailed(entry.key, self.entries[entry.position].error, position=entry.position) from None

    @contextmanager
    def _under_way(self, task: asyncio.Task[Any], *, is_stopped: bool) -> Iterator[None]:
        """Count an attempt, which a stop of the run cancels unless told otherwise."""
        self.in_flight += 1
        if is_stopped:
            self._attempts.add(task)
        try:
            yield
        finally:
            self._attempts.discard(task)
            self.in_flight -= 1

    # Decisions and cursors

    def record(self, position: str, kind: str, key: str, decide: Callable[[datetime], JsonValue]) -> JsonValue:
        def made(entry: Entry, now: datetime) -> Entry:
            return entry.but(status="done", output=to_text(decide(now)), finished_at=now)

        value: JsonValue = from_text(self.once(position, kind, key, made).output)
        return value

    def cursor(self, name: str) -> JsonValue:
        text = self._cursors.get(name)
        value: JsonValue = None if text is None else from_text(text)
        return value

    def advance(
        self, position: str, key: str, name: str, move: Callable[[datetime, JsonValue], JsonValue]
    ) -> JsonValue:
        def made(entry: Entry, now: datetime) -> Entry:
            text = to_text(move(now, self.cursor(name)))
            self._cursors[name] = self._moved[name] = text
            return entry.but(status="done", output=text, finished_at=now)

        value: JsonValue = from_text(self.once(position, "cursor", key, made).output)
        return value

    @property
    def is_long(self) -> bool:
        """Whether the history has grown so long that the run should go on in another execution."""
        return not self.row.stop and workflow.info().is_continue_as_new_suggested()

    async def _stay(self) -> None:
        """Begin nothing more in an execution that is about to be followed by another one.

        Children may take days, for which other branches do not wait.
        """
        if self.is_long and not self._children:
            await workflow.wait_condition(lambda: not self.is_long)

    async def flush(self) -> None:
        """Write the cursors that were moved, before anything else begins."""
        if self._moved:
            moved: dict[str, JsonValue] = {**self._moved}
            self._moved = {}
            await self._remember(f"~cursors[{self._done_no}]", {"cursors": moved})

    async def _remember(self, position: str, writes: dict[str, JsonValue]) -> None:
        """Write to the flow's memory once, however often that is tried."""
        await self.see_to(REMEMBER, {"flow": self.row.flow, "position": position, **writes})

    async def see_to(self, name: str, order: JsonValue, *, position: str | None = None) -> None:
        """Let the worker that walks the run do one of our own activities; it is tried until it succeeds.

        Args:
            position: a history does not fit a flow that has it done at another one.
        """
        self.in_flight += 1
        try:
            await workflow.execute_local_activity(
                name, order, activity_id=position, start_to_close_timeout=OWN_LIMIT, retry_policy=ALWAYS
            )
        finally:
            self.in_flight -= 1

    async def ask(self, name: str, order: JsonValue) -> Any:
        """What one of our own activities answers; it is tried until it does."""
        self.in_flight += 1
        try:
            return await workflow.execute_activity(
                name, order, task_queue=pages_queue(), start_to_close_timeout=OWN_LIMIT, retry_policy=ALWAYS
            )
        finally:
            self.in_flight -= 1

    # Waits

    async def sleep(self, position: str, key: str, until: Callable[[datetime], datetime]) -> None:
        entry = self.once(position, "sleep", key, lambda entry, now: entry.but(due_at=until(now)))
        if entry.status == "waiting":
            await self.flush()
            await self._until(entry.due_at, lambda: False)
            if self.stopping:
                raise self.cancelled(entry)
            self.finish(entry)

    async def wait_signal(self, position: str, key: str, until: Callable[[datetime], datetime | None]) -> JsonValue:
        entry = self.once(position, "gate", key, lambda entry, now: entry.but(due_at=until(now)))
        if entry.status == "waiting":
            await self.flush()
            if self.notes_gates:  # a wait without a limit leaves no trace of its own, and a changed flow went past it
                await self.see_to(AT_GATE, {}, position=position)

            def answer() -> Entry | None:
                found = self.signal_for(position, key)
                in_time = found is not None and (entry.due_at is None or found.ready_at <= entry.due_at)
                return found if in_time else None

            await self._until(entry.due_at, lambda: answer() is not None)
            taken = answer()
            if self.stopping:
                raise self.cancelled(entry)
            if taken is not None:
                self.finish(taken)
                entry = self.finish(entry, output=taken.output)
            else:
                assert entry.due_at is not None, "a wait without a limit ends by an answer"
                timed_out = {"outcome": "timed_out", "at": entry.due_at.isoformat()}
                entry = self.finish(entry, output=to_text(timed_out))
        value: JsonValue = from_text(entry.output)
        return value

    async def _until(self, due_at: datetime | None, holds: Callable[[], bool]) -> None:
        """Return when that time has come, the condition holds or the run is stopped."""
        left = None if due_at is None else due_at - workflow.now()
        if left is not None and left <= timedelta(0):
            return
        try:
            await workflow.wait_condition(lambda: self.stopping or holds(), timeout=left)
        except TimeoutError:
            return

    async def spawn(self, position: str, key: str, flow: str, input: Callable[[datetime], JsonValue]) -> JsonValue:
        def made(entry: Entry, now: datetime) -> Entry:
            return entry.but(inputs=to_text(input(now)))

        entry = self.once(position, "child", key, made, activity=flow)
        if entry.status == "waiting":
            await self.flush()
            await self._stay()
            if self.stopping:
                raise self.cancelled(entry)
            self._children += 1
            try:
                entry = await wait_for_child(self, entry)
            finally:
                self._children -= 1
        value: JsonValue = from_text(entry.output)
        return value

    async def gather(self, branches: Sequence[Coroutine[Any, Any, None]]) -> list[StepFailed | RunStopped | None]:
        async def go(branch: Coroutine[Any, Any, None]) -> StepFailed | RunStopped | None:
            try:
                await branch
            except (StepFailed, RunStopped) as end:
                return end
            return None

        return list(await asyncio.gather(*(go(branch) for branch in branches)))

"""One attempt of an ordinary node as a Temporal activity: its inputs, its limits, and what comes of its failure.

The server repeats activities without end; how often and how patiently a node is tried stands in its `Retry` alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from resolute.context import Attempt, LedgerView, Memory
from resolute.engines.embedded.attempt import execute
from resolute.engines.embedded.core import Core, cursors_of
from resolute.engines.embedded.node_work import told
from resolute.engines.embedded.run_journal import ERROR_CHARS
from resolute.engines.temporal.order import ATTEMPT_FAILED, NODE_FAILED, POSTPONED
from resolute.engines.temporal.values import NotThere, Values
from resolute.engines.temporal.witness import attempt_event
from resolute.errors import StoreUnavailable
from resolute.jsontypes import JsonValue
from resolute.ledger.incident_log import KeyGone
from resolute.model.activity import Node
from resolute.model.codec import encode_output, from_text, to_plain, to_text
from resolute.model.inputs import fill_places
from resolute.model.recipe import Flow
from resolute.model.retry import Retry

log = logging.getLogger("resolute.run")

#: What is expected is told by us, in a line; the SDK need not tell it with a traceback.
TOLD: Final = ApplicationErrorCategory.BENIGN
#: How often a worker says that an attempt lives.
BEAT_S: Final = 3.0
#: When an attempt is made again that asked for a memory which could not be read.
MEMORY_AGAIN: Final = timedelta(seconds=2)
#: The server takes no wait of nothing.
LEAST_WAIT: Final = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Said:
    """What the attempts of a node hand on to the next one; it survives the worker.

    Attributes:
        attempt: number of the latest attempt; failures: attempts that failed by themselves.
        turn: until when the rate limit lets none begin, "" for no wait.
        details: JSON text of what the activity said last with `heartbeat(details)`.
        server: the server's own number of the attempt that says this; those between it and the next one were lost
            before they could say anything.
    """

    attempt: int = 0
    failures: int = 0
    turn: str = ""
    details: str = ""
    server: int = 0

    @staticmethod
    def before(order: Mapping[str, Any]) -> Said:
        """What the attempts before this one have said."""
        info = activity.info()
        said = Said(**info.heartbeat_details[0]) if info.heartbeat_details else Said(order.get("attempts_before", 0))
        return replace(said, attempt=said.attempt + info.attempt - 1 - said.server, server=info.attempt)

    def say(self) -> None:
        activity.heartbeat(asdict(self))


class Beats:
    """Says that an attempt lives for as long as it runs; `beat` may be called from any thread.

    Most attempts take less time than one beat, and each that is said costs a tenth of a short attempt.

    Attributes:
        timeout: how long the activity itself may be silent, None for ever.
    """

    def __init__(self, core: Core, said: Said, timeout: timedelta | None) -> None:
        self.timeout = timeout
        self.said = said
        self._core = core
        self._loop = asyncio.get_running_loop()
        self._last_s = self._loop.time()
        self._context = copy_context()  # in which the SDK knows whose heartbeat it is
        self._task = asyncio.create_task(self._go_on())

    def beat(self, details: Any = None) -> None:
        """Note that the activity lives; `details` are handed to the next attempt."""
        text = None if details is None else self._core.secrets.scrub_json(to_text(to_plain(details)))
        self._loop.call_soon_threadsafe(self._arrived, text, context=self._context)

    def silent_s(self) -> float | None:
        """Seconds left until the activity has been silent for too long; None when it may be."""
        if self.timeout is None:
            return None
        return self._last_s + self.timeout.total_seconds() - self._loop.time()

    def _arrived(self, text: str | None) -> None:
        self._last_s = self._loop.time()
        if text is not None and not self._task.done():
            self.said = replace(self.said, details=text)
            self.said.say()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self.said.say()

    async def end(self, *, is_last: bool) -> None:
        """The attempt is over: what it said last is said, unless it is the last one."""
        await asyncio.sleep(0)  # a beat from a thread may be on its way
        self._task.cancel()
        if not is_last:
            self.said.say()


async def work(core: Core, values: Values, flow: Flow, node: Node[Any], order: Mapping[str, Any]) -> JsonValue:
    """What an attempt has put out, with its number and the memory that it wrote; raises what failed it."""
    said = Said.before(order)
    await _take_turn(core, flow, node, said)
    said = replace(said, attempt=said.attempt + 1, turn="")
    core.hooks.tell([attempt_event(core, "attempt_started", flow.name, node, said.attempt)])
    beats = Beats(core, said, node.heartbeat)
    memory = Memory(await _memory_of(values, flow))
    is_done = False
    try:
        value = await _attempt(core, flow, node, order, said, memory, beats)
        text, _ = encode_output(value, node.activity.output_adapter, node.activity.name)
        is_done = True
    except Exception as error:  # an activity may raise anything; it is the attempt's failure and is recorded
        raise await _failed(core, node, order, beats, error) from None
    finally:
        await beats.end(is_last=is_done)
    found: dict[str, JsonValue] = {"output": from_text(core.secrets.scrub_json(text)), "attempt": said.attempt}
    if beats.said.details:
        found["heartbeat"] = beats.said.details
    if memory.writes:
        found["memory"] = {
            key: None if written is None else core.secrets.scrub_json(written) for key, written in memory.writes.items()
        }
    if flow.cursors:
        with suppress(StoreUnavailable):  # then the run goes on with the cursors that it knows
            found["cursors"] = dict(await values.memory(cursors_of(flow.name)))
    return found


async def _memory_of(values: Values, flow: Flow) -> Mapping[str, str]:
    try:
        return await values.memory(flow.name)
    except StoreUnavailable as error:
        return NotThere(error)


async def _take_turn(core: Core, flow: Flow, node: Node[Any], said: Said) -> None:
    """Raise what postpones the attempt until its rate limit lets it go."""
    now = core.clock.now()
    if node.rate_limit is None:
        return
    if said.turn:
        at = datetime.fromisoformat(said.turn)
    else:
        at, kept = core.limits.take(node.rate_limit, f"{flow.name}/{node.key}", now)
        await core.store.commit([kept])
    if at > now:
        replace(said, turn=at.isoformat()).say()
        raise postponed(f'"{node.key}" waits for its turn at {at:%H:%M:%S} UTC (rate limit)', at - now)


async def _attempt(
    core: Core,
    flow: Flow,
    node: Node[Any],
    order: Mapping[str, Any],
    said: Said,
    memory: Memory,
    beats: Beats,
) -> Any:
    info = activity.info()
    run_id = info.workflow_id or ""
    values = fill_places(order["inputs"], order["secrets"], lambda name: core.read_secret(name, run_id))
    attempt = Attempt(
        run_id=run_id,
        flow=flow.name,
        key=node.key,
        position=info.activity_id,
        attempt=said.attempt,
        repeated=said.attempt > 1 or info.attempt > 1,
        memory=memory,
        ledger=LedgerView(core.log.open_keys),
        providers=core.providers,
        instance=node.instance or "",
        heartbeat_details=from_text(said.details) if said.details else None,
        beat=beats.beat,
    )
    inputs = node.activity.validate_inputs(values)
    under_way: set[asyncio.Task[Any]] = set()
    timeout = node.timeout or node.activity.timeout
    made = asyncio.create_task(execute(node.activity, inputs, attempt, timeout, core.threads, under_way, beats))
    try:
        return await asyncio.shield(made)
    except asyncio.CancelledError:
        for task in list(under_way):
            task.cancel()
        await asyncio.wait({made})  # the run goes on when the attempt has ended, and not before
        if not made.cancelled():
            made.exception()  # it was cancelled: what it said to that does not matter
        raise


async def _failed(
    core: Core, node: Node[Any], order: Mapping[str, Any], beats: Beats, error: Exception
) -> ApplicationError:
    """What the attempt's failure means: another attempt after a wait, or the end of the node."""
    if isinstance(error, StoreUnavailable):  # its memory cannot be read, which is no fault of the activity
        return postponed(core.secrets.scrub(str(error)), MEMORY_AGAIN)
    retry: Retry = node.retry or node.activity.retry
    now = core.clock.now()
    said = beats.said = replace(beats.said, failures=beats.said.failures + 1)
    text = core.secrets.scrub(told(error))[:ERROR_CHARS]
    wait = retry.wait(said.failures, error, core.randomness.random())
    ready_at = datetime.fromisoformat(order["ready_at"])
    if order.get("retried_at"):
        ready_at = max(ready_at, datetime.fromisoformat(order["retried_at"]))
    permanent = retry.is_permanent(error) or isinstance(error, KeyGone)
    exhausted = retry.attempts is not None and said.failures >= retry.attempts
    too_late = retry.deadline is not None and now + wait > ready_at + retry.deadline
    info = activity.info()
    if permanent or exhausted or too_late:
        failed = "run %s: %s failed for good in attempt %d: %s"
        log.warning(failed, info.workflow_id, info.activity_id, said.attempt, text)
        return node_failed(text, attempt=said.attempt, failures=said.failures)
    log.info("run %s: attempt %d of %s failed: %s", info.workflow_id, said.attempt, info.activity_id, text)
    return _again(ATTEMPT_FAILED, text, wait, attempt=said.attempt)


def node_failed(text: str, **told: int) -> ApplicationError:
    """The end of a node without success."""
    details = {"error": text, **told}
    return ApplicationError(printable(text), details, type=NODE_FAILED, non_retryable=True, category=TOLD)


def postponed(text: str, wait: timedelta) -> ApplicationError:
    """No failure: there is nothing to be done for so long, and no slot is held meanwhile."""
    return _again(POSTPONED, text, wait)


def cut_short() -> ApplicationError:
    """No failure either: the worker ends, and another one makes the attempt again."""
    return ApplicationError("its worker ends", type=POSTPONED, category=TOLD)


def _again(kind: str, text: str, wait: timedelta, **told: int) -> ApplicationError:
    return ApplicationError(printable(text), told, type=kind, next_retry_delay=max(wait, LEAST_WAIT), category=TOLD)


def printable(text: str) -> str:
    """The text as it may stand in a failure: a lone surrogate is written out."""
    return text.encode("utf-8", "backslashreplace").decode()

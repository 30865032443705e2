"""An ordinary node of a live run: its attempts, until it succeeds, fails for good or has to wait."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from resolute.context import Attempt, LedgerView, Memory
from resolute.engine import ResolvedInputs, StepFailed
from resolute.engines.embedded.attempt import execute
from resolute.engines.embedded.heartbeat import Heartbeat
from resolute.engines.embedded.large import LARGE_CHARS, LARGE_MARK
from resolute.engines.embedded.run_state import RunState
from resolute.engines.embedded.store import Entry, PutMemory
from resolute.errors import InputError, ProviderError, ResoluteError, StoreBroken
from resolute.ledger.incident_log import KeyGone
from resolute.model.activity import Node
from resolute.model.codec import decode_output, encode_inputs, encode_output, from_text, to_text
from resolute.model.inputs import fill_places, take_secrets
from resolute.model.retry import Retry

log = logging.getLogger("resolute.run")


def begin_node(run: RunState, node: Node[Any], position: str, inputs: Callable[[datetime], ResolvedInputs]) -> Entry:
    """Write down that a node is ready: its inputs, and its first attempt or until when it waits for its turn."""
    now = run.core.clock.now()
    entry = run.new(position, "node", node.key, now, status="running", activity=node.activity.name, attempt=1)
    try:
        values, places = take_secrets(inputs(now).values)
        plain = encode_inputs(values, node.activity.name)
        text = to_text(plain)
        if len(text) > LARGE_CHARS:
            for name, value in list(plain.items()):
                kept = run.keep(run.core.secrets.scrub_json(to_text(value)))
                if kept.startswith(LARGE_MARK):
                    plain[name] = None
                    places.append(([name], kept))
            text = to_text(plain)
        text = run.core.secrets.scrub_json(text)
        entry = entry.but(inputs=text, secrets=to_text(places) if places else "")
    except StepFailed as failure:
        return run.put(run.failed(entry, failure.error))
    except InputError as error:
        return run.put(run.failed(entry, str(error)))
    turn = _turn(run, node, now)
    if turn is not None and turn > now:
        entry = entry.but(status="waiting", attempt=0, due_at=turn, has_turn=True)
    return run.put(entry)


def _turn(run: RunState, node: Node[Any], now: datetime) -> datetime | None:
    """When the node's rate limit lets it go, None for a node without one."""
    if node.rate_limit is None:
        return None
    at, kept = run.core.limits.take(node.rate_limit, f"{run.row.flow}/{node.key}", now)
    run.add(kept)
    return at


async def work(run: RunState, node: Node[Any], position: str) -> Any:
    """What the node puts out; raises StepFailed, RunStopped."""
    while True:
        seen, now = run.branches.generation, run.core.clock.now()
        entry = run.entries[position]
        if run.stopping:
            raise run.cancelled(entry)
        if entry.status == "waiting":
            if entry.due_at is not None and entry.due_at > now:
                due = run.due(entry, entry.due_at, now)
                await run.park(due, _waits(node, entry, due), seen)
                continue
            turn = None if entry.has_turn else _turn(run, node, now)
            if turn is not None and turn > now:
                run.put(entry.but(due_at=turn, has_turn=True))
                continue
            entry = run.put(entry.but(status="running", attempt=entry.attempt + 1, due_at=None, has_turn=False))
        await run.flush()
        stored = run.core.memory.get(run.row.flow)
        memory = Memory(await run.core.memory_of(run.row.flow) if stored is None else stored)
        try:
            value = await _attempt(run, node, entry, memory)
            text, output = encode_output(value, node.activity.output_adapter, node.activity.name)
        except StoreBroken:
            raise
        except Exception as error:  # an activity may raise anything; it is the attempt's failure and is recorded
            if run.stopping:
                raise run.cancelled(run.entries[position]) from error
            _attempt_failed(run, node, position, error)
            continue
        scrubbed = run.core.secrets.scrub_json(text)
        if scrubbed != text:
            output = decode_output(scrubbed, node.activity.output_adapter, node.activity.name)
        run.finish(run.entries[position], output=run.keep(scrubbed), error="")
        for key, written in memory.writes.items():
            kept = None if written is None else run.core.secrets.scrub_json(written)
            run.add(PutMemory(run.row.flow, key, kept))
        return output


def _waits(node: Node[Any], entry: Entry, due: datetime) -> str:
    if entry.has_turn:
        return f'"{node.key}" waits for its turn at {due:%H:%M:%S} UTC (rate limit)'
    return f'"{node.key}" is tried again at {due:%H:%M:%S} UTC: {first_line(entry.error)}'


async def _attempt(run: RunState, node: Node[Any], entry: Entry, memory: Memory) -> Any:
    values = from_text(entry.inputs)
    if entry.secrets:
        places = from_text(entry.secrets)
        large = {name: from_text(await run.text(name)) for _, name in places if name.startswith(LARGE_MARK)}
        fill_places(
            values, places, lambda name: large[name] if name in large else run.core.read_secret(name, run.run_id)
        )
    inputs = node.activity.validate_inputs(values)
    heartbeat = Heartbeat(run, entry.position, node.heartbeat)
    attempt = Attempt(
        run_id=run.run_id,
        flow=run.row.flow,
        key=node.key,
        position=entry.position,
        attempt=entry.attempt,
        repeated=entry.attempt > 1 or entry.position in run.begun_before,
        memory=memory,
        ledger=LedgerView(run.core.log.open_keys),
        providers=run.core.providers,
        instance=node.instance or "",
        heartbeat_details=from_text(entry.heartbeat) if entry.heartbeat else None,
        beat=heartbeat.beat,
    )
    async with run.core.slots:
        if run.stopping:
            raise run.stopped()
        run.attempting += 1
        try:
            timeout = node.timeout or node.activity.timeout
            return await execute(node.activity, inputs, attempt, timeout, run.core.threads, run.attempts, heartbeat)
        finally:
            run.attempting -= 1
            await heartbeat.end()


def _attempt_failed(run: RunState, node: Node[Any], position: str, error: Exception) -> None:
    """Write down that an attempt failed, and when the next one is; raises StepFailed when there is none."""
    retry: Retry = node.retry or node.activity.retry
    now = run.core.clock.now()
    text = run.kept(told(error))
    entry = run.entries[position]
    entry = entry.but(failures=entry.failures + 1, lost=0, error=text)
    wait: timedelta = retry.wait(entry.failures, error, run.core.randomness.random())
    permanent = retry.is_permanent(error) or isinstance(error, KeyGone)
    exhausted = retry.attempts is not None and entry.failures >= retry.attempts
    too_late = retry.deadline is not None and now + wait > entry.ready_at + retry.deadline
    if permanent or exhausted or too_late:
        run.put(run.failed(entry, text))
        log.warning("run %s: %s failed for good in attempt %d: %s", run.run_id, position, entry.attempt, text)
        raise StepFailed(node.key, text, position=position)
    log.info("run %s: attempt %d of %s failed: %s", run.run_id, entry.attempt, position, text)
    run.put(entry.but(status="waiting", due_at=now + wait))


def told(error: BaseException) -> str:
    """An error as it is recorded and shown: our own by their text, any other with its type."""
    if isinstance(error, ResoluteError | ProviderError):
        return str(error)
    if isinstance(error, KeyGone):
        return "interrupted: the process that held a secret input ended."
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def first_line(text: str) -> str:
    """The beginning of an error, for where a run waits because of it."""
    line = text.partition("\n")[0]
    return line if len(line) <= 160 else line[:157] + "..."

"""A paging node as a Temporal activity: its row of the incident log is sent, or waits until it can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from weakref import WeakValueDictionary

from temporalio import activity

from resolute.engines.embedded.core import Core
from resolute.engines.embedded.node_work import first_line
from resolute.engines.embedded.paging import new_row, paging
from resolute.engines.embedded.store import RunRow
from resolute.engines.temporal.attempts import BEAT_S, Said, node_failed, postponed
from resolute.engines.temporal.witness import attempt_event
from resolute.jsontypes import JsonValue
from resolute.ledger.intent import Intent
from resolute.ledger.outcomes import Outcome
from resolute.ledger.row import SUCCESSES, Row, settle_reason
from resolute.model.activity import Node
from resolute.model.codec import encode_output, from_text

#: A page that has to wait for longer gives its place in the worker to another.
NEAR: Final = timedelta(seconds=10)
#: How soon one that waits for its turn comes back to its place: away from it nobody can wake it.
TURN_AGAIN: Final = timedelta(seconds=5)
#: How often a page is looked at that is on its way without its run.
LEFT_CHECK_S: Final = 0.1


class Pages:
    """Sends the pages of the runs of one worker."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._wakes: dict[int, asyncio.Event] = {}
        self._sending: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        inner = core.wake

        def wake(rows: Sequence[Row]) -> None:
            for row in rows:
                if row.id in self._wakes:
                    self._wakes[row.id].set()
            inner(rows)

        core.wake = wake

    async def send(self, flow: str, node: Node[Any], order: Mapping[str, Any]) -> JsonValue:
        """What the node puts out; raises what postpones or fails it."""
        said = Said.before(order)
        info = activity.info()
        key = f"{info.workflow_id}/{info.activity_id}"
        beats = asyncio.create_task(_beat(said))
        begun = attempt_event(self._core, "attempt_started", flow, node, 1)
        if info.attempt == 1:
            self._core.hooks.announce(begun)
        self._core.hooks.count(begun)
        try:
            async with self.alone(key):
                found = await self._row(key, flow, node, order)
                row = await self._sent(found, node, order)
                if self._failed_elsewhere(found, row, order):
                    self._core.log.taken(row.id)
                    row = await self._sent(await self._anew(key, flow, node, order), node, order)
                return self._settled(node, row)
        finally:
            beats.cancel()

    def has(self, row: Row) -> bool:
        """Whether an attempt of the page is here."""
        return f"{row.run_id}/{row.position}" in self._sending

    async def drop(self, order: Mapping[str, Any]) -> bool:
        """Let a page that its run waits for no more be settled, or be sent without it.

        One that is to be undone is left alone when it may have been sent, by whichever worker: True when that is so.

        Raises:
            StoreUnavailable: that cannot be told while the shared ledger is away.
        """
        log, key = self._core.log, f"{activity.info().workflow_id}/{order['position']}"
        async with self.alone(key):
            row = next((row for row in log.unsettled() if f"{row.run_id}/{row.position}" == key), None)
            if order["keeps"] and await self._may_be_sent(row, key, order.get("retried_at")):
                return True
            if row is not None and row.awaited:  # else it goes on without its run already, and may be claimed just now
                await self._write(log.cancel(row.id))
            return False

    async def _may_be_sent(self, row: Row | None, key: str, retried_at: str | None) -> bool:
        """Whether a page has, or may have, reached the service; raises StoreUnavailable.

        Args:
            row: the one that is unsettled here, None for none.
        """
        core, keys = self._core, _keys(key, retried_at)
        if row is not None and core.log.may_be_sent(row.id):
            return True
        known = [await core.store.ledger_by_key(each) for each in keys] if row is None else []
        if any(each is not None and each.status in SUCCESSES for each in known):
            return True  # its run was not told of it any more
        return core.ledger is not None and await core.ledger.may_be_sent(keys)

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """One attempt of a page at a time: one that was given up for lost may still be at work."""
        lock = self._sending.setdefault(key, asyncio.Lock())  # for as long as somebody has it or waits for it
        async with lock:
            yield

    # Its row

    async def _row(self, key: str, flow: str, node: Node[Any], order: Mapping[str, Any]) -> Row:
        core, now = self._core, self._core.clock.now()
        row = await core.store.ledger_by_key(key)
        if row is None:
            outcome = self._new(flow, node, order, key)
            await self._write(outcome)
            return outcome.row
        retried = order.get("retried_at")
        # Left to itself it may be on its way just now, without its run; how that comes out is what is retried.
        while retried and core.log.is_at_work(row.id):  # noqa: ASYNC110 - a rare command
            await asyncio.sleep(LEFT_CHECK_S)
        row, now = core.log.row(row.id) or await core.store.ledger_row(row.id) or row, core.clock.now()
        is_over = row.settled_at is not None and row.status not in SUCCESSES
        if retried and (not row.awaited or (is_over and (row.settled_at or now) < datetime.fromisoformat(retried))):
            if row.status in SUCCESSES:
                return row
            deadline = (node.retry or node.activity.retry).deadline
            row = core.log.reopen(row, now, None if deadline is None else deadline.total_seconds())
            await core.store.commit([row])
        elif not row.is_settled and not row.awaited:  # it was left to itself, and that was not heard
            raise self._left_error(node, row)
        return row

    def _failed_elsewhere(self, found: Row, row: Row, order: Mapping[str, Any]) -> bool:
        """Whether a page that is retried failed at another worker: the shared incident log says so, and keeps it."""
        retried = order.get("retried_at")
        if not retried or datetime.fromisoformat(order["ready_at"]) >= datetime.fromisoformat(retried):
            return False
        is_ours = row.attempts > found.attempts or row.error_message or row.status in SUCCESSES
        return self._core.ledger is not None and not is_ours

    async def _anew(self, key: str, flow: str, node: Node[Any], order: Mapping[str, Any]) -> Row:
        """The row of a retry, beside the one of another worker."""
        *_, key = _keys(key, order["retried_at"])
        row = await self._core.store.ledger_by_key(key)
        if row is not None:
            return self._core.log.row(row.id) or row
        outcome = self._new(flow, node, {**order, "ready_at": order["retried_at"]}, key)
        await self._write(outcome)
        return outcome.row

    def _new(self, flow: str, node: Node[Any], order: Mapping[str, Any], key: str) -> Outcome:
        info, given = activity.info(), order["intent"]
        intent = Intent(**{**given, "remarks": tuple(given["remarks"])})
        ready_at = datetime.fromisoformat(order["ready_at"])
        run = RunRow(
            no=0,
            id=info.workflow_id or "",
            flow=flow,
            fingerprint="",
            status="running",
            input="",
            input_digest="",
            trigger="",
            created_at=ready_at,
            scheduled=order["scheduled"],
        )

        def make(row_id: int) -> Row:
            row = new_row(self._core, row_id, node, intent, run, info.activity_id, ready_at)
            return replace(row, idempotency_key=key)

        return self._core.log.record(make)

    async def _write(self, outcome: Outcome) -> None:
        if outcome.changed:
            await self._core.store.commit(list(outcome.changed))
        self._core.wake(outcome.wake)

    # Sending

    async def _sent(self, row: Row, node: Node[Any], order: Mapping[str, Any]) -> Row:
        """The row once it is settled; raises what postpones the page, or lets its fallback begin."""
        core = self._core
        limit = None
        if node.fallback_after is not None:
            limit = datetime.fromisoformat(order.get("retried_at") or order["ready_at"]) + node.fallback_after
        wake = self._wakes[row.id] = asyncio.Event()
        try:
            while True:
                wake.clear()
                until: datetime | None = None
                row = core.log.row(row.id) or await core.store.ledger_row(row.id) or row
                if not row.is_settled and (limit is None or core.clock.now() < limit):
                    row, until = await self._try(row, keeps=order.get("keeps", False))
                if row.is_settled:
                    return row
                if limit is not None and core.clock.now() >= limit:
                    raise await self._left(node, row)
                due = min((time for time in (until, limit) if time is not None), default=None)
                await self._rest(node, row, wake, due, keeps=order.get("keeps", False))
        finally:
            self._wakes.pop(row.id, None)

    async def _try(self, row: Row, *, keeps: bool) -> tuple[Row, datetime | None]:
        """Do what is to be done with a row now. A request on its way settles also when its run is cancelled."""

        async def write(rows: Sequence[Row]) -> None:
            await self._core.store.commit(list(rows))

        async def once() -> Outcome:
            outcome = await self._core.log.attempt(row.id, write)
            await self._write(outcome)
            return outcome

        made = asyncio.create_task(once())
        try:
            outcome = await asyncio.shield(made)
        except asyncio.CancelledError:
            await asyncio.wait({made})
            outcome = made.result()
            if not outcome.row.is_settled:
                await self._dropped(outcome.row, keeps=keeps)
                raise
        return outcome.row, outcome.until

    async def _dropped(self, row: Row, *, keeps: bool) -> None:
        """The attempt was cancelled: with its run, or only because the worker stops.

        What becomes of a page that is to be undone is decided by `drop`, which knows of other workers too.
        """
        details = activity.cancellation_details()
        if keeps:
            return
        if details is not None and (details.cancel_requested or details.not_found):
            await self._write(self._core.log.cancel(row.id))

    async def _rest(self, node: Node[Any], row: Row, wake: asyncio.Event, due: datetime | None, *, keeps: bool) -> None:
        """Wait for a while here, where a row before it can wake this one, or raise what postpones the page."""
        now = self._core.clock.now()
        left = NEAR if due is None else due - now
        what = f'"{node.key}" ({row.action} "{row.dedup_key}", row {row.id})'
        if row.error_message and row.due_at is not None and row.due_at > now:  # it has its own time
            raise postponed(f"{what} waits for the next attempt: {first_line(row.error_message)}", left)
        try:
            async with asyncio.timeout(max(0.0, min(left, NEAR).total_seconds())):
                await wake.wait()
        except TimeoutError:
            if left > NEAR:
                raise postponed(f"{what} waits for its turn", min(left - NEAR, TURN_AGAIN)) from None
        except asyncio.CancelledError:
            await self._dropped(row, keeps=keeps)
            raise

    async def _left(self, node: Node[Any], row: Row) -> Exception:
        """The page was not accepted in time for its fallback: sending goes on without the run."""
        left = self._core.log.leave(row.id)
        await self._core.store.commit([left])
        self._core.wake([left])
        return self._left_error(node, row)

    @staticmethod
    def _left_error(node: Node[Any], row: Row) -> Exception:
        text = f"not accepted within {node.fallback_after} (row {row.id}); sending goes on. {row.error_message}"
        return node_failed(text.strip(), row_id=row.id, attempt=max(1, row.attempts))

    def _settled(self, node: Node[Any], row: Row) -> JsonValue:
        """What the node puts out for a settled row; raises what fails it."""
        self._core.log.taken(row.id)
        if row.status not in SUCCESSES:
            raise node_failed(settle_reason(row), row_id=row.id, attempt=row.attempts)
        value = paging(node.activity).output_of(row)
        text, _ = encode_output(value, node.activity.output_adapter, node.activity.name)
        return {"output": from_text(text), "attempt": max(1, row.attempts), "row_id": row.id}


def _keys(key: str, retried_at: str | None) -> Sequence[str]:
    """The idempotency keys that a page may have: its own, and that of a retry beside the row of another worker."""
    return [key] if retried_at is None else [key, f"{key}@{retried_at}"]


async def _beat(said: Said) -> None:
    """Say that the page is seen to."""
    while True:
        said.say()
        await asyncio.sleep(BEAT_S)

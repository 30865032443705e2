"""One attempt: a function in its own task or thread, given up when its time is over."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from resolute import ActivityError, activity, current
from resolute.context import Attempt, LedgerView, Memory
from resolute.engines.embedded.attempt import execute
from resolute.engines.embedded.threads import ThreadPerAttempt
from resolute.errors import AttemptTimeout, NodeMisuse
from resolute.model.activity import Activity


class MaySayNothing:
    """An attempt that need not say that it lives."""

    timeout = None

    def silent_s(self) -> float | None:
        return None


def _attempt() -> Attempt:
    return Attempt("r", "f", "page", "page", 1, False, Memory({}), LedgerView(frozenset({"open"})), {}, "")


async def _execute(made: Activity[Any, Any], timeout: timedelta = timedelta(minutes=1), **inputs: Any) -> Any:
    return await execute(made, inputs, _attempt(), timeout, ThreadPerAttempt(), set(), MaySayNothing())


async def test_a_plain_function_runs_in_a_thread_of_its_own_and_knows_its_attempt() -> None:
    """It may block without holding the event loop."""

    @activity
    def where() -> tuple[str, str, bool]:
        return threading.current_thread().name, current().idempotency_key, current().ledger.is_open("open")

    assert await _execute(where) == ("resolute r/page", "r/page", True)


async def test_a_plain_function_that_never_returns_is_given_up() -> None:
    """Its thread is left behind and holds nothing else; what it returns later is dropped."""
    release, ended = threading.Event(), threading.Event()

    @activity
    def hangs() -> int:
        release.wait()
        ended.set()
        return 1

    with pytest.raises(AttemptTimeout, match=r"hangs did not return within 0:00:00.010000. It was given up"):
        await _execute(hangs, timedelta(milliseconds=10))
    release.set()
    assert ended.wait(30)


@pytest.mark.parametrize("is_async", [True, False])
async def test_sys_exit_ends_the_attempt_and_not_the_worker(is_async: bool) -> None:
    """An activity cannot take the worker with it."""

    @activity
    async def leaves() -> None:
        raise SystemExit(3)

    @activity
    def leaves_too() -> None:
        raise SystemExit(3)

    with pytest.raises(ActivityError, match="raised SystemExit; an activity ends by returning"):
        await _execute(leaves if is_async else leaves_too)


async def test_what_an_activity_raises_comes_out_as_it_is() -> None:
    """The engine decides what it means."""

    @activity
    def fails(reason: str) -> None:
        raise KeyError(reason)

    with pytest.raises(KeyError, match="gone"):
        await _execute(fails, reason="gone")


async def test_making_a_node_inside_an_activity_is_told_with_the_fix() -> None:
    """It would do nothing, and the author would not notice."""

    @activity
    async def inner() -> None:
        """Nothing."""

    @activity
    async def outer() -> None:
        inner()

    with pytest.raises(
        NodeMisuse, match=r'"inner" was called inside the activity of node "page".*await inner.fn\(...\)'
    ):
        await _execute(outer)


def test_current_outside_an_activity_is_told_with_the_fix() -> None:
    """A predicate has its state instead."""
    with pytest.raises(NodeMisuse, match=r"current\(\) was called outside an activity"):
        current()


def test_memory_reads_what_was_stored_and_what_was_written() -> None:
    """It is a mapping of JSON values; removing a key counts as a write."""
    memory = Memory({"a": "1", "b": '"x"'})
    memory["c"] = [1, {"d": None}]
    del memory["a"]
    assert dict(memory) == {"b": "x", "c": [1, {"d": None}]}
    assert memory.writes == {"c": '[1,{"d":null}]', "a": None}
    with pytest.raises(KeyError):
        del memory["none"]
    with pytest.raises(TypeError, match="memory keys are text, not int"):
        memory[1] = 2  # type: ignore[index]

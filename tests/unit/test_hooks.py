"""Hooks hear what is told, and nothing they do comes back."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from resolute.hooks import Hooks, RunEvent

EVENT = RunEvent("node_failed", datetime(2026, 3, 2, 10, tzinfo=UTC), "r", "f", "running", "page", "page", error="no")


async def test_every_hook_hears_every_event_in_order() -> None:
    """Plain functions at once, coroutine functions in the background."""
    heard: list[str] = []

    async def later(event: RunEvent) -> None:
        heard.append(f"later {event.kind}")

    hooks = Hooks([lambda event: heard.append(f"at once {event.kind}"), later])
    hooks.tell([EVENT, EVENT])
    assert heard == ["at once node_failed"] * 2
    await hooks.close(1.0)
    assert heard[2:] == ["later node_failed"] * 2


async def test_an_error_in_a_hook_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The hooks after it are called all the same."""
    heard: list[str] = []

    def breaks(event: RunEvent) -> None:
        raise ValueError("no route to host")

    async def breaks_later(event: RunEvent) -> None:
        raise ValueError("nor there")

    hooks = Hooks([breaks, breaks_later, lambda event: heard.append(event.kind)])
    with caplog.at_level(logging.ERROR, "resolute.hooks"):
        hooks.tell([EVENT])
        await hooks.close(1.0)
    assert (hooks.errors, heard) == (2, ["node_failed"])
    assert "breaks failed at node_failed of run r" in caplog.text


async def test_a_hook_that_does_not_end_is_given_up_at_the_close() -> None:
    """The worker stops in time."""
    ended: list[str] = []

    async def hangs(event: RunEvent) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(event.run_id)

    hooks = Hooks([hangs])
    hooks.tell([EVENT])
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=0)  # type: ignore[arg-type]
    await hooks.close(0.0)
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    assert ended == ["r"]

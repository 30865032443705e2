"""Webhooks of workers on Temporal: an event has one run, whoever takes it and however often it comes."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.acceptance.senders import deliver
from tests.acceptance.temporal.fleet import HOOKED, Fleet

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only]


def test_an_event_that_is_delivered_twice_has_one_run(fleet: Fleet) -> None:
    """To two workers at once, and again when its run has ended: each sender is told of the same run."""
    fleet.module = HOOKED
    fleet.up("a", "b")
    urls = [f"http://127.0.0.1:{fleet.port_of(name)}/alerts" for name in "ab"]
    events = [f"event-{number}" for number in range(10)]

    async def deliver_all() -> list[tuple[int, str]]:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            answers = await asyncio.gather(*(deliver(http, url, event) for event in events for url in urls))
        return [(answer.status_code, answer.json()["run_id"]) for answer in answers]

    told = asyncio.run(deliver_all())
    ids = [run_id for _, run_id in told[::2]]
    executions = fleet.executions(ids)
    fleet.until(lambda: fleet.statuses(*ids) == {"succeeded": len(events)})
    assert asyncio.run(deliver_all()) == told
    assert {status for status, _ in told} == {202}
    assert told[::2] == told[1::2]
    assert fleet.executions(ids) == executions
    assert sorted(fleet.runs("hooked")) == sorted(ids)

"""Flows that start by a delivery and by the clock: `resolute worker hooked.py`."""

from __future__ import annotations

from datetime import timedelta

from resolute import Worker, WorkerConfig, activity, flow, hmac_sha256, input_data, schedule, secret, webhook


@activity
async def note(what: str) -> str:
    return what


hooked = (
    flow("hooked")
    .triggered_by(webhook("/alerts", signature=hmac_sha256(secret("HOOK")), event_id="event.id"))
    .then(note(what=input_data("event.id")))
    .build()
)


ticking = flow("ticking").triggered_by(schedule("*/5 * * * * *", catch_up="all")).then(note(what="tick")).build()

worker = Worker(WorkerConfig(grace=timedelta(seconds=2), max_concurrent=50), flows=[hooked, ticking])

"""Resolve an alert as soon as its service is healthy, whoever opened it.

The resolve is sent at each tick at which the service is healthy; PagerDuty drops one that finds nothing open. A flow
that opens its alerts itself asks `current().ledger.is_open(...)` and resolves once: see smart_alerting.py.

    export PAGERDUTY_ROUTING_KEY=... SERVICE_URL=https://shop.internal/health
    resolute worker examples/auto_resolve.py
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import httpx2
from pydantic import BaseModel

from resolute import activity, env, flow, schedule, secret
from resolute.providers import pagerduty


class HealthOutput(BaseModel):
    """Whether the service answered with 2xx."""

    status: Literal["healthy", "unhealthy"]
    message: str


@activity(timeout=timedelta(seconds=30))
async def check_service_health(url: str) -> HealthOutput:
    """The service's health, asked over HTTP; no answer is unhealthy, so that nothing is resolved in the dark."""
    try:
        async with httpx2.AsyncClient(timeout=10) as http:
            answer = await http.get(url)
    except httpx2.TransportError as error:
        return HealthOutput(status="unhealthy", message=f"{url}: {error or type(error).__name__}")
    status: Literal["healthy", "unhealthy"] = "healthy" if answer.is_success else "unhealthy"
    return HealthOutput(status=status, message=f"{url}: {answer.status_code}")


# fmt: off
auto_resolve = (
    flow("auto-resolve")
    .triggered_by(schedule("*/5 * * * *"))
    .then(check_service_health(url=env("SERVICE_URL")).as_("health"))
    .when(lambda state: state.get("health", HealthOutput).status == "healthy")
        .then(pagerduty.resolve_event(
            routing_key=secret("PAGERDUTY_ROUTING_KEY"),
            dedup_key="service-health-check",
        ))
    .end_when()
    .build()
)
# fmt: on

account = pagerduty.PagerDutyProvider()

"""Page when a database takes no connections, or takes too long about it.

export PAGERDUTY_ROUTING_KEY=... DATABASE_ADDRESS=db-1.internal:5432
resolute worker examples/database_monitor.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel

from resolute import activity, env, flow, output, schedule, secret
from resolute.providers import pagerduty

SLOW = timedelta(seconds=2)
GIVEN_UP = timedelta(seconds=10)


class HealthCheckOutput(BaseModel):
    """How a database answered.

    Attributes:
        connect_ms: time until the connection stood, None when it never did.
    """

    status: Literal["healthy", "critical"]
    message: str
    connect_ms: float | None = None


@activity(timeout=timedelta(seconds=30))
async def check_database_health(address: str) -> HealthCheckOutput:
    """Whether "host:port" takes a connection in good time."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(GIVEN_UP.total_seconds()):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError) as error:
        reason = str(error) or f"no connection within {GIVEN_UP.total_seconds():g} s"
        return HealthCheckOutput(status="critical", message=f"Database {address}: {reason}")
    taken = timedelta(seconds=loop.time() - begun)
    writer.close()
    return HealthCheckOutput(
        status="critical" if taken > SLOW else "healthy",
        message=f"Database {address}: connected in {taken.total_seconds():.1f} s",
        connect_ms=taken / timedelta(milliseconds=1),
    )


# fmt: off
database_monitor = (
    flow("database-monitor")
    .triggered_by(schedule("*/5 * * * *"))
    .then(check_database_health(address=env("DATABASE_ADDRESS", default="127.0.0.1:5432")).as_("health"))
    .when(lambda state: state.get("health", HealthCheckOutput).status == "critical")
        .then(pagerduty.trigger_event(
            routing_key=secret("PAGERDUTY_ROUTING_KEY"),
            summary=output("health.message"),
            source="database-monitor",
            severity="critical",
            dedup_key="db-health-check",
        ))
    .end_when()
    .build()
)
# fmt: on

account = pagerduty.PagerDutyProvider()

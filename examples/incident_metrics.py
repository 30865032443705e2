"""Count the incidents of the last day each midnight: how many, of which services, and how long they took.

export PAGERDUTY_API_KEY=... SLACK_WEBHOOK_URL=...                           # the last may be left out
resolute worker examples/incident_metrics.py

One page of a hundred incidents, as the specification has it; incident_digest.py reads them all.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta

import httpx2
from pydantic import BaseModel

from resolute import activity, current, flow, now, output, schedule
from resolute.providers import pagerduty


class Metrics(BaseModel):
    """The day in numbers.

    Attributes:
        minutes_to_resolve: on average, None without incidents.
        by_service: how many of each service, most first.
    """

    resolved: int
    minutes_to_resolve: float | None
    by_service: dict[str, int]


@activity
def calculate_metrics(incidents: list[pagerduty.Incident]) -> Metrics:
    """How many incidents there were, and how long they took from opening to resolving."""
    took = [
        (incident.resolved_at - incident.created_at).total_seconds() / 60
        for incident in incidents
        if incident.resolved_at is not None and incident.created_at is not None
    ]
    services = Counter(incident.service.name for incident in incidents if incident.service is not None)
    average = round(sum(took) / len(took), 1) if took else None
    return Metrics(resolved=len(incidents), minutes_to_resolve=average, by_service=dict(services.most_common()))


@activity
async def publish_metrics(metrics: Metrics, more: bool) -> str:
    """Post the numbers to Slack, or write them to the log where no SLACK_WEBHOOK_URL is set."""
    services = ", ".join(f"{name} {count}" for name, count in metrics.by_service.items()) or "none"
    text = f"Resolved: {metrics.resolved}{' or more' if more else ''} ({services})"
    if metrics.minutes_to_resolve is not None:
        text += f", on average in {metrics.minutes_to_resolve:g} min"
    webhook = os.environ.get("SLACK_WEBHOOK_URL")
    if not webhook:
        current().log.warning(text)
        return text
    async with httpx2.AsyncClient(timeout=10) as http:
        (await http.post(webhook, json={"text": text})).raise_for_status()
    return text


# fmt: off
incident_metrics = (
    flow("incident-metrics")
    .triggered_by(schedule("0 0 * * *"))
    .then(pagerduty.list_incidents(
        statuses=["resolved"],
        since=now() - timedelta(hours=24),
        until=now(),
        limit=100,
    ).as_("incidents"))
    .then(calculate_metrics(incidents=output("incidents.incidents")).as_("metrics"))
    .then(publish_metrics(metrics=output("metrics"), more=output("incidents.more")))
    .build()
)
# fmt: on

account = pagerduty.PagerDutyProvider()

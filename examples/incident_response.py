"""Look into each new incident as soon as PagerDuty tells of it, and write what was found into its notes.

export PAGERDUTY_WEBHOOK_SECRET=... PAGERDUTY_API_KEY=... PAGERDUTY_FROM=automation@example.com
export SERVICE_URL=https://shop.internal/health RESOLUTE_WEBHOOKS=127.0.0.1:8020
export SLACK_WEBHOOK_URL=...                                                 # may be left out
resolute worker examples/incident_response.py
resolute pagerduty webhooks create https://hooks.example.com/pagerduty/webhook --event incident.triggered

The address of the subscription is that of a proxy with TLS before the worker. The second command prints the secret.
"""

from __future__ import annotations

import os
import platform
import shutil
from datetime import timedelta

import httpx2
from pydantic import BaseModel

from resolute import activity, current, env, flow, input_data, output
from resolute.providers import pagerduty
from resolute.providers.pagerduty import WebhookEvent


class Diagnostics(BaseModel):
    """What was found, as a text for people."""

    summary: str


@activity(timeout=timedelta(seconds=30))
async def gather_diagnostics(url: str) -> Diagnostics:
    """How the service answers just now, and how this machine is."""
    try:
        async with httpx2.AsyncClient(timeout=10) as http:
            answer = await http.get(url)
        service = f"{url} answers {answer.status_code} in {answer.elapsed.total_seconds():.1f} s"
    except httpx2.TransportError as error:
        service = f"{url} does not answer: {error or type(error).__name__}"
    disk = shutil.disk_usage("/")
    lines = [
        service,
        f"load of {platform.node()}: {', '.join(f'{load:.2f}' for load in os.getloadavg())}",
        f"disk of {platform.node()}: {disk.used / disk.total:.0%} used",
    ]
    return Diagnostics(summary="\n".join(["Looked at by Resolute:", *lines]))


@activity
async def notify_slack(event: WebhookEvent, diagnostics: Diagnostics) -> str:
    """Say in Slack what has happened and what was found, or in the log where no SLACK_WEBHOOK_URL is set."""
    text = f"{event.incident_title} ({event.incident_id})\n{diagnostics.summary}"
    webhook = os.environ.get("SLACK_WEBHOOK_URL")
    if not webhook:
        current().log.warning(text)
        return text
    async with httpx2.AsyncClient(timeout=10) as http:
        (await http.post(webhook, json={"text": text})).raise_for_status()
    return text


# fmt: off
incident_response = (
    flow("incident-response")
    .triggered_by(pagerduty.webhook("/pagerduty/webhook"))
    .then(pagerduty.parse_webhook(event=input_data("")).as_("event"))
    .when(lambda state: state.get("event", WebhookEvent).type == "incident.triggered")
        .then(gather_diagnostics(url=env("SERVICE_URL")).as_("diagnostics"))
        .then(pagerduty.add_note(
            incident_id=output("event.incident_id"),
            content=output("diagnostics.summary"),
        ))
        .then(notify_slack(event=output("event"), diagnostics=output("diagnostics")))
    .end_when()
    .build()
)
# fmt: on

account = pagerduty.PagerDutyProvider()

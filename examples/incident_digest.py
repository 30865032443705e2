"""Say each morning what the last day was like: every incident of the account, however many there were.

export PAGERDUTY_API_KEY=... SLACK_WEBHOOK_URL=...                           # the last may be left out
resolute worker examples/incident_digest.py
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime, timedelta

import httpx2
from pydantic import BaseModel

from resolute import activity, current, flow, manual, now, output, schedule
from resolute.providers import pagerduty

#: Incidents that are still open are named up to this many.
NAMED = 10


class Digest(BaseModel):
    """The day in words; `left_open` holds the addresses of the incidents that nobody has resolved."""

    text: str
    left_open: list[str]


@activity
def write_digest(incidents: list[pagerduty.Incident], until: datetime) -> Digest:
    """What happened, which services it concerned, and what is still open."""
    if not incidents:
        return Digest(text="A quiet day: no incidents.", left_open=[])
    services = Counter(incident.service.name for incident in incidents if incident.service is not None)
    is_open = [incident for incident in incidents if incident.status != "resolved"]
    high = sum(incident.urgency == "high" for incident in incidents)
    lines = [
        f"{len(incidents)} incidents, {high} of high urgency, {len(is_open)} still open.",
        "Services: " + ", ".join(f"{name} {count}" for name, count in services.most_common(5)),
    ]
    for incident in is_open[:NAMED]:
        hours = (until - incident.created_at).total_seconds() / 3600 if incident.created_at is not None else 0
        lines.append(f"- #{incident.incident_number} {incident.title} ({incident.status}, {hours:.0f} h)")
    if len(is_open) > NAMED:
        lines.append(f"- and {len(is_open) - NAMED} more")
    return Digest(text="\n".join(lines), left_open=[incident.html_url or incident.id for incident in is_open])


@activity
async def post(text: str) -> str:
    """Post the digest to Slack, or write it to the log where no SLACK_WEBHOOK_URL is set."""
    webhook = os.environ.get("SLACK_WEBHOOK_URL")
    if not webhook:
        current().log.warning(text)
        return text
    async with httpx2.AsyncClient(timeout=10) as http:
        (await http.post(webhook, json={"text": text})).raise_for_status()
    return text


incident_digest = (
    flow("incident-digest")
    .triggered_by(schedule("0 8 * * *", timezone="Europe/Berlin"), manual("digest"))
    .then(pagerduty.list_all_incidents(since=now() - timedelta(days=1), until=now()).as_("day"))
    .then(write_digest(incidents=output("day"), until=now()).as_("digest"))
    .then(post(text=output("digest.text")))
    .build()
)

account = pagerduty.PagerDutyProvider()

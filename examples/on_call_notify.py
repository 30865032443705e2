"""Tell whoever is on call something, by hand.

export PAGERDUTY_API_KEY=... ESCALATION_POLICY_ID=P123456 SLACK_WEBHOOK_URL=...     # the last may be left out
resolute --module examples/on_call_notify.py run on-call-notify --input text="Deploy at 14:00"
"""

from __future__ import annotations

import os
from datetime import timedelta

import httpx2
from pydantic import BaseModel

from resolute import activity, current, env, flow, input_data, manual, now, output
from resolute.providers import pagerduty


class Notice(BaseModel):
    """What a run is started with."""

    text: str = "You are on call."


@activity
async def send_direct_message(people: list[pagerduty.OnCall], text: str) -> str:
    """Send one message that names everybody on call, over Slack's incoming webhook or else to the log."""
    names = ", ".join(dict.fromkeys(oncall.user.name for oncall in people))
    message = f"{names or 'Nobody is on call'}: {text}"
    webhook = os.environ.get("SLACK_WEBHOOK_URL")
    if not webhook:
        current().log.warning(message)
        return message
    async with httpx2.AsyncClient(timeout=10) as http:
        (await http.post(webhook, json={"text": message})).raise_for_status()
    return message


on_call_notify = (
    flow("on-call-notify")
    .triggered_by(manual("notify"))
    .accepts(Notice)
    .then(
        pagerduty.get_on_calls(
            escalation_policy_ids=[env("ESCALATION_POLICY_ID")],
            since=now(),
            until=now() + timedelta(hours=1),
        ).as_("oncall")
    )
    .then(send_direct_message(people=output("oncall.oncalls"), text=input_data("text")))
    .build()
)

account = pagerduty.PagerDutyProvider()

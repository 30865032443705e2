"""Page, escalate and ring everybody on call when nobody acknowledges, and resolve once the service is well again.

export PAGERDUTY_ROUTING_KEY=... PAGERDUTY_API_KEY=... PAGERDUTY_FROM=automation@example.com
export ESCALATION_POLICY=P123456 SERVICE_URL=https://shop.internal/health
export SLACK_WEBHOOK_URL=...                                                 # may be left out
resolute --module examples/escalation.py run escalation --input summary="The shop is down" --run-id shop-1
resolute runs signal shop-1 take --approve --by ada                          # whoever was rung takes it
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Literal

import httpx2
from pydantic import BaseModel

from resolute import (
    FlowState,
    activity,
    current,
    env,
    flow,
    input_data,
    item,
    manual,
    now,
    output,
    secret,
    steps,
    text,
)
from resolute.providers import pagerduty

#: Time from one look at incident and service to the next; a rehearsal takes less.
LOOK_EVERY = timedelta(seconds=float(os.environ.get("LOOK_EVERY_S", "30")))
#: Looks until everybody is rung.
LOOKS = 20
#: Healthy answers in a row after which the alert is resolved.
HEALTHY_IN_A_ROW = 3


class Problem(BaseModel):
    """What a run is started with; problems with one key are one alert."""

    summary: str
    key: str = "escalation"


@activity(timeout=timedelta(seconds=30))
async def check_service(url: str) -> Literal["healthy", "unhealthy"]:
    """The service's health, asked over HTTP; no answer is unhealthy."""
    try:
        async with httpx2.AsyncClient(timeout=10) as http:
            answer = await http.get(url)
    except httpx2.TransportError as error:
        current().log.info("%s: %s", url, error or type(error).__name__)
        return "unhealthy"
    return "healthy" if answer.is_success else "unhealthy"


@activity
async def tell(text: str) -> str:
    """Say something in Slack, or in the log where no SLACK_WEBHOOK_URL is set."""
    webhook = os.environ.get("SLACK_WEBHOOK_URL")
    if not webhook:
        current().log.warning(text)
        return text
    async with httpx2.AsyncClient(timeout=10) as http:
        (await http.post(webhook, json={"text": text})).raise_for_status()
    return text


def is_taken(state: FlowState) -> bool:
    """Whether somebody has acknowledged or resolved the incident; PagerDuty may need a moment to open one."""
    incident = state.get("incident", pagerduty.FindIncidentOutput).incident
    return incident is not None and incident.status != "triggered"


def is_there(state: FlowState) -> bool:
    """Whether there is an incident: PagerDuty opens none while the service is in maintenance, or is down itself."""
    return state.get("incident", pagerduty.FindIncidentOutput).found


def is_well(state: FlowState) -> bool:
    """Whether the latest answers of the service were all healthy."""
    return state.all("health")[-HEALTHY_IN_A_ROW:] == ["healthy"] * HEALTHY_IN_A_ROW


KEY = input_data("key")

# fmt: off
# Somebody takes it, or everybody on call is rung
people = (
    steps()
    .then_loop(
        "watch",
        pagerduty.find_incident(
            dedup_key=KEY, since=now() - timedelta(days=1), until=now(), wait=timedelta(0),
        ).as_("incident"),
        until=is_taken, every=LOOK_EVERY, at_most=LOOKS, on_end="continue",
    )
    .when(lambda state: not is_taken(state))
        .when(is_there)
            .then(
                pagerduty.update_incident(id=output("incident.incident.id"), escalation_level=2).as_("escalate")
                .or_else(tell(text="The incident could not be escalated.").as_("tell_escalation"))
            )
        .end_when()
        .then(pagerduty.get_on_calls(
            escalation_policy_ids=[env("ESCALATION_POLICY")], since=now(), until=now() + timedelta(minutes=1),
        ).as_("oncall"))
        .then_each(
            "rings",
            over=output("oncall.oncalls"),
            body=tell(text=text("{who}: {what}", who=item("user.name"), what=input_data("summary"))).as_("ring"),
            on_error="continue",
        )
        .then_gate("take", timeout=timedelta(hours=1), on_timeout="continue", on_reject="continue")
        .when(output("take.outcome") == "approved")
            .then(pagerduty.acknowledge_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), dedup_key=KEY))
        .end_when()
    .end_when()
)

# Meanwhile: resolve when the service is well
recovery = (
    steps()
    .then_loop(
        "wait_for_health",
        check_service(url=env("SERVICE_URL")).as_("health"),
        until=is_well, every=LOOK_EVERY, timeout=timedelta(hours=12),
    )
    .then(pagerduty.resolve_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), dedup_key=KEY))
)

escalation = (
    flow("escalation")
    .triggered_by(manual("page"))
    .accepts(Problem)
    .then(
        pagerduty.trigger_event(
            routing_key=secret("PAGERDUTY_ROUTING_KEY"),
            summary=input_data("summary"),
            source="escalation",
            severity="critical",
            dedup_key=KEY,
        )
        # PagerDuty is down or refuses it: tell the channel, and go on sending
        .or_else(
            tell(text=text("PagerDuty has not taken this: {what}", what=input_data("summary"))).as_("tell_channel"),
            after=timedelta(minutes=5),
        )
    )
    .then_parallel("handling", people, recovery)
    .on_failure(
        tell(text=text("The escalation failed at {key}: {error}", key=input_data("key"), error=input_data("error")))
        .as_("tell_failure")
    )
    .build()
)
# fmt: on

account = pagerduty.PagerDutyProvider()

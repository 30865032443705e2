"""Page when a system is critical, tell the people on call, and resolve the alert when it is healthy again.

export PAGERDUTY_ROUTING_KEY=... PAGERDUTY_API_KEY=... ESCALATION_POLICY=P123456
export HEALTH_URL=https://status.internal/health SLACK_WEBHOOK_URL=...      # both may be left out
resolute worker examples/smart_alerting.py
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, Literal

import httpx2
from pydantic import BaseModel

from resolute import Worker, WorkerConfig, activity, current, env, flow, now, output, schedule, secret
from resolute.providers import pagerduty


class Health(BaseModel):
    """What the health page says.

    Attributes:
        was_critical: an alert is, or may be, open because of an earlier check.
    """

    status: Literal["healthy", "degraded", "critical"]
    message: str
    component: str = ""
    metrics: dict[str, Any] = {}
    was_critical: bool = False


@activity(timeout=timedelta(seconds=30))
async def check_system_health(url: str) -> Health:
    """The system's health; a page that does not answer as it should counts as critical.

    Expected is JSON such as {"status": "healthy", "message": "", "component": "api", "metrics": {"load": 0.4}}.
    """
    was_critical = current().ledger.is_open("system-health")
    try:
        async with httpx2.AsyncClient(timeout=10) as http:
            answer = (await http.get(url)).raise_for_status()
        health = Health.model_validate(answer.json())
    except (httpx2.HTTPError, ValueError) as error:
        return Health(status="critical", message=f"{url}: {error or type(error).__name__}", was_critical=was_critical)
    return health.model_copy(update={"was_critical": was_critical})


@activity
async def notify_on_call_slack(people: list[pagerduty.OnCall]) -> str:
    """Tell in Slack who is on call, or in the log where no SLACK_WEBHOOK_URL is set.

    Slack takes no key that would make a repeat safe: a worker that dies right here may post twice.
    """
    names = ", ".join(dict.fromkeys(f"{oncall.user.name} (level {oncall.escalation_level})" for oncall in people))
    text = f"The system is critical. On call: {names or 'nobody'}"
    webhook = os.environ.get("SLACK_WEBHOOK_URL")
    if not webhook:
        current().log.warning(text)
        return text
    async with httpx2.AsyncClient(timeout=10) as http:
        (await http.post(webhook, json={"text": text})).raise_for_status()
    return text


# fmt: off
smart_alerting = (
    flow("smart-alerting")
    .triggered_by(schedule("*/5 * * * *"))
    # Check system health
    .then(check_system_health(url=env("HEALTH_URL", default="https://status.internal/health")).as_("health"))
    # Alert on critical issues
    .when(lambda state: state.get("health", Health).status == "critical")
        .then(pagerduty.trigger_event(
            routing_key=secret("PAGERDUTY_ROUTING_KEY"),
            summary=output("health.message"),
            source="health-monitor",
            severity="critical",
            dedup_key="system-health",
            component=output("health.component"),
            custom_details={"metrics": output("health.metrics")},
        ))
        .then(pagerduty.get_on_calls(
            escalation_policy_ids=[env("ESCALATION_POLICY")], since=now(), until=now() + timedelta(hours=1),
        ).as_("oncall"))
        .then(notify_on_call_slack(people=output("oncall.oncalls")))
    .end_when()
    # Auto-resolve when healthy
    .when(lambda state: state["health"].status == "healthy" and state["health"].was_critical)
        .then(pagerduty.resolve_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), dedup_key="system-health"))
    .end_when()
    .build()
)
# fmt: on

worker = Worker(
    WorkerConfig(task_queue="alerting"),
    flows=[smart_alerting],
    providers=[pagerduty.PagerDutyProvider(pagerduty.PagerDutyConfig())],  # reads PAGERDUTY_* when the worker starts
)

if __name__ == "__main__":
    worker.run()

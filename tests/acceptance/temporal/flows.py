"""The flows that workers on Temporal run in these tests: `resolute worker flows.py`."""

from __future__ import annotations

from datetime import timedelta

from resolute import Worker, WorkerConfig, activity, flow, input_data, manual, output, secret
from resolute.providers import pagerduty

KEY = secret("PAGERDUTY_ROUTING_KEY")


@activity
async def check(name: str) -> dict[str, str]:
    return {"name": name}


page = (
    flow("page")
    .triggered_by(manual())
    .then(check(name=input_data("key")).as_("before"))
    .then(
        pagerduty.trigger_event(
            routing_key=KEY,
            summary=output("before.name"),
            source="test",
            severity="critical",
            dedup_key=input_data("key"),
        ).as_("page")
    )
    .then(check(name=output("page.dedup_key")).as_("after"))
    .build()
)
acknowledge = (
    flow("acknowledge")
    .triggered_by(manual())
    .then(pagerduty.acknowledge_event(routing_key=KEY, dedup_key=input_data("key")))
    .build()
)
resolve = (
    flow("resolve")
    .triggered_by(manual())
    .then(pagerduty.resolve_event(routing_key=KEY, dedup_key=input_data("key")))
    .build()
)

worker = Worker(
    WorkerConfig(grace=timedelta(seconds=2), max_concurrent=50),
    flows=[page, acknowledge, resolve],
    providers=[pagerduty.PagerDutyProvider(pagerduty.PagerDutyConfig())],
)

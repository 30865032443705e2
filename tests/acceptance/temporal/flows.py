"""The flows that workers on Temporal run in these tests: `resolute worker flows.py`."""

from __future__ import annotations

from datetime import timedelta

from resolute import Retry, Worker, WorkerConfig, activity, current, flow, input_data, manual, output, secret
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


@activity(retry=Retry(initial=timedelta(seconds=3), attempts=2))
async def tell(token: str) -> dict[str, str]:
    """Tells its token to everybody who listens, and fails at first."""
    attempt = current()
    attempt.heartbeat({"token": token})
    attempt.memory["last"] = token
    if not attempt.repeated:
        raise ConnectionError(f"{token} was refused")
    return {"said": f"welcome {token}"}


@activity(retry=Retry(attempts=1))
def give_up(token: str) -> None:
    try:
        raise ValueError(f"no such key: {token}")
    except ValueError as error:
        raise RuntimeError(f"gave up on {token}") from error


told = (
    flow("told")
    .triggered_by(manual())
    .then(check(name=input_data("said")).as_("heard"))
    .then(give_up(token=secret("TOKEN")))
    .build()
)
telling = (
    flow("telling")
    .triggered_by(manual())
    .with_cursor("seen", str, start="")
    .then(tell(token=secret("TOKEN")).as_("tell").undo(check(name=output("tell.said")).as_("take_back")))
    .then_advance("seen", output("tell.said"))
    .then(
        pagerduty.trigger_event(
            routing_key=KEY, summary=output("tell.said"), source="test", severity="critical", dedup_key="telling"
        ).as_("page")
    )
    .then_children("others", told, inputs=[{"said": output("tell.said")}])
    .on_failure(check(name=input_data("error")).as_("tell_all"))
    .build()
)

worker = Worker(
    WorkerConfig(grace=timedelta(seconds=2), max_concurrent=50),
    flows=[page, acknowledge, resolve, telling],
    providers=[pagerduty.PagerDutyProvider(pagerduty.PagerDutyConfig())],
)

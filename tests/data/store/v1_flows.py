"""The flows whose runs stand in `v1.sql`, the journal of a worker that wrote schema version 1.

The worker was stopped while runs of `asleep` and `paged` were in their pause of an hour; the last run was begun by a
command when no worker ran. In the order of their numbers:

| run | flow | is |
|---|---|---|
| v1-finished | finished | succeeded, after two rounds of a loop |
| v1-failed | failing | failed at "refuse", after "look" |
| v1-asleep | asleep | waiting, asleep until 12:59:58 |
| v1-paged | paged | waiting, its page accepted, asleep until 12:59:58 |
| (of 12:00:00) | hourly | succeeded, started by its schedule; it counts its ticks in its memory |
| v1-queued | asleep | queued, due at once |
"""

from __future__ import annotations

from datetime import timedelta

from resolute import activity, current, flow, input_data, manual, output, schedule, secret
from resolute.providers import pagerduty


@activity
async def look(host: str) -> str:
    """What it looks like on a host."""
    return f"{host} is slow"


@activity
async def tell(text: str) -> str:
    """The text, told."""
    return f"told: {text}"


@activity
async def refuse(text: str) -> str:
    """The text, while the flow's memory holds a permit; fails without one."""
    if current().memory.get("permit") is None:
        raise ValueError(f"{text}, and nobody permits it")
    return text


@activity
async def count() -> int:
    """How often this flow has run."""
    counted = int(current().memory.get("counted") or 0) + 1
    current().memory["counted"] = counted
    return counted


finished = (
    flow("finished")
    .triggered_by(manual())
    .then(look(host=input_data("host")).as_("seen"))
    .then_loop("rounds", tell(text=output("seen")), until=lambda state: len(state.all("tell")) == 2, at_most=3)
    .when(output("seen") == "db-1 is slow", key="slow")
    .then(tell(text=output("seen")).as_("said"))
    .end_when()
    .build()
)
failing = (
    flow("failing").triggered_by(manual()).then(look(host=input_data("host"))).then(refuse(text=output("look"))).build()
)
asleep = (
    flow("asleep")
    .triggered_by(manual())
    .then(look(host=input_data("host")))
    .then_sleep(timedelta(hours=1), key="nap")
    .then(tell(text=output("look")))
    .build()
)
paged = (
    flow("paged")
    .triggered_by(manual())
    .then(
        pagerduty.trigger_event(
            routing_key=secret("PAGERDUTY_ROUTING_KEY"),
            summary="Disk full",
            source="db-1",
            severity="critical",
            dedup_key="v1-disk-full",
        ).as_("page")
    )
    .then_sleep(timedelta(hours=1), key="nap")
    .then(
        pagerduty.resolve_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), dedup_key="v1-disk-full").as_("resolved")
    )
    .build()
)
hourly = flow("hourly").triggered_by(schedule("0 * * * *")).then(count()).build()

FLOWS = (finished, failing, asleep, paged, hourly)

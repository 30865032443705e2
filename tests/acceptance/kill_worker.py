"""The worker that the kill test kills: `python kill_worker.py STORE CALLS [SHIFT_SECONDS]`.

Its check writes a line to the file CALLS each time it is executed; with SHIFT_SECONDS its clock is ahead by that much.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta

from resolute import activity, current, flow, input_data, manual, output, secret
from resolute.config import WorkerConfig
from resolute.ports import Ports
from resolute.providers import pagerduty
from resolute.worker import Worker


class ShiftedClock:
    """The machine's clock, ahead by a fixed time."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@activity
def check(name: str) -> dict[str, str]:
    line = f"{current().idempotency_key}\n".encode()
    file = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line)
    os.close(file)
    return {"name": name}


paging = (
    flow("paging")
    .triggered_by(manual())
    .then(check(name="before").as_("before"))
    .when(output("before.name") == "before")
    .then(
        pagerduty.trigger_event(
            routing_key=secret("PAGERDUTY_ROUTING_KEY"), summary=output("before.name"), severity="critical"
        )
    )
    .end_when()
    .then(check(name="after").as_("after"))
    .build()
)

page = (
    flow("page")
    .triggered_by(manual())
    .then(
        pagerduty.trigger_event(
            routing_key=secret("PAGERDUTY_ROUTING_KEY"),
            summary="down",
            severity="critical",
            dedup_key=input_data("key"),
        )
    )
    .build()
)
acknowledge = (
    flow("acknowledge")
    .triggered_by(manual())
    .then(pagerduty.acknowledge_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), dedup_key=input_data("key")))
    .build()
)
resolve = (
    flow("resolve")
    .triggered_by(manual())
    .then(pagerduty.resolve_event(routing_key=secret("PAGERDUTY_ROUTING_KEY"), dedup_key=input_data("key")))
    .build()
)

if __name__ == "__main__":
    store, shift_s = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    Worker(
        WorkerConfig(engine=store if "://" in store else f"sqlite:///{store}", max_concurrent=20),
        flows=[paging, page, acknowledge, resolve],
        providers=[pagerduty.PagerDutyProvider(pagerduty.PagerDutyConfig())],
        ports=Ports(clock=ShiftedClock(timedelta(seconds=shift_s))),
    ).run()

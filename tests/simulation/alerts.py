"""What the simulations of one alert share: flows that page, acknowledge and resolve it, and what came of them."""

from __future__ import annotations

import json
from typing import Any

from resolute import Flow, Node, activity, flow, manual, secret
from resolute.engine import NodeView, RunView
from resolute.providers import pagerduty
from resolute.simulator import SimRequest
from tests.simulation.rig import Rig

KEY = secret("PAGERDUTY_ROUTING_KEY")
SEEDS = range(12)


def trigger(key: str = "disk", **fields: Any) -> Node[Any]:
    return pagerduty.trigger_event(
        routing_key=KEY, summary="Disk full", source="db-1", severity="critical", dedup_key=key, **fields
    )


def one(name: str, *nodes: Node[Any]) -> Flow:
    """A flow of these nodes that is started by hand."""
    return flow(name).triggered_by(manual()).then(*nodes).build()


@activity
async def goes_on() -> str:
    return "went on"


def by_hand() -> list[Flow]:
    """One flow for each action on the alert "disk"; each goes on to another node afterwards."""
    return [
        one("page", trigger().as_("page"), goes_on()),
        one("acknowledge", pagerduty.acknowledge_event(routing_key=KEY, dedup_key="disk"), goes_on()),
        one("resolve", pagerduty.resolve_event(routing_key=KEY, dedup_key="disk"), goes_on()),
    ]


def node(view: RunView, key: str) -> NodeView:
    return next(found for found in view.nodes if found.key == key)


def incidents(rig: Rig) -> list[str]:
    """The status of every incident, oldest first."""
    return [incident.status for incident in rig.pagerduty.incidents]


def processed(rig: Rig) -> list[tuple[str, str]]:
    """Every event that took effect: action and effect."""
    return [(event.action, event.effect) for event in rig.pagerduty.processed]


def settled(rig: Rig) -> list[tuple[str, str]]:
    """The incident log: action and status."""
    return [(row.action, row.status) for row in rig.rows()]


def somebody_else(rig: Rig, action: str) -> None:
    """Another sender uses the same routing key and dedup key; it is not hit by the faults."""
    event: dict[str, Any] = {"routing_key": rig.pagerduty.routing_key, "event_action": action, "dedup_key": "disk"}
    if action == "trigger":
        event["payload"] = {"summary": "Disk full again", "source": "db-1", "severity": "critical"}
    rig.pagerduty.faults.outage(False)
    assert rig.pagerduty.handle(SimRequest("POST", "/v2/enqueue", {}, json.dumps(event).encode())).status == 202

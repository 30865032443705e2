"""Change events: what was deployed or configured, shown beside incidents and paging nobody.

Source: PagerDuty Events API v2, "Send a change event".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resolute.simulator.pagerduty.event_rules import (
    find_attachment_faults,
    find_change_payload_faults,
    find_routing_key_faults,
)

LINKS = 50


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """An accepted change event.

    Attributes:
        routing_key: masked.
        service_id: None when no service has the key.
        payload: as sent.
    """

    at: datetime
    routing_key: str
    service_id: str | None
    payload: dict[str, Any]
    links: list[dict[str, Any]]
    images: list[dict[str, Any]]


def find_change_faults(event: dict[str, Any]) -> list[str]:
    """Every rule that a change event breaks, as PagerDuty words it."""
    faults = find_routing_key_faults(event.get("routing_key"))
    payload = event.get("payload")
    if payload is not None and not isinstance(payload, dict):
        return [*faults, "'payload' is invalid (must be an object)"]  # ours
    faults += find_change_payload_faults(payload or {})
    faults += find_attachment_faults(event.get("links"), "links", "link href", "href")
    faults += find_attachment_faults(event.get("images"), "images", "image src", "src")
    return faults


def has_too_many_links(event: dict[str, Any]) -> bool:
    """Whether it has more links than a change event may; that refusal has a shape of its own."""
    links = event.get("links")
    return isinstance(links, list) and len(links) > LINKS

"""What the demo's flow does itself: look at the shop, and say who is on call."""

from __future__ import annotations

from typing import Literal

import httpx2
from pydantic import BaseModel

from resolute.context import current
from resolute.errors import ActivityError
from resolute.model.activity import activity
from resolute.providers.pagerduty import OnCall

DEDUP_KEY = "shop-is-down"


class Health(BaseModel):
    """How the shop is.

    Attributes:
        message: one line for whoever is paged.
        is_open: an alert is, or may be, open at PagerDuty.
    """

    status: Literal["healthy", "down"]
    message: str
    is_open: bool


@activity
async def check_shop(url: str) -> Health:
    """How the shop is, asked over HTTP; no answer counts as down."""
    is_open = current().ledger.is_open(DEDUP_KEY)
    try:
        async with httpx2.AsyncClient(timeout=5) as http:
            answer = await http.get(url)
    except httpx2.TransportError as error:
        return Health(status="down", message=f"The shop does not answer ({type(error).__name__})", is_open=is_open)
    if answer.status_code == 200:
        return Health(status="healthy", message="The shop is healthy", is_open=is_open)
    message = f"The shop answers {answer.status_code}: {answer.text.strip()[:200]}"
    return Health(status="down", message=message, is_open=is_open)


@activity
def announce(people: list[OnCall]) -> str:
    """Says who is on call, in the worker's log; the first level is who was paged."""
    if not people:
        raise ActivityError("Nobody is on call. Put somebody into the escalation policy.", permanent=True)
    first = min(people, key=lambda oncall: oncall.escalation_level)
    address = f" <{first.user.email}>" if first.user.email else ""
    text = f"{first.user.name}{address}, level {first.escalation_level}"
    current().log.info("on call: %s", text)
    return text

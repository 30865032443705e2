"""`RestActivity`: an activity that asks PagerDuty's REST API, and what its attempts share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, ParamSpec, TypeVar

from resolute.context import Attempt, current
from resolute.model.activity import Activity
from resolute.model.retry import Retry
from resolute.providers.pagerduty.client import PagerDutyClient

P = ParamSpec("P")
T = TypeVar("T")

#: Requests are tried for about ten minutes.
REST_RETRY: Final = Retry(attempts=15, jitter=0.5)
#: PagerDuty's clock and ours may differ by this much when a look-up compares times.
CLOCKS_DIFFER: Final = timedelta(minutes=2)
#: How far a look-up goes back when the first attempt ended before its time was on disk.
LOOK_BACK: Final = timedelta(hours=1)


class RestActivity(Activity[P, T]):
    """An activity that asks PagerDuty's REST API.

    Attributes:
        writes: whether it changes something and so needs an address for `From`.
    """

    provider = "pagerduty"
    writes = False

    def __init__(self, fn: Callable[P, Coroutine[Any, Any, T]]) -> None:
        super().__init__(fn, name=f"pagerduty.{fn.__name__}", retry=REST_RETRY)


class WriteActivity(RestActivity[P, T]):
    """An activity that changes something over REST, in the name of a PagerDuty user."""

    writes = True


def account() -> PagerDutyClient:
    """The client of the account that the running node goes through."""
    found: PagerDutyClient = current().provider("pagerduty").client
    return found


def first_begun(attempt: Attempt, now: datetime) -> datetime | None:
    """When the node's first attempt began; None in that attempt itself, which is noted for those after it.

    A later attempt must look before it writes: an earlier one may have had its effect.
    """
    if not attempt.repeated:
        attempt.heartbeat({"begun": now.isoformat()})
        return None
    noted = attempt.heartbeat_details
    text = noted.get("begun") if isinstance(noted, dict) else None
    return datetime.fromisoformat(text) if isinstance(text, str) else now - LOOK_BACK

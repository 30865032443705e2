"""The limits and the doubtful points of the real service, each as a switch.

Where PagerDuty documents no answer, or users have seen two, the default is the stricter reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from typing import Literal


@dataclass(slots=True)
class Rules:
    """Settings of the simulated account; change them at any time.

    Attributes:
        processing_delay: time between a 202 and its effect being visible. PagerDuty names none.
        events_per_minute: accepted events per routing key in any 60 seconds, None for no limit.
            Source: PagerDuty Events API v2 overview, "Rate limits" (about 120).
        unknown_key: answer to a well-formed routing key that no service has. "reject" is a 400
            with plain text, "drop" a 202 without effect; users report both.
        oversize_status: status for a request above `max_event_bytes`; not documented.
        max_event_bytes: documented as 512 KB; the smaller reading of it.
        rest_per_minute: REST requests per API key in any 60 seconds, None for no limit.
            Source: PagerDuty REST API v2, "Rate limiting" (960).
        scarce_per_minute: the same for each of creating incidents, updating many, and on-calls; None for no such
            limit, as its size is not published.
        strict: refuse REST requests that the real service forgives or misreads, with the remarks as errors.
        require_from: refuse writes without a valid `From` header.
        repeats_are_errors: answer 1001 or 1002 when an incident already has the wanted status.
        unasked_total: `total` of a list for which no `total=true` was sent: null, or left out.
        webhook_timeout: how long the receiver of a webhook has to answer.
        webhook_pause, webhook_longest_pause: from a failed delivery to its repeat, doubled each time up to the
            longest; not documented.
        webhook_patience: how long a delivery is repeated before it is dropped.
            Source for the last and the first: PagerDuty Webhooks V3, "Overview".
        time_zone: the account's zone, in which inputs without an offset are read.
    """

    processing_delay: timedelta = timedelta(milliseconds=200)
    events_per_minute: int | None = 120
    unknown_key: Literal["reject", "drop"] = "reject"
    oversize_status: int = 400
    max_event_bytes: int = 512_000
    rest_per_minute: int | None = 960
    scarce_per_minute: int | None = None
    strict: bool = False
    require_from: bool = True
    repeats_are_errors: bool = False
    unasked_total: Literal["null", "absent"] = "null"
    webhook_timeout: timedelta = timedelta(seconds=5)
    webhook_pause: timedelta = timedelta(seconds=30)
    webhook_longest_pause: timedelta = timedelta(hours=1)
    webhook_patience: timedelta = timedelta(hours=48)
    time_zone: tzinfo = UTC

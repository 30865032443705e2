"""One REST request as its handler sees it: parameters read the way PagerDuty reads them, lists paged, refusals.

Handlers get a `RestCall` and return an answer or raise `Refused`; `RestApi` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resolute.simulator.pagerduty.credentials import find_requester
from resolute.simulator.pagerduty.moments import format_moment, months_later, parse_moment
from resolute.simulator.pagerduty.refusals import invalid_input
from resolute.simulator.pagerduty.resources import ApiKey, User
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.webhooks import Webhooks
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest, json_answer, read_json
from resolute.simulator.pagerduty.world import World

Row = TypeVar("Row")

MAX_LIMIT = 100
MAX_ROW = 10_000


@dataclass
class RestCall:
    """An authenticated request.

    Attributes:
        ids: the variable parts of the path, in order.
        key: the credential it came with.
        webhooks: the account's subscriptions.
        remarks: what the real service forgives or misreads silently; filled while reading.
        zone: the zone that dates are written in: `time_zone`, else the account's.
    """

    request: SimRequest
    now: datetime
    world: World
    rules: Rules
    ids: tuple[str, ...]
    key: ApiKey
    webhooks: Webhooks
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.zone = self._read_zone()  # first of all: a bad one must not be found after a change was made

    @cached_property
    def _parameters(self) -> list[tuple[str, str]]:
        return self.request.query

    def value(self, name: str) -> str | None:
        """A single parameter; an empty one counts as not sent."""
        sent = [value for key, value in self._parameters if key == name]
        if sent and not sent[-1]:
            self.remark(f"empty parameter {name}: read as no filter")
        return (sent[-1] or None) if sent else None

    def values(self, name: str) -> list[str]:
        """An array parameter, sent as `name[]=a&name[]=b`; empty values are left out."""
        sent = [value for key, value in self._parameters if key == f"{name}[]"]
        if any(key == name for key, _ in self._parameters):
            self.remark(f"parameter {name} without []: ignored")
        if "" in sent:
            self.remark(f"empty parameter {name}[]: read as no filter")
        return [value for value in sent if value]

    def flag(self, name: str) -> bool:
        """A boolean parameter: lower-case `true` or `1`; any other text counts as false."""
        value = self.value(name)
        if value not in (None, "true", "false", "1", "0"):
            self.remark(f"parameter {name}={value}: not understood, read as false")
        return value in ("true", "1")

    def moment(self, name: str) -> datetime | None:
        """A date parameter in UTC; without an offset it is read in the account's time zone."""
        value = self.value(name)
        if value is None:
            return None
        try:
            moment, has_offset = parse_moment(value, self.rules.time_zone)
        except ValueError:
            raise invalid_input(f"{name.capitalize()} is not a valid date.") from None
        if not has_offset:
            self.remark(f"parameter {name} without offset: read in the account's time zone")
        return moment

    @cached_property
    def include(self) -> frozenset[str]:
        """What `include[]` asks to see in full."""
        return frozenset(self.values("include"))

    def _read_zone(self) -> tzinfo:
        name = self.value("time_zone")
        if name is None:
            return self.rules.time_zone
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, or too long for a file
            raise invalid_input("Time zone is invalid.") from None

    def stamp(self, at: datetime | None) -> str | None:
        """An instant as it stands in an answer to this call."""
        return None if at is None else format_moment(at, self.zone)

    def moments(self) -> tuple[datetime, datetime]:
        """`since` and `until`: the last month by default, six months at most; one end gives the month next to it.

        Source: PagerDuty REST API v2, "List incidents"; one-sided ranges as its client's maintainer explains them.
        """
        since, until = self.moment("since"), self.moment("until")
        if since is None:
            until = until or self.now
            since = months_later(until, -1)
        elif until is None:
            until = months_later(since, 1)
            self.remark("since without until: one month from since, not until now")
        if until < since or until > months_later(since, 6):
            raise invalid_input(" is invalid.")
        return since, until

    def json_object(self) -> dict[str, Any]:
        """The JSON object that is the body."""
        if "json" not in (self.request.header("content-type") or ""):
            raise invalid_input("params must be a Hash")  # read as form data
        try:
            body = read_json(self.request.body)
        except ValueError:
            raise invalid_input("Request body is not valid JSON") from None
        if not isinstance(body, dict):
            raise invalid_input("params must be a Hash")
        return body

    def body(self, wrapper: str) -> dict[str, Any]:
        """The object below `wrapper` in the JSON body."""
        inner = self.json_object().get(wrapper)
        if not isinstance(inner, dict):
            raise invalid_input(f"{wrapper} must be a Hash")
        return inner

    def requester(self) -> User:
        """The user on whose behalf a write is made; see `find_requester`."""
        return find_requester(self.request, self.key, self.world, self.rules)

    def page(self, wrapper: str, rows: Sequence[Row], shape: Callable[[Row], dict[str, Any]]) -> SimAnswer:
        """One page of `rows`, each as `shape` shows it: 25 unless `limit` says otherwise, 100 at most.

        Source: PagerDuty REST API v2, "Pagination"; the clamping comes from users' reports.
        """
        limit, offset = self._number("limit", 25), self._number("offset", 0)
        if limit > MAX_LIMIT:
            self.remark(f"limit={limit}: clamped to {MAX_LIMIT}")
            limit = MAX_LIMIT
        if limit + offset > MAX_ROW:
            raise invalid_input(
                f"Offset+limit exceeds maximum allowed value of {MAX_ROW}. Please try to refine your search."
            )
        shown = [shape(row) for row in rows[offset : offset + limit]]
        answer: dict[str, Any] = {wrapper: shown, "limit": limit, "offset": offset}
        answer["more"] = offset + len(shown) < len(rows)
        if self.flag("total"):
            answer["total"] = len(rows)
        elif self.rules.unasked_total == "null":
            answer["total"] = None
        return json_answer(200, answer)

    def _number(self, name: str, default: int) -> int:
        value = self.value(name)
        if value is None:
            return default
        is_number = value.isascii() and value.isdigit() and len(value) <= 18  # longer ones Python may refuse to read
        if not is_number or (name == "limit" and int(value) == 0):
            raise invalid_input(f"{name.capitalize()} is invalid.")
        return int(value)

    def remark(self, text: str) -> None:
        """Note, once, what the real service would have let pass."""
        if text not in self.remarks:
            self.remarks.append(text)

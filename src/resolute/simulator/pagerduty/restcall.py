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

from resolute.simulator.pagerduty.moments import format_moment, parse_moment
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest, json_answer, read_json
from resolute.simulator.pagerduty.world import User, World

Row = TypeVar("Row")

MAX_LIMIT = 100
MAX_ROW = 10_000


class Refused(Exception):
    """Ends a handler with an error answer; never leaves the simulator.

    Source: PagerDuty REST API v2, "Errors": `{"error": {"message", "code", "errors"}}`.
    """

    def __init__(self, status: int, code: int, message: str, *errors: str) -> None:
        super().__init__(message)
        error: dict[str, Any] = {"message": message, "code": code}
        self.answer = json_answer(status, {"error": error | ({"errors": list(errors)} if errors else {})})


def invalid_input(*errors: str, code: int = 2001) -> Refused:
    """400 with code 2001, PagerDuty's most common refusal."""
    return Refused(400, code, "Invalid Input Provided" if code == 2001 else "Arguments Caused Error", *errors)


def not_found() -> Refused:
    """404 as the official schema shows it."""
    return Refused(404, 2100, "Not Found")


@dataclass
class RestCall:
    """An authenticated request.

    Attributes:
        ids: the variable parts of the path, in order.
        remarks: what the real service forgives or misreads silently; filled while reading.
        zone: the zone that dates are written in: `time_zone`, else the account's.
    """

    request: SimRequest
    now: datetime
    world: World
    rules: Rules
    ids: tuple[str, ...]
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

    def body(self, wrapper: str) -> dict[str, Any]:
        """The object below `wrapper` in the JSON body."""
        if "json" not in (self.request.header("content-type") or ""):
            raise invalid_input("params must be a Hash")  # read as form data
        try:
            body = read_json(self.request.body)
        except ValueError:
            raise invalid_input("Request body is not valid JSON") from None
        if not isinstance(body, dict) or not isinstance(body.get(wrapper), dict):
            raise invalid_input(f"{wrapper} must be a Hash")
        inner: dict[str, Any] = body[wrapper]
        return inner

    def requester(self) -> User:
        """The user named by the `From` header; with the rule relaxed, else the account's first.

        Source: PagerDuty REST API v2, "HTTP request headers"; the texts come from users' reports.
        """
        email = self.request.header("from")
        user = self.world.find_user(email) if email else None
        if user is not None:
            return user
        if not self.rules.require_from:
            return next(iter(self.world.users.values()))
        if not email:
            text = 'You must specify a user\'s email address in the "From" header to perform this action'
            raise Refused(400, 2016, text)
        if "@" not in email:
            raise Refused(400, 1028, 'Malformed "From" header')
        raise Refused(400, 1008, "Requester User Not Found")

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
        if not (value.isascii() and value.isdigit()) or (name == "limit" and int(value) == 0):
            raise invalid_input(f"{name.capitalize()} is invalid.")
        return int(value)

    def remark(self, text: str) -> None:
        """Note, once, what the real service would have let pass."""
        if text not in self.remarks:
            self.remarks.append(text)

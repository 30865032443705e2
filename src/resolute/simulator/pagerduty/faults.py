"""Fault switches: what stands between a client and the service, and breaks.

Three ways to switch, in this order of precedence: an outage answers everything, a script answers the next
requests one by one, a mix answers at random from a seeded source.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from resolute.clock import Randomness
from resolute.errors import ConfigError
from resolute.simulator.pagerduty.events import THROTTLED
from resolute.simulator.pagerduty.wire import Api, SimAnswer, json_answer, text_answer

Scope = Literal["events", "rest", "any"]
Body = Literal["service", "html", "empty", "error_string", "error_array", "errors_string", "errors_object", "no_errors"]

_REASONS = {
    200: "OK",
    202: "Accepted",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_REST_CODES = {401: 2006, 403: 2010, 404: 2100, 429: 2020}


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: what scripts and mixes call it.
        status: HTTP status of the answer; None keeps the service's own answer, or there is none.
        body: the service's own error shape, a gateway's HTML page, nothing, or one of the odd shapes that
            users of the REST API have met.
        applied: the request reaches the service before this answer hides what became of it.
        retry_after: the answer names a time to wait, in `Retry-After`.
        limits: a 429 of the REST host carries its `ratelimit-*` headers.
        ending: "answer", "cut" (connection closed), "refused" (nothing listens), "slow" (the service's own
            answer after `slow_s`), "late" (cut, and the request reaches the service `late_s` later).
    """

    name: str
    status: int | None = None
    body: Body = "service"
    applied: bool = False
    retry_after: bool = False
    limits: bool = True
    ending: Literal["answer", "cut", "refused", "slow", "late"] = "answer"


def _all_kinds() -> dict[str, Fault]:
    kinds = [Fault(str(status), status) for status in (302, 401, 403, 404, 408, 429, 500, 502, 503, 504)]
    kinds += [Fault(f"{status}_bare", status, "empty") for status in (202, 401, 429, 500, 502, 503, 504)]
    kinds += [Fault(f"html_{s}", s, "html") for s in (200, 202, 400, 401, 403, 404, 407, 429, 500, 502, 503, 504)]
    kinds += [Fault(f"{status}_retry_after", status, retry_after=True) for status in (429, 503)]
    kinds.append(Fault("429_no_limits", 429, limits=False))
    kinds += [Fault(f"{status}_applied", status, applied=True) for status in (500, 502, 504)]
    kinds += [Fault(f"html_{status}_applied", status, "html", applied=True) for status in (500, 502, 504)]
    odd: tuple[Body, ...] = ("error_string", "error_array", "errors_string", "errors_object", "no_errors")
    kinds += [Fault(f"400_{body}", 400, body) for body in odd]
    kinds += [
        Fault("cut_before", ending="cut"),
        Fault("apply_then_cut", applied=True, ending="cut"),
        Fault("cut_then_apply", ending="late"),
        Fault("refused", ending="refused"),
        Fault("slow", applied=True, ending="slow"),
    ]
    return {kind.name: kind for kind in kinds}


KINDS = _all_kinds()
"""Every kind of fault by name."""


class Faults:
    """The switches. A simulator asks `next_fault` once per request.

    Attributes:
        slow_s: seconds until a "slow" answer.
        late_s: seconds until a "cut_then_apply" request reaches the service.
        wait_s: what 429 answers tell a client to wait, in seconds.
        webhook_duplicates: how many of the next webhooks are delivered twice.
    """

    def __init__(self, randomness: Randomness) -> None:
        self._own_randomness = randomness
        self.slow_s: float = 20.0
        self.late_s: float = 5.0
        self.wait_s: int = 7
        self.clear()

    def clear(self) -> None:
        """Switch everything off; the three durations stay."""
        self._scripts: dict[Scope, deque[Fault | None]] = {"events": deque(), "rest": deque(), "any": deque()}
        self._mixes: dict[Scope, tuple[list[tuple[Fault, float]], Randomness]] = {}
        self._outages: dict[Scope, Fault] = {}
        self.webhook_duplicates = 0

    def script(self, scope: Scope, kinds: Sequence[str]) -> None:
        """Let the next requests of this scope meet these kinds, one each and in order; "ok" is a healthy one.

        Scripts add up. A script for one host goes before one for "any".
        """
        self._scripts[_scope(scope)].extend(None if kind == "ok" else find_kind(kind) for kind in kinds)

    def mix(self, rates: Mapping[str, float], rng: Randomness | None = None, *, scope: Scope = "any") -> None:
        """Let each request meet a kind at random: `rates` maps kinds to probabilities, whose sum is 1 at most.

        It replaces the scope's former mix; an empty one ends it. A mix for one host goes before one for "any".
        """
        self._mixes[_scope(scope)] = (check_rates(rates), rng or self._own_randomness)

    def outage(self, on: bool = True, *, kind: str = "503", scope: Scope = "any") -> None:
        """Let every request meet this kind ("503", "refused", …) until it is switched off again."""
        if on:
            self._outages[_scope(scope)] = find_kind(kind)
        elif scope == "any":
            self._outages.clear()
        else:
            self._outages.pop(scope, None)

    @property
    def scripted(self) -> int:
        """How many scripted requests are still to come."""
        return sum(len(script) for script in self._scripts.values())

    def next_fault(self, api: Api) -> Fault | None:
        """The fault that the next request for this host meets, None for a healthy one."""
        scopes: tuple[Scope, ...] = (api, "any")
        for scope in scopes:
            if scope in self._outages:
                return self._outages[scope]
        for scope in scopes:
            if self._scripts[scope]:
                return self._scripts[scope].popleft()
        for scope in scopes:
            rates, rng = self._mixes.get(scope, ([], self._own_randomness))
            if rates:
                return _draw(rates, rng.random())
        return None

    def answer(self, fault: Fault, api: Api, served: SimAnswer | None, request_id: str) -> SimAnswer:
        """What the client gets: the fault's own answer, or `served`, the service's, made slow."""
        if fault.ending == "slow" and served is not None:
            return SimAnswer(served.status, served.headers, served.body, delay_s=self.slow_s)
        if fault.status is None:
            return SimAnswer(0, cut=fault.ending != "refused", refused=fault.ending == "refused")
        answer = _error(fault, api)
        if fault.body not in ("html", "empty"):
            answer = answer.with_headers(("x-request-id", request_id))
            if fault.status == 429 and fault.limits and api == "rest":
                answer = answer.with_headers(
                    ("ratelimit-limit", "960"), ("ratelimit-remaining", "0"), ("ratelimit-reset", str(self.wait_s))
                )
        if fault.retry_after:
            answer = answer.with_headers(("retry-after", str(self.wait_s)))
        if fault.status == 302:
            answer = answer.with_headers(("location", "https://login.invalid/"))
        return answer


def find_kind(name: str) -> Fault:
    """The kind of this name.

    Raises:
        ConfigError: there is none; the text lists all.
    """
    if name not in KINDS:
        raise ConfigError(f'Unknown kind of fault "{name}". Known: {", ".join(["ok", *KINDS])}.')
    return KINDS[name]


def check_rates(rates: Mapping[str, float]) -> list[tuple[Fault, float]]:
    """The kinds of a mix with their probabilities.

    Raises:
        ConfigError: an unknown kind, a rate below 0, or a sum above 1.
    """
    total = sum(rates.values())
    if not total <= 1 + 1e-9 or any(rate < 0 for rate in rates.values()):
        raise ConfigError(f"The rates of a fault mix sum up to {total:g}. Expected: none below 0, the sum at most 1.")
    return [(find_kind(kind), rate) for kind, rate in rates.items()]


def _scope(scope: Scope) -> Scope:
    if scope not in ("events", "rest", "any"):
        raise ConfigError(f'Unknown scope "{scope}" of a fault. Known: events, rest, any.')
    return scope


def _draw(rates: list[tuple[Fault, float]], point: float) -> Fault | None:
    for fault, rate in rates:
        if point < rate:
            return fault
        point -= rate
    return None


def _error(fault: Fault, api: Api) -> SimAnswer:
    status = fault.status or 0
    reason = _REASONS[status]
    if fault.body == "empty":
        return SimAnswer(status)
    if fault.body == "html":
        page = f"<html><head><title>{status} {reason}</title></head><body><h1>{status} {reason}</h1></body></html>"
        return text_answer(status, page, kind="text/html")
    detail = "Something is not right"
    shapes: dict[Body, object] = {
        "error_string": {"error": detail},
        "error_array": {"error": [detail]},
        "errors_string": {"error": {"message": "Invalid Input Provided", "code": 2001, "errors": detail}},
        "errors_object": {"error": {"message": "Invalid Input Provided", "code": 2001, "errors": {"field": detail}}},
        "no_errors": {"error": {"message": "Invalid Input Provided", "code": 2001}},
    }
    if fault.body in shapes:
        return json_answer(status, shapes[fault.body])
    if api == "rest":
        message = "Rate Limit Exceeded" if status == 429 else reason
        return json_answer(status, {"error": {"message": message, "code": _REST_CODES.get(status, 2000)}})
    return json_answer(status, THROTTLED if status == 429 else {"status": reason, "message": reason, "errors": []})

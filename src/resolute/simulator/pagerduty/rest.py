"""The REST API: credentials, rate limit, routing, and the shape of refusals.

Resources bring a table of `Route`; adding one means writing its module and naming it in `ROUTES`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from resolute.simulator.pagerduty import rest_directory, rest_incidents, rest_oncalls
from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.ratewindow import RateWindow
from resolute.simulator.pagerduty.restcall import Refused, RestCall, not_found
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest
from resolute.simulator.pagerduty.world import ApiKey, World

ACCEPT = "application/vnd.pagerduty+json;version=2"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation; `*` in `path` stands for an id."""

    method: str
    path: str
    handler: Callable[[RestCall, IncidentBook], SimAnswer]

    def match(self, path: str) -> tuple[str, ...] | None:
        """The ids in `path`, None when it is another path."""
        wanted, sent = self.path.split("/"), path.split("/")
        if len(wanted) != len(sent) or any(w not in ("*", s) for w, s in zip(wanted, sent, strict=True)):
            return None
        return tuple(s for w, s in zip(wanted, sent, strict=True) if w == "*")


ROUTES = (
    Route("GET", "/incidents", rest_incidents.list_incidents),
    Route("GET", "/incidents/*", rest_incidents.get_incident),
    Route("PUT", "/incidents/*", rest_incidents.update_incident),
    Route("GET", "/oncalls", rest_oncalls.list_oncalls),
    Route("GET", "/services", rest_directory.list_services),
    Route("GET", "/users", rest_directory.list_users),
)


class RestApi:
    """Answers requests for the REST host.

    Source: PagerDuty REST API v2, "Authentication", "Rate limiting", "Errors".
    """

    def __init__(self, world: World, rules: Rules, book: IncidentBook) -> None:
        self._world = world
        self._rules = rules
        self._book = book
        self._windows: defaultdict[str, RateWindow] = defaultdict(RateWindow)

    def handle(self, request: SimRequest, now: datetime) -> tuple[SimAnswer, tuple[str, ...]]:
        """The answer, and remarks on what the real service would have let pass."""
        try:
            key = self._authenticate(request)
        except Refused as refused:
            return refused.answer, ()
        limit, window = self._rules.rest_per_minute, self._windows[key.token]
        remarks: list[str] = []
        if request.header("accept") != ACCEPT:
            remarks.append(f"no header Accept: {ACCEPT}; the version is not pinned")
        if limit is not None and not window.take(now, limit):
            answer = Refused(429, 2020, "Rate Limit Exceeded").answer
        else:
            answer = self._route(request, now, key, remarks)
        if limit is not None:
            answer = answer.with_headers(
                ("ratelimit-limit", str(limit)),
                ("ratelimit-remaining", str(window.remaining(now, limit))),
                ("ratelimit-reset", str(window.reset_s(now))),
            )
        return answer, tuple(remarks)

    def _authenticate(self, request: SimRequest) -> ApiKey:
        scheme, _, token = (request.header("authorization") or "").partition("=")
        key = self._world.api_keys.get(token.strip()) if scheme.strip().lower() == "token token" else None
        if key is None:
            raise Refused(401, 2006, "Authentication Failed")
        return key

    def _route(self, request: SimRequest, now: datetime, key: ApiKey, remarks: list[str]) -> SimAnswer:
        matches = [(route, ids) for route in ROUTES if (ids := route.match(request.path)) is not None]
        try:
            if not matches:
                raise not_found()
            for route, ids in matches:
                if route.method == request.method:
                    if key.read_only and route.method != "GET":
                        raise Refused(403, 2010, "Access Denied")
                    call = RestCall(request, now, self._world, self._rules, ids, remarks)
                    return route.handler(call, self._book)
            methods = ", ".join(route.method for route, _ in matches)
            return Refused(405, 2001, "Method Not Allowed").answer.with_headers(("allow", methods))
        except Refused as refused:
            return refused.answer

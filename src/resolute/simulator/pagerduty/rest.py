"""The REST API: credentials, rate limits, routing, and the shape of refusals."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from resolute.simulator.pagerduty import oauth
from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.credentials import authenticate, check_rights
from resolute.simulator.pagerduty.operation import Operation
from resolute.simulator.pagerduty.operations import LINKED, OPERATIONS
from resolute.simulator.pagerduty.ratewindow import RateWindow
from resolute.simulator.pagerduty.refusals import Refused, invalid_input, not_found
from resolute.simulator.pagerduty.resources import ApiKey
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.webhooks import Webhooks
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest
from resolute.simulator.pagerduty.world import World

ACCEPT = "application/vnd.pagerduty+json;version=2"


class RestApi:
    """Answers requests for the REST host.

    Source: PagerDuty REST API v2, "Authentication", "Rate limiting", "Errors".
    """

    def __init__(self, world: World, rules: Rules, book: IncidentBook, webhooks: Webhooks) -> None:
        self._world = world
        self._rules = rules
        self._book = book
        self._webhooks = webhooks
        self._windows: defaultdict[tuple[str, str], RateWindow] = defaultdict(RateWindow)

    def handle(self, request: SimRequest, now: datetime) -> tuple[SimAnswer, tuple[str, ...]]:
        """The answer, and remarks on what the real service would have let pass."""
        if request.path == oauth.PATH:
            return oauth.issue_token(request, self._world, now), ()
        try:
            key = authenticate(request, self._world, now)
        except Refused as refused:
            return refused.answer, ()
        remarks: list[str] = []
        if request.header("accept") != ACCEPT:
            remarks.append(f"no header Accept: {ACCEPT}; the version is not pinned")
        matches = [(each, ids) for each in (*OPERATIONS, *LINKED) if (ids := each.match(request.path)) is not None]
        found = next((match for match in matches if match[0].method == request.method), None)
        limits = self._limits(key, found[0] if found else None)
        if all(window.remaining(now, limit) for window, limit in limits):
            for window, limit in limits:
                window.take(now, limit)
            answer = self._answer(request, now, key, matches, found, remarks)
        else:
            answer = Refused(429, 2020, "Rate Limit Exceeded").answer
        return _with_limits(answer, limits, now), tuple(remarks)

    def _limits(self, key: ApiKey, operation: Operation | None) -> list[tuple[RateWindow, int]]:
        """The windows that a request counts in; all keys of one user share theirs."""
        owner = key.user_id or key.token
        limits = []
        if self._rules.rest_per_minute is not None:
            limits.append((self._windows[owner, ""], self._rules.rest_per_minute))
        if operation is not None and operation.is_scarce and self._rules.scarce_per_minute is not None:
            limits.append((self._windows[owner, operation.name], self._rules.scarce_per_minute))
        return limits

    def _answer(
        self,
        request: SimRequest,
        now: datetime,
        key: ApiKey,
        matches: list[tuple[Operation, tuple[str, ...]]],
        found: tuple[Operation, tuple[str, ...]] | None,
        remarks: list[str],
    ) -> SimAnswer:
        try:
            if not matches:
                raise not_found()
            if found is None:
                methods = ", ".join(operation.method for operation, _ in matches)
                return Refused(405, 2001, "Method Not Allowed").answer.with_headers(("allow", methods))
            operation, ids = found
            check_rights(key, operation.scope, self._world)
            call = RestCall(request, now, self._world, self._rules, ids, key, self._webhooks, remarks)
            if operation.method != "GET":
                self._be_strict(remarks)  # before anything is changed
            answer = operation.handler(call, self._book)
            if operation.method == "GET":
                self._be_strict(remarks)
            return answer
        except Refused as refused:
            return refused.answer

    def _be_strict(self, remarks: list[str]) -> None:
        if self._rules.strict and remarks:
            raise invalid_input(*(f"strict: {remark}" for remark in remarks))


def _with_limits(answer: SimAnswer, limits: list[tuple[RateWindow, int]], now: datetime) -> SimAnswer:
    """The headers of the limit that is nearest."""
    if not limits:
        return answer
    window, limit = min(limits, key=lambda each: each[0].remaining(now, each[1]))
    return answer.with_headers(
        ("ratelimit-limit", str(limit)),
        ("ratelimit-remaining", str(window.remaining(now, limit))),
        ("ratelimit-reset", str(window.reset_s(now))),
    )

"""The ASGI application: both APIs, the page and the admin routes of one simulator.

It touches the simulator in the event loop that runs it and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from resolute.errors import ConfigError
from resolute.simulator.pagerduty.admin import (
    ClockOrder,
    FaultOrder,
    apply_clock_order,
    apply_fault_order,
    apply_rules,
    describe_state,
)
from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.cutting import hang_up
from resolute.simulator.pagerduty.openapi import openapi_document
from resolute.simulator.pagerduty.page import render_page, render_services, render_webhooks
from resolute.simulator.pagerduty.rules_table import RulesTable
from resolute.simulator.pagerduty.wire import SimRequest

Order = TypeVar("Order", bound=BaseModel)

MAX_BODY_BYTES = 1024 * 1024
"""Larger requests are answered with 413 before the simulator sees them."""


class SimulatorApp:
    """Everything the simulator answers over HTTP; `asgi` is the application to run.

    `url` is its own address, shown on the page; `wake` is called after each change. Set `closing` to end slow answers
    at once.
    """

    def __init__(self, simulator: PagerDutySimulator, url: str, *, wake: Callable[[], None] = lambda: None) -> None:
        self._simulator = simulator
        self._wake = wake
        self._url = url
        self.closing = asyncio.Event()
        self.asgi = Starlette(
            routes=[
                Route("/", self._incidents),
                Route("/services-page", self._services),
                Route("/webhooks-page", self._webhooks),
                Route("/incidents-page/{id}/acknowledge", self._acknowledge, methods=["POST"]),
                Route("/incidents-page/{id}/resolve", self._resolve, methods=["POST"]),
                Route("/openapi.json", self._openapi),
                Route("/_simulator/state", self._state),
                Route("/_simulator/export", self._export),
                Route("/_simulator/faults", self._order(FaultOrder, apply_fault_order), methods=["POST"]),
                Route("/_simulator/rules", self._order(RulesTable, apply_rules), methods=["POST"]),
                Route("/_simulator/clock", self._order(ClockOrder, apply_clock_order), methods=["POST"]),
                Mount("", app=self._apis),
            ]
        )

    async def _apis(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        if body is None:
            await PlainTextResponse("Request Entity Too Large", 413)(scope, receive, send)
            return
        query = scope["query_string"].decode("ascii")
        target = scope["raw_path"].decode("ascii") + (f"?{query}" if query else "")
        answer = self._simulator.handle(SimRequest(scope["method"], target, Headers(scope=scope), body))
        self._wake()
        ends_early = answer.delay_s and not await self._wait(answer.delay_s)
        if ends_early or answer.cut or answer.refused:  # a port that listens cannot refuse a single request
            await hang_up(scope, receive)
        else:
            response = Response(answer.body, answer.status)
            for name, value in answer.headers:
                response.headers.append(name, value)
            await response(scope, receive, send)

    async def _wait(self, delay_s: float) -> bool:
        """Wait for a slow answer; False when the server closes meanwhile."""
        try:
            await asyncio.wait_for(self.closing.wait(), delay_s)
        except TimeoutError:
            return True
        return False

    async def _incidents(self, request: Request) -> Response:
        return _page(render_page(self._simulator, self._url, refresh=_refreshes(request)))

    async def _services(self, request: Request) -> Response:
        return _page(render_services(self._simulator, refresh=_refreshes(request)))

    async def _webhooks(self, request: Request) -> Response:
        return _page(render_webhooks(self._simulator, refresh=_refreshes(request)))

    async def _acknowledge(self, request: Request) -> Response:
        return self._change(request, self._simulator.acknowledge)

    async def _resolve(self, request: Request) -> Response:
        return self._change(request, self._simulator.resolve)

    def _change(self, request: Request, change: Callable[[str], object]) -> Response:
        if not _is_own_page(request):
            return PlainTextResponse("Only this simulator's own page may send this form.", 403)
        try:
            change(request.path_params["id"])
        except ConfigError as error:
            return PlainTextResponse(str(error), 404)
        self._wake()
        return RedirectResponse("/", 303)

    async def _openapi(self, request: Request) -> Response:
        return _json(openapi_document(self._url))

    async def _state(self, request: Request) -> Response:
        return _json(describe_state(self._simulator, self._url))

    async def _export(self, request: Request) -> Response:
        return Response(self._simulator.export(), media_type="application/x-ndjson")

    def _order(
        self, kind: type[Order], apply: Callable[[PagerDutySimulator, Order], None]
    ) -> Callable[[Request], Awaitable[Response]]:
        """What answers an order of this kind: done, or why not."""

        async def answer(request: Request) -> Response:
            if not _is_own_page(request):
                return PlainTextResponse("Other sites may not give orders.", 403)
            body = await _read_body(request.receive)
            try:
                apply(self._simulator, kind.model_validate_json(body or b""))
            except ValidationError as error:
                return _json({"errors": [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]}, 400)
            except ConfigError as error:
                return _json({"errors": [str(error)]}, 400)
            self._wake()
            return _json({"status": "ok"})

        return answer


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")


def _page(content: bytes) -> Response:
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    headers = {"content-security-policy": policy, "cache-control": "no-store"}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def _refreshes(request: Request) -> bool:
    return request.query_params.get("refresh") != "off"


def _is_own_page(request: Request) -> bool:
    """Whether a browser sent this from the simulator's own page; other clients send no `Origin`."""
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.headers.get('host', '')}"


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, None when it is larger than `MAX_BODY_BYTES` or the client went away."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if message["type"] == "http.disconnect" or size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)

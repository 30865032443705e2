"""`SimulatorTransport`: the simulator inside the process, where an httpx2 client expects the network.

Waiting goes through `asyncio.sleep` alone, so on an event loop with virtual time a slow answer costs nothing; without
an event loop nothing is waited for.
"""

from __future__ import annotations

import asyncio

import httpx2

from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest


class SimulatorTransport(httpx2.AsyncBaseTransport, httpx2.BaseTransport):
    """Give it to `httpx2.AsyncClient(transport=...)`; any base URL works, for the REST and the Events host alike.

    It fits `httpx2.Client` too, and so the official client: `pagerduty.RestApiV2Client(key, transport=...)`.

    A request is handled the moment it is sent. Then a slow answer is waited for, and ends in
    `httpx2.ReadTimeout` when the request's own read timeout is shorter; a cut ends in
    `httpx2.RemoteProtocolError`, a refusal in `httpx2.ConnectError`.
    """

    def __init__(self, simulator: PagerDutySimulator) -> None:
        self._simulator = simulator

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request, as the simulator would over a socket."""
        answer = self._ask(request, await request.aread())
        timeout = _patience(request)
        if timeout is not None and timeout < answer.delay_s:
            await asyncio.sleep(timeout)
            raise _too_slow(request)
        await asyncio.sleep(answer.delay_s)
        return _response(request, answer)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The same without an event loop, and without waiting."""
        answer = self._ask(request, request.read())
        timeout = _patience(request)
        if timeout is not None and timeout < answer.delay_s:
            raise _too_slow(request)
        return _response(request, answer)

    def _ask(self, request: httpx2.Request, body: bytes) -> SimAnswer:
        target = request.url.raw_path.decode("ascii")
        answer = self._simulator.handle(SimRequest(request.method, target, dict(request.headers), body))
        if answer.refused:
            raise httpx2.ConnectError("All connection attempts failed", request=request)
        return answer


def _patience(request: httpx2.Request) -> float | None:
    timeout: float | None = request.extensions.get("timeout", {}).get("read")
    return timeout


def _too_slow(request: httpx2.Request) -> httpx2.ReadTimeout:
    return httpx2.ReadTimeout("The read operation timed out", request=request)


def _response(request: httpx2.Request, answer: SimAnswer) -> httpx2.Response:
    if answer.cut:
        raise httpx2.RemoteProtocolError("Server disconnected without sending a response.", request=request)
    headers = [*answer.headers, ("content-length", str(len(answer.body)))]
    # As a stream: a client times an answer while it reads it, and content given whole is never read.
    return httpx2.Response(answer.status, headers=headers, stream=httpx2.ByteStream(answer.body), request=request)

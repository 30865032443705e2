"""`SimulatorTransport`: the simulator inside the process, where an httpx2 client expects the network.

Waiting goes through `asyncio.sleep` alone, so on an event loop with virtual time a slow answer costs nothing.
"""

from __future__ import annotations

import asyncio

import httpx2

from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.wire import SimRequest


class SimulatorTransport(httpx2.AsyncBaseTransport):
    """Give it to `httpx2.AsyncClient(transport=...)`; any base URL works, for the REST and the Events host alike.

    A request is handled the moment it is sent. Then a slow answer is waited for, and ends in
    `httpx2.ReadTimeout` when the request's own read timeout is shorter; a cut ends in
    `httpx2.RemoteProtocolError`, a refusal in `httpx2.ConnectError`.
    """

    def __init__(self, simulator: PagerDutySimulator) -> None:
        self._simulator = simulator

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request, as the simulator would over a socket."""
        body = await request.aread()
        target = request.url.raw_path.decode("ascii")
        answer = self._simulator.handle(SimRequest(request.method, target, dict(request.headers), body))
        if answer.refused:
            raise httpx2.ConnectError("All connection attempts failed", request=request)
        timeout = request.extensions.get("timeout", {}).get("read")
        if timeout is not None and timeout < answer.delay_s:
            await asyncio.sleep(timeout)
            raise httpx2.ReadTimeout("The read operation timed out", request=request)
        await asyncio.sleep(answer.delay_s)
        if answer.cut:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return httpx2.Response(answer.status, headers=list(answer.headers), content=answer.body, request=request)

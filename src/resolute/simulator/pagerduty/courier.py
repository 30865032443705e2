"""Sends webhooks over the network: takes what is due, posts it, and reports what became of it.

One courier belongs to one event loop, the one in which its simulator is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import httpx2

from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.deliveries import Delivery, WebhookReply

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL


class Courier:
    """Delivers the webhooks of a simulator while `run` runs."""

    def __init__(self, simulator: PagerDutySimulator, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """`transport` answers the deliveries instead of the network, in tests."""
        self._simulator = simulator
        self._transport = transport
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at once for what is due; call it after a request, whose effects may come later."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled; deliveries that are under way are then given up."""
        self._simulator.webhooks.deliveries.on_queued = self.wake
        async with (
            httpx2.AsyncClient(transport=self._transport, follow_redirects=False, trust_env=False) as http,
            asyncio.TaskGroup() as sending,
        ):
            while True:
                self._woken.clear()
                self._simulator.settle()
                while delivery := self._simulator.webhooks.deliveries.take(self._simulator.now()):
                    sending.create_task(self._send(http, delivery))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._seconds_to_wait())

    def _seconds_to_wait(self) -> float | None:
        due = self._simulator.next_due
        return None if due is None else max(0.01, (due - self._simulator.now()).total_seconds())

    async def _send(self, http: httpx2.AsyncClient, delivery: Delivery) -> None:
        deliveries = self._simulator.webhooks.deliveries
        request = deliveries.request_of(delivery)
        patience = self._simulator.rules.webhook_timeout.total_seconds()
        try:
            async with asyncio.timeout(patience):
                answer = await http.post(
                    request.url, content=request.body, headers=list(request.headers), timeout=patience
                )
            reply = WebhookReply(answer.status_code)
        except (TimeoutError, httpx2.TimeoutException):
            reply = WebhookReply(error="timeout")
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            reply = WebhookReply(error="tls" if _is_tls_fault(error) else "connect")
        deliveries.finish(delivery, reply, self._simulator.now())
        self.wake()


def _is_tls_fault(error: BaseException | None) -> bool:
    """Whether TLS failed for good; an expired certificate may be renewed, so it counts as no connection."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_code != _EXPIRED
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False

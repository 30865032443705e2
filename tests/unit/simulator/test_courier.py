"""The courier: deliveries over HTTP, their outcomes, and its place in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import httpx2
import pytest

from resolute.clock import SystemClock
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.courier import Courier

Answer = Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]]


class Watched(Courier):
    """A courier that tells when something has come of a delivery."""

    def __init__(self, simulator: PagerDutySimulator, answer: Answer) -> None:
        super().__init__(simulator, transport=httpx2.MockTransport(answer))
        self._changed = asyncio.Event()

    def wake(self) -> None:
        super().wake()
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once this holds."""
        async with asyncio.timeout(10):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


@contextlib.asynccontextmanager
async def delivering(simulator: PagerDutySimulator, answer: Answer) -> AsyncIterator[Watched]:
    """A courier at work, whose requests this function answers."""
    courier = Watched(simulator, answer)
    work = asyncio.create_task(courier.run())
    try:
        yield courier
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


def pinged(count: int = 1) -> PagerDutySimulator:
    """A simulator with this many pings to deliver, each to a subscription of its own."""
    simulator = PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))
    for _ in range(count):
        subscription = simulator.webhooks.subscriptions.add("http://receiver.invalid/hook")
        simulator.webhooks.ping(subscription, simulator.now())
    return simulator


def unverified(code: int) -> ssl.SSLCertVerificationError:
    """What is raised for a certificate; 10 stands for expired, 18 for self-signed."""
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code = code
    return error


def fail(error: BaseException) -> Answer:
    """Answer with a failed connection that has this cause."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no connection", request=request) from error

    return answer


def time_out(request: httpx2.Request) -> httpx2.Response:
    """Answer too late."""
    raise httpx2.ReadTimeout("too late", request=request)


@pytest.mark.parametrize(
    ("answer", "state", "outcome"),
    [
        (lambda request: httpx2.Response(202), "delivered", "202"),
        (lambda request: httpx2.Response(302), "dropped", "302"),
        (lambda request: httpx2.Response(410), "dropped", "410"),
        (lambda request: httpx2.Response(429), "waiting", "429"),
        (lambda request: httpx2.Response(503), "waiting", "503"),
        (time_out, "waiting", "timeout"),
        (fail(OSError("refused")), "waiting", "connect"),
        (fail(unverified(10)), "waiting", "connect"),
        (fail(ssl.SSLError("wrong version")), "dropped", "tls"),
        (fail(unverified(18)), "dropped", "tls"),
    ],
)
async def test_outcomes_are_told_apart(answer: Answer, state: str, outcome: str) -> None:
    """What may work later is repeated, what will not is dropped."""
    simulator = pinged()
    [delivery] = simulator.deliveries
    async with delivering(simulator, answer) as courier:
        await courier.until(lambda: bool(delivery.attempts))
    assert (delivery.state, [attempt.outcome for attempt in delivery.attempts]) == (state, [outcome])


async def test_receivers_do_not_wait_for_one_another() -> None:
    """One that never answers holds up its own subscription alone."""
    simulator, stuck = pinged(2), asyncio.Event()
    first, second = simulator.deliveries

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.headers["X-Webhook-Id"] == first.id:
            await stuck.wait()
        return httpx2.Response(200)

    async with delivering(simulator, answer) as courier:
        await courier.until(lambda: second.state == "delivered")
        assert first.state == "in_flight"
        stuck.set()
        await courier.until(lambda: first.state == "delivered")


async def test_wakes_for_what_happens_later() -> None:
    """A delivery that is queued while it has nothing to do."""
    simulator = PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))
    subscription = simulator.webhooks.subscriptions.add("http://receiver.invalid/hook")
    async with delivering(simulator, lambda request: httpx2.Response(200)) as courier:
        await asyncio.sleep(0)
        simulator.webhooks.ping(subscription, simulator.now())
        await courier.until(lambda: bool(simulator.deliveries[0].attempts))
    assert simulator.deliveries[0].state == "delivered"

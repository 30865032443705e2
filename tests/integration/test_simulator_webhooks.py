"""The simulator's webhooks over real sockets: it delivers, a receiver of our own answers."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import httpx2
import pytest

from resolute.clock import SystemClock
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.server import SimulatorServer

PATIENCE_S = 20


class Receiver:
    """An HTTP server that keeps what it gets and answers with the next of `statuses`, then 202; 0 waits for `go`."""

    def __init__(self) -> None:
        self.got: Queue[tuple[dict[str, str], bytes]] = Queue()
        self.statuses: Queue[int] = Queue()
        self.go = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = 202 if receiver.statuses.empty() else receiver.statuses.get()
                receiver.got.put((dict(self.headers), body))
                if not status:
                    receiver.go.wait(PATIENCE_S)
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Headers and event of the next delivery."""
        headers, body = self.got.get(timeout=PATIENCE_S)
        return headers | {"raw": body.decode()}, json.loads(body)["event"]

    def stop(self) -> None:
        """Close it."""
        self.go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    """A simulator that repeats failed deliveries at once."""
    simulator = PagerDutySimulator(SystemClock(), processing_delay=timedelta(milliseconds=20))
    simulator.rules.webhook_pause = timedelta(milliseconds=20)
    with SimulatorServer(simulator) as server:
        yield server


def trigger(server: SimulatorServer, key: str) -> None:
    """Send an event, which takes effect a little later."""
    payload = {"summary": "Disk full", "source": "db-1", "severity": "critical"}
    event = {"routing_key": server.call(lambda sim: sim.routing_key), "event_action": "trigger", "dedup_key": key}
    assert httpx2.post(f"{server.url}/v2/enqueue", json=event | {"payload": payload}).status_code == 202


def test_an_event_comes_back_as_a_signed_webhook(server: SimulatorServer, receiver: Receiver) -> None:
    """Without anybody asking for it, once the processing delay has passed."""
    headers = {"Authorization": f"Token token={server.call(lambda sim: sim.api_key)}"}
    method = {"type": "http_delivery_method", "url": receiver.url}
    wanted = {"type": "webhook_subscription", "delivery_method": method, "events": ["incident.triggered"]}
    body = {"webhook_subscription": wanted | {"filter": {"type": "account_reference"}}}
    made = httpx2.post(f"{server.url}/webhook_subscriptions", json=body, headers=headers).json()
    secret = made["webhook_subscription"]["delivery_method"]["secret"]
    trigger(server, "disk")
    sent, event = receiver.next()
    expected = hmac.new(secret.encode(), sent["raw"].encode(), hashlib.sha256).hexdigest()
    assert sent["X-PagerDuty-Signature"] == f"v1={expected}"
    assert (event["event_type"], event["data"]["title"]) == ("incident.triggered", "Disk full")
    assert event["data"]["self"].startswith(server.url)


def test_failed_deliveries_are_repeated_until_they_arrive(server: SimulatorServer, receiver: Receiver) -> None:
    """With the same id each time."""
    server.call(lambda sim: sim.webhooks.subscriptions.add(receiver.url, ["incident.triggered"]))
    for status in (503, 429):
        receiver.statuses.put(status)
    trigger(server, "disk")
    ids = {receiver.next()[0]["X-Webhook-Id"] for _ in range(3)}
    assert len(ids) == 1


def test_a_receiver_that_hangs_is_left(server: SimulatorServer, receiver: Receiver) -> None:
    """It has counted as a timeout, and the same delivery comes again, while the APIs go on answering."""
    server.call(lambda sim: sim.webhooks.subscriptions.add(receiver.url, ["incident.triggered"]))

    def hurry(simulator: PagerDutySimulator) -> None:
        simulator.rules.webhook_timeout = timedelta(milliseconds=100)

    server.call(hurry)
    receiver.statuses.put(0)
    trigger(server, "disk")
    first, _ = receiver.next()
    again, _ = receiver.next()
    assert first["X-Webhook-Id"] == again["X-Webhook-Id"]
    [delivery] = server.call(lambda sim: sim.deliveries)
    assert delivery.attempts[0].outcome == "timeout"


def test_a_delivery_under_way_does_not_hold_up_the_end(receiver: Receiver) -> None:
    """Stopping gives it up."""
    receiver.statuses.put(0)
    simulator = PagerDutySimulator(SystemClock())
    with SimulatorServer(simulator) as server:
        subscription = server.call(lambda sim: sim.webhooks.subscriptions.add(receiver.url))
        server.call(lambda sim: sim.webhooks.ping(subscription, sim.now()))
        receiver.next()
    assert [delivery.state for delivery in simulator.deliveries] == ["in_flight"]

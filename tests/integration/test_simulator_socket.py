"""The simulator on a real socket: what only a connection can show."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest

from resolute.clock import SystemClock
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.server import SimulatorServer, serve

PAYLOAD = {"summary": "Disk full", "source": "db-1", "severity": "critical"}


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    """A simulator on a free port, in its own thread, with events processed at once."""
    simulator = PagerDutySimulator(SystemClock())
    simulator.rules.processing_delay *= 0
    with SimulatorServer(simulator) as server:
        yield server


@pytest.fixture
def client(server: SimulatorServer) -> Iterator[httpx2.Client]:
    """A client with a connection to keep."""
    headers = {"Authorization": f"Token token={server.call(lambda sim: sim.api_key)}"}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=10) as client:
        yield client


def trigger(server: SimulatorServer, key: str = "disk") -> dict[str, object]:
    """A good event for the first service."""
    routing_key = server.call(lambda sim: sim.routing_key)
    return {"routing_key": routing_key, "event_action": "trigger", "dedup_key": key, "payload": PAYLOAD}


def test_one_address_serves_both_apis_and_the_page(server: SimulatorServer, client: httpx2.Client) -> None:
    """An event sent is an incident listed, and links lead to the page."""
    assert client.post("/v2/enqueue", json=trigger(server)).status_code == 202
    [incident] = client.get("/incidents", params={"incident_key": "disk"}).json()["incidents"]
    assert incident["html_url"] == f"{server.url}/#{incident['id']}"
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f'id="{incident["id"]}"' in page.text


def test_cut_connection_hides_an_event_that_was_applied(server: SimulatorServer, client: httpx2.Client) -> None:
    """The client sees a closed connection, the service an open alert; the next request is fine."""
    server.call(lambda sim: sim.faults.script("events", ["apply_then_cut", "cut_before", "refused"]))
    for key in ("applied", "lost", "refused"):
        with pytest.raises(httpx2.RemoteProtocolError):
            client.post("/v2/enqueue", json=trigger(server, key))
    assert server.call(lambda sim: [alert.alert_key for alert in sim.alerts]) == ["applied"]
    assert client.post("/v2/enqueue", json=trigger(server)).status_code == 202


def test_cut_sends_not_a_single_byte(server: SimulatorServer) -> None:
    """Seen from a bare socket: the end of the stream and nothing before it."""
    server.call(lambda sim: sim.faults.script("any", ["cut_before"]))
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /users HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100) == b""


def test_slow_answer_does_not_hold_up_others_nor_the_end(server: SimulatorServer, client: httpx2.Client) -> None:
    """Others are answered meanwhile, and stopping the server cuts it off."""
    server.call(lambda sim: sim.faults.script("events", ["slow"]))
    errors: list[httpx2.TransportError] = []

    def wait() -> None:
        try:
            httpx2.post(f"{server.url}/v2/enqueue", content=b"{}", timeout=60)
        except httpx2.TransportError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    deadline = time.monotonic() + 10
    while not server.call(lambda sim: sim.requests) and time.monotonic() < deadline:
        pass
    assert client.get("/users").status_code == 200
    begun = time.monotonic()
    server.stop()
    waiting.join(10)
    assert [type(error) for error in errors] == [httpx2.RemoteProtocolError]
    assert time.monotonic() - begun < 10


def test_oversize_body_never_reaches_the_simulator(server: SimulatorServer, client: httpx2.Client) -> None:
    """More than a mebibyte is 413; half of that is the service's to refuse."""
    assert client.post("/v2/enqueue", content=b"x" * (1024 * 1024 + 1)).status_code == 413
    assert client.post("/v2/enqueue", content=b"x" * (600 * 1024)).status_code == 400
    assert server.call(lambda sim: len(sim.requests)) == 1


def test_call_passes_results_and_errors(server: SimulatorServer) -> None:
    """It runs in the server's loop, where the simulator may be touched."""
    assert server.call(lambda sim: threading.current_thread().name) == "pagerduty-simulator"
    with pytest.raises(KeyError):
        server.call(lambda sim: sim.world.users["PNOBODY"])


def test_taken_port_is_told_at_once(server: SimulatorServer) -> None:
    """In the caller's thread, as the operating system says it."""
    second = SimulatorServer(PagerDutySimulator(SystemClock()), port=int(server.url.rpartition(":")[2]))
    with pytest.raises(OSError, match="in use"):
        second.start()


async def test_serve_runs_in_the_callers_own_loop() -> None:
    """For programs that have one; afterwards nothing listens any more."""
    simulator = PagerDutySimulator(SystemClock())
    async with serve(simulator) as url, httpx2.AsyncClient(base_url=url) as client:
        answers = await asyncio.gather(*(client.get("/_simulator/state") for _ in range(5)))
        assert {answer.json()["url"] for answer in answers} == {url}
    async with httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get(url)

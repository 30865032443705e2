"""PagerDuty's deliveries over real sockets: whose they are, and that each starts one run, in order per incident."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from resolute import Flow, Worker, WorkerConfig, activity, flow, input_data
from resolute.clock import SystemClock, monotonic
from resolute.engine import RunQuery
from resolute.ports import Ports
from resolute.providers import pagerduty
from resolute.simulator import PagerDutySimulator, SimRequest
from resolute.simulator.pagerduty.server import SimulatorServer
from tests.integration.spoiling_road import SpoilingRoad

SECRET = "facts-sheet-secret"
VECTOR = '{"event":{"id":"EVT1","event_type":"pagey.ping","data":{"message":"café","type":"ping"}}}'.encode()
DIGEST = "930eb0994d67a6f29b510662cc693767f5274ec498db9a6307fde1d3334fb0c3"
SPOILED = {"cut_before": 0.015, "cut_after": 0.015, "silent": 0.01}
LOOK_S = 0.05  # between two looks at what others have done
DEADLINE_S = 240.0


def heard(keep: Callable[[Any], None]) -> Flow:
    """A flow that keeps every event that it is started for."""

    @activity
    async def listen(event: dict[str, Any]) -> str:
        keep(event)
        return str(event["id"])

    return flow("heard").triggered_by(pagerduty.webhook("/pagerduty")).then(listen(event=input_data("event"))).build()


@asynccontextmanager
async def receiver(store: str, secret: str, keep: Callable[[Any], None]) -> AsyncIterator[Worker]:
    """A worker that takes PagerDuty's deliveries."""
    config = WorkerConfig(engine=store, webhooks="127.0.0.1:0")
    ports = Ports(environ={"PAGERDUTY_WEBHOOK_SECRET": secret})
    async with Worker(config, flows=[heard(keep)], ports=ports) as worker:
        yield worker


@pytest.mark.parametrize(
    ("body", "signature", "status"),
    [
        pytest.param(VECTOR, f"v1={DIGEST}", 200, id="as documented"),
        pytest.param(VECTOR, f"v1={'0' * 64},v1={DIGEST}", 200, id="second value"),
        pytest.param(VECTOR, f"v1={DIGEST.upper()}", 200, id="upper case"),
        pytest.param(VECTOR, f"v0=x, v1={DIGEST}, v2=y", 200, id="unknown versions"),
        pytest.param(VECTOR.replace(b"EVT1", b"EVT2"), f"v1={DIGEST}", 401, id="changed byte of the body"),
        pytest.param(VECTOR, f"v1={DIGEST[:-1]}4", 401, id="changed byte of the digest"),
        pytest.param(VECTOR, f"v2={DIGEST}", 401, id="another version"),
        pytest.param(VECTOR, "", 401, id="none"),
    ],
)
async def test_only_what_is_signed_over_its_raw_bytes_gets_in(body: bytes, signature: str, status: int) -> None:
    """The documented vector as PagerDuty would post it, and what others might make of it."""
    headers = {"content-type": "application/json", "x-webhook-id": "1", "x-pagerduty-signature": signature}
    async with (
        receiver("memory:", f"another-secret,{SECRET}", print) as worker,
        httpx2.AsyncClient(base_url=str(worker.webhooks_url), trust_env=False) as sender,
    ):
        answer = await sender.post("/pagerduty", content=body, headers=headers)
        assert answer.status_code == status
        assert await worker.engine.runs(RunQuery()) == []


@pytest.mark.parametrize(
    ("incidents", "notes"),
    [
        pytest.param(15, 18, id="300 deliveries"),
        pytest.param(200, 48, id="10,000 deliveries", marks=pytest.mark.ci_only),
    ],
)
@pytest.mark.timeout(300)
async def test_every_delivery_starts_one_run_in_the_order_of_its_incident(
    tmp_path: Path, incidents: int, notes: int
) -> None:
    """Through cut connections, lost and late answers, a journal that cannot be written, and deliveries sent twice."""
    told = ["incident.triggered", *(f"note {number}" for number in range(notes)), "incident.resolved"]
    kept: Counter[str] = Counter()
    account = Account()
    with SimulatorServer(account.simulator) as server:
        async with (
            receiver(f"sqlite:///{tmp_path}/resolute.db", SECRET, lambda event: kept.update([event["id"]])) as worker,
            SpoilingRoad(int(str(worker.webhooks_url).rpartition(":")[2]), SPOILED, random.Random(1)) as road,
        ):
            server.call(lambda _: account.subscribe(f"{road.url}/pagerduty"))
            server.call(lambda _: account.open(incidents))
            for number, text in enumerate(told[1:]):
                server.call(lambda _, text=text: account.write(text))
                if number in (notes // 3, 2 * notes // 3):
                    await journal_is_held(
                        tmp_path / "resolute.db", lambda: server.call(lambda _: account.outcomes()["503"])
                    )
            await comes_true(lambda: server.call(lambda _: account.arrived()) == incidents * len(told))
            await comes_true(lambda: len(kept) == incidents * len(told))
            runs = await worker.engine.runs(RunQuery(limit=2 * incidents * len(told)))

    order = defaultdict(list)
    for run in reversed(runs):
        incident, text = what(run.input["event"])
        order[incident].append(text)
    assert order == {incident.id: told for incident in account.simulator.incidents}
    assert set(kept.values()) == {1}
    assert set(road.met) == {"", *SPOILED}
    assert {"202", "503", "connect", "timeout"} <= set(account.outcomes())
    assert sum(delivery.duplicates for delivery in account.simulator.deliveries) == account.doubled > 0


class Account:
    """A PagerDuty account whose incidents change, and which delivers what it tells of them.

    Attributes:
        doubled: how many deliveries were to be sent twice.
    """

    def __init__(self) -> None:
        self.simulator = PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))
        self.doubled = 0
        rules = self.simulator.rules
        rules.events_per_minute = rules.rest_per_minute = None
        rules.webhook_timeout = timedelta(seconds=3)  # a worker takes two to say that it cannot write
        rules.webhook_pause = timedelta(milliseconds=50)
        rules.webhook_longest_pause = timedelta(seconds=1)

    def subscribe(self, url: str) -> None:
        """Tell this address, signed with a new secret and the one before it."""
        events = ["incident.triggered", "incident.annotated", "incident.resolved"]
        self.simulator.webhooks.subscriptions.add(url, events, secret=SECRET).rotate("a-new-secret")

    def open(self, number: int) -> None:
        """So many new incidents."""
        payload = {"summary": "Disk full", "source": "db-1", "severity": "critical"}
        event = {"routing_key": self.simulator.routing_key, "event_action": "trigger", "payload": payload}
        for each in range(number):
            self._ask("POST", "/v2/enqueue", {**event, "dedup_key": f"disk-{each}"})

    def write(self, text: str) -> None:
        """A note on every incident, or its end; one delivery in a hundred is sent twice."""
        change = {"incident": {"type": "incident_reference", "status": "resolved"}}
        incidents = self.simulator.incidents
        for incident in incidents:
            if text == "incident.resolved":
                self._ask("PUT", f"/incidents/{incident.id}", change)
            else:
                self._ask("POST", f"/incidents/{incident.id}/notes", {"note": {"content": text}})
        double = len(incidents) // 100 + 1
        self.simulator.faults.webhook_duplicates += double
        self.doubled += double

    def arrived(self) -> int:
        """How many deliveries have; none may be dropped."""
        states = Counter(delivery.state for delivery in self.simulator.deliveries)
        assert not states["dropped"]
        return states["delivered"]

    def outcomes(self) -> Counter[str]:
        """What became of attempts to deliver."""
        return Counter(attempt.outcome for delivery in self.simulator.deliveries for attempt in delivery.attempts)

    def _ask(self, method: str, target: str, content: dict[str, Any]) -> None:
        headers = {
            "authorization": f"Token token={self.simulator.api_key}",
            "from": self.simulator.first_user.email,
            "content-type": "application/json",
            "accept": "application/vnd.pagerduty+json;version=2",
        }
        answer = self.simulator.handle(SimRequest(method, target, headers, json.dumps(content).encode()))
        assert answer.status < 300, answer.body


def what(event: dict[str, Any]) -> tuple[str, str]:
    """The incident of an event, and the note or the kind of event that it tells of."""
    data = event["data"]
    is_note = data["type"] == "incident_note"
    return (data["incident"]["id"], data["content"]) if is_note else (data["id"], event["event_type"])


async def journal_is_held(path: Path, put_off: Callable[[], int]) -> None:
    """Another program holds the journal until the worker has put one more delivery off."""
    before = put_off()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await comes_true(lambda: put_off() > before)
        other.execute("ROLLBACK")


async def comes_true(holds: Callable[[], bool]) -> None:
    """Return as soon as it holds."""
    deadline = monotonic() + DEADLINE_S
    while not holds():
        assert monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(LOOK_S)

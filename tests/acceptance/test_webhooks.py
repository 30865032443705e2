"""Webhooks of the real command: what was answered 202 is there after `kill -9`, and what is there ran once."""

from __future__ import annotations

import hashlib
import hmac
import signal
import socket
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from resolute.engine import RunQuery
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from tests.acceptance.command import Desk, Running
from tests.acceptance.senders import KEY, Senders

pytestmark = pytest.mark.acceptance

FLOWS = """
import os
from resolute import activity, current, flow, hmac_sha256, input_data, secret, webhook

@activity
def count(event: str) -> str:
    file = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{current().idempotency_key}\\n".encode())
    os.close(file)
    return event

hooked = (
    flow("hooked")
    .triggered_by(webhook("/alerts", signature=hmac_sha256(secret("HOOK")), event_id="event.id"))
    .then(count(event=input_data("event.id")))
    .build()
)
"""


@pytest.fixture
def desk(resolute: Desk) -> Desk:
    """Flows with a webhook, at an address of their own."""
    resolute.write("flows.py", FLOWS)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    calls = resolute.write("calls", "")
    resolute.environ |= {"HOOK": KEY, "CALLS": str(calls), "RESOLUTE_WEBHOOKS": f"127.0.0.1:{port}"}
    return resolute


def up(desk: Desk) -> Running:
    """A worker that takes deliveries."""
    worker = desk.start("worker", "flows.py")
    worker.wait_for_line("webhooks at http://127.0.0.1:")
    return worker


def port_of(desk: Desk) -> int:
    return int(desk.environ["RESOLUTE_WEBHOOKS"].rpartition(":")[2])


def done(desk: Desk) -> set[str]:
    """Every node whose output is on disk."""

    async def ask(store: ReadOnlyStore) -> set[str]:
        found = set()
        for run in await store.runs(RunQuery(limit=10_000)):
            _, entries = await store.load(run.no)
            found.update(f"{run.id}/{entry.position}" for entry in entries if entry.status == "done")
        return found

    return desk.read(ask)


def statuses(desk: Desk) -> Counter[str]:
    runs = desk.read(lambda store: store.runs(RunQuery(limit=10_000)))
    return Counter(run.status for run in runs)


@pytest.mark.parametrize(
    ("events", "kills"),
    [
        pytest.param(100, 2, id="100 events"),
        pytest.param(1000, 8, id="1000 events", marks=pytest.mark.ci_only),
    ],
)
@pytest.mark.timeout(600)
def test_no_accepted_delivery_is_lost_however_often_the_worker_is_killed(desk: Desk, events: int, kills: int) -> None:
    """Each event has one run, the one its sender was told, and no finished node ran again."""
    calls = desk.folder / "calls"
    done_at_kill: list[tuple[set[str], int]] = []
    worker = up(desk)
    with Senders(port_of(desk), events) as senders:
        for kill in range(1, kills + 1):
            desk.wait_for(lambda kill=kill: len(senders.accepted) >= kill * events // (kills + 1))  # type: ignore[misc]
            worker.signal(signal.SIGKILL)
            worker.process.wait()
            told = set(senders.accepted.values())
            assert told <= {run.id for run in desk.read(lambda store: store.runs(RunQuery(limit=10_000)))}
            done_at_kill.append((done(desk), calls.stat().st_size))
            worker = up(desk)
        desk.wait_for(lambda: len(senders.accepted) == events or bool(senders.strange))
    desk.wait_for(lambda: statuses(desk) == {"succeeded": events})
    worker.signal(signal.SIGTERM)

    assert worker.end().code == 0
    assert senders.strange == []
    runs = desk.read(lambda store: store.runs(RunQuery(limit=10_000)))
    assert sorted(run.id for run in runs) == sorted(senders.accepted.values())
    assert len(set(senders.accepted.values())) == events
    made = calls.read_bytes()
    for finished, offset in done_at_kill:
        again = finished.intersection(made[offset:].decode().split())
        assert not again, f"finished nodes ran again: {again}"
    assert not desk.holds(KEY)


def test_worker_says_a_line_for_each_delivery_and_stops_in_order(desk: Desk) -> None:
    """With path, status and run; SIGTERM ends it with 0 although a sender keeps its connection open."""
    worker = up(desk)
    body = b'{"event": {"id": "e1"}}'
    digest = hmac.digest(KEY.encode(), body, hashlib.sha256).hex()
    with httpx2.Client(trust_env=False) as http:
        url = f"http://127.0.0.1:{port_of(desk)}/alerts"
        headers = {"x-signature": digest, "content-type": "application/json"}
        run_id = http.post(url, content=body, headers=headers).json()["run_id"]
        worker.wait_for_line(f"POST /alerts: 202, run {run_id}")
        worker.signal(signal.SIGTERM)
        answer = worker.end()
    assert answer.code == 0
    assert "Traceback" not in answer.err
    assert digest not in answer.err
    assert Path(desk.store).exists()


def test_address_that_is_taken_ends_the_command(desk: Desk) -> None:
    """With the code for a wrong configuration, and what to do."""
    with socket.create_server(("127.0.0.1", port_of(desk))):
        answer = desk("worker", "flows.py")
    assert answer.code == 2
    assert f"cannot be received at 127.0.0.1:{port_of(desk)}" in answer.err

"""Webhooks on a real socket: what is accepted is on disk, and what is not is refused without harm."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from resolute import (
    Worker,
    WorkerConfig,
    activity,
    bearer,
    flow,
    github,
    hmac_sha256,
    input_data,
    manual,
    secret,
    slack,
    unsigned,
    webhook,
)
from resolute.clock import monotonic
from resolute.engine import RunQuery, RunView
from resolute.errors import ConfigError
from resolute.ports import Ports
from resolute.server.listener import MAX_HEAD, listen
from resolute.server.webhooks import MAX_BODY, MAX_HELD, Webhooks

SECRET = "the-secret-of-the-hook"
OLD_SECRET = "the-secret-before-it"
LOOK_S = 0.01  # between two looks at what another task has done
DEADLINE_S = 30.0


class Alert(BaseModel):
    host: str


@activity
async def note(text: str) -> str:
    return text


hooked = (
    flow("hooked")
    .triggered_by(
        webhook("/github", signature=github([secret("HOOK"), secret("HOOK_OLD")])),
        webhook("/plain", signature=hmac_sha256(secret("HOOK")), event_id="id"),
        webhook("/headers", signature=unsigned, headers=["X-Kind"]),
        webhook("/slack", signature=slack(secret("HOOK"))),
        webhook("/token", signature=bearer(secret("HOOK")), event_id="header:X-Id"),
    )
    .then(note(text=input_data("text", default="none")))
    .build()
)
strict = (
    flow("strict")
    .triggered_by(webhook("/strict", signature=unsigned))
    .accepts(Alert)
    .then(note(text=input_data("host")))
    .build()
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolute.db"


@pytest.fixture
async def worker(path: Path) -> AsyncIterator[Worker]:
    """A worker that receives webhooks, and its secrets."""
    config = WorkerConfig(engine=f"sqlite:///{path}", webhooks="127.0.0.1:0")
    ports = Ports(environ={"HOOK": SECRET, "HOOK_OLD": OLD_SECRET})
    async with Worker(config, flows=[hooked, strict], ports=ports) as up:
        yield up


@pytest.fixture
async def sender(worker: Worker) -> AsyncIterator[httpx2.AsyncClient]:
    """Who sends to it."""
    limits = httpx2.Limits(max_connections=50)
    async with httpx2.AsyncClient(base_url=str(worker.webhooks_url), limits=limits, trust_env=False) as client:
        yield client


def signed(body: bytes, key: str = SECRET, event: str = "event-1", **more: str) -> dict[str, Any]:
    """A delivery as GitHub would send it."""
    digest = hmac.digest(key.encode(), body, hashlib.sha256).hex()
    headers = {"x-hub-signature-256": f"sha256={digest}", "x-github-delivery": event, "x-signature": digest}
    return {"content": body, "headers": {"content-type": "application/json", **headers, **more}}


async def runs_of(worker: Worker) -> list[RunView]:
    return list(await worker.engine.runs(RunQuery(limit=100)))


async def comes_true(holds: Callable[[], bool]) -> None:
    """Return as soon as it holds."""
    deadline = monotonic() + DEADLINE_S
    while not holds():
        assert monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(LOOK_S)


@contextmanager
def locked_by_another_program(path: Path) -> Iterator[None]:
    """Nothing can be written to the store meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def send_raw(worker: Worker, request: bytes) -> bytes:
    """What comes back until the connection is closed, for requests that a client would not send."""
    host, _, port = str(worker.webhooks_url).removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await reader.read()
    finally:
        writer.close()


# Accepted


async def test_delivery_starts_a_run_with_its_body(worker: Worker, sender: httpx2.AsyncClient, path: Path) -> None:
    """202 with the run's id, which is on disk at that moment and shows what started it."""
    answer = await sender.post("/github", **signed(b'{"text": "down"}'))
    assert answer.status_code == 202
    run_id = answer.json()["run_id"]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        assert reader.execute("SELECT trigger FROM runs WHERE id = ?", [run_id]).fetchall() == [("webhook:/github",)]
    run = await worker.engine.result(run_id)
    assert (run.status, run.output, run.input) == ("succeeded", {"note": "down"}, {"text": "down"})
    assert run_id.startswith("hooked:")
    assert run_id.endswith(":event-1")


async def test_same_event_again_is_accepted_and_starts_nothing(worker: Worker, sender: httpx2.AsyncClient) -> None:
    """Senders repeat what they think was lost; also with another body, the first one counts."""
    first = await sender.post("/github", **signed(b'{"text": "down"}'))
    await worker.engine.result(first.json()["run_id"])
    for body in (b'{"text": "down"}', b'{"text": "other"}'):
        again = await sender.post("/github", **signed(body))
        assert (again.status_code, again.json()) == (202, first.json())
    assert [run.input for run in await runs_of(worker)] == [{"text": "down"}]


async def test_fifty_deliveries_of_one_event_at_once_make_one_run(worker: Worker, sender: httpx2.AsyncClient) -> None:
    """All are told the same run."""
    answers = await asyncio.gather(*(sender.post("/plain", **signed(b'{"id": "e1"}')) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len(await runs_of(worker)) == 1


@pytest.mark.parametrize("key", [SECRET, OLD_SECRET])
async def test_either_secret_is_good_while_they_are_changed(sender: httpx2.AsyncClient, key: str) -> None:
    """`github([secret("HOOK"), secret("HOOK_OLD")])`."""
    assert (await sender.post("/github", **signed(b"{}", key))).status_code == 202


async def test_secret_is_read_for_each_delivery(path: Path, tmp_path: Path) -> None:
    """A file that is replaced counts from the next delivery on; one that is gone puts senders off."""
    file = tmp_path / "hook"
    file.write_text(OLD_SECRET)
    config = WorkerConfig(engine="memory:", webhooks="127.0.0.1:0")
    ports = Ports(environ={"HOOK_FILE": str(file), "HOOK_OLD": "another"})
    async with (
        Worker(config, flows=[hooked], ports=ports) as worker,
        httpx2.AsyncClient(base_url=str(worker.webhooks_url), trust_env=False) as sender,
    ):
        assert (await sender.post("/plain", **signed(b"{}"))).status_code == 401
        file.write_text(SECRET)
        assert (await sender.post("/plain", **signed(b"{}"))).status_code == 202
        file.unlink()
        assert (await sender.post("/plain", **signed(b"{}"))).status_code == 503


async def test_asked_headers_stand_beside_the_body(worker: Worker, sender: httpx2.AsyncClient) -> None:
    """And no others."""
    answer = await sender.post("/headers", json=[1], headers={"X-Kind": "push", "X-Other": "no"})
    run = await worker.engine.get(answer.json()["run_id"])
    assert run.input == {"body": [1], "headers": {"x-kind": "push"}}


async def test_slack_challenge_is_answered_and_starts_nothing(worker: Worker, sender: httpx2.AsyncClient) -> None:
    """Slack asks so before it sends events; only who can sign is answered."""
    body = b'{"type": "url_verification", "challenge": "3eZbrw1aB"}'
    at = str(int(worker.ports.clock.now().timestamp()))
    digest = hmac.digest(SECRET.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hex()
    headers = {
        "content-type": "application/json",
        "x-slack-request-timestamp": at,
        "x-slack-signature": f"v0={digest}",
    }
    answer = await sender.post("/slack", content=body, headers=headers)
    assert (answer.status_code, answer.text) == (200, "3eZbrw1aB")
    headers["x-slack-signature"] = "v0=" + "0" * 64
    assert (await sender.post("/slack", content=body, headers=headers)).status_code == 401
    assert await runs_of(worker) == []


# Refused


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": "sha256=" + "0" * 64},
        {"x-hub-signature-256": "sha1=" + "0" * 40},
        {"x-hub-signature-256": signed(b"{} ")["headers"]["x-hub-signature-256"]},
        {"x-hub-signature-256": signed(b"{}", "wrong")["headers"]["x-hub-signature-256"]},
        {"x-hub-signature": signed(b"{}")["headers"]["x-hub-signature-256"]},
    ],
)
async def test_delivery_without_the_signature_is_refused(
    worker: Worker, sender: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    """Missing or wrong: the same answer, so that nobody learns how to forge one."""
    answer = await sender.post("/github", content=b"{}", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "The signature is missing or wrong."}
    assert await runs_of(worker) == []


@pytest.mark.parametrize(
    ("status", "method", "target", "delivery"),
    [
        (404, "POST", "/nowhere", signed(b"{}")),
        (404, "POST", "/github/", signed(b"{}")),
        (404, "GET", "/%67ithub", {}),
        (405, "GET", "/github", {}),
        (405, "PUT", "/github", signed(b"{}")),
        (400, "POST", "/github", signed(b"not json")),
        (400, "POST", "/github", signed(b'{"a":' * 1000 + b"1" + b"}" * 1000)),
        (400, "POST", "/github", signed(b"\xff")),
        (413, "POST", "/github", signed(b'"' + b"x" * 2 * MAX_BODY + b'"')),
        (415, "POST", "/github", signed(b"{}", **{"content-type": "multipart/form-data"})),
        (422, "POST", "/strict", {"json": {"hots": "db1"}}),
        (422, "POST", "/strict", {"content": b"db1"}),
    ],
)
async def test_delivery_that_cannot_be_used_is_refused(
    worker: Worker, sender: httpx2.AsyncClient, status: int, method: str, target: str, delivery: dict[str, Any]
) -> None:
    """With the status that says why, and the next one is taken as ever."""
    answer = await sender.request(method, target, **delivery)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert await runs_of(worker) == []
    assert (await sender.post("/github", **signed(b"{}"))).status_code == 202


async def test_body_that_does_not_say_its_length_is_cut_off(worker: Worker, sender: httpx2.AsyncClient) -> None:
    """As soon as it is too long, whatever is announced."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * (MAX_BODY // 20)

    answer = await sender.post("/github", content=endless())
    assert answer.status_code == 413
    at_most = signed(b'"' + b"x" * (MAX_BODY - 2) + b'"')
    assert (await sender.post("/github", **at_most)).status_code == 202


async def test_body_that_is_announced_too_long_is_not_waited_for(worker: Worker) -> None:
    """Not a byte of it has to come."""
    head = b"POST /github HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\n"
    answer = await send_raw(worker, head + b"content-length: %d\r\n\r\n" % (MAX_BODY + 1))
    assert answer.startswith(b"HTTP/1.1 413")


HEADERS = (
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
    "x-github-delivery",
    "x-hub-signature-256",
    "x-id",
    "x-signature",
    "x-slack-request-timestamp",
    "x-slack-signature",
)


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe\x80", b"\x00", b'"; DROP', b"9" * 4000, b"x" * 2 * MAX_HEAD])
async def test_garbage_in_any_header_harms_nobody(
    worker: Worker, caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    """Each is answered or cut off; none is an error of ours, and the worker goes on."""
    for name in HEADERS:
        for path in ("/github", "/slack", "/token"):
            head = b"POST %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" % path.encode()
            answer = await send_raw(worker, head + b"%b: %b\r\n\r\n" % (name.encode(), garbage))
            assert not answer or answer.split()[1] in (b"400", b"401", b"413"), (name, answer)
    assert [record for record in caplog.records if record.exc_info] == []
    assert await runs_of(worker) == []


@pytest.mark.parametrize("request_line", [b"\x16\x03\x01\x02\x00", b"GET", b"A" * 2 * MAX_HEAD])
async def test_what_is_not_http_is_cut_off(worker: Worker, request_line: bytes) -> None:
    """TLS at a plain port, and lines without end."""
    answer = await send_raw(worker, request_line + b"\r\n\r\n")
    assert not answer or answer.split()[1] == b"400"


async def test_nothing_secret_is_logged(
    worker: Worker, sender: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A line for each request has path, status and run, but no secret, signature or body."""
    caplog.set_level(logging.DEBUG, "resolute")
    delivery = signed(b'{"text": "private-words"}')
    accepted = await sender.post("/github", **delivery)
    await sender.post("/github", **signed(b'{"text": "private-words"}', "wrong-secret"))
    await sender.post("/private-path", **delivery)
    token = {"authorization": f"Bearer {SECRET}", "x-id": "e2"}
    await sender.post("/token", content=b"private-words", headers=token)
    lines = [record.getMessage() for record in caplog.records if record.name == "resolute.webhooks"]
    assert lines[:2] == [f"POST /github: 202, run {accepted.json()['run_id']}", "POST /github: 401"]
    signature = delivery["headers"]["x-signature"]
    assert [word for word in (SECRET, signature, "private", "wrong") if word in caplog.text] == []


# While it cannot be kept


async def test_sender_is_put_off_while_the_journal_cannot_be_written(worker: Worker, path: Path) -> None:
    """503 with a time to come again; the event is not lost, and runs once however often it came."""
    app = Webhooks(worker.engine, [hooked], secrets=worker.ports.secrets, clock=worker.ports.clock, patience_s=LOOK_S)
    async with (
        listen(app, "127.0.0.1", 0) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as sender,
    ):
        with locked_by_another_program(path):
            slow = await sender.post("/github", **signed(b"{}"))
            await comes_true(lambda: worker.engine.core.store.held_since is not None)
            patient = Webhooks(
                worker.engine,
                [hooked],
                secrets=worker.ports.secrets,
                clock=worker.ports.clock,
                patience_s=2 * DEADLINE_S,
            )
            async with asyncio.timeout(DEADLINE_S), listen(patient, "127.0.0.1", 0) as other:
                held = await sender.post(
                    f"{other}/github", **signed(b"{}")
                )  # known to be held, so nothing is waited for
        for answer in (slow, held):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        await comes_true(lambda: worker.engine.core.store.held_since is None)
        again = await sender.post("/github", **signed(b"{}"))
        while again.status_code == 503:  # a busy machine may take longer than this patience
            again = await sender.post("/github", **signed(b"{}"))
    assert again.status_code == 202
    assert len(await runs_of(worker)) == 1


async def test_sender_is_put_off_while_the_worker_stops(worker: Worker) -> None:
    """And nobody is let in afterwards."""
    app = Webhooks(worker.engine, [hooked], secrets=worker.ports.secrets, clock=worker.ports.clock)
    async with httpx2.AsyncClient(trust_env=False) as sender:
        async with listen(app, "127.0.0.1", 0) as url:
            app.stop()
            answer = await sender.post(f"{url}/github", **signed(b"{}"))
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        with pytest.raises(httpx2.ConnectError):
            await sender.post(f"{url}/github", **signed(b"{}"))
    assert await runs_of(worker) == []


async def test_sender_that_is_not_done_when_the_worker_stops_is_put_off(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not hold up the end, and is no error of ours."""
    app = Webhooks(worker.engine, [hooked], secrets=worker.ports.secrets, clock=worker.ports.clock)
    async with asyncio.timeout(DEADLINE_S):
        async with listen(app, "127.0.0.1", 0) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(b"POST /github HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n{")
            assert b"100 Continue" in await reader.readline()  # its body is waited for
            app.stop()
        assert b"503 Service Unavailable" in await reader.read()
    writer.close()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_bodies_of_strangers_do_not_fill_the_memory(worker: Worker, sender: httpx2.AsyncClient) -> None:
    """Whoever comes while too much is held is put off; all of it is given back."""
    app = Webhooks(worker.engine, [hooked], secrets=worker.ports.secrets, clock=worker.ports.clock)
    chunk = {"type": "http.request", "body": b" " * MAX_BODY, "more_body": True}
    senders = MAX_HELD // MAX_BODY
    async with asyncio.timeout(DEADLINE_S):
        strangers = [asyncio.create_task(deliver(app, [chunk])) for _ in range(senders)]
        await asyncio.sleep(0)
        assert await deliver(app, [{"type": "http.request", "body": b"{}"}]) == 503
        for stranger in strangers:
            stranger.cancel()
        await asyncio.gather(*strangers, return_exceptions=True)
        assert await deliver(app, [{"type": "http.request", "body": b"{}"}]) == 401


async def deliver(app: Webhooks, messages: list[dict[str, Any]]) -> int:
    """The status of a delivery that comes in these pieces and then no further."""
    statuses = []

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    await app({"method": "POST", "raw_path": b"/github", "headers": []}, receive, send)
    return int(statuses[0])


# Slow and broken senders


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /github HTTP/1.1\r\nhost: x\r\n",
        b"POST /github HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
        b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\nPOST /github HTTP/1.1\r\n",
    ],
    ids=["silent", "head", "body", "second request"],
)
async def test_request_that_does_not_come_in_is_cut_off(worker: Worker, begun: bytes) -> None:
    """However it goes on: each further byte does not buy more time."""
    app = Webhooks(worker.engine, [hooked], secrets=worker.ports.secrets, clock=worker.ports.clock)
    async with listen(app, "127.0.0.1", 0, read_s=10 * LOOK_S) as url, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(begun)
        answered = asyncio.create_task(reader.read())
        while not answered.done():
            if begun:
                writer.write(b"x")
            await asyncio.wait({answered}, timeout=LOOK_S)
        writer.close()
        assert answered.exception() is None or isinstance(answered.exception(), ConnectionError)


async def test_sender_that_goes_away_starts_nothing(worker: Worker, sender: httpx2.AsyncClient) -> None:
    """In the middle of its body."""
    host, _, port = str(worker.webhooks_url).removeprefix("http://").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /headers HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await sender.post("/github", **signed(b"{}"))).status_code == 202
    assert len(await runs_of(worker)) == 1


async def test_address_that_is_taken_is_told(path: Path) -> None:
    """With the address, and the worker does not start without it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = WorkerConfig(engine=f"sqlite:///{path}", webhooks=address)
        ports = Ports(environ={"HOOK": SECRET, "HOOK_OLD": OLD_SECRET})
        with pytest.raises(ConfigError, match=f"cannot be received at {address}"):
            async with Worker(config, flows=[hooked], ports=ports):
                pass


async def test_worker_without_webhooks_listens_nowhere(path: Path) -> None:
    """Whatever the environment says."""
    quiet = flow("quiet").triggered_by(manual()).then(note(text="x")).build()
    ports = Ports(environ={"RESOLUTE_WEBHOOKS": "127.0.0.1:0"})
    async with Worker(WorkerConfig(engine="memory:"), flows=[quiet], ports=ports) as worker:
        assert worker.webhooks_url is None

"""A day of work with secrets, and then a search for them in all that is left: logs, metrics, store and its copy."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx2

from resolute import (
    Retry,
    Secret,
    activity,
    bearer,
    current,
    flow,
    hmac_sha256,
    manual,
    schedule,
    secret,
    webhook,
)  # fmt: skip
from resolute.engine import RunQuery
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.sqlite.backup import back_up
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.threads import Inline
from resolute.hooks import RunEvent
from resolute.jobs import Job, prepare_call
from resolute.logs import JsonFormatter, LineFormatter, Place, Redaction
from resolute.metrics import Metrics
from resolute.providers import pagerduty
from resolute.providers.pagerduty import PagerDutyConfig, PagerDutyProvider
from resolute.secrets import Secrets
from resolute.server.webhooks import Webhooks
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from resolute.testing.virtual_time import VirtualClock, run_virtual
from tests.contract.engine.machines import WatchedStore
from tests.contract.engine.patient_loop import PatientLoop

TOKEN = 'tököken-"quoted"-4711'
HOOK = "the-secret-of-the-hook"
BEARER = "bearer-token-of-the-caller"
FAULTS = {"503": 0.2, "apply_then_cut": 0.2, "html_502": 0.1, "400_error_string": 0.1, "401": 0.1}

Keys = Annotated[str, Secret()]


@activity(retry=Retry(attempts=2))
async def call_service(token: Keys) -> dict[str, str]:
    """Tells the token to everybody who listens."""
    headers = {"Authorization": f"Bearer {token}"}
    current().log.warning("called with %s", headers, extra={"headers": headers})
    logging.getLogger("some.library").info("GET /?key=%s", token)
    current().heartbeat({"token": token})
    current().memory["last"] = token
    if not current().repeated:
        raise ConnectionError(f"{token} was refused")
    return {"said": f"welcome {token}"}


@activity(retry=Retry(attempts=1))
def give_up(token: Keys) -> None:
    try:
        raise ValueError(f"no such key: {token}")
    except ValueError as error:
        logging.getLogger("another.library").exception("failed with %s", token)
        raise RuntimeError(f"gave up on {token}") from error


def page(source: str) -> Any:
    return pagerduty.trigger_event(
        routing_key=secret("ROUTING"), summary="down", source=source, severity="critical", dedup_key="day"
    )


every_hour = (
    flow("every-hour")
    .triggered_by(schedule("0 * * * *"), manual())
    .then(call_service(token=secret("TOKEN")), page("a").with_retry(Retry(deadline=timedelta(hours=2))))
    .then(give_up(token=secret("TOKEN")))
    .on_failure(page("b").as_("tell"))
    .build()
)
delivered = (
    flow("delivered")
    .triggered_by(
        webhook("/signed", signature=hmac_sha256(secret("HOOK")), event_id="id"),
        webhook("/token", signature=bearer(secret("BEARER")), event_id="id"),
    )
    .then(call_service(token=secret("TOKEN")))
    .build()
)


def tells(event: RunEvent) -> None:
    if event.kind == "run_finished":
        raise RuntimeError(f"the dashboard refused {TOKEN}")


class Broken(httpx2.AsyncBaseTransport):
    """A network of which every tenth request fails in a way that nobody foresaw, and says what was sent."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self._count = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._count += 1
        logging.getLogger("httpx2").info("HTTP Request: %s %s %s", request.method, request.url, request.headers)
        if self._count % 10 == 0:
            raise LookupError(f"cannot send {request.content!r} with {dict(request.headers)}")
        return await self._inner.handle_async_request(request)


class Lines(logging.Handler):
    """What a command would print."""

    def __init__(self, formatter: logging.Formatter, secrets: Secrets) -> None:
        super().__init__(logging.DEBUG)
        self.addFilter(Place())
        self.addFilter(Redaction(secrets.scrub))
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextlib.contextmanager
def logged(secrets: Secrets) -> Iterator[list[Lines]]:
    """Everything that is logged meanwhile, in each form, by handlers that know nothing of each other."""
    root, before = logging.getLogger(), logging.getLogger().level
    handlers = [Lines(LineFormatter(), secrets), Lines(JsonFormatter(), secrets)]
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handlers
    root.setLevel(before)
    for handler in handlers:
        root.removeHandler(handler)


async def deliver(app: Webhooks, path: str, body: bytes, **headers: str) -> int:
    """The status of the answer to a delivery."""
    sent: list[Any] = []
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"raw_path": path.encode(), "method": "POST", "headers": [(b"content-type", b"application/json"), *raw]}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])


def spellings(value: str) -> list[bytes]:
    """A secret as it may stand in a file, a line or an address."""
    return [text.encode() for text in (value, json.dumps(value)[1:-1], quote(value), repr(value)[1:-1])]


def test_no_secret_is_left_anywhere_after_a_day_of_work(tmp_path: Path) -> None:
    """Pages, failures, webhooks, hooks and a job: nothing that is written, shown or copied holds a secret."""
    loop = PatientLoop()
    clock = VirtualClock(loop)
    simulator = PagerDutySimulator(clock, randomness=random.Random(1))
    job_key = simulator.routing_key[::-1]
    environ = {"ROUTING": simulator.routing_key, "TOKEN": TOKEN, "HOOK": HOOK, "BEARER": BEARER}
    searched = [*environ.values(), simulator.api_key, job_key]
    secrets = Secrets(environ)
    path, left = tmp_path / "resolute.db", dict[str, bytes]()
    errors: list[str] = []

    async def program() -> None:
        store = WatchedStore(SqliteStore(path, clock=clock))
        loop.is_busy = lambda: store.pending > 0
        account = PagerDutyProvider(
            PagerDutyConfig(service_key=simulator.routing_key, api_key=simulator.api_key),
            transport=Broken(SimulatorTransport(simulator)),
        )
        account.open(environ, clock, secrets)
        name = (account.kind, account.name)
        engine = EmbeddedEngine(
            store.as_store(), [every_hour, delivered], clock=clock, randomness=random.Random(1), secrets=secrets,
            providers={name: account}, paging={name: account.paging}, threads=Inline(), environ=environ, hooks=[tells],
        )  # fmt: skip
        metrics = Metrics(engine)
        await engine.open()
        await a_day(engine, simulator, clock, secrets, job_key)
        left["metrics"] = metrics.render()
        runs = await engine.runs(RunQuery(limit=1000))
        errors.extend(run.error for run in runs if run.error)
        assert not [run.id for run in runs if run.id.encode() in left["metrics"]]
        copy = tmp_path / "copy.db"
        back_up(path, copy, overwrite=False)
        left["wal"] = path.with_name("resolute.db-wal").read_bytes()
        await engine.close()
        await account.close()
        left.update(file=path.read_bytes(), copy=copy.read_bytes())

    with logged(secrets) as handlers:
        run_virtual(loop, program())
    loop.close()
    left.update(human="\n".join(handlers[0].lines).encode(), json="\n".join(handlers[1].lines).encode())
    left["errors"] = "\n".join(errors).encode()
    found = {(name, value) for name, text in left.items() for value in searched for s in spellings(value) if s in text}
    assert not found
    # And it was a day of work, of which something is left that could have held a secret.
    assert all(len(handler.lines) > 300 for handler in handlers)
    assert b"welcome" in left["file"] or b"welcome" in left["wal"]
    assert all(b"was refused" in left[name] for name in ("human", "json"))
    assert b"gave up on" in left["errors"]
    assert b'resolute_webhook_answers_total{code="401"} 24.0' in left["metrics"]


async def a_day(
    engine: EmbeddedEngine, simulator: PagerDutySimulator, clock: VirtualClock, secrets: Secrets, job_key: str
) -> None:
    """Runs by the clock, deliveries that are good, repeated and forged, and jobs with a key of their own."""
    app = Webhooks(engine, [every_hour, delivered], secrets=secrets, clock=clock)
    simulator.faults.mix(FAULTS, random.Random(1))
    for hour in range(24):
        body = json.dumps({"id": f"event-{hour}"}).encode()
        signature = hmac.digest(HOOK.encode(), body, hashlib.sha256).hex()
        assert await deliver(app, "/signed", body, x_signature=signature) == 202
        assert await deliver(app, "/signed", body, x_signature=HOOK) == 401
        assert await deliver(app, "/token", body, authorization=f"Bearer {BEARER}") == 202
        call = prepare_call(
            Job("A job", "create_pagerduty_incident", {"title": "down", "service_key": job_key}),
            wait=timedelta(minutes=5),
        )
        engine.add_flow(call.flow)
        await engine.start(call.flow.name, call.input, secrets=call.secrets)
        await asyncio.sleep(3600)

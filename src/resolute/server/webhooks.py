"""`Webhooks`: the public application that takes deliveries and starts runs.

A delivery is answered 202 when its run is on disk, and not before. Who is refused learns no reason that would help
to forge one; no secret, signature or body is ever logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from resolute.clock import Clock
from resolute.engine import RunView
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.errors import ConfigError, InputError, RunConflict, StoreError
from resolute.jsontypes import JsonValue
from resolute.model.recipe import Flow
from resolute.model.webhook import Delivery, Signature, Webhook, webhooks_in
from resolute.secrets import Secrets
from resolute.server.content import Unusable, input_of, read_content, run_id_of

log = logging.getLogger("resolute.webhooks")

#: A body of more bytes is refused.
MAX_BODY: Final = 1024 * 1024
#: Bytes of all bodies that are in memory at the same time; who has not signed yet must not fill it.
MAX_HELD: Final = 64 * MAX_BODY
#: How long a sender waits for its run to be on disk before it is told to come again.
PATIENCE_S: Final = 2.0
#: How long requests may go on once the worker stops.
STOPPING_S: Final = 0.5
#: When senders that are put off may come again, in seconds.
RETRY_AFTER: Final = b"5"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """What a sender is told.

    Attributes:
        text: as it is where it is a text, else an object of JSON.
        run_id: of the run, for the log.
    """

    status: int
    text: str | Mapping[str, str]
    run_id: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()


def refused(status: int, error: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, {"error": error}, headers=headers)


def put_off(error: str) -> Answer:
    """The answer while nothing can be kept: the sender comes again."""
    return refused(503, error, (b"retry-after", RETRY_AFTER))


class Webhooks:
    """An ASGI application with one path for each webhook of the flows.

    Args:
        patience_s: how long a sender waits for its run to be on disk.

    """

    def __init__(
        self,
        engine: EmbeddedEngine,
        flows: Iterable[Flow],
        *,
        secrets: Secrets,
        clock: Clock,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._stopping = False
        self._engine = engine
        self._secrets = secrets
        self._clock = clock
        self._patience_s = patience_s
        self._held_bytes = 0
        self._limits: set[asyncio.Timeout] = set()
        self._starting: set[asyncio.Task[RunView]] = set()
        self._routes = {hook.path: (flow.name, hook) for flow in flows for hook in webhooks_in(flow.triggers)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["raw_path"].decode("latin-1")
        answer = await self._answer(path, scope, receive)
        if answer is None:
            log.info("POST %s: the sender went away", path)
            return
        self._engine.core.webhook_answers[answer.status] += 1
        shown = path if path in self._routes else "an unknown path"  # what was asked for may be anything
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT") else "other method"
        log.info("%s %s: %d%s", method, shown, answer.status, f", run {answer.run_id}" if answer.run_id else "")
        is_text = isinstance(answer.text, str)
        kind = b"text/plain; charset=utf-8" if is_text else b"application/json"
        body = str(answer.text).encode("utf-8", "replace") if is_text else json.dumps(answer.text).encode()
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def stop(self) -> None:
        """Put off whoever still comes, and soon those who are at it."""
        self._stopping = True
        end = asyncio.get_running_loop().time() + STOPPING_S
        for limit in self._limits:
            limit.reschedule(end)

    async def close(self) -> None:
        """Wait for the runs that are being started, as long as a sender would; the others come again."""
        if self._starting:
            _, late = await asyncio.wait(self._starting, timeout=self._patience_s)
            for task in late:
                task.cancel()

    async def _answer(self, path: str, scope: Scope, receive: Receive) -> Answer | None:
        """The answer to a request, None when the sender has gone."""
        if path not in self._routes:
            return refused(404, "There is no webhook at this path.")
        if scope["method"] != "POST":
            return refused(405, "Deliveries are sent with POST.", (b"allow", b"POST"))
        headers = _joined(scope["headers"])
        if int(headers.get("content-length", "0")) > MAX_BODY:
            return refused(413, f"Send at most {MAX_BODY} bytes.")
        if self._stopping:
            return put_off("The worker is stopping.")
        limit = asyncio.timeout(None)
        self._limits.add(limit)
        try:
            async with limit:
                return await self._read_and_take(path, headers, receive)
        except TimeoutError:
            return put_off("The worker is stopping.")
        finally:
            self._limits.discard(limit)

    async def _read_and_take(self, path: str, headers: Mapping[str, str], receive: Receive) -> Answer | None:
        flow, webhook = self._routes[path]
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                chunk: bytes = message.get("body", b"")
                chunks.append(chunk)
                size += len(chunk)
                self._held_bytes += len(chunk)
                if size > MAX_BODY:
                    return refused(413, f"Send at most {MAX_BODY} bytes.")
                if self._held_bytes > MAX_HELD:
                    return put_off("Too much is being delivered at the moment.")
                if not message.get("more_body", False):
                    return await self._take(flow, webhook, Delivery(headers, b"".join(chunks)))
        finally:
            self._held_bytes -= size

    async def _take(self, flow: str, webhook: Webhook, delivery: Delivery) -> Answer:
        """Check a delivery and start its run."""
        check = webhook.signature
        if check is None:  # build() does not let it through; whatever made this flow, nobody gets in
            return refused(401, "The signature is missing or wrong.")
        secrets = self._read_secrets(check)
        if check.secrets and not secrets:
            return put_off("The webhook cannot check signatures at the moment.")
        if not check.accepts(delivery, secrets, self._clock.now()):
            return refused(401, "The signature is missing or wrong.")
        try:
            content = read_content(delivery)
        except Unusable as error:
            return refused(error.status, str(error))
        reply = check.reply(content)
        if reply is not None:
            return Answer(200, reply)
        if self._engine.core.store.held_since is not None:
            return put_off("The journal cannot be written at the moment.")
        run_id = run_id_of(flow, webhook, delivery, content)
        return await self._start(flow, webhook, run_id, input_of(webhook, delivery, content), check.unfit)

    def _read_secrets(self, check: Signature) -> list[str]:
        """Those of the check's secrets that are set now."""
        found = []
        for name in check.secrets:
            try:
                found.append(self._secrets.read(name))
            except ConfigError as error:  # another one may have signed; without any nobody gets in
                log.error("a webhook cannot check signatures with %s: %s", name, error)
        return found

    async def _start(self, flow: str, webhook: Webhook, run_id: str, input: JsonValue, unfit: int) -> Answer:
        """Start the run; a sender that goes away, or is put off, does not undo it.

        Args:
            unfit: the status of the answer when the flow does not accept the input.
        """
        start = self._engine.receive(flow, input, run_id=run_id, trigger=webhook.id)
        task = asyncio.create_task(start)
        self._starting.add(task)
        task.add_done_callback(self._started)
        await asyncio.wait({task}, timeout=self._patience_s)
        if not task.done():
            return put_off("The run could not be written in time.")
        try:
            task.result()
        except RunConflict:  # the same id was given to another content; the first one counts
            log.warning("event of run %s was delivered again with another content, which is left out", run_id)
        except InputError as error:
            log.error("a delivery starts no run of flow %s: %s", flow, error)
            return refused(unfit, "The body does not fit what the flow accepts.")
        except StoreError as error:
            log.error("a delivery for flow %s could not be kept: %s", flow, error)
            return put_off("The journal cannot be written at the moment.")
        return Answer(202, {"run_id": run_id}, run_id)

    def _started(self, task: asyncio.Task[RunView]) -> None:
        self._starting.discard(task)
        if not task.cancelled():
            task.exception()  # told to the sender, or the sender comes again


def _joined(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name in lower case; the values of one that came several times are joined."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found

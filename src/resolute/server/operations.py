"""`operations`: the second listener, for whoever runs the worker: health, and what else is shown beside it.

It is meant for this machine. Beyond it nothing but the sign of life is told without the token.
"""

from __future__ import annotations

import hmac
import importlib.util
import ipaddress
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from resolute.config import DASHBOARD_TOKEN, address_fault, address_of
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.errors import ConfigError
from resolute.health import Health
from resolute.health_report import READINESS
from resolute.secrets import Secrets, lookup
from resolute.server.reception import LONGEST_GRACE_S

log = logging.getLogger("resolute.operations")

#: A shorter one could be guessed.
TOKEN_CHARS: Final = 16
#: The one path that needs no token: whether the event loop answers, and nothing else.
LIVE: Final = "/health/live"
JSON: Final = "application/json"


@dataclass(frozen=True)
class Answer:
    """What a caller is told."""

    status: int
    body: bytes
    kind: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


#: Answers a GET of one path.
Route = Callable[[], Awaitable[Answer]]


def of_json(status: int, value: object, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(value).encode() + b"\n", headers=headers)


def is_on_this_machine(host: str) -> bool:
    """Whether nobody but this machine reaches a listener there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def operations_problems(address: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Why nothing could be shown at this address, a sentence each; "" is nowhere."""
    if not address:
        return
    at = address_of(address)
    if at is None:
        yield address_fault(address) or ""
        return
    try:
        token = lookup(DASHBOARD_TOKEN, environ)
    except ConfigError as error:
        yield str(error)
        return
    if token is None and not is_on_this_machine(at[0]):
        yield (
            f"The dashboard at {address} can be reached from other machines, and there is no token. "
            f"Set {DASHBOARD_TOKEN}, or {DASHBOARD_TOKEN}_FILE, to a long random text (`openssl rand -hex 32`), "
            f"or listen at 127.0.0.1:{at[1]}."
        )
    if token is not None and len(token) < TOKEN_CHARS:
        yield f"{DASHBOARD_TOKEN} has {len(token)} characters and could be guessed. Make it {TOKEN_CHARS} or more."
    if importlib.util.find_spec("uvicorn") is None:
        yield 'The dashboard needs the server extra, which is not installed: pip install "resolute[server]".'


@asynccontextmanager
async def operations(
    routes: Mapping[str, Route], address: str, secrets: Secrets, grace: timedelta
) -> AsyncIterator[str | None]:
    """Answer until left; gives where, "http://HOST:PORT", None when there is no address.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    at = address_of(address)
    if at is None:  # operations_problems() has told what is wrong with it
        yield None
        return
    from resolute.server.listener import listen  # who shows nothing needs no extra

    app = Operations(routes, secrets, needs_token=not is_on_this_machine(at[0]))
    grace_s = min(LONGEST_GRACE_S, grace.total_seconds())
    async with listen(app, *at, grace_s=grace_s, name="requests for the dashboard") as url:
        yield url


def health_routes(health: Health) -> dict[str, Route]:
    """The paths under which health is asked for."""

    async def live() -> Answer:
        return of_json(200, {"status": "ok"})

    async def ready() -> Answer:
        report = (await health.look()).only(READINESS)
        return of_json(200 if report.is_well else 503, report.as_json())

    async def whole() -> Answer:
        report = await health.look()
        return of_json(200 if report.is_well else 503, report.as_json())

    return {LIVE: live, "/health/ready": ready, "/health": whole}


def metrics_routes(engine: EmbeddedEngine) -> dict[str, Route]:
    """The path under which Prometheus asks; none where its client is not installed. Call it before the engine opens."""
    if importlib.util.find_spec("prometheus_client") is None:
        log.warning('/metrics is not there: it needs the whole server extra: pip install "resolute[server]"')
        return {}
    from resolute.metrics import Metrics  # who shows nothing needs no extra

    metrics = Metrics(engine)

    async def page() -> Answer:
        return Answer(200, metrics.render(), metrics.content_type)

    return {"/metrics": page}


_ANOTHER_NAME: Final = (
    f"Ask for 127.0.0.1 or localhost. Under another name, as through a proxy, it takes a token: set {DASHBOARD_TOKEN}."
)


def _asks_this_machine(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the caller names this machine.

    A page in a browser here may lead a name of its own to this machine, and would else read what is shown.
    """
    names = [value.decode("latin-1") for name, value in headers if name == b"host"]
    try:
        host = urlsplit(f"//{names[0]}").hostname if len(names) == 1 else None
    except ValueError:
        return False
    return host is not None and is_on_this_machine(host)


class Operations:
    """An ASGI application that answers GET under fixed paths.

    Args:
        routes: path → what answers there.
        needs_token: whether to answer nobody without a token; one that is set is always asked for.
    """

    def __init__(self, routes: Mapping[str, Route], secrets: Secrets, *, needs_token: bool) -> None:
        self._routes = routes
        self._secrets = secrets
        self._needs_token = needs_token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        answer = await self._answer(scope)
        fixed = ((b"content-length", b"%d" % len(answer.body)), (b"cache-control", b"no-store"))
        headers = [(b"content-type", answer.kind.encode()), *fixed, *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Any) -> Answer:
        path = scope["path"]
        if path != LIVE and (refusal := self._refusal(scope)) is not None:
            return refusal
        route = self._routes.get(path)
        if route is None:
            return of_json(404, {"error": f"There is nothing here. Known: {', '.join(self._routes)}."})
        if scope["method"] not in ("GET", "HEAD"):
            return of_json(405, {"error": "Only GET is answered."}, (b"allow", b"GET, HEAD"))
        try:
            return await route()
        except Exception:  # what fails to be told must be told, and not end as a closed connection
            log.exception("%s could not be answered", path)
            return of_json(500, {"error": "It could not be found out; the log says why."})

    def _refusal(self, scope: Any) -> Answer | None:
        """Why the caller is not answered, None when it is."""
        try:
            has_token = self._secrets.has(DASHBOARD_TOKEN)
            if not has_token and not self._needs_token:
                return None if _asks_this_machine(scope["headers"]) else of_json(421, {"error": _ANOTHER_NAME})
            token = self._secrets.read(DASHBOARD_TOKEN)
        except ConfigError as error:
            log.error("nobody is let in: %s", error)
            return of_json(503, {"error": "The token cannot be read at the moment."})
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        kind, _, sent = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        if kind.lower() == b"bearer" and hmac.compare_digest(sent.strip(), token.encode("utf-8", "surrogateescape")):
            return None
        told = f"Send `Authorization: Bearer ...` with the value of {DASHBOARD_TOKEN}."
        return of_json(401, {"error": told}, (b"www-authenticate", b"Bearer"))

"""`listen`: an ASGI application on a socket, in the event loop that runs already.

Requests are bounded in size and time before the application sees them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from resolute.errors import ConfigError
from resolute.http_server import guest, listen_at, url_of

#: Bytes of a request line with its headers.
MAX_HEAD: Final = 16 * 1024
#: Connections at the same time; one more is answered 503.
MAX_CONNECTIONS: Final = 1000
#: How long a request may take to come in, head and body.
READ_S: Final = 10.0
#: How long a connection may be silent between two requests.
IDLE_S: Final = 15


@contextlib.asynccontextmanager
async def listen(
    app: Any, host: str, port: int, *, read_s: float = READ_S, grace_s: float = 2.0, name: str = "webhooks"
) -> AsyncIterator[str]:
    """Serve until left; gives the address, "http://127.0.0.1:PORT". Port 0 takes a free one.

    On leaving, nothing new is accepted, and requests in flight have `grace_s` to end.

    Args:
        name: what is served there, for the message when it cannot be.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    try:
        listening = listen_at(host, port)
    except OSError as error:
        raise ConfigError(
            f"The {name} cannot be received at {host}:{port}: {error.strerror or error}. "
            "Give another address, or end what listens there."
        ) from error
    config = uvicorn.Config(
        app,
        http=cast(Any, partial(BoundedProtocol, read_s=read_s)),  # called as the class is
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEAD,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=max(1, math.ceil(grace_s)),
    )
    async with guest(config, listening):
        yield url_of(host, listening)


class BoundedProtocol(H11Protocol):
    """uvicorn's own protocol, which closes a connection whose request has not come in within a time."""

    def __init__(self, *args: Any, read_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_s = read_s
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is not h11.IDLE:  # between requests uvicorn's own timer runs
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Let the time run while a request is awaited or comes in; it is not begun anew by further bytes."""
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self.transport.is_closing():
            if self._deadline is None:
                self._deadline = self.loop.call_later(self._read_s, self.transport.abort)
        else:
            self._relax()

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

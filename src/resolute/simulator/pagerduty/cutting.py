"""An HTTP/1.1 protocol for uvicorn whose requests can hang up.

ASGI has no message for "close the connection without an answer". This protocol puts its transport's
`abort` into the request's state; whoever calls it must then wait for `http.disconnect` before returning, or
uvicorn takes the silence for a crash.
"""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol


class CuttableProtocol(H11Protocol):
    """uvicorn's own protocol, with `scope["state"]["abort"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember how to abort; the state is copied into every request of the connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "abort": transport.abort}


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection without a byte of an answer, and return once it is closed."""
    scope["state"]["abort"]()
    while (await receive())["type"] != "http.disconnect":
        pass

"""`guest`: uvicorn in an event loop that belongs to somebody else; `listen_at`: the socket that it serves.

It leaves signals and logging alone, says when it is ready and stops when it is left, without polling.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn


def listen_at(host: str, port: int) -> socket.socket:
    """A listening socket whose connections send what is written at once. Port 0 takes a free one.

    asyncio sets TCP_NODELAY itself only where a socket names TCP as its protocol, and accepted ones do not: the second
    write of an answer would wait for the other side's acknowledgement, 40 ms on a kept connection.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=1024)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
    return made


def url_of(host: str, listening: socket.socket) -> str:
    """Where the socket is reached, "http://127.0.0.1:PORT"."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def guest(config: uvicorn.Config, listening: socket.socket) -> AsyncIterator[None]:
    """Serve until left; entered once it answers, left once it has ended."""
    server = _Guest(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    task.add_done_callback(lambda _: server.ready.set())
    await server.ready.wait()
    if task.done():
        await task  # it failed to start: raise why
    try:
        yield
    finally:
        server.stopping.set()
        await task


class _Guest(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.stopping.wait()

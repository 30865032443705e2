"""The simulator on a socket: `serve` inside an event loop, `SimulatorServer` in a thread of its own.

Needs the `server` extra (`pip install "resolute[server]"`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from types import TracebackType
from typing import TypeVar

import uvicorn

from resolute.http_server import guest, listen_at, url_of
from resolute.simulator.pagerduty.app import SimulatorApp
from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.courier import Courier
from resolute.simulator.pagerduty.cutting import CuttableProtocol

Result = TypeVar("Result")


@contextlib.asynccontextmanager
async def serve(simulator: PagerDutySimulator, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve in the running event loop; gives the base URL of both APIs, "http://127.0.0.1:PORT".

    Port 0 takes a free one. While it serves, touch the simulator in this event loop only.

    Raises:
        OSError: the address is taken or not ours.
    """
    listener = listen_at(host, port)
    async with _serving(simulator, listener, url_of(host, listener)):
        yield url_of(host, listener)


class SimulatorServer:
    """The same in a background thread, for tests and tools without an event loop.

    Use it as a context manager, or call `start` and `stop`. The simulator belongs to the thread while it
    serves: reach it through `call`.

    Attributes:
        url: base URL of both APIs, "" until started.
    """

    def __init__(self, simulator: PagerDutySimulator, host: str = "127.0.0.1", port: int = 0) -> None:
        self._simulator = simulator
        self._host = host
        self._port = port
        self.url = ""
        self._serves = False

    def start(self) -> SimulatorServer:
        """Return once requests are answered; OSError when the address is taken."""
        listener = listen_at(self._host, self._port)
        self.url = url_of(self._host, listener)
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="pagerduty-simulator", daemon=True)
        self._thread.start()
        self._loop, self._stop = self._ready.result(timeout=30)
        self._serves = True
        return self

    def stop(self) -> None:
        """Stop answering and return when the thread has ended; a second call does nothing."""
        if self._serves:
            self._serves = False
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=30)

    def call(self, do: Callable[[PagerDutySimulator], Result]) -> Result:
        """Run `do(simulator)` in the server's event loop and return its result, or raise its exception."""

        async def call() -> Result:
            try:
                return do(self._simulator)
            finally:
                self._wake()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(timeout=30)

    def __enter__(self) -> SimulatorServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, listener: socket.socket) -> None:
        asyncio.run(self._main(listener))

    async def _main(self, listener: socket.socket) -> None:
        stop = asyncio.Event()
        async with _serving(self._simulator, listener, self.url) as wake:
            self._wake = wake
            self._ready.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()


@contextlib.asynccontextmanager
async def _serving(
    simulator: PagerDutySimulator, listening: socket.socket, url: str
) -> AsyncIterator[Callable[[], None]]:
    """Serve and deliver webhooks; gives what to call when the simulator was touched from elsewhere."""
    courier = Courier(simulator)
    app = SimulatorApp(simulator, url, wake=courier.wake)
    simulator.world.base_url = url
    config = uvicorn.Config(
        app.asgi,
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=2,
    )
    async with guest(config, listening):
        delivering = asyncio.create_task(courier.run())
        try:
            yield courier.wake
        finally:
            app.closing.set()
            delivering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await delivering

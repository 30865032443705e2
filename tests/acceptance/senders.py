"""Senders of signed deliveries to a worker's webhook `/alerts`, which come again until they are answered 202."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import threading
from typing import Final

import httpx2

KEY: Final = "the-secret-of-the-hook"
AGAIN_S: Final = 0.02  # before a sender that was not answered comes again


class Senders:
    """Senders in a thread of their own; each repeats an event until it is answered 202.

    Args:
        events: how many there are to be sent.
        count: how many senders there are.
        pause_s: how long each waits after an answer.

    Attributes:
        accepted: event → the run that the sender was told.
        put_off: the header Retry-After of each answer 503, "" where it had none.
        strange: any other status.
    """

    def __init__(self, port: int, events: int, *, count: int = 20, pause_s: float = 0.0) -> None:
        self.accepted: dict[str, str] = {}
        self.put_off: list[str] = []
        self.strange: list[int] = []
        self._url = f"http://127.0.0.1:{port}/alerts"
        self._left = [f"event-{number:04}" for number in range(events)]
        self._count = count
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()), daemon=True)

    def __enter__(self) -> Senders:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    async def _send_all(self) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
            await asyncio.gather(*(self._send_some(http) for _ in range(self._count)))

    async def _send_some(self, http: httpx2.AsyncClient) -> None:
        while self._left and not self._ended.is_set():
            event = self._left.pop()
            while event not in self.accepted and not self._ended.is_set():
                try:
                    answer = await deliver(http, self._url, event)
                except httpx2.TransportError:  # the worker was killed
                    await asyncio.sleep(AGAIN_S)
                    continue
                if answer.status_code == 202:
                    self.accepted[event] = answer.json()["run_id"]
                elif answer.status_code == 503:
                    self.put_off.append(answer.headers.get("retry-after", ""))
                else:
                    self.strange.append(answer.status_code)
                    return
                await asyncio.sleep(self._pause_s)


async def deliver(http: httpx2.AsyncClient, url: str, event: str) -> httpx2.Response:
    """The answer to a delivery of this event, signed."""
    body = b'{"event": {"id": "%b"}}' % event.encode()
    digest = hmac.digest(KEY.encode(), body, hashlib.sha256).hex()
    return await http.post(url, content=body, headers={"content-type": "application/json", "x-signature": digest})

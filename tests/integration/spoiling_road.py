"""`SpoilingRoad`: a road between two HTTP speakers on sockets, on which a request now and then meets a fault."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from types import TracebackType

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class SpoilingRoad:
    """Hands requests on to `port` and answers back, each whole, and spoils some of them.

    Args:
        rates: kinds to probabilities: "cut_before" the request was handed on, "cut_after" its answer has come, or
            "silent": the answer is held back until the sender has given up.

    Attributes:
        url: where requests come in.
        met: how many requests met which kind; "" for those that met none.
    """

    def __init__(self, port: int, rates: Mapping[str, float], draw: random.Random) -> None:
        self._port = port
        self._rates = rates
        self._draw = draw
        self._senders: set[asyncio.StreamWriter] = set()
        self.met: Counter[str] = Counter()

    async def __aenter__(self) -> SpoilingRoad:
        self._server = await asyncio.start_server(self._walk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for sender in self._senders:
            sender.transport.abort()
        await self._server.wait_closed()

    async def _walk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._senders.add(writer)
        try:
            while await self._take(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one of the two has gone, as people at both ends of a road may
        finally:
            self._senders.discard(writer)
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Hand one request on and its answer back; False when the connection is of no use any more."""
        request = await _message(reader)
        [kind] = self._draw.choices(["", *self._rates], [1 - sum(self._rates.values()), *self._rates.values()])
        self.met[kind] += 1
        if kind == "cut_before":
            return False
        behind, beyond = await asyncio.open_connection("127.0.0.1", self._port)
        with closing(beyond):
            beyond.write(request)
            answer = await _message(behind)
        if kind == "silent":
            await reader.read()
        if kind:
            return False
        writer.write(answer)
        return True


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A request or an answer as it came."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")

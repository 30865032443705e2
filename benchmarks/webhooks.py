"""How many signed deliveries a second are accepted durably; beside a bare 202 on the same server.

    python benchmarks/webhooks.py [--deliveries 3000] [--connections 64] [--rounds 3] [--json]

A process of its own sends over kept connections, each delivery another event with its own signature. All are measured
by turns, each round in a new process and on a new file; a ratio is what is left of the bare rate of the same round, its
middle counts.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from five_steps import NUMBER, in_its_own_process, step

from resolute import Worker, WorkerConfig, activity, flow, hmac_sha256, input_data, manual, output, secret, webhook
from resolute.hooks import RunEvent
from resolute.ports import Ports
from resolute.server.listener import listen
from resolute.worker import collect_less

KEY = "the-secret-of-the-benchmark"
WARM_UP = 200
CHECK = hmac_sha256(secret("HOOK"))

#: Brings a server up; gives its port, and what waits until so many deliveries have come to their end.
Served = tuple[int, Callable[[int], Awaitable[None]]]
Open = Callable[[Path], AbstractAsyncContextManager[Served]]

parked = flow("parked").triggered_by(webhook("/hook", signature=CHECK, event_id="event.id")).then_gate("answer").build()
five_nodes = (
    flow("five-nodes")
    .triggered_by(webhook("/hook", signature=CHECK, event_id="event.id"))
    .then(step(number=input_data("number")).as_("first"))
    .then(step(number=output("first")).as_("second"))
    .then(step(number=output("second")).as_("third"))
    .then(step(number=output("third")).as_("fourth"))
    .then(step(number=output("fourth")).as_("fifth"))
    .returns(output("fifth"))
    .build()
)


@asynccontextmanager
async def bare(path: Path) -> AsyncIterator[Served]:
    """Reads the body and answers 202; keeps nothing."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async def nothing(number: int) -> None:
        pass

    async with listen(answer, "127.0.0.1", 0) as url:
        yield int(url.rpartition(":")[2]), nothing


@asynccontextmanager
async def accepting(path: Path) -> AsyncIterator[Served]:
    """A worker that has as many runs under way as it may: what is accepted waits on disk for its turn."""
    full = asyncio.Event()

    async def nothing(number: int) -> None:
        pass

    @activity
    async def block() -> None:
        full.set()
        await asyncio.Event().wait()

    blocking = flow("blocking").triggered_by(manual()).then(block()).build()
    config = WorkerConfig(engine=f"sqlite:///{path}", max_concurrent=1, webhooks="127.0.0.1:0", grace=timedelta(0))
    async with Worker(config, flows=[blocking, five_nodes], ports=Ports(environ={"HOOK": KEY})) as worker:
        await worker.client.start(blocking)
        await full.wait()
        yield int(str(worker.webhooks_url).rpartition(":")[2]), nothing


def running(recipe: Any, ended_by: str) -> Open:
    """A worker that runs a flow; a delivery has come to its end with this event of its run."""

    @asynccontextmanager
    async def serve(path: Path) -> AsyncIterator[Served]:
        ended = 0
        came = asyncio.Event()

        def count(event: RunEvent) -> None:
            nonlocal ended
            if event.kind == ended_by:
                ended += 1
                came.set()

        async def all_ended(number: int) -> None:
            while ended < number:
                came.clear()
                await came.wait()

        config = WorkerConfig(engine=f"sqlite:///{path}", max_concurrent=200, webhooks="127.0.0.1:0")
        async with Worker(config, flows=[recipe], hooks=[count], ports=Ports(environ={"HOOK": KEY})) as worker:
            yield int(str(worker.webhooks_url).rpartition(":")[2]), all_ended

    return serve


SUBJECTS: dict[str, Open] = {
    "bare 202, nothing is kept": bare,
    "signed, its run on disk": accepting,
    "signed, its run waits for an answer": running(parked, "run_parked"),
    "signed, five nodes to their end": running(five_nodes, "run_finished"),
}


# The process that sends


class Sender(asyncio.Protocol):
    """One connection that sends the next request as soon as the last one is answered."""

    def __init__(self, requests: list[bytes], ended: Callable[[], None]) -> None:
        self._requests = requests
        self._ended = ended
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._buffer.endswith(b"}"):  # every answer is a small JSON object
            return
        if not self._buffer.startswith(b"HTTP/1.1 202"):
            raise SystemExit(f"The server answered {self._buffer!r}, expected 202: do not measure what is broken.")
        self._buffer = b""
        self._next()

    def _next(self) -> None:
        if self._requests:
            self._transport.write(self._requests.pop())  # type: ignore[attr-defined]
        else:
            self._transport.close()
            self._ended()


def request(event: str) -> bytes:
    body = b'{"event": {"id": "%b", "type": "incident.triggered"}, "number": %d}' % (event.encode(), NUMBER)
    digest = hmac.digest(KEY.encode(), body, hashlib.sha256).hex()
    head = f"POST /hook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-signature: {digest}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def send(port: int, first: int, number: int, connections: int) -> float:
    """Send so many deliveries; how long that took in seconds."""
    requests = [request(f"event-{no}") for no in range(first, first + number)]
    loop = asyncio.get_running_loop()
    left, ended = connections, loop.create_future()

    def one_ended() -> None:
        nonlocal left
        left -= 1
        if not left:
            ended.set_result(None)

    begun = time.perf_counter()
    await asyncio.gather(
        *(loop.create_connection(lambda: Sender(requests, one_ended), "127.0.0.1", port) for _ in range(connections))
    )
    await ended
    return time.perf_counter() - begun


async def sent(port: int, first: int, number: int, connections: int) -> float:
    """The same in a process of its own, which does not share the server's interpreter."""
    numbers = [str(each) for each in (port, first, number, connections)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--send", *numbers, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    return float(told)


# What is measured


async def measure(name: str, number: int, connections: int, folder: str | None) -> tuple[float, float, float]:
    """Deliveries accepted and deliveries that came to their end a second, and the server's CPU seconds for one."""
    collect_less()  # as a worker's own process does
    with tempfile.TemporaryDirectory(dir=folder) as place:
        async with SUBJECTS[name](Path(place, "runs.db")) as (port, all_ended):
            await sent(port, 0, WARM_UP, connections)
            await all_ended(WARM_UP)
            begun = time.process_time()
            took_s = await sent(port, WARM_UP, number, connections)
            answered = time.perf_counter()
            await all_ended(WARM_UP + number)
            late_s = time.perf_counter() - answered
            cpu_s = time.process_time() - begun
    return number / took_s, number / (took_s + late_s), cpu_s / number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--deliveries", type=int, default=3000, help="deliveries of a round")
    parser.add_argument("--connections", type=int, default=64, help="connections at the same time")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--folder", help="where the files are made and removed, on the disk that counts")
    parser.add_argument("--send", type=int, nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.send:
        print(asyncio.run(send(*given.send)))
        return
    rates: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SUBJECTS}
    for _ in range(given.rounds):
        for name, measured in rates.items():
            measured.append(in_its_own_process(measure, name, given.deliveries, given.connections, given.folder))
    bare_rates = [accepted for accepted, _, _ in next(iter(rates.values()))]
    found = [
        {
            "name": name,
            "of_bare": round(statistics.median(a / b for (a, _, _), b in zip(rounds, bare_rates, strict=True)), 2),
            "accepted_per_s": round(statistics.median(accepted for accepted, _, _ in rounds)),
            "ended_per_s": round(statistics.median(ended for _, ended, _ in rounds)),
            "cpu_us": round(1e6 * statistics.median(cpu_s for _, _, cpu_s in rounds)),
            "rounds": [round(accepted) for accepted, _, _ in rounds],
        }
        for name, rounds in rates.items()
    ]
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{given.deliveries:,} deliveries over {given.connections} connections")
    print(f"\n{'':<36}{'of bare':>9}{'accepted/s':>12}{'ended/s':>9}{'CPU each':>12}   rounds")
    for row in found:
        print(
            f"{row['name']:<36}{row['of_bare']:>8.2f}x{row['accepted_per_s']:>12,}{row['ended_per_s']:>9,}"
            + f"{row['cpu_us']:>9,} us   "
            + " ".join(f"{rate:,}" for rate in row["rounds"])  # type: ignore[attr-defined]
        )


if __name__ == "__main__":
    main()

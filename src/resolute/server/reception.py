"""`reception`: the webhooks of a worker's flows, from its start to its end, and what is missing for them.

The server itself is loaded only when there is something to receive: it needs the `server` extra.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from resolute.config import address_fault, address_of
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.model.recipe import Flow
from resolute.model.webhook import webhooks_in
from resolute.ports import Ports
from resolute.server.webhooks import Webhooks

#: Requests in flight when the worker stops have no longer than this, whatever its grace.
LONGEST_GRACE_S: Final = 2.0


def reception_problems(flows: Sequence[Flow], address: str) -> Iterator[str]:
    """Why the webhooks of these flows could not be received at this address, a sentence each."""
    if not has_webhooks(flows):
        return
    if not address:
        yield (
            "A flow has a webhook, but nothing says where to receive it. "
            'Set RESOLUTE_WEBHOOKS=127.0.0.1:8020, or WorkerConfig(webhooks="127.0.0.1:8020"); '
            "0.0.0.0:8020 listens on all interfaces."
        )
    elif fault := address_fault(address):
        yield fault
    if importlib.util.find_spec("uvicorn") is None:
        yield 'Webhooks need the server extra, which is not installed: pip install "resolute[server]".'


@asynccontextmanager
async def reception(
    engine: EmbeddedEngine, flows: Sequence[Flow], address: str, ports: Ports, grace: timedelta
) -> AsyncIterator[str | None]:
    """Take deliveries until left; gives where, None when no flow has a webhook.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    at = address_of(address)
    if not has_webhooks(flows) or at is None:  # reception_problems() has told what is missing
        yield None
        return
    from resolute.server.listener import listen  # who has no webhook needs no extra

    app = Webhooks(engine, flows, secrets=ports.secrets, clock=ports.clock)
    try:
        async with listen(app, *at, grace_s=min(LONGEST_GRACE_S, grace.total_seconds())) as url:
            try:
                yield url
            finally:
                app.stop()
    finally:
        await app.close()


def has_webhooks(flows: Sequence[Flow]) -> bool:
    """Whether anything is to be received."""
    return any(webhooks_in(flow.triggers) for flow in flows)

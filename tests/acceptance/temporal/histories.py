"""Everything that a Temporal server keeps of the runs of a namespace, searched for secrets in any spelling."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from resolute.client import Client
from tests.acceptance.temporal.fleet import Fleet


def histories(fleet: Fleet) -> dict[str, bytes]:
    """Run id → every event of all its executions, and what the server says of it, as they come over the wire."""

    async def fetch(client: Client) -> dict[str, bytes]:
        engine = await client._engine.engine()  # type: ignore[attr-defined]
        executions = [(run.id, run.run_id) async for run in engine.client.list_workflows()]
        found: dict[str, bytes] = {}
        room = asyncio.Semaphore(20)

        async def one(run_id: str, execution: str) -> None:
            async with room:
                handle = engine.client.get_workflow_handle(run_id, run_id=execution)
                said: Any = (await handle.describe()).raw_description
                parts = [said.SerializeToString()]
                async for event in handle.fetch_history_events():
                    parts.append(event.SerializeToString())
            found[run_id] = found.get(run_id, b"") + b"".join(parts)

        await asyncio.gather(*(one(*execution) for execution in executions))
        return found

    return fleet.ask(fetch)


def secrets_in(told: Mapping[str, bytes], secrets: Iterable[str]) -> set[tuple[str, str]]:
    """(run id, secret) wherever one stands in clear, escaped or coded."""
    spelled = [(secret, spelling) for secret in secrets for spelling in set(spellings(secret))]
    return {(run_id, secret) for run_id, text in told.items() for secret, spelling in spelled if spelling in text}


def spellings(secret: str) -> Iterator[bytes]:
    """A secret as it may stand in a payload, also inside of a longer text."""
    for text in (secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1], repr(secret)[1:-1]):
        yield text.encode()
    yield quote(secret).encode()
    raw = secret.encode()
    yield raw.hex().encode()
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        for first in range(3):  # three bytes are coded at a time; where they begin depends on what comes before
            yield code(raw[first : len(raw) - (len(raw) - first) % 3])

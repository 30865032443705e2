"""What is asked of a Temporal server: names as its queries have them, and its refusals in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from temporalio.service import RPCError, RPCStatusCode

from resolute.engines.embedded.request import not_found
from resolute.errors import EngineError, StoreUnavailable

#: What the server answers when it cannot be reached, or not now.
_AWAY: Final = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.ABORTED,
    }
)


def quoted(text: str) -> str:
    """A text in a query."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def asked(run_id: str) -> Iterator[None]:
    """Say in our words what the server refuses."""
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND and run_id:
            raise not_found(run_id) from error
        if error.status in _AWAY:
            raise StoreUnavailable(
                f"The Temporal server cannot be reached at the moment: {error.message}. Try again."
            ) from error
        raise EngineError(f"The Temporal server refused that: {error.message}.") from error

"""What is said of a run that was pruned: how it ended, since when its journal is gone, and whose its id still is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Protocol

from resolute.engine import RunView
from resolute.engines.embedded.request import not_found
from resolute.engines.embedded.store import LedgerQuery, PrunedRun
from resolute.errors import RunConflict, RunNotFound, RunPruned
from resolute.ledger.row import Row

#: For how long the id of a pruned run belongs to it.
ID_KEPT: Final = timedelta(days=30)


class Memory(Protocol):
    """Where it is kept."""

    async def pruned(self, run_id: str) -> PrunedRun | None: ...

    async def ledger(self, query: LedgerQuery) -> list[Row]: ...


async def is_taken(store: Memory, run: PrunedRun, now: datetime) -> bool:
    """Whether the id of a pruned run still belongs to it.

    An id under which something was sent always does: one send has one row, told by the id of its run.
    """
    return run.pruned_at >= now - ID_KEPT or bool(await store.ledger(LedgerQuery(run_id=run.id, limit=1)))


async def missing(store: Memory, run_id: str) -> RunNotFound:
    """The error for an id under which no run is found: RunPruned when there was one."""
    found = await store.pruned(run_id)
    return not_found(run_id) if found is None else RunPruned(_told(found))


def pruned_view(run: PrunedRun, flow: str) -> RunView:
    """A pruned run as its starter sees it: how it ended, and in `error` that the rest is gone.

    Args:
        flow: its flow, which whoever asks has named.
    """
    ended_at = run.finished_at or run.pruned_at
    return RunView(
        id=run.id,
        flow=flow,
        status=run.status,
        trigger="",
        created_at=ended_at,
        finished_at=ended_at,
        error=_told(run),
        pruned_at=run.pruned_at,
    )


def check_same_pruned(run: PrunedRun, digest: str) -> None:
    """Refuse a start under the id of a pruned run of another flow or input; raises RunConflict."""
    if run.input_digest != digest:
        raise RunConflict(
            f'The id "{run.id}" belongs to a run of another flow or input, which has {run.status} and was pruned on '
            f"{_utc(run.pruned_at)}. Use another run id, or the same input."
        )


def _told(run: PrunedRun) -> str:
    ended = f" on {_utc(run.finished_at)}" if run.finished_at is not None else ""
    return (
        f'Run "{run.id}" has {run.status}{ended} and was pruned on {_utc(run.pruned_at)}: its journal and output are '
        "gone. To run it anew, start it with another id."
    )


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

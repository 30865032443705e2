"""Which unfinished runs of a store would go on under the flows as they are now, and which would be parked, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from resolute.engine import FINISHED
from resolute.engines.embedded.changed_flow import misfit
from resolute.engines.embedded.rehearsal import ReadLarge, rehearse
from resolute.engines.embedded.sqlite.reads import Reads
from resolute.engines.embedded.store import Entry, RunRow
from resolute.errors import OutputError, ReplayMismatch, RunNotFound, StoreDamaged
from resolute.jobs import PREFIX
from resolute.model.recipe import Flow

#: Run numbers that are read in one go.
AT_ONCE: Final = 10_000


@dataclass(frozen=True)
class Parked:
    """A run that would be parked, and why."""

    run_id: str
    reason: str


@dataclass
class FlowCheck:
    """What becomes of the unfinished runs of one flow.

    Attributes:
        is_known: whether the module has the flow.
        unfinished: runs of it that have not ended.
        changed: those among them that were begun under another version of it.
        parked: those that would be parked.
    """

    flow: str
    is_known: bool = True
    unfinished: int = 0
    changed: int = 0
    parked: list[Parked] = field(default_factory=list)

    @property
    def state(self) -> str:
        """ "gone", "changed", "unchanged", or "no runs", where none tells whether it has changed."""
        if not self.is_known:
            return "gone"
        return "changed" if self.changed else "unchanged" if self.unfinished else "no runs"


async def check_runs(
    flows: Iterable[Flow], store: Reads, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[FlowCheck]:
    """What becomes of the unfinished runs of a store; those of jobs belong to their commands and are left out.

    Args:
        progress: called again and again with how many runs were looked at, and how many there are.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """
    known = {flow.name: flow for flow in flows}
    found = {name: FlowCheck(name) for name in known}
    outlines: dict[str, str | None] = {}
    numbers = await _unfinished(store)
    for done, number in enumerate(numbers):
        progress(done, len(numbers))
        try:
            run, entries = await store.load(number)
        except RunNotFound:  # removed since
            continue
        if run.status in FINISHED or run.flow.startswith(PREFIX):
            continue
        check = found.setdefault(run.flow, FlowCheck(run.flow, is_known=False))
        check.unfinished += 1
        flow = known.get(run.flow)
        if flow is None:
            check.parked.append(Parked(run.id, _gone(run)))
            continue
        if run.fingerprint not in outlines:
            outlines[run.fingerprint] = await store.outline(run.fingerprint)
        read_large = partial(store.large, run.no)
        reason = await _misfit(flow, run, entries, outlines[run.fingerprint], read_large)
        check.changed += bool(run.fingerprint) and run.fingerprint != flow.fingerprint
        if reason:
            check.parked.append(Parked(run.id, reason))
    return list(found.values())


def _gone(run: RunRow) -> str:
    return (
        f'There is no flow "{run.flow}" in the module any more. Keep it until its runs have ended, '
        f"or cancel them: `resolute runs cancel {run.id}`."
    )


async def _unfinished(store: Reads) -> list[int]:
    numbers: list[int] = []
    while more := await store.unfinished(numbers[-1] if numbers else 0, AT_ONCE):
        numbers.extend(more)
    return numbers


async def _misfit(flow: Flow, run: RunRow, entries: Sequence[Entry], outline: str | None, read_large: ReadLarge) -> str:
    """Why the run cannot go on, "" when it can. Under the same steps it can unless a model has changed."""
    if run.fingerprint != flow.fingerprint:
        return await misfit(flow, run, entries, outline, read_large)
    try:
        await rehearse(flow, run, entries, read_large)
    except (OutputError, StoreDamaged) as error:
        return str(error)
    except ReplayMismatch as error:
        return (
            f"Run {run.id} cannot go on: {error}. "
            f"Let the flow's models take the old values, too, or `resolute runs cancel {run.id}` and start it anew."
        )
    return ""

"""`Retention`: takes finished runs out of the store, a few at a time, and never one that something still needs.

What is needed is the store's to say (`Store.prunable`); what is being taken up at this moment only the engine knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from resolute.engines.embedded.core import Core
from resolute.engines.embedded.pruned import ID_KEPT
from resolute.engines.embedded.store import Forget, Prune

log = logging.getLogger("resolute.engine")

#: Runs that are pruned in one batch.
BATCH: Final = 200
#: Seconds from the start of a worker to its first look, and from one look to the next.
FIRST_S, EVERY_S = 60.0, 3600.0
#: Pruning by itself takes no more than this share of the time, and at least the pause between two batches.
SHARE, PAUSE_S = 0.1, 0.1
#: With more runs in memory the engine is busy: a batch then waits, but no longer than this, or it would never come.
BUSY_RUNS, PATIENCE_S = 10, 2.0
#: How often ids that are free again are forgotten.
FORGET_EVERY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Selection:
    """Which finished runs are to go: those that either rule names.

    Attributes:
        before: those that ended earlier; None for no such rule.
        keep: those beyond so many of the newest of their flow; None for no such rule.
        flow: of this flow alone.
    """

    before: datetime | None = None
    keep: int | None = None
    flow: str | None = None


@dataclass(frozen=True)
class Rule:
    """What a worker keeps by itself.

    Attributes:
        keep_for: finished runs stay for so long; None for ever.
        keep_runs: so many of the newest finished runs of each flow stay; None for all.
    """

    keep_for: timedelta | None = None
    keep_runs: int | None = None

    def at(self, now: datetime) -> Selection:
        """What is to go now."""
        return Selection(None if self.keep_for is None else now - self.keep_for, self.keep_runs)


class Links(Protocol):
    """Who waits for whom."""

    async def links(self) -> set[int]:
        """Finished runs through which a queued run finds the one that it waits for."""
        ...


class Host(Protocol):
    """What retention asks of the driver."""

    @property
    def core(self) -> Core: ...

    @property
    def tasks(self) -> Mapping[int, asyncio.Task[None]]: ...

    @property
    def barred(self) -> Container[int]: ...

    @property
    def turns(self) -> Links: ...

    @property
    def has_room(self) -> bool: ...


class Retention:
    """Prunes the store of an engine."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._taking_up = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self._forgot_at: datetime | None = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While inside, nothing is pruned: a finished run is being looked up to go on."""
        self._taking_up += 1
        self._calm.clear()
        try:
            yield
        finally:
            self._taking_up -= 1
            if not self._taking_up:
                self._calm.set()

    async def prune(self, selection: Selection, limit: int = BATCH) -> int:
        """Prune some of these runs, the oldest first, in one batch; how many they were, 0 when none is left."""
        host, store = self._host, self._host.core.store
        while True:
            await self._calm.wait()
            found = await store.prunable(selection.before, selection.keep, limit, selection.flow)
            links = await host.turns.links() if found else set()
            if not self._taking_up:
                break
        now = host.core.clock.now()
        # From the last look at what is under way to the hand-over of the batch nothing else comes in between.
        batch = [Prune(no, now) for no in found if no not in links and no not in host.tasks and no not in host.barred]
        if batch:
            await store.commit(batch)
        return len(batch)

    async def prune_beside(self, selection: Selection) -> int:
        """Prune a batch for somebody who waits for it, and rest for as long; how many runs, 0 when none is left."""
        seconds = asyncio.get_running_loop().time
        begun_s = seconds()
        pruned = await self.prune(selection)
        if not pruned:
            await self.forget()
        await asyncio.sleep(seconds() - begun_s)
        return pruned

    async def forget(self) -> None:
        """Free the ids of the runs that were pruned more than `ID_KEPT` ago."""
        now = self._host.core.clock.now()
        await self._host.core.store.commit([Forget(now - ID_KEPT)])
        self._forgot_at = now

    async def keep_on(self, rule: Rule) -> None:
        """Prune by a rule for as long as the engine lives, and leave it to its work."""
        await asyncio.sleep(FIRST_S)
        while True:
            await self.sweep(rule)
            await asyncio.sleep(EVERY_S)

    async def sweep(self, rule: Rule) -> int:
        """Prune what the rule names now, with pauses; how many runs. A store that cannot be written is left alone."""
        core, now = self._host.core, self._host.core.clock.now()
        selection, count = rule.at(now), 0
        seconds = asyncio.get_running_loop().time
        while core.store.held_since is None:
            await self._moment(seconds)
            begun_s = seconds()
            pruned = await self.prune(selection)
            if not pruned:
                break
            count += pruned
            await asyncio.sleep(max(PAUSE_S, (seconds() - begun_s) * (1 / SHARE - 1)))
        else:
            return count
        if self._forgot_at is None or now - self._forgot_at >= FORGET_EVERY or now < self._forgot_at:
            await self.forget()
        if count:
            log.info("pruned %d finished run%s: %s", count, "" if count == 1 else "s", told(rule))
        return count

    async def _moment(self, seconds: Callable[[], float]) -> None:
        """Return when there is little to do, or after a while all the same."""
        until_s = seconds() + PATIENCE_S
        while self._is_busy and seconds() < until_s:  # noqa: ASYNC110 - what it waits for is told by no event
            await asyncio.sleep(PAUSE_S)

    @property
    def _is_busy(self) -> bool:
        return len(self._host.tasks) > BUSY_RUNS or not self._host.has_room


def told(rule: Rule) -> str:
    """The rule in words."""
    parts = []
    if rule.keep_for is not None:
        parts.append(f"they are kept for {rule.keep_for / timedelta(days=1):g} days")
    if rule.keep_runs is not None:
        parts.append(f"{rule.keep_runs:,} of each flow are kept")
    return ", and ".join(parts) or "all are kept"


def selection_to_json(selection: Selection) -> dict[str, Any]:
    """A selection as the parameters of a call."""
    before = None if selection.before is None else selection.before.isoformat()
    return {"before": before, "keep": selection.keep, "flow": selection.flow}

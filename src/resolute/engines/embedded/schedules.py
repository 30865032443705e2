"""`Schedules`: starts a run at each tick, makes up for ticks that were missed, and says which ones are not.

A tick is seen to once: its run has an id that is made of the flow and the time. How far each schedule is stands
on disk, in one batch with the run.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from resolute.cron import ticks_after
from resolute.engines.embedded.core import Core
from resolute.engines.embedded.store import PutPause, PutTick
from resolute.errors import EngineError, InputError
from resolute.model.recipe import Flow
from resolute.model.trigger import Schedule

log = logging.getLogger("resolute.engine")

#: A tick that is seen to later than this was missed; `catch_up` says what becomes of it.
ON_TIME: Final = timedelta(minutes=1)
#: A clock that was set back by less is not worth a word.
SET_BACK: Final = timedelta(seconds=1)
#: Ticks that are counted, one by one, from a time before the catch-up window.
COUNTED: Final = 100_000
#: Ticks that are looked at before others have their turn.
AT_ONCE: Final = 500

#: What became of a tick.
Fate = Literal["run", "missed", "skipped", "paused"]
#: (flow, trigger) of a schedule.
Name = tuple[str, str]


def tick_run_id(flow: Flow, trigger: str, at: datetime) -> str:
    """The id of the run of a tick.

    The first schedule of a flow has `flow@time`; each other one a mark of its own, so that two may tick at once. A
    schedule that is added behind the others changes the ids of none.
    """
    is_first = not flow.schedules or flow.schedules[0].id == trigger
    name = flow.name if is_first else f"{flow.name}/{hashlib.sha256(trigger.encode()).hexdigest()[:8]}"
    return f"{name}@{at:%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class Missed:
    """Ticks of which none is run.

    Attributes:
        count: how many; ticks from before the catch-up window are counted up to `COUNTED`.
    """

    first: datetime | None = None
    last: datetime | None = None
    count: int = 0

    def add(self, at: datetime) -> None:
        self.first = self.first or at
        self.last = at
        self.count += 1


@dataclass
class Due:
    """What has come since a schedule was last looked at.

    Attributes:
        ticks: those within the catch-up window, oldest first.
        old: those before it.
    """

    ticks: list[datetime] = field(default_factory=list)
    old: Missed = field(default_factory=Missed)

    def take(self, until: datetime) -> Missed:
        """Those up to a time, which are not among these any more."""
        taken = Missed()
        if self.old.last is not None and self.old.last <= until:
            taken, self.old = self.old, taken
        for at in self.ticks:
            if at <= until:
                taken.add(at)
        self.ticks = [at for at in self.ticks if at > until]
        return taken


class Ahead:
    """The ticks of a schedule that have not come yet; to find them anew at each look would take most of the CPU time.

    Attributes:
        last: the latest that has come, or the time after which they begin.
        upcoming: the next one.
    """

    def __init__(self, schedule: Schedule, after: datetime) -> None:
        self._schedule = schedule
        self.last = after
        self.begin(after)

    def begin(self, after: datetime) -> None:
        """Go on with the first tick after a time."""
        self._ticks = ticks_after(self._schedule.cron, self._schedule.timezone, after)
        self.upcoming = next(self._ticks)

    def take(self) -> datetime:
        """The next tick, which has come."""
        self.last, self.upcoming = self.upcoming, next(self._ticks)
        return self.last


class Host(Protocol):
    """What schedules ask of the engine."""

    @property
    def core(self) -> Core: ...

    async def nap(self, event: asyncio.Event | None, until: datetime | None) -> None: ...

    def run(self, loop: Coroutine[Any, Any, None]) -> None: ...


class Schedules:
    """The schedules of an engine, one loop for each.

    Args:
        start: starts the run of a tick unless it has one; False when its schedule lets none begin beside another.
        missed: is told of ticks that are not run.
        passes_until: up to when the ticks of a schedule (flow, trigger) pass without a run, however many workers see
            to them; None for one that nobody has paused.

    Attributes:
        fates: how many ticks of each schedule had which fate since the engine was opened.
    """

    def __init__(
        self,
        host: Host,
        start: Callable[[Flow, Schedule, datetime], Awaitable[bool]],
        missed: Callable[[str, str, datetime, datetime, int], Awaitable[None]],
        passes_until: Callable[[str, str], Awaitable[datetime | None]],
    ) -> None:
        self._host = host
        self._start = start
        self._tell_missed = missed
        self._passes_until = passes_until
        self._paused: set[Name] = set()
        self._changed: dict[Name, asyncio.Event] = {}
        self._last: dict[Name, datetime] = {}
        self.fates: Counter[tuple[str, str, Fate]] = Counter()

    def begin(self, ticks: Mapping[Name, datetime], paused: Iterable[Name]) -> None:
        """Start the loops; `ticks` are the scheduled times that were seen to last."""
        self._paused = set(paused)
        for flow in self._host.core.flows.values():
            for schedule in flow.schedules:
                name = flow.name, schedule.id
                self._changed[name] = asyncio.Event()
                self._host.run(self._keep(flow, schedule, ticks.get(name)))

    async def pause(self, flow: str, trigger: str, paused: bool) -> None:
        """Let a schedule's ticks pass without a run, or go on with its next one; raises EngineError."""
        recipe = self._host.core.flows.get(flow)
        if recipe is None or trigger not in [schedule.id for schedule in recipe.schedules]:
            raise EngineError(f'The worker has no schedule "{trigger}" of a flow "{flow}". Start it with that flow.')
        now = self._host.core.clock.now()
        await self._host.core.store.commit(pause_ops(flow, trigger, paused, now))
        name = flow, trigger
        if paused:
            self._paused.add(name)
        elif name in self._paused:
            self._paused.discard(name)
            self._last[name] = now
        log.info("flow %s: the schedule %s is %s", flow, trigger, "paused" if paused else "resumed")
        if name in self._changed:
            self._changed[name].set()

    async def _keep(self, flow: Flow, schedule: Schedule, last: datetime | None) -> None:
        """See to the ticks of a schedule as they come."""
        core, name = self._host.core, (flow.name, schedule.id)
        if last is None:  # the first worker with this schedule: what it misses from here on is made up
            last = core.clock.now()
            await core.store.commit([PutTick(*name, last)])
        self._last[name] = last
        ahead = Ahead(schedule, last)
        while True:
            self._changed[name].clear()
            now = core.clock.now()
            if self._last[name] > now + SET_BACK:
                await self._set_back(flow, schedule, self._last[name], now)
                self._last[name] = now
            if ahead.last != self._last[name]:
                ahead = Ahead(schedule, self._last[name])
            due = await self._due(schedule, ahead, now)
            if due.ticks or due.old.count:
                await self._see_to(flow, schedule, due)
            else:
                await self._host.nap(self._changed[name], ahead.upcoming)

    async def _set_back(self, flow: Flow, schedule: Schedule, seen: datetime, now: datetime) -> None:
        """Say when the next run is: a tick that was seen to before the clock was set back has its run already."""
        upcoming = now
        for number, upcoming in enumerate(ticks_after(schedule.cron, schedule.timezone, now)):
            if upcoming > seen or number >= AT_ONCE or not await self._has_run(flow, schedule, upcoming):
                break
        log.warning(
            "flow %s: the clock was set back by %s; no tick of %s is run twice, so its next run is at %s",
            flow.name,
            timedelta(seconds=round((seen - now).total_seconds())),
            schedule.id,
            _utc(upcoming),
        )

    async def _has_run(self, flow: Flow, schedule: Schedule, at: datetime) -> bool:
        store, run_id = self._host.core.store, tick_run_id(flow, schedule.id, at)
        return await store.known(run_id) is not None

    async def _due(self, schedule: Schedule, ahead: Ahead, now: datetime) -> Due:
        due, window = Due(), now - max(schedule.catch_up_window, ON_TIME)
        number = 0
        while ahead.upcoming <= now:
            number += 1
            at = ahead.take()
            if at >= window:
                due.ticks.append(at)
            elif due.old.count < COUNTED:
                due.old.add(at)
            else:
                ahead.begin(window)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return due

    async def _see_to(self, flow: Flow, schedule: Schedule, due: Due) -> None:
        """Run what is to be run of the ticks that have come, and tell what is not."""
        core, name = self._host.core, (flow.name, schedule.id)
        until = core.clock.now() if name in self._paused else await self._passes_until(*name)
        passing = Missed() if until is None else due.take(until)
        if passing.last is not None:
            self.fates[*name, "paused"] += passing.count
            told = "flow %s: the schedule %s is paused; ticks that passed: %d"
            log.info(told, flow.name, schedule.id, passing.count)
            await core.store.commit([PutTick(*name, passing.last)])
            self._last[name] = max(self._last[name], passing.last)
        newest = due.ticks[-1] if due.ticks else due.old.last
        if newest is None:
            return
        to_run, missed = due.ticks, due.old
        passed = _passed(schedule, to_run, core.clock.now())
        for at in to_run[:passed]:
            missed.add(at)
        if missed.first is not None and missed.last is not None:
            self.fates[*name, "missed"] += missed.count
            await self._tell_missed(*name, missed.first, missed.last, missed.count)
            if passed == len(to_run):
                await core.store.commit([PutTick(*name, newest)])
                self._last[name] = newest
        for at in to_run[passed:]:
            if name in self._paused:
                return  # paused meanwhile: the rest is seen to by the next look
            await self._run(flow, schedule, at)
            self._last[name] = max(self._last[name], at)

    async def _run(self, flow: Flow, schedule: Schedule, at: datetime) -> None:
        name = flow.name, schedule.id
        try:
            began = await self._start(flow, schedule, at)
        except InputError as error:
            log.error("flow %s: the run of %s was not started: %s", flow.name, _utc(at), error)
            await self._host.core.store.commit([PutTick(*name, at)])
            return
        self.fates[*name, "run" if began else "skipped"] += 1
        if not began:
            log.info(
                "flow %s: the tick of %s is skipped, for an earlier run of %s is unfinished (skipped so far: %d)",
                flow.name,
                _utc(at),
                schedule.id,
                self.fates[*name, "skipped"],
            )


def _passed(schedule: Schedule, ticks: Sequence[datetime], now: datetime) -> int:
    """How many of the ticks that have come are not run, from the oldest on."""
    if schedule.catch_up == "all" or not ticks:
        return 0
    is_on_time = now - ticks[-1] <= ON_TIME
    return len(ticks) - (1 if schedule.catch_up == "latest" or is_on_time else 0)


def pause_ops(flow: str, trigger: str, paused: bool, now: datetime) -> list[PutPause | PutTick]:
    """What is written to pause a schedule, or to let it go on with its next tick."""
    pause = PutPause(flow, trigger, paused, now)
    return [pause] if paused else [pause, PutTick(flow, trigger, now)]


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

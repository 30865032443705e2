"""`crash_everywhere`: a flow is killed at every durable boundary, and has to come to the same end each time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from resolute.model.recipe import Flow
from resolute.testing.flow_tester import FlowTester
from resolute.testing.history import History, Kill, run_history
from resolute.testing.observed import DIFFERENCES_TOLD, differences
from resolute.testing.result import unheard
from resolute.testing.script import ScriptError
from resolute.testing.store import Side

SIDES: Final[tuple[Side, Side]] = ("before", "after")
#: Histories with a second kill, unless all are wanted.
PAIRS: Final = 40
#: A place to crash at, as it is written: a boundary and a side, and those of a second kill.
Place = tuple[int, Side] | tuple[int, Side, int, Side]


class CrashDifference(AssertionError):
    """After a crash a run came to another end than without one.

    Attributes:
        place: where it was killed; `crash_everywhere(..., only=place)` does exactly that again.
        differences: what differed, a line each.
    """

    def __init__(self, flow: str, place: Place, killed: str, found: Sequence[str]) -> None:
        self.place = place
        self.differences = tuple(found)
        told = [f"  {line}" for line in found[:DIFFERENCES_TOLD]]
        if len(found) > DIFFERENCES_TOLD:
            told.append(f"  and {len(found) - DIFFERENCES_TOLD} more")
        head = f'Flow "{flow}" came to another end after a crash. {killed}'
        again = f"Do exactly this again: crash_everywhere(..., only={place!r})"
        super().__init__("\n".join([head, *told, again]))


@dataclass(frozen=True)
class CrashReport:
    """What crashing everywhere came to: the same end each time.

    Attributes:
        boundaries: batches that the journal commits in an undisturbed run; each was crashed at, on both sides.
        histories: runs that were crashed.
        repeated: node key → in how many histories its function was called again, because the worker died while it
            was under way. What such a node does outside happens twice, unless it uses `current().idempotency_key`.
        delivered_again: in how many histories PagerDuty got an event twice; it folded into the same alert.
        places: where the runs were killed.
    """

    flow: str
    boundaries: int
    histories: int
    repeated: Mapping[str, int] = field(default_factory=dict)
    delivered_again: int = 0
    places: tuple[Place, ...] = ()

    def __str__(self) -> str:
        again = ", ".join(f"{key} ({count})" for key, count in self.repeated.items()) or "nothing"
        return (
            f"{self.flow}: {self.boundaries} boundaries, {self.histories} crashed histories, all with the same end. "
            f"Called again in so many: {again}. Events delivered again in {self.delivered_again}."
        )


def crash_everywhere(
    flow: Flow,
    *,
    input: Any = None,
    tester: Callable[[], FlowTester] = FlowTester,
    double: bool = False,
    only: Place | None = None,
    down_for: timedelta = timedelta(seconds=1),
) -> CrashReport:
    """Kill the worker at every durable boundary of a run, let a new one go on, and compare how it ends.

    A boundary is a batch that the journal commits. At each the worker dies twice: just before the batch is durable,
    and just after that, before anybody has heard of it. Every history begins from nothing and has to come to the same
    result, state and errors, alerts and order of events at PagerDuty, incident log, memory and cursors; a node that
    has finished must not be called again, one that was under way only with the same inputs. Times may differ.

    Args:
        tester: makes the tester of a history, with its mocks, failures and signals; called once for each.
        double: kill the worker a second time at every boundary of each recovery; otherwise in a sample of them.
        only: one place alone, as a difference names it; what the worker logs is heard then.
        down_for: from a kill to the start of the next worker.

    Raises:
        CrashDifference: a history came to another end; the text tells where it was killed and what differed.
        ScriptError: two undisturbed runs differ, so that nothing can be compared.
    """
    makes = _Fresh(tester)

    def run(*kills: Kill) -> History:
        with nullcontext() if only is not None and kills else unheard("resolute"):
            return run_history(makes, flow, input, kills, down_for)

    base = run()
    unsteady = list(differences(base.seen, run().seen))
    if unsteady:
        raise ScriptError(
            f'Two undisturbed runs of "{flow.name}" differ: {unsteady[0]}. Mock what gives another answer each time, '
            "and let tester= make a new FlowTester with new mocks each time."
        )
    tried: list[_Tried] = []

    def crash(*kills: Kill) -> _Tried:
        history = _compared(flow, base, kills, run)
        again, twice = frozenset(history.called_again), history.deliveries != base.deliveries
        tried.append(_Tried(tuple(kills), history.boundaries, again, twice))
        return tried[-1]

    if only is not None:
        crash(*_kills(only))
    places = [Kill(number, side) for number in range(1, base.boundaries + 1) for side in SIDES]
    singles = [crash(place) for place in places] if only is None else []
    for kills in _pairs(singles, all_of_them=double):
        crash(*kills)
    return CrashReport(
        flow.name,
        base.boundaries,
        len(tried),
        dict(Counter(key for one in tried for key in sorted(one.again))),
        sum(one.delivered_again for one in tried),
        tuple(_place(one.kills) for one in tried),
    )


@dataclass(frozen=True)
class _Tried:
    """What is kept of a crashed history: a whole one may be large."""

    kills: tuple[Kill, ...]
    boundaries: int
    again: frozenset[str]
    delivered_again: bool


class _Fresh:
    """Makes testers, each another one."""

    def __init__(self, make: Callable[[], FlowTester]) -> None:
        self._make = make
        self._made: list[FlowTester] = []

    def __call__(self) -> FlowTester:
        made = self._make()
        if not isinstance(made, FlowTester) or any(made is other for other in self._made):
            raise ScriptError("crash_everywhere(tester=...) takes a function that makes a new FlowTester each time.")
        self._made = [made]
        return made


def _pairs(singles: Sequence[_Tried], *, all_of_them: bool) -> Iterator[tuple[Kill, Kill]]:
    """Two kills each, the second while the first is recovered from: all that there are, or a sample of them."""
    step = 1 if all_of_them else len(singles) // PAIRS | 1  # odd, so that both sides come in turn
    for single in singles[::step]:
        first = single.kills[0]
        begins = first.boundary + (first.side == "after")  # the number of the first batch of the recovery
        seconds = [Kill(number, side) for number in range(begins, single.boundaries + 1) for side in SIDES]
        if not all_of_them and seconds:
            seconds = [random.Random(f"{first.boundary} {first.side}").choice(seconds)]
        yield from ((first, second) for second in seconds)


def _compared(flow: Flow, base: History, kills: Sequence[Kill], run: Callable[..., History]) -> History:
    """The history with these kills; raises CrashDifference."""
    try:
        history = run(*kills)
    except Exception as error:  # whatever a crash leads to is the difference
        found = [f"the run: expected to end as without a crash, actually {type(error).__name__}: {error}"]
        raise CrashDifference(flow.name, _place(kills), _where(kills, base), found) from error
    found = [*differences(base.seen, history.seen), *history.wrong_calls()]
    if found:
        raise CrashDifference(flow.name, _place(kills), _killed(history, base), found)
    return history


def _killed(history: History, base: History) -> str:
    """Where a worker was killed, for people."""
    told = [_where(history.kills, base)]
    for moment in history.moments:
        side = "lost" if moment.kill.side == "before" else "durable, and nobody had heard of it"
        busy = ", ".join(sorted(moment.in_flight)) or "nothing"
        told.append(f"Batch {moment.kill.boundary} ({moment.batch}) was {side}; under way: {busy}.")
    return " ".join(told)


def _where(kills: Sequence[Kill], base: History) -> str:
    places = " and ".join(f"{kill.side} batch {kill.boundary} was durable" for kill in kills)
    return f"The worker was killed {places} (undisturbed it has {base.boundaries} batches)."


def _place(kills: Sequence[Kill]) -> Place:
    first, *rest = kills
    return (first.boundary, first.side, rest[0].boundary, rest[0].side) if rest else (first.boundary, first.side)


def _kills(place: Place) -> tuple[Kill, ...]:
    pairs = [Kill(place[0], place[1])]
    if len(place) == 4:
        pairs.append(Kill(place[2], place[3]))
    for kill in pairs:
        if kill.side not in SIDES or kill.boundary < 1:
            raise ScriptError(f'crash_everywhere(only={place!r}) takes a boundary from 1 and "before" or "after".')
    return tuple(pairs)
